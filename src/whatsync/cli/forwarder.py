"""Copies of events to a local program, made, signed and sent as real requests are. Knows no feed and no screen."""

import asyncio

import msgspec

from whatsync.cli.failure import wrong_use
from whatsync.cli.live_feed import Event
from whatsync.model import limits
from whatsync.model.ids import Sequence, delivery_id
from whatsync.model.javascript import stringify
from whatsync.model.outcome import Explanation, explain, judge
from whatsync.model.request import attempt_head, fixed_head
from whatsync.model.signature import Signer
from whatsync.model.url import Target, UrlProblem, parse_url
from whatsync.ports.clock import Clock
from whatsync.ports.sender import Answer, Request, Sender


class Forwarded(msgspec.Struct, frozen=True, rename="camel"):
    """One copy that was sent, and what came of it."""

    at_ms: int
    event: str
    id: str
    delivery: str
    status: int | None
    code: str | None
    sentence: str | None
    """What a failure means and what to do."""
    duration_ms: float

    @property
    def succeeded(self) -> bool:
        """Whether the program answered 2xx."""
        return self.code is None


def read_target(text: str) -> str:
    """Complete what people type for a program on their machine: ``3000/hook``, ``localhost:3000``. Raises Failure."""
    url = text
    if "://" not in text:
        url = f"http://localhost:{text}" if text.partition("/")[0].isdecimal() else f"http://{text}"
    target = parse_url(url)
    if isinstance(target, UrlProblem):
        raise wrong_use(f"--forward-to: {text!r} {target.message}. Write it as http://localhost:3000/webhook.")
    return url


def _step(code: str | None, explanation: Explanation) -> str:
    """What to do. Copies have a secret of their own, and nearly everyone begins with the account's."""
    if code == "http_401":
        return "Start the program with the signing secret shown above: copies are not signed with the account's."
    return explanation.next_step


class Forwarder:
    """Sends copies to one URL, one after the other as they come."""

    def __init__(
        self, url: str, secret: str, sender: Sender, clock: Clock, *, timeout_seconds: float, with_details: bool
    ) -> None:
        target = parse_url(url)
        assert isinstance(target, Target)
        self._target = target
        self._head = fixed_head(target, {})
        self._signer = Signer(secret, (secret,))
        self._sender = sender
        self._clock = clock
        self._sequence = Sequence()
        self._timeout_seconds = timeout_seconds
        self._with_details = with_details
        self._turn = asyncio.Lock()

    async def send(self, event: Event) -> Forwarded:
        """Send one copy, tried once: a program under development is told to resend when it is ready."""
        async with self._turn:
            now_ms = self._clock.now_ms()
            delivery = delivery_id(self._sequence.next(now_ms))
            body = body_of(event, self._with_details)
            signed_s = now_ms // 1000
            head = attempt_head(
                event["event"],
                event["id"],
                delivery,
                1,
                signed_s,
                self._signer.sign(event["id"], signed_s, body),
                len(body),
                event.get("number"),
                event.get("wamid"),
                bool(event.get("test")),
            )
            connect = min(limits.CONNECT_TIMEOUT_SECONDS, self._timeout_seconds)
            answer = await self._sender.send(
                Request(self._target, self._head + head, body, connect, self._timeout_seconds)
            )
            verdict = (
                judge(answer.status, None, None, now_ms)
                if isinstance(answer, Answer)
                else judge(None, answer.code, None, now_ms)
            )
            explanation = None if verdict.code is None else explain(verdict.code, test=True)
            return Forwarded(
                at_ms=now_ms,
                event=event["event"],
                id=event["id"],
                delivery=delivery,
                status=answer.status if isinstance(answer, Answer) else None,
                code=verdict.code,
                sentence=None if explanation is None else f"{explanation.sentence} {_step(verdict.code, explanation)}",
                duration_ms=answer.timing.total_us / 1000,
            )


def body_of(event: Event, with_details: bool) -> bytes:
    """The body exactly as endpoints get it: what was accepted survives being read and written as JavaScript does."""
    data = event["data"]
    if with_details and event.get("details") is not None:
        data = {**data, "details": event["details"]}
    envelope = {"event": event["event"], "id": event["id"], "timestamp": event["timestamp"], "data": data}
    return stringify(envelope).encode()
