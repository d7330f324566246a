"""Stand-ins for the Domain Name System: a fixed list of names, and a little server that answers over UDP."""

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence

from whatsync.net.deadlines import Deadlines
from whatsync.net.resolver import Lookup, Resolver


class FixedResolver:
    """Knows what it was told, for ever."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self._names = names

    async def resolve(self, name: str, until: float) -> Lookup:
        addresses = tuple(self._names.get(name, ()))
        return Lookup(addresses, "" if addresses else "the name does not exist", until)

    async def close(self) -> None:
        pass


def knowing(**names: Sequence[str]) -> Callable[[Deadlines], Resolver]:
    """A resolver for ``knowing(receiver=["127.0.0.1"])``: the name is ``receiver.test``."""
    fixed = FixedResolver({f"{name}.test": addresses for name, addresses in names.items()})
    return lambda _: fixed


NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME, REFUSED = 0, 2, 3, 5
_KINDS = {1: 4, 28: 16}


class DnsServer(asyncio.DatagramProtocol):
    """Answers questions for A and AAAA from a table; a name that is not in it does not exist.

    ``records`` maps a name to packed addresses; ``codes`` to a response code; ``silent`` names get no answer.
    """

    def __init__(self) -> None:
        self.records: dict[str, list[bytes]] = {}
        self.codes: dict[str, int] = {}
        self.silent: set[str] = set()
        self.ttl_seconds = 60
        self.questions: list[tuple[str, int]] = []
        self.held: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    @property
    def address(self) -> str:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return f"{host}:{port}"

    def asked(self, name: str) -> int:
        """How often the name's IPv4 address was asked for."""
        return self.questions.count((name, 1))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        name, kind, end = self._question(data)
        self.questions.append((name, kind))
        if self.held is not None:
            await self.held.wait()
        if name in self.silent:
            return
        known = name in self.records
        code = self.codes.get(name, NO_ERROR if known else NO_SUCH_NAME)
        found = [address for address in self.records.get(name, []) if len(address) == _KINDS.get(kind)]
        header = data[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 0 if code else len(found), 0, 0)
        answers = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, self.ttl_seconds, len(address)) + address for address in found
        )
        self.transport.sendto(header + data[12:end] + (b"" if code else answers), addr)

    @staticmethod
    def _question(data: bytes) -> tuple[str, int, int]:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        return ".".join(labels).lower(), struct.unpack(">H", data[at + 1 : at + 3])[0], at + 5
