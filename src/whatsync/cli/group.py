"""The group of all commands: each is imported when it is called, so that ``whatsync --help`` stays quick.

Also turns failures into a sentence and an exit status. Knows the commands by name only.
"""

import difflib
import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup

from whatsync.cli.failure import Failure


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: where it lives and what the list of commands says about it.

    The module has either a Typer ``app`` or a function of the command's name.
    """

    name: str
    module: str
    summary: str
    section: str

    def load(self) -> typer.Typer:
        """Import the command."""
        module = importlib.import_module(self.module)
        app = getattr(module, "app", None)
        if isinstance(app, typer.Typer):
            return app
        app = new_app()
        app.command()(getattr(module, self.name))
        return app


def new_app(**settings: Any) -> typer.Typer:
    """A Typer of one command or noun, with plain help: Rich's would take twice as long to show."""
    settings = {"cls": NounGroup, **settings}
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, **settings)


class NounGroup(TyperGroup):
    """The verbs of one noun, each with its whole first sentence, however narrow the terminal is."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List them, in the order in which they stand in their file."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, _first(command.help or "")) for name, command in commands if command and not command.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _first(text: str) -> str:
    """The first paragraph's first sentence."""
    return " ".join(text.split("\n\n", maxsplit=1)[0].split()).split(". ")[0].rstrip(".") + "."


class LazyGroup(TyperGroup):
    """Lists commands from a table and imports the one that is asked for."""

    entries: tuple[Entry, ...] = ()
    """Filled in by the application."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all commands in their order."""
        return [entry.name for entry in self.entries]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import one command, None where there is none of this name."""
        for entry in self.entries:
            if entry.name == cmd_name:
                return typer.main.get_command(entry.load())
        return None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that was typed, or say which one may have been meant."""
        known = self.list_commands(ctx)
        near = difflib.get_close_matches(args[0], known, 1) if args and args[0] not in known else []
        if near:
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a failure becomes its sentence on standard error and its exit status."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            typer.echo(f"whatsync: {failure.message}", err=True)
            raise typer.Exit(failure.exit_code) from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands by what they are for."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for entry in self.entries:
            sections.setdefault(entry.section, []).append((entry.name, entry.summary))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)
