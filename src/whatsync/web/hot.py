"""The short cut for ``POST /v1/events`` and sources' callbacks: answered in the protocol, without ASGI and router.

Everything else, and every odd form of the same request, goes the ordinary way. Also bounds what a client may make us
keep: head, body, requests waiting on one connection, and the time a request takes to arrive.
"""

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from whatsync.model import limits
from whatsync.model.errors import Malformed, Problem
from whatsync.web.api import callbacks
from whatsync.web.api.call import Answer
from whatsync.web.app import ACCOUNT_HEADER
from whatsync.web.arriving import Arriving, body_too_large
from whatsync.web.problems import HeadTooLarge, Timeout
from whatsync.web.slots import Door, Slot
from whatsync.web.wire import answer_headers

logger = logging.getLogger(__name__)

_ACCOUNT_HEADER = ACCOUNT_HEADER.encode()
_PATH = b"/v1/events"
_CALLBACK = callbacks.PATH.encode()
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_ACCEPTED = 202
_ACCEPTED_REST = b"".join(
    (
        b"\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n",
        b"content-type: application/json\r\ncontent-length: ",
    )
)


class _OrdinaryTransport:
    """What an ordinary answer is written to: the connection's transport, which closes only when the request is read."""

    __slots__ = ("_protocol", "is_closing", "write")

    def __init__(self, protocol: "HotProtocol") -> None:
        self._protocol = protocol
        self.is_closing = protocol.transport.is_closing
        self.write = protocol.transport.write

    def close(self) -> None:
        self._protocol.close_ordinary()


class HotProtocol(HttpToolsProtocol):
    """One client connection, through a server's ``door``."""

    def __init__(self, door: Door, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.door = door
        self._slots: deque[Slot] = deque()
        self._hot: Slot | None = None
        self._head: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self._in_message = False
        self._received = 0
        self._since = self.loop.time()
        self._ending = False
        self._lingering = False
        self._last_said = False
        """Nothing more is written; the rest of the last request is still being read."""
        self._complete: Slot | None = None
        """The good request, after which the connection goes on, that has just become complete."""
        self.cycle: RequestResponseCycle | None = None  # type: ignore[assignment]

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection into the set that is looked at for its age."""
        super().connection_made(transport)
        self.door.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; events under way are accepted all the same."""
        self.door.connections.discard(self)
        for slot in self._slots:
            if slot.arriving is not None:
                slot.arriving.take()
        self._slots.clear()
        self._hot = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close when what is under way has been answered."""
        if self._slots or self._hot is not None:
            self._ending = True
        else:
            super().shutdown()

    def check_age(self, now: float) -> None:
        """Close a connection that rests too long, end a request that takes too long to arrive."""
        age = now - self._since
        if self._in_message:
            hot = self._in_head or self._hot is not None
            most = limits.REQUEST_ARRIVAL_SECONDS_MAX if hot else limits.UPLOAD_ARRIVAL_SECONDS_MAX
            if age > most:
                self._refuse(Timeout("request_timeout", f"the request did not arrive completely within {most} s"))
        elif age > limits.KEEP_ALIVE_SECONDS and not self._slots and not self._ordinary_busy():
            self.transport.close()

    def _ordinary_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # Reading

    def data_received(self, data: bytes) -> None:
        """Feed the parser and look at the limits."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._received += len(data)
        if self._lingering:
            if self._received > limits.LINGER_BYTES_MAX:
                self.transport.close()
            return
        fresh = not self._in_message
        if fresh and self._take_known(data):
            return
        try:
            # A request that begins in here counts from the next piece on: where it began is not told.
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError:
            self._refuse(Malformed("malformed_request", "this is not an HTTP/1.1 request"))
            return
        if self._received > limits.REQUEST_HEAD_BYTES_MAX:
            self._check_size()
        elif fresh and self._complete is not None:
            self.door.known_heads.learn(data, self._complete.headers)
            self._complete = None

    def _take_known(self, data: bytes) -> bool:
        """A request that is here whole and whose head is known goes on without being parsed."""
        door = self.door
        found = door.known_heads.find(data)
        if (
            found is None
            or len(self._slots) >= limits.PIPELINED_REQUESTS_MAX
            or self._ending
            or self.pipeline
            or (self.cycle is not None and self._ordinary_busy())
        ):
            return False
        headers, body = found
        slot = Slot(self, headers, True, door.request_ids.new())
        self._slots.append(slot)
        try:
            slot.account = door.gate.admit_writer(headers.get(b"authorization"), None).account
        except Problem as problem:
            slot.refuse(problem)
        else:
            slot.begin(body)
        return True

    def _check_size(self) -> None:
        if self._in_head:
            most = limits.REQUEST_HEAD_BYTES_MAX
            self._refuse(HeadTooLarge("head_too_large", f"the request's headers are over {most} bytes"))
        elif self._in_message and self._received > 2 * limits.REQUEST_BYTES_MAX:
            # A body of many tiny chunks, or one that comes on though it was answered long ago.
            if self._hot is not None and self._hot.response is None:
                self._refuse(body_too_large())
            elif self._hot is not None or (self._received > limits.MEDIA_BYTES_MAX and not self._ordinary_busy()):
                self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins; which way it goes is decided after its head."""
        self.url = b""
        self._head = []
        self._in_head = self._in_message = True
        self._received = 0
        self._complete = None
        self._since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers behind the body end in a list that nobody reads."""
        self._head.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Choose the way: the short cut for the plain form of the one hot request."""
        self._in_head = False
        head, self._head = self._head, []
        parser = self.parser
        source = self._source()
        if (
            (self.url == _PATH or source is not None)
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not self._ordinary_busy()
            and not self.pipeline
            and not parser.should_upgrade()
            and len(head) <= limits.REQUEST_HEADERS_MAX
        ):
            self._begin_hot(dict(head), source)
            return
        if len(head) > limits.REQUEST_HEADERS_MAX:
            most = limits.REQUEST_HEADERS_MAX
            self._refuse(HeadTooLarge("too_many_headers", f"the request has more than {most} headers"))
            return
        self._begin_ordinary(head)

    def _source(self) -> str | None:
        """The id of the source whose callback is called, where this server knows it."""
        if not self.url.startswith(_CALLBACK):
            return None
        name = self.url[len(_CALLBACK) :].decode("latin-1")
        return name if name in self.door.services.directory.whatsapp.sources else None

    def _begin_ordinary(self, head: list[tuple[bytes, bytes]]) -> None:
        url = self.url
        super().on_message_begin()
        self.url = url
        for name, value in head:
            super().on_header(name, value)
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is not None:
            cycle.transport = _OrdinaryTransport(self)  # type: ignore[assignment] # all that a cycle asks for

    def _begin_hot(self, headers: dict[bytes, bytes], source: str | None) -> None:
        request_id = self.door.request_ids.name(headers.get(b"x-request-id"))
        slot = self._hot = Slot(self, headers, self.parser.should_keep_alive(), request_id)
        self._slots.append(slot)
        slot.source = source
        choice = headers.get(_ACCOUNT_HEADER)
        try:
            if source is None:
                slot.account = self.door.gate.admit_writer(
                    headers.get(b"authorization"), None if choice is None else choice.decode("latin-1")
                ).account
            declared = headers.get(b"content-length")
            if declared is not None and int(declared) > limits.REQUEST_BYTES_MAX:
                raise body_too_large()
        except Problem as problem:
            slot.refuse(problem)
            return
        if len(self._slots) == 1 and headers.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(_CONTINUE)
        if len(self._slots) > limits.PIPELINED_REQUESTS_MAX:
            self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, unless the request was answered already."""
        slot = self._hot
        if slot is None:
            super().on_body(body)
        elif slot.response is None:
            try:
                if slot.arriving is None:
                    slot.arriving = Arriving(self.door.tally)
                slot.arriving.add(body)
            except Problem as problem:
                self.door.tally.count_refused(problem.status)
                slot.refuse(problem)

    def on_message_complete(self) -> None:
        """The request is here."""
        self._in_message = False
        slot = self._hot
        if slot is None:
            super().on_message_complete()
            if self._ending and not self._slots and not self.pipeline and not self._ordinary_busy():
                self.transport.close()
            return
        self._hot = None
        if slot.response is None:
            self._complete = slot if slot.keep_alive and slot.source is None else None
            slot.begin(b"" if slot.arriving is None else slot.arriving.take())
        elif self._ending:
            self.transport.close()

    # Writing

    def encode(self, answer: Answer, slot: Slot) -> bytes:
        """The answer as bytes, exactly as the ordinary way writes it."""
        dated = self.door.default_headers(self.server_state.default_headers)
        body: bytes = answer.body
        close = b"" if slot.keep_alive else _CLOSE
        if answer.status == _ACCEPTED:
            name = slot.request_id.encode("ascii")
            size = b"%d\r\n" % len(body)
            return b"".join((_STATUS[202], dated, b"x-request-id: ", name, _ACCEPTED_REST, size, close, b"\r\n", body))
        headers = b"".join(b"%b: %b\r\n" % pair for pair in answer_headers(answer, body, slot.request_id))
        return b"".join((_STATUS[answer.status], dated, headers, close, b"\r\n", body))

    def flush(self) -> None:
        """Write the answers whose turn has come."""
        slots = self._slots
        transport = self.transport
        while slots and (response := slots[0].response) is not None:
            slot = slots.popleft()
            if transport.is_closing():
                continue
            transport.write(response)
            self.server_state.total_requests += 1
            if slot.refuses:
                self._linger()
                return
            if not slot.keep_alive:
                self._close(slot is self._hot)
        if transport.is_closing():
            return
        self._since = self.loop.time()
        if slots:
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            super()._start_asgi_task(cycle, app)
        elif self._ending and self._hot is None:
            transport.close()
        if self.flow.read_paused and not self.flow.write_paused:
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._slots:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))
        else:
            super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """The client does not read its answers: read none of its requests."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if len(self._slots) <= limits.PIPELINED_REQUESTS_MAX and not self.pipeline:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """An ordinary answer is out: the connection rests from now on."""
        self._since = self.loop.time()
        super().on_response_complete()
        if self._ending and not self._slots and not self.pipeline and not self.transport.is_closing():
            self.close_ordinary()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn itself can't read is told as a problem, too."""
        self._refuse(Malformed("malformed_request", msg))

    def _refuse(self, problem: Problem) -> None:
        """Tell a problem with the connection itself, behind what is still to be answered, and close it."""
        if self._last_said:
            self.transport.close()
        if self.transport.is_closing() or self._lingering:
            return
        self.flow.pause_reading()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (cycle.response_started or not cycle.more_body):
            cycle.keep_alive = False
            return
        slot = self._hot
        if slot is None or slot.response is not None:
            slot = Slot(self, {}, keep_alive=False, request_id=self.door.request_ids.name(None))
            self._slots.append(slot)
        self._hot = None
        slot.keep_alive = False
        slot.refuses = True
        slot.refuse(problem)

    def _close(self, arriving: bool) -> None:
        """Close behind the last answer. A request that is still ``arriving`` is read to its end before, unseen: closing
        on its rest would reset the connection, and a client that writes first and then reads would never see an answer.
        """
        if not arriving:
            self.transport.close()
            return
        self._ending = self._last_said = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def close_ordinary(self) -> None:
        """Close behind an ordinary answer, or at once where that broke off."""
        self._close(self._in_message and self._hot is None and not self._ordinary_busy())

    def _linger(self) -> None:
        """Read on for a moment without looking: closing at once would reset the connection under the answer."""
        self._lingering = True
        self._received = 0
        self._slots.clear()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(limits.LINGER_SECONDS, self.transport.close)
