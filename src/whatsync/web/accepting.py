"""``POST /v1/events`` without HTTP: from headers and body to an answer.

The ordinary route and the protocol's short cut both call this file, so that they can't answer differently.
"""

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from whatsync.engine.directory import RunningAccount
from whatsync.engine.receipt import Receipt
from whatsync.engine.services import Services
from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid, Problem
from whatsync.ports.store import Idempotency
from whatsync.web.api.call import Answer
from whatsync.web.arriving import overloaded
from whatsync.web.receipts import EventReceipt, EventReceipts

_ACCEPTED = 202
_KNOWN = 200
_encode = msgspec.json.Encoder().encode


Answered = Callable[[Answer | Exception], None]
"""Takes the answer, or the Problem (or bug) in its place."""


class Submission:
    """One request to accept events, from its last byte to its answer."""

    __slots__ = ("account", "answered", "body", "keyed", "services", "started")

    def __init__(
        self, services: Services, account: RunningAccount, body: bytes, answered: Answered, started: float
    ) -> None:
        self.services = services
        self.account = account
        self.body = body
        self.answered = answered
        self.started = started
        """When the last byte came, in monotonic seconds."""
        self.keyed = False

    def begin(self, key: bytes | None) -> None:
        """Hand the events to the engine; ``key`` is the ``Idempotency-Key``. The answer is known after the commit.

        Raises what is wrong at first sight; then there is no other answer.
        """
        services = self.services
        tally, size = services.tally, len(self.body)
        try:
            if tally.accepting_bytes > limits.ACCEPTING_BYTES_MAX:
                raise overloaded()
            idempotency = None
            if key is not None:
                self.keyed = True
                idempotency = idempotency_of(key, self.body)
            tally.accepting_bytes += size
            try:
                services.ingest.begin(self.account, self.body, idempotency, self._accepted)
            except BaseException:
                tally.accepting_bytes -= size
                raise
        except Problem as problem:
            tally.count_refused(problem.status)
            raise

    def _accepted(self, receipts: list[Receipt] | Exception) -> None:
        """The events are on disk, or refused."""
        tally = self.services.tally
        tally.accepting_bytes -= len(self.body)
        answer: Answer | Exception
        if isinstance(receipts, Exception):
            if isinstance(receipts, Problem):
                tally.count_refused(receipts.status)
            answer = receipts
        else:
            try:
                answer = self._answer(receipts)
            except Exception as bug:  # noqa: BLE001 - whoever waits gets it
                answer = bug
        self.answered(answer)

    def _answer(self, receipts: list[Receipt]) -> Answer:
        services, body = self.services, self.body
        seconds = services.clock.monotonic() - self.started
        services.tally.accept.add(seconds)
        services.journal.accepted(self.account, receipts, len(body), seconds)
        if len(receipts) == 1 and (body[:1] == b"{" or body.lstrip()[:1] != b"["):
            receipt = receipts[0]
            repeated = receipt.repeated
            shown = _encode(EventReceipt(receipt.id, receipt.event, receipt.timestamp, receipt.deliveries))
        else:
            repeated = all(receipt.repeated for receipt in receipts)
            shown = _encode(EventReceipts([_shown(receipt) for receipt in receipts]))
        if repeated:
            return Answer(_KNOWN, shown, _REPLAYED if self.keyed else _PLAIN)
        return Answer(_ACCEPTED, shown, _PLAIN)


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
