"""Alerts by mail and chat: one line per change of state, in plain sentences without personal data, sent once.

Owners hear of their own endpoints, the operator of all accounts' and of trouble with the server. Knows no HTTP library.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from whatsync import __version__
from whatsync.engine.directory import Directory
from whatsync.engine.watch import Notice
from whatsync.model import limits
from whatsync.model.url import Target, parse_url
from whatsync.ports.clock import Clock
from whatsync.ports.mailer import Mailer, MailRefused
from whatsync.ports.sender import Answer, Request, Sender
from whatsync.ports.vault import Vault

logger = logging.getLogger(__name__)

_SECONDS_MAX = 10.0

Destination = tuple[str, ...]
"""``("mail", address, …)`` or ``("chat", url)``."""


class _Refused(Exception):  # noqa: N818 - never leaves this file
    def __init__(self, reason: str, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


class _Line(msgspec.Struct, frozen=True):
    subject: str
    text: str


class _Queue:
    """What one destination has still to hear."""

    __slots__ = ("left_out", "lines")

    def __init__(self) -> None:
        self.lines: list[_Line] = []
        self.left_out = 0


class Alerts:
    """Sends alerts. Each destination has a queue and a task of its own, so that a dead one delays no other."""

    def __init__(
        self,
        *,
        directory: Directory,
        vault: Vault,
        sender: Sender,
        clock: Clock,
        mailer: Mailer | None = None,
        operator_url: str | None = None,
        public_url: str | None = None,
    ) -> None:
        self._directory = directory
        self._vault = vault
        self._sender = sender
        self._clock = clock
        self._mailer = mailer
        self._operator_url = operator_url
        self._public_url = public_url
        self._queues: dict[Destination, _Queue] = {}
        self._tasks: dict[Destination, asyncio.Task[None]] = {}

    def notify(self, notice: Notice) -> None:
        """Alert the owner, and the operator, of a change of state that was not known before."""
        words = _WORDS.get(notice.type)
        account = self._directory.accounts.get(notice.account)
        if words is None or account is None:
            return
        told = words.sentence(notice.data)
        link = self._link(notice.data)
        line = _Line(words.subject, f"{_place(notice.data, whole=True)} {told}{link}")
        if account.account.alert_emails and self._mailer is not None:
            self._add(("mail", *account.account.alert_emails), line)
        if account.account.alert_url is not None:
            self._add(("chat", self._vault.unseal(account.account.alert_url)), line)
        if self._operator_url is not None:
            owner = f"{account.account.name} ({account.account.id})"
            text = f"{owner}: {_place(notice.data, whole=False)} {told}{link}"
            self._add(("chat", self._operator_url), _Line(words.subject, text))

    def trouble(self, sentence: str) -> None:
        """Alert the operator of something about the server itself."""
        if self._operator_url is not None:
            self._add(("chat", self._operator_url), _Line("trouble", f"WhatsSync: {sentence}"))

    async def sent(self) -> None:
        """Return when everything is sent or given up."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """Give up what waits."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _link(self, data: dict[str, Any]) -> str:
        if self._public_url is None or "endpointId" not in data:
            return ""
        return f" {self._public_url}/endpoints/{data['endpointId']}"

    # Sending

    def _add(self, destination: Destination, line: _Line) -> None:
        queue = self._queues.setdefault(destination, _Queue())
        if len(queue.lines) < limits.ALERTS_WAITING_MAX:
            queue.lines.append(line)
        else:
            queue.left_out += 1
        if destination not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._work(destination))
            self._tasks[destination] = task
            task.add_done_callback(lambda _: self._ended(destination))

    def _ended(self, destination: Destination) -> None:
        self._tasks.pop(destination, None)
        self._queues.pop(destination, None)

    async def _work(self, destination: Destination) -> None:
        queue = self._queues[destination]
        # A moment for what changes together, such as all endpoints of one dead machine, to become one message.
        await self._clock.sleep(limits.ALERT_GATHER_SECONDS)
        while queue.lines:
            lines, left_out = queue.lines, queue.left_out
            queue.lines, queue.left_out = [], 0
            await self._deliver(destination, lines, left_out)

    async def _deliver(self, destination: Destination, lines: Sequence[_Line], left_out: int) -> None:
        text = _text(lines, left_out)
        pause = limits.ALERT_RETRY_SECONDS
        for attempt in range(1, limits.ALERT_TRIES_MAX + 1):
            try:
                await self._send(destination, lines, text)
                return
            except _Refused as problem:
                if problem.lasting or attempt == limits.ALERT_TRIES_MAX:
                    logger.warning("an alert by %s was given up: %s", destination[0], problem)
                    return
            await self._clock.sleep(pause)
            pause *= 3

    async def _send(self, destination: Destination, lines: Sequence[_Line], text: str) -> None:
        if destination[0] == "chat":
            await self._send_chat(destination[1], text)
        elif self._mailer is not None:
            subject = f"WhatsSync: {lines[0].subject}" + ("" if len(lines) == 1 else f", and {len(lines) - 1} more")
            try:
                await self._mailer.send(destination[1:], subject, text + "\n")
            except MailRefused as problem:
                raise _Refused(problem.reason, problem.lasting) from None

    async def _send_chat(self, url: str, text: str) -> None:
        target = parse_url(url)
        if not isinstance(target, Target):
            raise _Refused("the alert URL is not usable", lasting=True)
        body = msgspec.json.encode({"text": text})
        head = (
            f"POST {target.request_target} HTTP/1.1\r\nHost: {target.host_header}\r\n"
            f"User-Agent: WhatsSync/{__version__}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode("latin-1")
        answer = await self._sender.send(Request(target, head, body, _SECONDS_MAX, _SECONDS_MAX))
        if not isinstance(answer, Answer):
            raise _Refused(answer.code, lasting=answer.code == "blocked_address")
        if not 200 <= answer.status < 300:
            raise _Refused(f"http_{answer.status}", lasting=answer.status < 500 and answer.status != 429)


# Words


def _text(lines: Sequence[_Line], left_out: int) -> str:
    shown = [line.text for line in lines[: limits.ALERT_LINES_MAX]]
    more = len(lines) - len(shown) + left_out
    if more:
        shown.append(f"… and {more} more changes; the list of endpoints shows them all.")
    return "\n".join(shown)


def _place(data: dict[str, Any], whole: bool) -> str:
    """What it is about: an endpoint without its query string, which may hold secrets, and for the operator without its
    path; a source; or a number, by Meta's id and the name it has here.
    """
    if "sourceId" in data:
        return f"Source {data['sourceId']}"
    if "number" in data:
        return f"Number {data['number']}"
    parts = urlsplit(data["url"])
    shown = f"{parts.scheme}://{parts.netloc}{parts.path if whole else ''}"
    return f"Endpoint {data['endpointId']} ({shown})"


def _last(data: dict[str, Any]) -> str:
    return f" The last failure: {data['lastError']}" if data.get("lastError") else ""


def _failing(data: dict[str, Any]) -> str:
    end = f" It will be disabled at {data['disableAt']} unless something succeeds." if data.get("disableAt") else ""
    return f"is failing: {data['failedAttempts']} attempts have failed since {data['since']}.{_last(data)}{end}"


def _disabled(data: dict[str, Any]) -> str:
    why = {"gone": "it answered 410 Gone", "failing": f"nothing has succeeded since {data['since']}"}
    last = "" if data.get("reason") == "gone" else _last(data)
    return (
        f"was disabled: {why.get(data.get('reason', ''), 'a person asked for it')}.{last} "
        "What is for it is held; repair it, then enable it and send what is held."
    )


def _recovered(data: dict[str, Any]) -> str:
    return f"has recovered: it had failed since {data['since']}. What waited for it is being sent."


def _expiring(data: dict[str, Any]) -> str:
    return (
        f"has held deliveries that end at {data['expiresAt']}: events are kept for {data['retentionDays']} days. "
        "Enable it and send what is held, or let them go."
    )


class _Words(msgspec.Struct, frozen=True):
    subject: str
    sentence: Callable[[dict[str, Any]], str]


def _rejected(data: dict[str, Any]) -> str:
    return f"is being refused: {data['refused']} requests since {data['since']}. {data['error']}"


def _quiet(data: dict[str, Any]) -> str:
    return f"is quiet: nothing since {data['lastEventAt']}, where {data['expectedEvents']} are usual. {data['error']}"


_WORDS = {
    "source.rejected": _Words("a source is being refused", _rejected),
    "number.quiet": _Words("a number is quiet", _quiet),
    "endpoint.failing": _Words("an endpoint is failing", _failing),
    "endpoint.disabled": _Words("an endpoint was disabled", _disabled),
    "endpoint.recovered": _Words("an endpoint has recovered", _recovered),
    "delivery.expiring": _Words("held deliveries are about to end", _expiring),
}
