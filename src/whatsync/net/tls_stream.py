"""TLS over one transport: encrypts what a connection writes and hands it what was decrypted.

Written on ``ssl.SSLObject`` and not on the loop's own TLS, so that the work of handshakes can be portioned out,
sessions resumed, and every fault seen as what it is.
"""

import asyncio
import contextlib
import ssl
from typing import cast

from whatsync.net.connection import Connection
from whatsync.net.handshakes import HandshakeQueue
from whatsync.net.origin import Key
from whatsync.net.tls import SessionCache

_RECORD_BYTES_MAX = 16_384
_WAITING_BYTES_MAX = 64 * 1024
"""Of application data that arrives before there is a connection to take it; no honest server sends any."""


class TlsStream(asyncio.Protocol):
    """A protocol of the transport below and a stream for the connection above.

    ``ready`` is settled with ``None`` when the handshake is done, or with the error that ended it.
    """

    __slots__ = (
        "_connection", "_context", "_handshakes", "_incoming", "_key", "_lost", "_outgoing", "_session_of",
        "_session_wanted", "_sessions", "_ssl", "_transport", "begun", "done", "queued", "ready", "resumed",
    )  # fmt: skip

    def __init__(
        self,
        context: ssl.SSLContext,
        key: Key,
        *,
        sessions: SessionCache,
        handshakes: HandshakeQueue,
        ready: "asyncio.Future[Exception | None]",
    ) -> None:
        self.ready = ready
        self.queued = False
        self.begun = False
        self.done = False
        self.resumed = False
        self._key = key
        self._sessions = sessions
        self._handshakes = handshakes
        self._session_wanted = True
        self._session_of: ssl.SSLObject | None = None
        self._lost = False
        self._connection: Connection | None = None
        self._transport: asyncio.Transport | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._context = context
        self._ssl: ssl.SSLObject | None = None

    # What the connection above asks for

    def attach(self, connection: Connection) -> None:
        """Hand all that is decrypted to ``connection`` from now on."""
        self._connection = connection
        connection.attach(self)
        if self._lost:
            connection.connection_lost(None)
        else:
            self._decrypt()

    def write(self, data: bytes) -> None:
        """Encrypt and send; nothing where the peer is gone, which the connection above is told by other ways."""
        if self._ssl is None or self._lost:
            return
        try:
            written = self._ssl.write(data)
            while written < len(data):
                data = data[written:]
                written = self._ssl.write(data)
        except ssl.SSLError as error:
            self._break(error)
            return
        self._flush()

    def close(self) -> None:
        """Say goodbye as TLS wants it, then close."""
        if self._ssl is not None and self.done:
            with contextlib.suppress(ssl.SSLError):  # the peer's goodbye is not waited for
                self._ssl.unwrap()
            self._flush()
        self._ssl = None
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._ssl = None
        self.ready.cancel()
        if self._transport is not None:
            self._transport.abort()

    # What the transport below tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake as soon as it is its turn."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._handshakes.put(self)

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or decrypt."""
        self._incoming.write(data)
        if self.done:
            if self._connection is not None:
                self._decrypt()
            elif self._incoming.pending > _WAITING_BYTES_MAX:
                self.abort()
        elif self.begun:
            self._handshakes.put(self)

    def eof_received(self) -> None:
        """The peer sends no more."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection below is gone."""
        self._end(exc)
        self._connection = None

    def pause_writing(self) -> None:
        """Pass it on: part of a request is still here."""
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on: all is sent."""
        if self._connection is not None:
            self._connection.resume_writing()

    # The handshake

    def step(self) -> None:
        """Take the handshake as far as the bytes that arrived allow; or, after it, keep the session."""
        if self._session_of is not None:
            self._sessions.put(self._key, self._session_of.session)
            self._session_of = None
        if self.ready.done():
            return
        try:
            self._begin().do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, ValueError) as error:
            self._flush()  # the alert tells the server's owner what is wrong
            self._sessions.forget(self._key)
            # Its traceback leads back here: only the collector would free the two.
            self._settle(error.with_traceback(None))
            return
        self.done = True
        self.resumed = bool(self._begin().session_reused)
        self._flush()
        self._settle(None)

    def _begin(self) -> ssl.SSLObject:
        """The TLS machine, made at the first step: making one with a session to resume takes a quarter millisecond."""
        if self._ssl is None:
            self.begun = True
            self._ssl = self._context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=self._key[1], session=self._sessions.get(self._key)
            )
        return self._ssl

    def _settle(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_result(error)

    # Afterwards

    def _decrypt(self) -> None:
        """Hand up what can be decrypted.

        Asks only when there is something, since being told no is costly. Each reading empties a whole record, so what
        is left can only be in ``incoming``.
        """
        incoming = self._incoming
        connection = self._connection
        assert connection is not None
        try:
            while self._ssl is not None and incoming.pending:
                plain = self._ssl.read(_RECORD_BYTES_MAX)
                if not plain:
                    self._end(None)
                    return
                if self._session_wanted:
                    self._session_wanted = False
                    if self._sessions.wants(self._key, self.resumed):
                        self._session_of = self._ssl
                        self._handshakes.put(self)
                connection.data_received(plain)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._end(None)
        except ssl.SSLError as error:
            self._break(error)
        if self._outgoing.pending:
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())

    def _break(self, error: ssl.SSLError) -> None:
        self._flush()
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if not self.done and self._incoming.pending:
            self.step()  # the server's reason may have come together with the end
        self._lost = True
        self._settle(error or ConnectionResetError())
        if self._connection is not None:
            self._connection.connection_lost(error)
