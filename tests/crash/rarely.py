"""The real command as a node that is heard of only now and then, and looks around as rarely: what it knows of another
node's doings, it knows by that one's signals. Everything else is the server as it is.

To be run in a process of its own, never imported for its effect: it changes what every node of its process goes by.
"""

from whatsync.model import limits


def serve_rarely() -> None:
    """Run the command with these numbers."""
    limits.HEARTBEAT_SECONDS = limits.LOOK_SECONDS = 3_600.0
    limits.LEASE_SECONDS = 7_200.0

    from whatsync.cli.app import main  # here, since what it imports takes the numbers over

    main()


if __name__ == "__main__":
    serve_rarely()
