"""One connection and the exchange on it: a request goes out, an answer is read within its limits, and what then?

Works on any transport of bytes, encrypted or not. Knows nothing of names, addresses' rights or how it was opened.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final, Protocol, cast

import httptools

from whatsync.net import answer_head
from whatsync.net.deadlines import Deadlines
from whatsync.net.origin import Origin
from whatsync.net.sender_limits import SenderLimits
from whatsync.net.socket_budget import SocketBudget
from whatsync.net.statistics import SenderStatistics
from whatsync.net.stream import NOWHERE, Stream
from whatsync.net.tls import tls_problem
from whatsync.ports.sender import Answer, Failure, Timing

_log = logging.getLogger(__name__)

_NEW, _IDLE, _AWAITING, _BODY, _DRAINING, _CLOSED = range(6)
_STATUS_LINE_BYTES_MAX = 1_024
_READING = (_BODY, _DRAINING)
_INCOMPLETE, _COMPLETE, _FOLLOWED = range(3)
"""Of an answer: not all there, all there, and something came after it that nobody asked for."""


class Stale:
    """The type of ``STALE``."""


STALE: Final = Stale()
"""Result of an exchange whose kept-alive connection turned out to be closed before any byte of an answer."""

Result = Answer | Failure | Stale
Settle = Callable[[Result], None]
"""Takes the result of an exchange, once."""


class Keeper(Protocol):
    """Who keeps the connection between requests, and what all connections share; see ``Pool``."""

    limits: SenderLimits
    now: Callable[[], float]
    deadlines: Deadlines
    statistics: SenderStatistics
    budget: SocketBudget

    def put(self, connection: "Connection") -> bool:
        """Keep a connection for the next request; ``False`` where it is better closed."""

    def forget(self, connection: "Connection") -> None:
        """An idle connection is gone."""


def _to_nobody(_result: Result) -> None:
    """Who waited has been told, or waits no more."""


def _settle_future(future: "asyncio.Future[Result]", result: Result) -> None:
    if not future.done():
        future.set_result(result)


class Connection(asyncio.Protocol):
    """Carries one request at a time; between two it is in the pool."""

    __slots__ = (
        "_answer_state", "_body", "_body_bytes", "_create_future", "_deadlines", "_early_error", "_ended_early",
        "_first_byte_at", "_head", "_interim", "_interim_open", "_keep_alive", "_limits", "_now",
        "_parser", "_pool", "_sent_at", "_settle_with", "_started_at", "_state", "_status", "_stream", "_truncated",
        "_until", "_used", "_writing_paused", "address", "connect_us", "dns_us", "look_at", "origin", "tls_us",
    )  # fmt: skip

    def __init__(self, pool: Keeper, origin: Origin, address: str, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self.address = address
        self.look_at = inf
        self.dns_us: int | None = None
        self.connect_us: int | None = None
        self.tls_us: int | None = None
        self._pool = pool
        self._limits = pool.limits
        self._now = pool.now
        self._deadlines = pool.deadlines
        self._create_future = loop.create_future
        self._stream: Stream = NOWHERE
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_chunked_length=True, lenient_optional_cr_before_lf=True
        )
        self._settle_with: Settle = _to_nobody
        self._state = _NEW
        self._used = False
        self._ended_early = False
        self._early_error: Exception | None = None
        self._writing_paused = False
        self._started_at = self._sent_at = self._first_byte_at = 0.0
        self._until = inf
        self._head = b""
        self._body = b""
        self._body_bytes = 0
        self._status = 0
        self._interim = 0
        self._interim_open = False
        self._answer_state = _INCOMPLETE
        self._keep_alive = False
        self._truncated = False

    # The exchange, as the sender asks for it

    def send(self, payload: bytes, started_at: float, sent_at: float, until: float, settle: Settle) -> None:
        """Send one request; ``settle`` gets what came of it, later. Times are monotonic seconds."""
        self._settle_with = settle
        self._state = _AWAITING
        self._started_at = started_at
        self._sent_at = sent_at
        self._until = until
        look_at = sent_at + self._limits.slow_seconds
        if look_at < self.look_at:
            self._deadlines.add(self, min(look_at, until))
        elif until < self.look_at:
            self._deadlines.add(self, until)
        self._stream.write(payload)

    def begin(self, payload: bytes, started_at: float, sent_at: float, until: float) -> "asyncio.Future[Result]":
        """Send one request; the future's result is what came of it."""
        future = self._create_future()
        self.send(payload, started_at, sent_at, until, partial(_settle_future, future))
        return future

    def begin_first(self, payload: bytes, started_at: float, sent_at: float, until: float) -> "asyncio.Future[Result]":
        """Send the first request of a connection, on which the peer may have spoken or hung up already."""
        early, self._head = self._head, b""
        if self._ended_early:
            payload = b""
        future = self.begin(payload, started_at, sent_at, until)
        if early:
            self.data_received(early)
        if self._ended_early:
            self._ended_by_peer(self._early_error)
        return future

    @property
    def idle_until(self) -> float:
        """While it is idle: when it will be closed, in monotonic seconds."""
        return self._until

    def close(self) -> None:
        """Close in good order and give the socket back."""
        if self._leave():
            self._stream.close()

    def abort(self) -> None:
        """Close at once and give the socket back."""
        if self._leave():
            self._stream.abort()

    def cancel(self) -> None:
        """Nobody waits for the exchange any more: close at once."""
        self._settle_with = _to_nobody
        self.abort()

    def give_up(self) -> None:
        """The sender is closing: end whatever is under way."""
        if self._state == _AWAITING:
            self._fail("internal_error", "WhatsSync was shutting down")
        elif self._state == _BODY:
            self._break_off()
        self.close()

    def expire(self, now: float) -> float:
        """See to the deadline of whatever is under way."""
        state = self._state
        if state == _CLOSED:
            return inf
        if state == _AWAITING:
            return self._expire_awaiting(now)
        if now < self._until:
            return self._until
        if state == _BODY:
            self._break_off()
        else:
            self.close()
        return inf

    def _expire_awaiting(self, now: float) -> float:
        slow_at = self._sent_at + self._limits.slow_seconds
        if now < self._until:
            if now < slow_at:
                return min(slow_at, self._until)
            self._pool.budget.mark_slow(self.origin)
            return self._until
        self._pool.budget.mark_slow(self.origin)
        seconds = round(self._until - self._started_at, 3)
        what = "only part of the answer's headers" if self._head else "no answer"
        self._fail("timeout", f"{what} within {seconds:g} s")
        return inf

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A plain connection is there. Every byte that can't be sent at once shall be known, see ``pause_writing``."""
        plain = cast(asyncio.Transport, transport)
        plain.set_write_buffer_limits(high=0)
        self.attach(plain)

    def attach(self, stream: Stream) -> None:
        """Write to ``stream`` from now on."""
        self._stream = stream

    def pause_writing(self) -> None:
        """Part of the request is still here: an answer now is an early one and costs the connection."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The whole request is on its way."""
        self._writing_paused = False

    def data_received(self, data: bytes) -> None:
        """Read on in the answer."""
        state = self._state
        if state == _AWAITING:
            if self._head:
                self._head += data
            else:
                self._head = data
                self._first_byte_at = self._now()
        elif state in _READING:
            self._body_bytes += len(data)
        else:
            self._received_unasked(data)
            return
        try:
            self._parser.feed_data(data)  # type: ignore[union-attr] # only a closed connection has none
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._misparsed(error)
            return
        if self._answer_state:
            self._finish(self._first_byte_at if data is self._head else self._now())
        else:
            self._read_on(state == _AWAITING)

    def eof_received(self) -> None:
        """The peer sends no more; what can't be finished any more is settled."""
        self._ended_by_peer(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended_by_peer(exc)

    # What the parser tells

    def on_message_begin(self) -> None:
        """A message begins; after a whole answer there should be none."""
        if self._answer_state:
            self._answer_state = _FOLLOWED

    def on_headers_complete(self) -> None:
        """Status line and headers are there."""
        if self._answer_state:
            return  # of a message nobody asked for
        status = self._parser.get_status_code()  # type: ignore[union-attr] # it is the parser that asks
        if 100 <= status < 200:
            self._interim_open = True
        else:
            self._status = status
            if self._state == _AWAITING:
                self._state = _BODY

    def on_body(self, data: bytes) -> None:
        """Keep what there is room for, and a little more to know that there was more."""
        if not self._answer_state and len(self._body) <= self._limits.body_bytes_kept:
            self._body += data

    def on_message_complete(self) -> None:
        """The answer ends, or an interim one does and the real one is still to come."""
        if self._interim_open:
            self._interim_open = False
            self._interim += 1
        elif not self._answer_state:
            self._answer_state = _COMPLETE
            self._keep_alive = self._parser.should_keep_alive()  # type: ignore[union-attr]

    # What follows from it

    def _finish(self, now: float) -> None:
        """The answer is all there: hand it over and keep the connection if it is in order."""
        answer = self._answered(now) if self._state == _BODY else None
        clean = self._keep_alive and self._answer_state == _COMPLETE and not self._writing_paused
        if clean and self._state == _DRAINING and self._pool.put(self):
            self._state = _IDLE
            self._used = True
            self._until = now + self._limits.idle_seconds
            self._head = self._body = b""
            self._body_bytes = self._status = self._interim = 0
            self._answer_state = _INCOMPLETE
            self._truncated = False
        else:
            self.close()
        # Last, and with the connection back in the pool: who hears of the answer may send the next request at once.
        if answer is not None:
            settle, self._settle_with = self._settle_with, _to_nobody
            settle(answer)

    def _read_on(self, was_awaiting: bool) -> None:
        """The answer is not all there yet: see that it stays within its limits."""
        state = self._state
        if state == _AWAITING:
            if len(self._head) > self._limits.header_bytes_max + _STATUS_LINE_BYTES_MAX:
                self._fail("headers_too_large", f"headers of more than {self._limits.header_bytes_max:,} bytes")
        elif state == _BODY:
            if was_awaiting:
                self._body_bytes = len(self._body)
                self._until = self._now() + self._limits.body_seconds
                self._deadlines.add(self, self._until)
            if len(self._body) > self._limits.body_bytes_kept:
                self._truncated = True
                self._settle(self._now())
        elif self._body_bytes > self._limits.body_bytes_kept + self._limits.drain_bytes_max:
            self.abort()

    def _received_unasked(self, data: bytes) -> None:
        """Bytes nobody asked for: a banner on a new connection, or a reason to mistrust an idle one."""
        if self._state == _NEW and len(self._head) <= self._limits.header_bytes_max:
            self._head += data
        else:
            self.abort()

    def _misparsed(self, error: Exception) -> None:
        """Not HTTP, or not any more."""
        if isinstance(error, httptools.HttpParserCallbackError):
            _log.error("the answer could not be read because of a bug", exc_info=error)
        if self._state == _AWAITING:
            self._fail("bad_response", self._why_not_http(error))
        elif self._answer_state:
            self._answer_state = _FOLLOWED
            self._finish(self._now())
        else:
            self._break_off()

    def _why_not_http(self, error: Exception) -> str:
        if self._interim_open or isinstance(error, httptools.HttpParserUpgrade) or self._interim:
            return "the server switched protocols, or sent no HTTP after an interim answer"
        if self._head.startswith(answer_head.TLS_ALERT):
            return "the server speaks TLS on this port; the URL should begin with https://"
        if self._head.startswith(b"HTTP/"):
            return f"malformed answer: {error.args[0] if error.args else error}"
        shown = answer_head.beginning(self._head)
        return f"not HTTP; it begins with {shown!r}" if shown else "not HTTP; it begins with unprintable bytes"

    def _break_off(self) -> None:
        """The status is known but the rest of the answer is broken or late."""
        if self._state == _BODY:
            self._truncated = True
            self._settle(self._now())
        self.abort()

    def _ended_by_peer(self, error: Exception | None) -> None:
        state = self._state
        if state == _NEW:
            self._ended_early = True
            self._early_error = self._early_error or error
            return
        if state == _AWAITING:
            self._ended_without_answer(error)
        elif state == _BODY:
            headers = answer_head.header_lines(self._head, self._interim)
            self._truncated = error is not None or not answer_head.ends_with_connection(headers)
            self._settle(self._now())
        self.abort()

    def _ended_without_answer(self, error: Exception | None) -> None:
        if self._used and not self._head:
            self._pool.statistics.connections_stale += 1
            self._resolve(STALE)
        elif isinstance(error, ssl.SSLError):
            self._fail("tls_error", tls_problem(error))
        elif self._head:
            self._fail("connection_reset", "the connection ended in the middle of the answer's headers")
        else:
            how = "closed" if error is None else "reset"
            self._fail("connection_reset", f"the connection was {how} before any answer")

    def _settle(self, now: float) -> None:
        """Hand the answer over as far as it is known; the rest, if any, is drained."""
        answer = self._answered(now)
        if answer is not None:
            self._resolve(answer)

    def _answered(self, now: float) -> Answer | None:
        """The answer as far as it is known; ``None`` where it is none and the exchange has failed."""
        self._state = _DRAINING
        head = self._head
        headers = answer_head.header_lines(head, self._interim)
        status = self._status
        limits = self._limits
        plain = head.startswith(b"HTTP/") or answer_head.is_http(head)
        if status < 200 or len(headers) > limits.header_bytes_max or not plain:
            self._refuse(len(headers))
            return None
        body = self._body
        if len(body) > limits.body_bytes_kept:
            body = body[: limits.body_bytes_kept]
            self._truncated = True
        if self.origin.slow or now - self._sent_at > limits.slow_seconds:
            self._judge_speed(now)
        statistics = self._pool.statistics
        statistics.requests += 1
        if self._used:
            statistics.connections_reused += 1
        return Answer(
            status,
            headers,
            body,
            self._truncated,
            self.address,
            self._used,
            self._timing(now),
            answer_head.retry_after(headers) if status >= 300 else None,
        )

    def _refuse(self, header_bytes: int) -> None:
        if header_bytes > self._limits.header_bytes_max:
            self._fail("headers_too_large", f"headers of more than {self._limits.header_bytes_max:,} bytes")
        elif self._status < 200:
            self._fail("bad_response", f"the answer has the impossible status {self._status}")
        else:
            self._fail("bad_response", self._why_not_http(ValueError()))

    def _judge_speed(self, now: float) -> None:
        origin = self.origin
        if now - self._sent_at > self._limits.slow_seconds:
            self._pool.budget.mark_slow(origin)
        else:
            self._pool.budget.mark_quick(origin)

    def _timing(self, now: float) -> Timing:
        first_us = download_us = None
        if self._head:
            first_byte_at = self._first_byte_at
            first_us = int((first_byte_at - self._sent_at) * 1e6)
            download_us = int((now - first_byte_at) * 1e6)
        total_us = int((now - self._started_at) * 1e6)
        if self._used:
            return Timing(None, None, None, first_us, download_us, total_us)
        return Timing(self.dns_us, self.connect_us, self.tls_us, first_us, download_us, total_us)

    def _fail(self, code: str, detail: str) -> None:
        """End the exchange without an answer, and the connection with it."""
        statistics = self._pool.statistics
        statistics.requests += 1
        statistics.failures[code] += 1
        self._resolve(Failure(code, detail, self._timing(self._now()), self.address, self._used))
        self.abort()

    def _resolve(self, result: Result) -> None:
        settle, self._settle_with = self._settle_with, _to_nobody
        settle(result)

    def _leave(self) -> bool:
        """Take the connection out of all books; ``False`` if that was done before."""
        if self._state == _CLOSED:
            return False
        if self._state == _IDLE:
            self._pool.forget(self)
        self._state = _CLOSED
        self._parser = None
        self._pool.budget.give_back(self.origin)
        return True
