"""The command `whatsync` and the table of its commands. A new command is a module and a line here."""

import sys
from typing import Annotated

import typer

from whatsync import __version__, compiled
from whatsync.cli.group import Entry, LazyGroup, new_app

_TRY = "See it work"
_LOOK = "Look and change (speak to a running server)"
_RUN = "Run it"
_BUILD = "Build a receiver"

COMMANDS = (
    Entry("demo", "whatsync.cli.demo", "A whole server and a receiver for a minute, nothing to set up", _TRY),
    Entry("trigger", "whatsync.cli.trigger", "Send the documented example of an event", _TRY),
    Entry("listen", "whatsync.cli.listen", "Copies of live events to a program on this machine", _TRY),
    Entry("verify", "whatsync.cli.verify", "Is a request's signature right, and if not, why", _BUILD),
    Entry("id", "whatsync.cli.message_id", "The id that a WhatsApp message has here", _BUILD),
    Entry("endpoints", "whatsync.cli.endpoints", "URLs that events are sent to", _LOOK),
    Entry("events", "whatsync.cli.events", "What happened", _LOOK),
    Entry("messages", "whatsync.cli.messages", "The whole story of a message", _LOOK),
    Entry("deliveries", "whatsync.cli.deliveries", "What was sent where, and what came back", _LOOK),
    Entry("media", "whatsync.cli.media", "Files to send along", _LOOK),
    Entry("jobs", "whatsync.cli.jobs", "Bulk work and its progress", _LOOK),
    Entry("erase", "whatsync.cli.erase", "Remove one person's data, for ever", _LOOK),
    Entry("event-types", "whatsync.cli.event_types", "The catalogue, and types of your own", _LOOK),
    Entry("sources", "whatsync.cli.sources", "Meta apps that events come from", _LOOK),
    Entry("numbers", "whatsync.cli.numbers", "WhatsApp numbers, and whose they are", _LOOK),
    Entry("keys", "whatsync.cli.keys", "API keys", _LOOK),
    Entry("users", "whatsync.cli.users", "Who may sign in to the dashboard", _LOOK),
    Entry("accounts", "whatsync.cli.accounts", "Accounts, and your own one's signing secret", _LOOK),
    Entry("serve", "whatsync.cli.serve", "Run the server", _RUN),
    Entry("doctor", "whatsync.cli.doctor", "What is wrong, and what to do", _RUN),
    Entry("backup", "whatsync.cli.backup", "A copy of the database, taken while it runs", _RUN),
    Entry("restore", "whatsync.cli.restore", "Put a copy back", _RUN),
    Entry("migrate", "whatsync.cli.migrate", "Bring a database to this version's schema", _RUN),
    Entry("bench", "whatsync.cli.bench.command", "Measure this machine", _RUN),
)

LazyGroup.entries = COMMANDS
app = new_app(cls=LazyGroup, no_args_is_help=True, name="whatsync", context_settings={"max_content_width": 120})


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"whatsync {__version__}")
        raise typer.Exit


@app.callback(epilog="Begin with `whatsync demo`. Every command explains itself: `whatsync listen --help`.")
def whatsync(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Deliver WhatsApp events to your own URLs: accepted once, signed, retried, shown."""


def main() -> None:
    """Run the command that was typed; a server's hot path compiled, where it was compiled."""
    if "serve" in sys.argv[1:2]:
        compiled.use()
    app(prog_name="whatsync")
