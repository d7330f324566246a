"""What ``whatsync listen`` shows: a live list on a terminal, plain lines in a pipe, or JSON lines. Knows no network."""

import json
import sys
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

import msgspec
from rich.console import Group
from rich.live import Live
from rich.text import Text

from whatsync.cli.forwarder import Forwarded
from whatsync.cli.live_feed import Event, Told
from whatsync.cli.output import clean, console

_EVENT_COLUMNS = 16
_ANSWER_COLUMNS = 20


class ListenView(Told, Protocol):
    """Hears of everything that happens while listening."""

    def began(self, target: str, secret: str) -> None:
        """Copies go to ``target``, signed with ``secret``."""

    def sending(self, event: Event) -> None:
        """A copy is on its way."""

    def sent(self, forwarded: Forwarded, again: bool) -> None:
        """A copy was sent."""

    def remark(self, text: str) -> None:
        """Something worth a line."""

    def close(self) -> None:
        """Nothing comes any more."""


def clock_time(at_ms: int) -> str:
    """The local time of day."""
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%H:%M:%S")


def line_of(forwarded: Forwarded, again: bool) -> Text:
    """One copy in a line: when, what came back, how long it took, what it was."""
    answer = f"{_answer(forwarded):<{_ANSWER_COLUMNS}}"
    return Text.assemble(
        (f"{clock_time(forwarded.at_ms)}  ", "dim"),
        (answer, "green" if forwarded.succeeded else "red"),
        f"{forwarded.duration_ms:>8.1f} ms  ",
        ("again  " if again else "", "cyan"),
        (f"{clean(forwarded.event):<{_EVENT_COLUMNS}}  ", "bold"),
        (clean(forwarded.id), "dim"),
    )


def _answer(forwarded: Forwarded) -> str:
    if forwarded.status is None:
        return forwarded.code or ""
    try:
        return f"{forwarded.status} {HTTPStatus(forwarded.status).phrase}"
    except ValueError:
        return str(forwarded.status)


class LinesView:
    """Plain lines, for a pipe or a log."""

    def __init__(self) -> None:
        self._console = console()
        self._connected = False

    def began(self, target: str, secret: str) -> None:
        """Copies go to ``target``, signed with ``secret``."""
        self._line(Text(f"Copies of live events go to {target}"))
        self._line(Text(f"Signing secret: {secret} (the same every time)"))

    def connected(self, url: str) -> None:
        """The feed is being read."""
        if not self._connected:
            self._line(Text(f"Listening to {url}"))
        self._connected = True

    def lost(self, reason: str, seconds: float) -> None:
        """It is not."""
        self._connected = False
        self._line(Text(f"Connection lost: {clean(reason)}. Next try in {seconds:.1f} s"))

    def skipped(self) -> None:
        """Retention has removed events that had not been read yet."""
        self._line(Text("Some events are past retention and were left out."))

    def sending(self, event: Event) -> None:
        """A copy is on its way: told when it is sent."""

    def sent(self, forwarded: Forwarded, again: bool) -> None:
        """A copy was sent."""
        self._line(line_of(forwarded, again))
        if forwarded.sentence:
            self._line(Text(f"          {forwarded.sentence}"))

    def remark(self, text: str) -> None:
        """Something worth a line."""
        self._line(Text(text))

    def close(self) -> None:
        """Nothing comes any more."""

    def _line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)
        self._console.file.flush()


class JsonView:
    """One JSON object a line, each copy and each change of the connection."""

    def __init__(self) -> None:
        self._connected = False

    def began(self, target: str, secret: str) -> None:
        """Copies go to ``target``, signed with ``secret``."""
        self._line("began", forwardTo=target, secret=secret)

    def connected(self, url: str) -> None:
        """The feed is being read."""
        if not self._connected:
            self._line("connected", server=url)
        self._connected = True

    def lost(self, reason: str, seconds: float) -> None:
        """It is not."""
        self._connected = False
        self._line("lost", reason=reason, nextTrySeconds=round(seconds, 1))

    def skipped(self) -> None:
        """Retention has removed events that had not been read yet."""
        self._line("skipped")

    def sending(self, event: Event) -> None:
        """A copy is on its way: told when it is sent."""

    def sent(self, forwarded: Forwarded, again: bool) -> None:
        """A copy was sent."""
        self._line("sent", **msgspec.to_builtins(forwarded), again=again)

    def remark(self, text: str) -> None:
        """Something worth a line."""
        self._line("remark", text=text)

    def close(self) -> None:
        """Nothing comes any more."""

    def _line(self, what: str, **fields: object) -> None:
        print(json.dumps({"what": what, **fields}, ensure_ascii=False), flush=True)


class LiveView:
    """A list that grows, and below it one line that says how things stand and which keys there are."""

    def __init__(self, has_keys: bool) -> None:
        self._console = console()
        self._has_keys = has_keys
        self._state = Text("connecting …", "yellow")
        self._under_way: Text | None = None
        self._good = self._bad = 0
        self._live = Live(self._footer(), console=self._console, auto_refresh=False, transient=True)

    def began(self, target: str, secret: str) -> None:
        """Copies go to ``target``, signed with ``secret``."""
        self._console.print(Text.assemble("Copies of live events go to ", (target, "bold")))
        self._console.print(Text.assemble("Signing secret: ", (secret, "bold")), soft_wrap=True)
        self._console.print(
            Text("Set it in your program, as WEBHOOK_SECRET or the like; it is the same every time.\n", "dim")
        )
        self._live.start()

    def connected(self, url: str) -> None:
        """The feed is being read."""
        self._state = Text(f"● listening to {url}", "green")
        self._refresh()

    def lost(self, reason: str, seconds: float) -> None:
        """It is not."""
        self._state = Text(f"○ connection lost, next try in {seconds:.0f} s: {clean(reason)}", "yellow")
        self._refresh()

    def skipped(self) -> None:
        """Retention has removed events that had not been read yet."""
        self.remark("Some events are past retention and were left out.")

    def sending(self, event: Event) -> None:
        """A copy is on its way."""
        self._under_way = Text(f"→ {clean(event['event'])} {clean(event['id'])} …", "cyan")
        self._refresh()

    def sent(self, forwarded: Forwarded, again: bool) -> None:
        """A copy was sent."""
        self._under_way = None
        if forwarded.succeeded:
            self._good += 1
        else:
            self._bad += 1
        self._live.update(self._footer())
        self._console.print(line_of(forwarded, again), no_wrap=True, overflow="ellipsis")
        if forwarded.sentence:
            self._console.print(Text(f"          {forwarded.sentence}", "dim"))
        self._refresh()

    def remark(self, text: str) -> None:
        """Something worth a line."""
        self._console.print(Text(text, "dim"))

    def close(self) -> None:
        """Nothing comes any more."""
        self._live.stop()
        self._console.print(Text(f"{self._good} sent well, {self._bad} failed.", "dim"))

    def _footer(self) -> Group:
        keys = (("r", "bold"), (" sends the last again   ", "dim"), ("q", "bold"), (" quits", "dim"))
        if not self._has_keys:
            keys = (("", ""), ("", ""), ("Ctrl+C", "bold"), (" quits", "dim"))
        lines = [] if self._under_way is None else [self._under_way]
        return Group(*lines, Text.assemble(self._state, "   ", *keys, no_wrap=True, overflow="ellipsis"))

    def _refresh(self) -> None:
        self._live.update(self._footer(), refresh=True)


def choose_view(as_json: bool) -> ListenView:
    """The view that fits where the output goes."""
    if as_json:
        return JsonView()
    return LiveView(sys.stdin.isatty()) if sys.stdout.isatty() else LinesView()
