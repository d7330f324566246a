"""Frames between the server and its sending process: a length and MessagePack, everything of one loop turn together.

Knows what crosses, neither of the two processes.
"""

import asyncio
from collections.abc import Callable

import msgspec

from whatsync.ports.sender import Answer, Failure, Request

_LENGTH_BYTES = 4
FRAME_BYTES_MAX = 256 * 1024 * 1024


class Orders(msgspec.Struct, frozen=True, array_like=True):
    """To the sending process: requests by number, numbers whose request is not wanted any more, and the leave."""

    requests: list[tuple[int, Request]]
    cancelled: list[int]
    allow_loopback: bool


class Reports(msgspec.Struct, frozen=True, array_like=True):
    """From the sending process: what came of requests, and now and then its counters."""

    answers: list[tuple[int, Answer]]
    failures: list[tuple[int, Failure]]
    statistics: dict[str, int] | None


class Setting(msgspec.Struct, frozen=True):
    """How the sending process is set up; its first line of standard input."""

    allow_networks: list[str]
    own_addresses: list[str]
    own_ports: list[int]
    level: int
    """Least level of log lines."""


class Frames(asyncio.Protocol):
    """One end of the connection: bytes to frames and back. ``on_frame`` gets each payload, ``on_end`` the end."""

    def __init__(self, on_frame: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_end = on_end
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        self._transport = transport  # type: ignore[assignment] # uvloop's are not derived from asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is gone."""
        self._transport = None
        self._on_end()

    def data_received(self, data: bytes) -> None:
        """Take bytes, hand over whole frames."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _LENGTH_BYTES:
            size = int.from_bytes(buffer[at : at + _LENGTH_BYTES], "big")
            end = at + _LENGTH_BYTES + size
            if len(buffer) < end:
                break
            self._on_frame(bytes(buffer[at + _LENGTH_BYTES : end]))
            at = end
        del buffer[:at]

    def write(self, payload: bytes) -> None:
        """Send one frame; nothing happens when the other end is gone."""
        if self._transport is not None:
            self._transport.write(len(payload).to_bytes(_LENGTH_BYTES, "big") + payload)

    def close(self) -> None:
        """Close this end, after what was written."""
        if self._transport is not None:
            self._transport.close()
