"""``python -m whatsync`` is the command `whatsync`. Nothing else lives here."""

from whatsync.cli.app import main

main()
