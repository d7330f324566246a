"""``POST /v1/events`` without HTTP: from headers and body to an answer.

The ordinary route and the protocol's short cut both call this file, so that they can't answer differently.
"""

import asyncio
import hashlib
from collections.abc import Mapping

import msgspec

from whatsync.engine.directory import RunningAccount
from whatsync.engine.ingest import Receipt
from whatsync.engine.services import Services
from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid, Problem, Unavailable
from whatsync.ports.store import Idempotency
from whatsync.web.api.call import Answer

_ACCEPTED = 202
_KNOWN = 200
_encoder = msgspec.json.Encoder()


class EventReceipt(msgspec.Struct, frozen=True, gc=False):
    """One event that is on disk, with how many deliveries were made of it."""

    id: str
    event: str
    timestamp: str
    deliveries: int


class EventReceipts(msgspec.Struct, frozen=True, gc=False):
    """The receipts of an array, in its order."""

    items: list[EventReceipt]


class Submission:
    """One request to accept events, from its last byte to its answer."""

    __slots__ = ("_account", "_body", "_keyed", "_services", "_started")

    def __init__(self, services: Services, account: RunningAccount, body: bytes) -> None:
        self._services = services
        self._account = account
        self._body = body
        self._keyed = False
        self._started = services.clock.monotonic()

    def begin(self, headers: Mapping[bytes, bytes]) -> "asyncio.Future[list[Receipt]]":
        """Hand the events to the engine; the future ends after the commit. Raises what is wrong at first sight."""
        tally = self._services.tally
        try:
            if tally.accepting_bytes > limits.ACCEPTING_BYTES_MAX:
                raise Unavailable("overloaded", "too many requests are under way; try again", retry_after_seconds=1)
            key = headers.get(b"idempotency-key")
            self._keyed = key is not None
            idempotency = None if key is None else idempotency_of(key, self._body)
            receipts = self._services.ingest.accept(self._account, self._body, idempotency)
        except Problem as problem:
            self._refused(problem)
            raise
        tally.accepting_bytes += len(self._body)
        return receipts

    def answer(self, future: "asyncio.Future[list[Receipt]]") -> Answer:
        """The answer, once the future has ended. Raises what the future raised."""
        services = self._services
        services.tally.accepting_bytes -= len(self._body)
        try:
            receipts = future.result()
        except Problem as problem:
            self._refused(problem)
            raise
        seconds = services.clock.monotonic() - self._started
        services.tally.accept.add(seconds)
        services.journal.accepted(self._account, receipts, len(self._body), seconds)
        repeated = False
        if len(receipts) == 1 and self._body.lstrip()[:1] != b"[":
            repeated = receipts[0].repeated
            body = _encoder.encode(_shown(receipts[0]))
        else:
            repeated = all(receipt.repeated for receipt in receipts)
            body = _encoder.encode(EventReceipts([_shown(receipt) for receipt in receipts]))
        if repeated:
            return Answer(_KNOWN, body, _REPLAYED if self._keyed else _PLAIN)
        return Answer(_ACCEPTED, body, _PLAIN)

    def _refused(self, problem: Problem) -> None:
        self._services.tally.count_refused(problem.status)


_PLAIN: Mapping[str, str] = {}
_REPLAYED: Mapping[str, str] = {"idempotent-replayed": "true"}


def _shown(receipt: Receipt) -> EventReceipt:
    return EventReceipt(receipt.id, receipt.event, receipt.timestamp, receipt.deliveries)


def idempotency_of(key: bytes, body: bytes) -> Idempotency:
    """The key with a fingerprint of its request. Raises Invalid where the key can't be one."""
    most = limits.IDEMPOTENCY_KEY_CHARS_MAX
    if not 1 <= len(key) <= most or not key.isascii() or not key.decode("ascii").isprintable():
        raise Invalid([FieldError("Idempotency-Key", f"must be 1 to {most} printable ASCII characters")])
    return Idempotency(key.decode("ascii"), hashlib.blake2b(b"POST" + body, digest_size=16).digest())
