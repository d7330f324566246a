"""The ASGI application: turns requests into calls of the routes in ``ROUTES``, and answers or problems into bytes.

Knows Starlette's router and requests; the routes know neither.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Router
from starlette.routing import Route as Path
from starlette.types import Receive, Scope, Send

from whatsync.engine.services import Services
from whatsync.engine.tally import Tally
from whatsync.model import limits
from whatsync.model.account import ApiKey
from whatsync.model.account import Scope as KeyScope
from whatsync.model.errors import NotFound, Problem, Unavailable
from whatsync.ports.media_store import MediaUnavailable
from whatsync.ports.store import StoreUnavailable
from whatsync.web.api.call import Answer, Call, Principal, Route, Stream
from whatsync.web.arriving import Arriving, body_too_large
from whatsync.web.auth import Gate
from whatsync.web.decoding import decode_body, decode_query, refuse_query
from whatsync.web.problems import MethodNotAllowed, Timeout, Unauthorized
from whatsync.web.request_ids import RequestIds
from whatsync.web.wire import answer_headers, problem_answer

logger = logging.getLogger(__name__)

ACCOUNT_PARAMETER = "account"
ACCOUNT_HEADER = "x-whatssync-account"
_ANYONE = Principal(ApiKey("anyone", "anyone", "", "", (), 0), frozenset(), None)
_encoder = msgspec.json.Encoder()


class InternalError(Problem):
    """A bug of ours. The request's name leads to the log."""

    status = 500


def internal_error(request_id: str) -> InternalError:
    """The problem of a request that met a bug of ours."""
    return InternalError("internal_error", f"something went wrong here; the server's log tells about {request_id}")


class Application:
    """The whole API as one ASGI callable. ``further`` are routes with applications of their own (pages)."""

    def __init__(
        self,
        services: Services,
        gate: Gate,
        request_ids: RequestIds,
        routes: Iterable[Route],
        further: Iterable[BaseRoute] = (),
    ) -> None:
        self._request_ids = request_ids
        self._journal = services.journal
        table = tuple(routes)
        paths: dict[str, dict[str, Route]] = {}
        for route in table:
            methods = paths.setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"{route.method} {route.path} is declared twice")
            methods[route.method] = route
        # Literal paths before those with parameters, so that `/feed` is never taken for an id.
        ordered = sorted(paths.items(), key=lambda item: ("{" in item[0], item[0]))
        resources: list[BaseRoute] = [
            Path(_pattern(path, methods), Resource(services, gate, methods, table)) for path, methods in ordered
        ]
        self._router = Router([*resources, *further], redirect_slashes=False, default=_not_found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every failure becomes a problem document."""
        if scope["type"] != "http":
            return
        request_id = self._request_ids.name(dict(scope["headers"]).get(b"x-request-id"))
        scope["request_id"] = request_id
        try:
            await self._router(scope, receive, send)
        except Problem as problem:
            self._journal.refused(request_id, problem.status, problem.code)
            await send_answer(send, problem_answer(problem), request_id)
        except ClientDisconnect:
            return
        except StoreUnavailable as trouble:
            unavailable = Unavailable("store_unavailable", trouble.reason)
            self._journal.refused(request_id, unavailable.status, unavailable.code)
            await send_answer(send, problem_answer(unavailable), request_id)
        except Exception:
            logger.exception("request %s died of a bug", request_id)
            await send_answer(send, problem_answer(internal_error(request_id)), request_id)


class Resource:
    """All methods of one path, as an ASGI callable."""

    def __init__(self, services: Services, gate: Gate, methods: Mapping[str, Route], table: tuple[Route, ...]) -> None:
        self._table = table
        self._services = services
        self._gate = gate
        self._methods = methods
        words = {"OPTIONS", *methods} | ({"HEAD"} if "GET" in methods else set())
        self._allow = ", ".join(sorted(words))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the method's route, call it, send what it gives back."""
        method = scope["method"]
        route = self._methods.get("GET" if method == "HEAD" else method)
        if route is not None:
            answer = await self._call(route, Request(scope, receive))
        elif method == "OPTIONS":
            answer = Answer(204, headers={"allow": self._allow})
        else:
            raise MethodNotAllowed(method, self._allow)
        if isinstance(answer.body, Stream):
            await send_stream(receive, send, answer, scope["request_id"], head=method == "HEAD")
        else:
            await send_answer(send, answer, scope["request_id"])

    async def _call(self, route: Route, request: Request) -> Answer:
        pairs = request.query_params.multi_items()
        # The last of several headers of one name counts, as in the short cut.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw}
        principal = _ANYONE
        if route.scope is not None:
            choice = request.query_params.get(ACCOUNT_PARAMETER, headers.get(ACCOUNT_HEADER))
            key = headers.get("authorization")
            principal = await self._admit(None if key is None else key.encode("latin-1"), route.scope, choice)
            pairs = [(name, value) for name, value in pairs if name != ACCOUNT_PARAMETER]
        query = None
        if route.query is not None:
            query = decode_query(route.query, pairs)
        elif route.scope is not None:
            refuse_query(pairs)
        body: Any = None
        stream = None
        if route.streams:
            _check_declared(request, limits.MEDIA_BYTES_MAX + limits.UPLOAD_FIELD_BYTES_MAX)
            stream = request.stream()
        elif route.takes is not None:
            raw = await read_body(request, self._services.tally)
            body = raw if route.takes is bytes else _decode(route, raw)
        call = Call(self._services, principal, request.path_params, body, query, headers, self._table, stream)
        try:
            return await route.handler(call)
        except NotFound:
            if route.streams or not await self._services.standing.refreshed():
                raise
            return await route.handler(call)

    async def _admit(self, key: bytes | None, scope: KeyScope, choice: str | None) -> Principal:
        """Who calls. Over a shared database, what is not known here may have been made at another node just now."""
        try:
            return self._gate.admit(key, scope, choice)
        except (NotFound, Unauthorized):
            if key is None or not await self._services.standing.refreshed():
                raise
            return self._gate.admit(key, scope, choice)


def _pattern(path: str, methods: Mapping[str, Route]) -> str:
    """The path as the router wants it."""
    return f"{path[:-1]}:path}}" if any(route.slashes for route in methods.values()) else path


def _decode(route: Route, raw: bytes) -> Any:
    if not raw and route.takes_optional:
        raw = b"{}"
    return decode_body(route.takes, raw)


async def read_body(request: Request, tally: Tally) -> bytes:
    """Read the whole body. Raises TooLarge as soon as it is known to be, Unavailable where all bodies that arrive take
    too much room, Timeout where it comes too slowly.
    """
    _check_declared(request, limits.REQUEST_BYTES_MAX)
    body = Arriving(tally)
    try:
        async with asyncio.timeout(limits.REQUEST_ARRIVAL_SECONDS_MAX):
            async for part in request.stream():
                body.add(part)
    except TimeoutError:
        most = limits.REQUEST_ARRIVAL_SECONDS_MAX
        raise Timeout("request_timeout", f"the request did not arrive completely within {most} s") from None
    finally:
        whole = body.take()
    return whole


def _check_declared(request: Request, most: int) -> None:
    declared = request.headers.get("content-length")
    if declared is not None and int(declared) > most:
        raise body_too_large(most)


async def send_answer(send: Send, answer: Answer, request_id: str) -> None:
    """Send an answer whole."""
    if answer.body is None:
        body = b""
    else:
        body = answer.body if isinstance(answer.body, bytes) else _encoder.encode(answer.body)
    headers = answer_headers(answer, body, request_id)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_stream(receive: Receive, send: Send, answer: Answer, request_id: str, head: bool) -> None:
    """Send an answer piece by piece, as fast as the client reads. Whoever goes away ends it; so does a source that
    breaks, and then the connection is closed, so that nobody takes a part for the whole.
    """
    stream: Stream = answer.body
    headers = answer_headers(answer, b"", request_id, stream.length)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    gone = asyncio.ensure_future(_disconnected(receive))
    sent = 0
    try:
        async with asyncio.timeout(limits.MEDIA_ANSWER_SECONDS_MAX):
            if not head:
                async for piece in stream.pieces:
                    if gone.done():
                        return
                    sent += len(piece)
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        if head or sent == stream.length:
            await send({"type": "http.response.body", "body": b""})
        else:
            logger.error("request %s: %d of %d bytes were there to be sent", request_id, sent, stream.length)
    except (TimeoutError, MediaUnavailable) as problem:
        logger.warning("request %s was cut off after %d bytes: %s", request_id, sent, type(problem).__name__)
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotFound("no_such_path", "there is nothing at this path; see /docs for what there is")
