"""The real command as a node that is heard of only now and then, and looks around as rarely: what it knows of another
node's doings, it knows by that one's signals. Everything else is the server as it is.
"""

from whatsync.model import limits

limits.HEARTBEAT_SECONDS = limits.LOOK_SECONDS = 3_600.0
limits.LEASE_SECONDS = 7_200.0

from whatsync.cli.app import main  # noqa: E402 - what it imports takes the numbers over

if __name__ == "__main__":
    main()
