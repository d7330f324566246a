"""``python -m whatsync``: the same as the command ``whatsync``."""

from whatsync.cli.app import main

if __name__ == "__main__":
    main()
