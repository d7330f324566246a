"""Signals between nodes: a connection of their own that listens, and calls out.

Behind a pooler in transaction mode nothing can be listened to: then everything is looked at every two seconds. Knows no
table.
"""

import asyncio
import logging
from typing import Any

import asyncpg
import msgspec

from whatsync.ports.clock import Clock
from whatsync.ports.cluster import Signal
from whatsync.ports.store import StoreRefused, StoreUnavailable
from whatsync.store.postgres.connection import Address, connect, run
from whatsync.store.postgres.statements import statements
from whatsync.store.postgres.trouble import out_of_reach, sentence

CHANNEL = "whatsync"
PART = 100
"""Endpoints, and deliveries, that one message names: PostgreSQL takes 8,000 bytes."""
PAUSE_SECONDS = 0.5
POOLED_SECONDS = 2.0

_SQL = statements("cluster.sql")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Signal).decode

logger = logging.getLogger(__name__)


class Ear:
    """Opened when first needed, and again when it was lost."""

    def __init__(self, address: Address, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._connection: asyncpg.Connection | None = None
        self._opening = asyncio.Lock()
        self._heard = Signal(everything=True)
        self._woken = asyncio.Event()
        self._woken.set()
        self._closed = False

    async def hear(self) -> Signal:
        """Wait for a signal of others. Raises StoreUnavailable."""
        if self._address.pooled:
            if not self._woken.is_set():
                await self._clock.sleep(POOLED_SECONDS)
            self._woken.clear()
            return Signal(everything=True)
        await self._open()
        await self._woken.wait()
        self._woken.clear()
        if self._connection is None:
            # What was said meanwhile is lost: first listen again, then look at everything.
            await self._clock.sleep(PAUSE_SECONDS)
            await self._open()
        heard, self._heard = self._heard, Signal()
        return heard

    async def tell(self, signal: Signal) -> None:
        """Call out to the others. Raises StoreUnavailable."""
        texts = [_encode(part).decode("ascii") for part in parts_of(signal)]
        connection = await self._open()
        try:
            await run(connection, _SQL["tell"], texts=texts)
        except Exception as problem:
            connection.terminate()
            if not out_of_reach(problem):
                raise
            raise StoreUnavailable(sentence(problem)) from None

    async def _open(self) -> asyncpg.Connection:
        async with self._opening:
            if self._closed:
                raise StoreUnavailable("The store is closed.")
            if self._connection is not None and not self._connection.is_closed():
                return self._connection
            try:
                connection = await connect(self._address)
                connection.add_termination_listener(self._lost)
                if not self._address.pooled:
                    await connection.add_listener(CHANNEL, self._on_message)
            except StoreRefused as refused:
                raise StoreUnavailable(refused.reason) from None
            except Exception as problem:
                if not out_of_reach(problem):
                    raise
                raise StoreUnavailable(sentence(problem)) from None
            self._connection = connection
            return connection

    def _on_message(self, connection: Any, sender: int, _channel: str, text: object) -> None:
        if sender == connection.get_server_pid():
            return
        try:
            signal = _decode(str(text))
        except (msgspec.DecodeError, msgspec.ValidationError):
            # A newer node says more than this one knows.
            signal = Signal(everything=True)
        self._heard = joined(self._heard, signal)
        self._woken.set()

    def _lost(self, connection: Any) -> None:
        if self._connection is connection:
            self._connection = None
            self._heard = Signal(everything=True)
            self._woken.set()

    async def close(self) -> None:
        """Hear nothing any more."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1.0)
            except Exception:  # noqa: BLE001 - it is gone either way
                connection.terminate()

    def cut(self) -> None:
        """Drop the connection as a crash would."""
        self._closed = True
        if self._connection is not None:
            self._connection.terminate()


def parts_of(signal: Signal) -> list[Signal]:
    """The signal in parts that a message has room for."""
    parts = [msgspec.structs.replace(signal, endpoints=signal.endpoints[:PART], ended=signal.ended[:PART])]
    for start in range(PART, max(len(signal.endpoints), len(signal.ended)), PART):
        end = start + PART
        parts.append(Signal(endpoints=signal.endpoints[start:end], ended=signal.ended[start:end]))
    return parts


def joined(one: Signal, other: Signal) -> Signal:
    """Two signals as one."""
    return Signal(
        endpoints=tuple(dict.fromkeys((*one.endpoints, *other.endpoints))),
        ended=tuple(dict.fromkeys((*one.ended, *other.ended))),
        configuration=one.configuration or other.configuration,
        everything=one.everything or other.everything,
    )
