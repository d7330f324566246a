"""How the demo is told: calmly on a screen, or as JSON lines. Knows neither server nor receiver, only what to say."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.padding import Padding
from rich.text import Text

from whatsync.cli.output import Column, as_typed, clean, console, show_table
from whatsync.cli.patience import pause
from whatsync.cli.receiver import Received

_SHOWN_HEADERS = (
    "x-whatssync-event",
    "x-whatssync-delivery",
    "x-whatssync-attempt",
    "x-whatssync-signature",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
)
_HISTORY = (
    Column("EVENT", "event"),
    Column("STATE", "state"),
    Column("TRIES", "attempts", right=True),
    Column("TO", "endpoint.url"),
)
Item = Mapping[str, Any]


class DemoView(Protocol):
    """What the demo tells as it goes on."""

    def started(self, server: str, receiver: str, seconds: float) -> None:
        """Both run."""

    def endpoint(self, url: str, events: str) -> None:
        """An endpoint was made."""

    def accepted(self, accepted: Item) -> None:
        """An event was accepted."""

    def received(self, received: Received, expected: int, briefly: bool = False) -> None:
        """A request arrived."""

    def shaky(self, url: str, failures: int, schedule: str) -> None:
        """The second act begins: an endpoint that fails."""

    def recovered(self, failures: int) -> None:
        """It has what it missed."""

    def source(self, path: str) -> None:
        """The third act begins: a WhatsApp source was made."""

    def posted(self, path: str, body: bytes) -> None:
        """A body of Meta's was taken."""

    def history(self, deliveries: Sequence[Item]) -> None:
        """What the server has written down."""

    def staying(self, url: str, folder: str) -> None:
        """It stays until it is interrupted."""

    def interrupted(self) -> None:
        """Ctrl+C."""

    def ended(self) -> None:
        """Everything is cleaned up."""


class JsonLines:
    """One object a line, each with a ``step``."""

    def started(self, server: str, receiver: str, seconds: float) -> None:
        """Both run."""
        self._line("started", server=server, receiver=receiver, seconds=round(seconds, 3))

    def endpoint(self, url: str, events: str) -> None:
        """An endpoint was made."""
        self._line("endpoint", url=url, events=events)

    def accepted(self, accepted: Item) -> None:
        """An event was accepted."""
        self._line("accepted", **accepted)

    def received(self, received: Received, expected: int, briefly: bool = False) -> None:
        """A request arrived."""
        self._line(
            "received",
            path=received.path,
            headers=received.headers,
            body=json.loads(received.body),
            signature=received.document_check,
            standardWebhooks=received.standard_check,
            answered=received.status,
        )

    def shaky(self, url: str, failures: int, schedule: str) -> None:
        """The second act begins."""
        self._line("endpoint", url=url, events="message.status", fails=failures, retrySchedule=schedule)

    def recovered(self, failures: int) -> None:
        """It has what it missed."""
        self._line("recovered", failures=failures)

    def source(self, path: str) -> None:
        """The third act begins."""
        self._line("source", path=path)

    def posted(self, path: str, body: bytes) -> None:
        """A body of Meta's was taken."""
        self._line("posted", path=path, body=json.loads(body))

    def history(self, deliveries: Sequence[Item]) -> None:
        """What the server has written down."""
        self._line("history", deliveries=list(deliveries))

    def staying(self, url: str, folder: str) -> None:
        """It stays until it is interrupted."""
        self._line("staying", server=url, dataDir=folder)

    def interrupted(self) -> None:
        """Ctrl+C."""
        self._line("interrupted")

    def ended(self) -> None:
        """Everything is cleaned up."""
        self._line("ended")

    def _line(self, step: str, **fields: object) -> None:
        print(json.dumps({"step": step, **fields}, ensure_ascii=False), flush=True)


class Screen:
    """For people, at a pace one can read at."""

    def __init__(self, pause_seconds: float) -> None:
        self._console: Console = console()
        self._pause_seconds = pause_seconds if self._console.is_terminal else 0

    def started(self, server: str, receiver: str, seconds: float) -> None:
        """Both run."""
        self._say(f"A WhatsSync server is running at {server} (ready in {seconds:.1f} s),", "bold")
        self._say(f"and a receiver, as you would write one, at {receiver}.", "bold")
        self._breathe()

    def endpoint(self, url: str, events: str) -> None:
        """An endpoint was made."""
        self._say()
        self._heading("1. Four events, each signed, each verified")
        self._say(f"The endpoint {url} gets every event ({events}).", "dim")
        self._breathe()

    def accepted(self, accepted: Item) -> None:
        """An event was accepted."""
        self._say()
        what = f"{accepted['event']} {accepted['id']}"
        line = Text.assemble(("→ POST /v1/events  ", "cyan"), (what, "bold"), ("  202: on disk", "dim"))
        self._console.print(line, soft_wrap=True)

    def received(self, received: Received, expected: int, briefly: bool = False) -> None:
        """A request arrived."""
        good = received.status < 300
        attempt = received.headers.get("x-whatssync-attempt", "?")
        event = clean(received.headers.get("x-whatssync-event"))
        line = Text.assemble((f"← POST {received.path}  ", "magenta"), (event, "bold"), (f"  attempt {attempt}", "dim"))
        if not briefly:
            self._console.print(line)
            self._request(received)
            line = Text("  ")
        line.append("  answered ")
        line.append(str(received.status), "green" if good else "yellow")
        line.append_text(self._checks(received))
        self._console.print(line, soft_wrap=True)
        self._breathe()

    def shaky(self, url: str, failures: int, schedule: str) -> None:
        """The second act begins."""
        self._say()
        self._heading("2. A receiver that is down for a moment")
        self._say(f"{url} answers 503 to the first {failures} tries; it is tried again after {schedule}.", "dim")
        self._say("Your backend is not kept waiting by it.", "dim")
        self._breathe()

    def recovered(self, failures: int) -> None:
        """It has what it missed."""
        self._say(f"It failed {failures} times and has its event now: same id, same body, signed anew.", "green")
        self._breathe()

    def source(self, path: str) -> None:
        """The third act begins."""
        self._say()
        self._heading("3. WhatsApp as the source")
        self._say(
            "Meta posts its Cloud API webhooks to a URL of this server. Here somebody writes for the first time,", "dim"
        )
        self._say("and a message of yours is read. Files become media.upload once your token fetches them.", "dim")
        self._breathe()

    def posted(self, path: str, body: bytes) -> None:
        """A body of Meta's was taken."""
        self._say()
        line = Text.assemble(
            ("→ POST /sources/whatsapp/…  ", "cyan"), ("as Meta signs it", "bold"), ("  200: on disk", "dim")
        )
        self._console.print(line, soft_wrap=True)
        self._console.print(Text("    " + clean(body.decode()), "dim"), overflow="ellipsis", no_wrap=True)

    def history(self, deliveries: Sequence[Item]) -> None:
        """What the server has written down."""
        self._say()
        self._heading("4. All of it is written down")
        show_table(_HISTORY, deliveries, "")
        self._say()
        self._heading("Where to look next")
        for command, meaning in (
            ("whatsync serve", "run it for good: data in ./whatsync-data, API at http://127.0.0.1:8600/docs"),
            ("whatsync endpoints create --url … --event '*'", "your own URL"),
            ("whatsync trigger message.incoming text=Hello", "send it an event"),
            ("whatsync listen --forward-to localhost:3000/webhooks", "live events to a program on your machine"),
        ):
            typed = command.replace("whatsync", as_typed(), 1)
            self._console.print(Text.assemble((f"  {typed}", "cyan"), (f"\n      {meaning}", "dim")))

    def staying(self, url: str, folder: str) -> None:
        """It stays until it is interrupted."""
        self._say()
        self._say(f"The server stays at {url} until Ctrl+C. In another terminal:", "bold")
        self._say(f"  export WHATSYNC_DATA_DIR={folder}\n  {as_typed()} deliveries list", "cyan")
        self._say(f"The API's reference: {url}/docs")

    def interrupted(self) -> None:
        """Ctrl+C."""
        self._say()

    def ended(self) -> None:
        """Everything is cleaned up."""
        self._say()
        self._say("The demo's server is stopped and its folder removed.", "dim")

    # How it looks

    def _request(self, received: Received) -> None:
        for name in _SHOWN_HEADERS:
            if name in received.headers:
                line = Text(f"    {_spelled(name)}: {clean(received.headers[name])}", "dim")
                self._console.print(line, overflow="ellipsis", no_wrap=True)
        body = Text(clean(received.body.decode("utf-8", "replace")))
        JSONHighlighter().highlight(body)
        self._console.print(
            Padding(body, (0, 0, 0, 4)) if self._console.is_terminal else Text("    ").append_text(body)
        )

    def _checks(self, received: Received) -> Text:
        text = Text("  ")
        for name, right in (("signature", received.document_check), ("Standard Webhooks", received.standard_check)):
            text.append(f"{'✓' if right else '✗'} {name} ", "green" if right else "bold red")
        return text

    def _heading(self, text: str) -> None:
        self._console.print(Text(text, "bold underline"))

    def _say(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)

    def _breathe(self) -> None:
        if self._pause_seconds:
            pause(self._pause_seconds)


def _spelled(name: str) -> str:
    """A header as it is written in the documents."""
    if name.startswith("x-"):
        words = name.split("-")[2:]
        return "-".join(["X-WhatsSync", *(word.capitalize() for word in words)])
    return name
