"""What the short cut keeps beside its protocol: what all connections of a server share, and each hot request until its
answer has left. Knows no HTTP parser.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from whatsync.engine.directory import RunningAccount
from whatsync.engine.services import Services
from whatsync.model.errors import Problem, Unavailable
from whatsync.ports.store import StoreUnavailable
from whatsync.web.accepting import Submission
from whatsync.web.api import callbacks
from whatsync.web.api.call import Answer
from whatsync.web.app import internal_error
from whatsync.web.arriving import Arriving
from whatsync.web.auth import Gate
from whatsync.web.known_heads import KnownHeads
from whatsync.web.request_ids import RequestIds
from whatsync.web.wire import problem_answer

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """One client's connection, as far as its requests need it."""

    @property
    def door(self) -> "Door":
        """What it shares with the others."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it runs in."""

    @property
    def transport(self) -> asyncio.Transport:
        """Its socket."""

    def encode(self, answer: Answer, slot: "Slot") -> bytes:
        """Write an answer as bytes."""

    def flush(self) -> None:
        """Send the answers whose turn has come."""

    def check_age(self, now: float) -> None:
        """Close it where it rests for too long."""


class Door:
    """What all connections of a server share."""

    def __init__(self, services: Services, gate: Gate, request_ids: RequestIds) -> None:
        self.services = services
        self.tally = services.tally
        self.gate = gate
        self.request_ids = request_ids
        self.known_heads = KnownHeads()
        self._dated: Sequence[tuple[bytes, bytes]] = ()
        self._dated_bytes = b""
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def default_headers(self, current: Sequence[tuple[bytes, bytes]]) -> bytes:
        """uvicorn's own headers (the date) as bytes, made anew when they change."""
        if current is not self._dated:
            self._dated = current
            self._dated_bytes = b"".join(b"%b: %b\r\n" % pair for pair in current)
        return self._dated_bytes

    async def close_idle(self) -> None:
        """Close connections that rest too long between requests or take too long for one. Called from time to time."""
        now = asyncio.get_running_loop().time()
        for connection in list(self.connections):
            connection.check_age(now)


class Slot:
    """One hot request of a connection and, once it is there, the answer. Answers leave in the order of the requests."""

    __slots__ = (
        "account", "arriving", "headers", "keep_alive", "protocol", "refuses", "request_id", "response", "source"
    )  # fmt: skip

    def __init__(self, protocol: Connection, headers: Mapping[bytes, bytes], keep_alive: bool, request_id: str) -> None:
        self.protocol = protocol
        self.headers = headers
        self.keep_alive = keep_alive
        self.request_id = request_id
        self.arriving: Arriving | None = None
        """Its body, until it is complete or refused."""
        self.response: bytes | None = None
        self.refuses = False
        """Its answer ends the connection, whatever else the client may still be sending."""
        self.account: RunningAccount | None = None
        self.source: str | None = None
        """Id of the source whose callback this is; then there is no account."""

    def begin(self, body: bytes) -> None:
        """The body is complete: hand it over."""
        if self.source is not None:
            tasks = self.protocol.door.tasks
            task = self.protocol.loop.create_task(self._take_in(self.source, body))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return
        assert self.account is not None
        try:
            services = self.protocol.door.services
            submission = Submission(services, self.account, body, self.answered, services.clock.monotonic())
            submission.begin(self.headers.get(b"idempotency-key"))
        except Exception as problem:  # noqa: BLE001 - answered, and logged where it is a bug
            self.answered(problem)

    async def _take_in(self, source: str, body: bytes) -> None:
        """A source's body, from its last byte to its answer."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers.items()}
        try:
            answer: Answer | Exception = await callbacks.take_body(self.protocol.door.services, source, headers, body)
        except StoreUnavailable as trouble:
            answer = Unavailable("store_unavailable", trouble.reason)
        except Exception as problem:  # noqa: BLE001 - answered, and logged where it is a bug
            answer = problem
        self.answered(answer)

    def answered(self, answer: Answer | Exception) -> None:
        """The events are on disk, or refused."""
        try:
            if type(answer) is Answer:
                self.response = self.protocol.encode(answer, self)
                self.protocol.flush()
            elif isinstance(answer, Problem):
                self.refuse(answer)
            else:
                assert isinstance(answer, Exception)
                self.settle(self._bug(answer))
        except Exception:
            logger.exception("request %s can't be answered", self.request_id)
            self.protocol.transport.abort()

    def refuse(self, problem: Problem) -> None:
        """The answer is a problem."""
        self.protocol.door.services.journal.refused(self.request_id, problem.status, problem.code, self.source)
        self.settle(problem_answer(problem))

    def settle(self, answer: Answer) -> None:
        """The answer is known: write it when its turn has come."""
        if self.arriving is not None:
            self.arriving.take()
        self.response = self.protocol.encode(answer, self)
        self.protocol.flush()

    def _bug(self, bug: Exception) -> Answer:
        logger.error("request %s died of a bug", self.request_id, exc_info=bug)
        return problem_answer(internal_error(self.request_id))
