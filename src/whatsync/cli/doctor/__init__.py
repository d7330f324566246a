"""``whatsync doctor``: looks at settings, data, machine and server, and says what to do about what is wrong."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from whatsync.cli.doctor.questions import ask, server_url
from whatsync.cli.failure import FAILED, Failure
from whatsync.cli.group import new_app
from whatsync.cli.local import read_config
from whatsync.cli.options import example
from whatsync.cli.output import Column, say, show_json, show_table, styled
from whatsync.config import COMMAND_SETTINGS, Config, shown

_SETTINGS = (
    Column("SETTING", "name"),
    Column("VALUE", "value"),
    Column("FROM", "source"),
)

_WORST_FIRST = ("problem", "warning", "ok")
_DEFAULT, _UNSET = "default", "unset"
"""What a setting's source and value say where nobody has set it."""

app = new_app()


@app.command(epilog=example("whatsync doctor", "whatsync doctor --live"))
def doctor(
    live: Annotated[
        bool,
        typer.Option("--live", help="Only ask the running server whether it is alive: for container health checks."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Look at everything that can be wrong on this machine, and say what to do. Changes nothing.

    A bucket for media files is tried with a small file.

    What is wrong comes first, then what is well, then the settings that were set, with where from; those at their
    default stand in a few lines at the end, and secrets only as set or unset. Exits with 1 where there is a problem.
    """
    config = read_config()
    if live:
        say_alive(config, as_json)
        return
    from whatsync.cli.doctor.check import Check
    from whatsync.cli.doctor.checks import all_checks

    checks: Sequence[Check] = all_checks(config)
    settings = [{"name": name, "value": value, "source": source} for name, value, source in _all_settings(config)]
    if as_json:
        found = [{"name": one.name, "state": one.state, "sentence": one.sentence} for one in checks]
        show_json({"ok": not any(one.state == "problem" for one in checks), "checks": found, "settings": settings})
    else:
        for one in sorted(checks, key=lambda one: _WORST_FIRST.index(one.state)):
            _show(one.name, one.state, one.sentence)
        _show_settings(settings)
    if any(one.state == "problem" for one in checks):
        raise typer.Exit(FAILED)


def _show_settings(settings: Sequence[Mapping[str, str]]) -> None:
    """Those that were set a row each, since they are what differs here; then the others, of which there are many."""
    chosen = [one for one in settings if one["source"] != _DEFAULT]
    others = [one for one in settings if one["source"] == _DEFAULT]
    say("")
    show_table(_SETTINGS, chosen, "")
    say("At their default: " + ", ".join(f"{one['name']}={one['value']}" for one in others if one["value"] != _UNSET))
    say("Unset: " + ", ".join(one["name"] for one in others if one["value"] == _UNSET))


def _all_settings(config: Config) -> list[tuple[str, str, str]]:
    """The server's settings, then those of the commands; secrets as set or unset."""
    rows = shown(config)
    for setting in COMMAND_SETTINGS:
        value = getattr(config, setting.key)
        text = _UNSET if value is None else "set" if setting.secret else str(value)
        rows.append((setting.name, text, config.sources.get(setting.name, _DEFAULT)))
    return rows


def _show(name: str, state: str, sentence: str) -> None:
    mark = {"ok": "✓", "warning": "!", "problem": "✗"}[state]
    say(f"{mark} {name}: {sentence}", str(styled(state).style))


def say_alive(config: Config, as_json: bool) -> None:
    """Ask the server whether it is alive. Raises Failure where it is not."""
    url = server_url(config)
    status, _ = ask(url, "/healthz")
    if status != 200:
        raise Failure(f"the server {url} is not alive: {'no answer' if status is None else f'it answers {status}'}")
    if as_json:
        show_json({"alive": True, "url": url})
    else:
        say(f"The server {url} is alive.")
