"""``POST /v1/events`` without HTTP: from headers and body to status, headers and body.

The ordinary route and the protocol's short cut both call this file, so that they can't answer differently.
"""

import asyncio
import hashlib
from collections.abc import Mapping

import msgspec

from whatsync.engine.directory import RunningAccount
from whatsync.engine.ingest import Ingest, Receipt
from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid, Unavailable
from whatsync.ports.store import Idempotency

IN_PROGRESS_BYTES_MAX = 256 * 1024 * 1024
"""Bodies whose commit is under way, all connections together; above it requests are refused for a second."""


class EventReceipt(msgspec.Struct, frozen=True, gc=False):
    """One event that is on disk, with how many deliveries were made of it."""

    id: str
    event: str
    timestamp: str
    deliveries: int


class EventReceipts(msgspec.Struct, frozen=True, gc=False):
    """The receipts of an array, in its order."""

    items: list[EventReceipt]


Receipts = asyncio.Future[list[Receipt]]


class EventsDoor:
    """Accepts event requests and writes their answers. Counts what is under way, to refuse what would not fit."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._encoder = msgspec.json.Encoder()
        self.in_progress_bytes = 0

    def accept(self, account: RunningAccount, headers: Mapping[bytes, bytes], body: bytes) -> Receipts:
        """Begin to accept; the future ends after the commit. Raises a Problem at once, or through the future."""
        if self.in_progress_bytes > IN_PROGRESS_BYTES_MAX:
            raise Unavailable("overloaded", "too many requests are under way; try again", retry_after_seconds=1)
        key = headers.get(b"idempotency-key")
        receipts = self._ingest.accept(account, body, None if key is None else idempotency_of(key, body))
        size = len(body)
        self.in_progress_bytes += size
        receipts.add_done_callback(lambda _: self._done(size))
        return receipts

    def _done(self, size: int) -> None:
        self.in_progress_bytes -= size

    def answer(self, receipts: list[Receipt], headers: Mapping[bytes, bytes], body: bytes) -> tuple[int, bool, bytes]:
        """Status, whether it is a replay of an ``Idempotency-Key``, and the body of the answer."""
        repeated = all(receipt.repeated for receipt in receipts)
        status = 200 if repeated else 202
        if len(receipts) == 1 and body.lstrip()[:1] != b"[":
            encoded = self._encoder.encode(_shown(receipts[0]))
        else:
            encoded = self._encoder.encode(EventReceipts([_shown(receipt) for receipt in receipts]))
        return status, repeated and b"idempotency-key" in headers, encoded


def _shown(receipt: Receipt) -> EventReceipt:
    return EventReceipt(receipt.id, receipt.event, receipt.timestamp, receipt.deliveries)


def idempotency_of(key: bytes, body: bytes) -> Idempotency:
    """The key with a fingerprint of its request. Raises Invalid where the key can't be one."""
    if (
        not 1 <= len(key) <= limits.IDEMPOTENCY_KEY_CHARS_MAX
        or not key.isascii()
        or not key.decode("ascii").isprintable()
    ):
        most = limits.IDEMPOTENCY_KEY_CHARS_MAX
        raise Invalid([FieldError("Idempotency-Key", f"must be 1 to {most} printable ASCII characters")])
    return Idempotency(key.decode("ascii"), hashlib.blake2b(b"POST" + body, digest_size=16).digest())
