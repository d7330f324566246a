"""Listens on sockets: uvicorn with our protocol, started and stopped by whoever composed the server.

Knows how uvicorn is held; answers nothing itself.
"""

import asyncio
import socket
from collections.abc import Sequence

import uvicorn
from starlette.types import ASGIApp

from whatsync.model import limits
from whatsync.web.connections import bounded, connections_of_process
from whatsync.web.slots import Door

_BACKLOG = 2_048


class Listener:
    """Serves an application on bound sockets until it is stopped. Without ``short_cut`` nothing else is answered."""

    def __init__(
        self,
        application: ASGIApp,
        door: Door,
        trusted_proxies: Sequence[str] = (),
        *,
        connections_max: int | None = None,
        short_cut: bool = True,
    ) -> None:
        most = connections_of_process() if connections_max is None else connections_max
        config = uvicorn.Config(
            application,
            http=bounded(door, most, short_cut),  # type: ignore[arg-type] # whatever makes protocols will do
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            timeout_keep_alive=limits.KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=limits.ANSWER_DRAIN_SECONDS,
            backlog=_BACKLOG,
        )
        self._server = uvicorn.Server(config)
        self._ticking: asyncio.Task[None] | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections from now on."""
        server = self._server
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.on_tick(0)  # the first answer has its date, too
        await server.startup(list(sockets))
        self._ticking = asyncio.get_running_loop().create_task(server.main_loop())

    async def stop(self) -> None:
        """Accept nothing more, answer what is under way, close."""
        self._server.should_exit = True
        if self._ticking is not None:
            await self._ticking
            await self._server.shutdown()


def bind(host: str, port: int) -> socket.socket:
    """Bind a listening socket. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if port:
            # A restart finds its port free at once. Two that ask for any port could be given the same one with it.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" is all of this machine's addresses, of either kind.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound
