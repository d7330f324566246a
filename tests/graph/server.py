"""A stand-in for Meta's Graph API: a real HTTP server on a free port of the loopback, with its media part. Other parts
hand their routes to ``GraphServer``.

As at Meta, a file has two steps: ``GET /{version}/{media id}`` tells a URL that is good for minutes, and that gives
the bytes; both want the bearer token. Each step can be told to misbehave for its next requests.
"""

import asyncio
import hashlib
import json
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

TOKEN = "token-of-tests"
PIECE_BYTES = 64 * 1024


@dataclass
class MediaFile:
    """A file that Meta keeps. ``asking`` and ``getting`` are misbehaviours of the next requests of each step, used up
    one by one: a status as a number, or ``html``, ``silence``, ``broken`` (ends half way), ``slow``, ``other`` (other
    bytes), ``redirect``, ``rate``, ``nonsense``.
    """

    data: bytes
    mime_type: str = "image/jpeg"
    sha256: str | None = None
    """What is said of it; ``None``: the truth in hexadecimal."""
    file_size: Any = None
    """``None``: the truth, as a string like Meta's."""
    asking: deque[int | str] = field(default_factory=deque)
    getting: deque[int | str] = field(default_factory=deque)
    url_uses: int | None = None
    """How often one URL works; ``None``: always."""

    @property
    def base64(self) -> str:
        """The hash as webhooks carry it."""
        return b64encode(hashlib.sha256(self.data).digest()).decode()


@dataclass
class _Ticket:
    media_id: str
    uses_left: int | None


class GraphServer:
    """The server. ``files`` by media id; ``asked`` has method, path and token of every request."""

    def __init__(self, routes: list[BaseRoute] | None = None) -> None:
        self.files: dict[str, MediaFile] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.tokens = {TOKEN}
        self.let_go = asyncio.Event()
        """Set: silent and slow answers go on."""
        self.elsewhere = ""
        """Where ``redirect`` leads."""
        self._tickets: dict[str, _Ticket] = {}
        self._routes = routes or []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        media = [
            Route("/files/{ticket}", self._get),
            Route("/{version}/{media_id}", self._ask),
        ]
        app = Starlette(routes=[*self._routes, *media])

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                headers = dict(scope["headers"])
                token = headers.get(b"authorization", b"").decode().removeprefix("Bearer ") or None
                self.asked.append((scope["method"], scope["raw_path"].decode(), token))
            await app(scope, receive, send)

        config = uvicorn.Config(counted, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=0)
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server._serve())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.let_go.set()
        self._server.should_exit = True
        await self._task

    def put(self, media_id: str, data: bytes, **fields: Any) -> MediaFile:
        """Have a file."""
        file = self.files[media_id] = MediaFile(data, **fields)
        return file

    def steps(self) -> list[str]:
        """``ask`` and ``get`` in the order they came."""
        return ["get" if path.startswith("/files/") else "ask" for _, path, _ in self.asked]

    # The first step

    async def _ask(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        file = self.files.get(request.path_params["media_id"])
        if file is None:
            return error(400, 100, "Unsupported get request. Object with this ID does not exist")
        how = file.asking.popleft() if file.asking else None
        if isinstance(how, int):
            return error(how, 1, "An unknown error has occurred.")
        if how == "rate":
            return error(400, 130429, "(#130429) Rate limit hit", {"retry-after": "7200"})
        if how == "nonsense":
            return Response("<html>", media_type="text/html")
        if how == "silence":
            await self.let_go.wait()
        ticket = f"{len(self._tickets)}"
        self._tickets[ticket] = _Ticket(request.path_params["media_id"], file.url_uses)
        digest = hashlib.sha256(file.data).hexdigest()
        return JSONResponse(
            {
                "messaging_product": "whatsapp",
                "url": f"{self.url}/files/{ticket}?ext=1&hash=abc",
                "mime_type": file.mime_type,
                "sha256": digest if file.sha256 is None else file.sha256,
                "file_size": str(len(file.data)) if file.file_size is None else file.file_size,
                "id": request.path_params["media_id"],
            }
        )

    # The second step

    async def _get(self, request: Request) -> Response:
        ticket = self._tickets.get(request.path_params["ticket"])
        if ticket is None or ticket.uses_left == 0:
            return Response("expired", 404)
        if ticket.uses_left is not None:
            ticket.uses_left -= 1
        file = self.files[ticket.media_id]
        how = file.getting.popleft() if file.getting else None
        if how == "redirect":
            return RedirectResponse(self.elsewhere, 302)
        if (refused := self._refused(request)) is not None:
            return refused
        if isinstance(how, int):
            return Response("no", how)
        if how == "html":
            return Response("<html>log in</html>", media_type="text/html")
        if how == "silence":
            await self.let_go.wait()
        data = file.data[::-1] if how == "other" else file.data
        return _Pieces(data, file.mime_type, half=how == "broken", pause=self.let_go if how == "slow" else None)

    def _refused(self, request: Request) -> Response | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return None if token in self.tokens else error(401, 190, "Invalid OAuth access token")


class _Pieces(Response):
    """Bytes in pieces; half of them with ``half``, waiting in the middle with ``pause``."""

    def __init__(self, data: bytes, mime_type: str, half: bool, pause: asyncio.Event | None) -> None:
        super().__init__(media_type=mime_type)
        self._data, self._half, self._pause = data, half, pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", (self.media_type or "").encode()), (b"content-length", b"%d" % len(self._data))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        middle = len(self._data) // 2
        for at in range(0, len(self._data), PIECE_BYTES):
            if at + PIECE_BYTES > middle >= at:
                if self._half:
                    return
                if self._pause is not None:
                    await self._pause.wait()
            await send({"type": "http.response.body", "body": self._data[at : at + PIECE_BYTES], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error as the Graph API tells it."""
    body = {"error": {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A"}}
    return Response(json.dumps(body), status, headers, "application/json; charset=UTF-8")
