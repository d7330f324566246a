"""Asks other people's web servers through httpcore.

Every connection goes to an address that was looked up by us and let through by the guard; name and certificate stay
those of the URL. Implements ``ports.web_client.WebClient``. Knows no API of anybody.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any
from urllib.parse import urljoin

import httpcore

from whatsync import __version__
from whatsync.model import limits
from whatsync.model.url import Target, UrlProblem, parse_url
from whatsync.net.address_guard import AddressGuard
from whatsync.net.deadlines import Deadlines
from whatsync.net.resolver import DnsResolver, Resolver
from whatsync.net.tls import client_context, tls_problem
from whatsync.ports.clock import Clock
from whatsync.ports.web_client import Sink, WebAnswer, WebRequest, WebTrouble

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_BEGINNING_BYTES = 16 * 1024
"""Kept of an answer that was not what a download wanted."""


class GuardedWebClient:
    """One pool of connections over guarded sockets. Made inside the event loop it works in.

    ``extra_ca_file`` and ``resolver`` as in ``net.http_sender.HttpSender``.
    """

    def __init__(
        self,
        *,
        guard: AddressGuard,
        clock: Clock,
        extra_ca_file: str | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._deadlines = Deadlines(asyncio.get_running_loop(), clock.monotonic)
        self._resolver = resolver or DnsResolver(now=clock.monotonic, deadlines=self._deadlines)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=client_context(extra_ca_file),
            max_connections=limits.WEB_CLIENT_CONNECTIONS_MAX,
            max_keepalive_connections=limits.WEB_CLIENT_CONNECTIONS_MAX,
            keepalive_expiry=limits.WEB_CLIENT_IDLE_SECONDS,
            network_backend=_GuardedNetwork(guard, self._resolver),
        )

    async def ask(self, request: WebRequest) -> WebAnswer | WebTrouble:
        """Send once and take the whole answer."""
        return await self._send(request, None)

    async def download(self, request: WebRequest, sink: Sink) -> WebAnswer | WebTrouble:
        """Send once; the body of a 200 or 206 goes to ``sink``."""
        return await self._send(request, sink)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
        self._deadlines.close()
        await self._resolver.close()

    async def _send(self, request: WebRequest, sink: Sink | None) -> WebAnswer | WebTrouble:
        url, headers = request.url, dict(request.headers)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                for hops_left in range(request.redirects_max, -1, -1):
                    answer = await self._hop(request, url, headers, sink)
                    if isinstance(answer, WebTrouble) or answer.status not in _REDIRECTS or hops_left == 0:
                        return answer
                    url = urljoin(url, answer.headers.get("location", ""))
                    headers = {name: text for name, text in headers.items() if name.lower() not in _PRIVATE_HEADERS}
        except TimeoutError:
            pass
        return WebTrouble("timeout", f"no whole answer within {request.timeout_seconds:g} s")

    async def _hop(
        self, request: WebRequest, url: str, headers: Mapping[str, str], sink: Sink | None
    ) -> WebAnswer | WebTrouble:
        target = parse_url(url)
        if isinstance(target, UrlProblem):
            return WebTrouble("bad_url", f"the URL {target.message}")
        try:
            async with self._pool.stream(
                request.method,
                httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.request_target),
                headers=_headers(target, headers, request.body),
                content=request.body or None,
                extensions={"timeout": _TIMEOUTS},
            ) as response:
                return await _take(response, request, sink)
        except Exception as problem:
            trouble = _trouble(problem)
            if trouble is None:
                raise
            return trouble


def _headers(target: Target, given: Mapping[str, str], body: bytes) -> list[tuple[bytes, bytes]]:
    headers = {
        "Host": target.host_header,
        "User-Agent": f"WhatsSync/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }
    if body:
        headers["Content-Length"] = str(len(body))
    known = {name.lower() for name in given}
    headers = {name: text for name, text in headers.items() if name.lower() not in known} | dict(given)
    return [(name.encode("ascii"), text.encode("latin-1")) for name, text in headers.items()]


async def _take(response: httpcore.Response, request: WebRequest, sink: Sink | None) -> WebAnswer | WebTrouble:
    headers = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in response.headers}
    wanted = sink is not None and response.status in (200, 206)
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > request.body_bytes_max and (wanted or sink is None):
        return WebTrouble("too_large", f"the answer says it has {int(declared):,} bytes")
    size, parts = 0, []
    async for part in response.aiter_stream():
        size += len(part)
        if sink is not None and not wanted:
            parts.append(part)
            if size >= _BEGINNING_BYTES:
                break
        elif size > request.body_bytes_max:
            return WebTrouble("too_large", f"the answer has more than {request.body_bytes_max:,} bytes")
        elif sink is not None:
            await sink(part)
        else:
            parts.append(part)
    body = b"".join(parts)
    return WebAnswer(response.status, headers, body if sink is None else body[:_BEGINNING_BYTES])


# Sockets


class _Unreached(httpcore.ConnectError):
    """Carries our own word for what went wrong through httpcore."""

    def __init__(self, trouble: WebTrouble) -> None:
        super().__init__(trouble.detail)
        self.trouble = trouble


class _GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to vetted addresses only."""

    def __init__(self, guard: AddressGuard, resolver: Resolver) -> None:
        self._guard = guard
        self._resolver = resolver
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look the name up, judge each address, connect to the first that answers."""
        addresses = await self._addresses(host, port)
        problem: Exception | None = None
        for address in addresses:
            try:
                stream = await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                problem = failed
                continue
            await self._check_connected(stream, address, port)
            return stream
        assert problem is not None
        raise problem

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Never: a URL names no file."""
        raise _Unreached(WebTrouble("blocked_address", "a socket in the file system is no address"))

    async def sleep(self, seconds: float) -> None:
        """Wait between tries; httpcore is told to make none."""
        await self._sockets.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Those that may be reached. Raises ``_Unreached`` where there is none."""
        if _is_literal(host):
            found: tuple[str, ...] = (host,)
        else:
            lookup = await self._resolver.resolve(host, inf)
            if not lookup.addresses:
                raise _Unreached(WebTrouble("dns_error", lookup.problem))
            found = lookup.addresses
        refusals = {address: self._guard.check(address, port) for address in found}
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            refusal = refusals[found[0]]
            assert refusal is not None
            raise _Unreached(WebTrouble("blocked_address", refusal.sentence))
        return allowed

    async def _check_connected(self, stream: httpcore.AsyncNetworkStream, address: str, port: int) -> None:
        local = stream.get_extra_info("client_addr")
        if local is None:
            return
        refusal = self._guard.check_connected(local[0], address, port)
        if refusal is not None:
            await stream.aclose()
            raise _Unreached(WebTrouble("blocked_address", refusal.sentence))


def _is_literal(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


_TIMEOUTS = {
    "connect": limits.CONNECT_TIMEOUT_SECONDS,
    "read": limits.WEB_CLIENT_SILENCE_SECONDS,
    "write": limits.WEB_CLIENT_SILENCE_SECONDS,
    "pool": None,
}

_CODES: tuple[tuple[type[Exception], str, str], ...] = (
    (httpcore.ConnectTimeout, "connection_timeout", "no connection in time"),
    (httpcore.TimeoutException, "timeout", "the server fell silent"),
    (httpcore.ConnectError, "connection_failed", "no connection"),
    (httpcore.ProtocolError, "bad_response", "the answer is not valid HTTP, or ended early"),
    (httpcore.NetworkError, "connection_reset", "the connection broke"),
    (httpcore.ProxyError, "connection_failed", "no connection"),
    (httpcore.UnsupportedProtocol, "bad_url", "the URL is not http or https"),
)


def _trouble(problem: Exception) -> WebTrouble | None:
    """What httpcore raised, as a value; ``None`` for what is not the network's."""
    if isinstance(problem, _Unreached):
        return problem.trouble
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return WebTrouble("tls_error", tls_problem(cause))
        if isinstance(cause, ConnectionRefusedError):
            return WebTrouble("connection_refused", "connection refused")
        cause = cause.__cause__ or cause.__context__
    for kind, code, detail in _CODES:
        if isinstance(problem, kind):
            return WebTrouble(code, detail)
    return None
