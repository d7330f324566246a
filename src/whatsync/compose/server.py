"""A composed server: what can be started, and how its parts are stopped in order."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from whatsync.compose.places import Disk
from whatsync.config import Config
from whatsync.engine.alerts import Alerts
from whatsync.engine.services import Services
from whatsync.engine.telling import Telling
from whatsync.model import limits
from whatsync.net.garbage import look_briefly
from whatsync.net.http_sender import HttpSender
from whatsync.net.remote_sender import RemoteSender
from whatsync.store.passwords import Argon2Passwords
from whatsync.web.app import Application
from whatsync.web.listener import Listener
from whatsync.web.slots import Door

_SWITCH_SECONDS = 0.0005
"""Python's own 5 ms between threads would let the store's thread wait for the loop at every row."""


@dataclass(frozen=True, slots=True)
class Server:
    """A composed server: open, with its loops not yet started."""

    config: Config
    services: Services
    application: Application
    door: Door
    metrics_application: Application
    metrics_door: Door
    sender: HttpSender | RemoteSender
    telling: Telling
    alerts: Alerts
    disk: Disk
    passwords: Argon2Passwords
    close_further: Callable[[], Awaitable[None]]
    """Closes what only some parts use."""

    def metrics_listener(self) -> Listener:
        """A listener apart that answers metrics and health, and nothing else."""
        return Listener(
            self.metrics_application,
            self.metrics_door,
            connections_max=limits.METRICS_CONNECTIONS_MAX,
            short_cut=False,
        )

    def start(self) -> None:
        """Start the loops: from now on deliveries are attempted."""
        self.services.runner.start()
        sys.setswitchinterval(_SWITCH_SECONDS)
        look_briefly()

    async def stop(self, drain_seconds: float = limits.DRAIN_SECONDS) -> None:
        """Start nothing new, let what is under way end, write it down, close. Called after the doors are shut."""
        services = self.services
        services.runner.ready = False
        services.feed.stop()
        await services.standing.withdraw()
        await services.dispatcher.stop(drain_seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(limits.TELLING_DRAIN_SECONDS):
                await services.endpoints.disabled()
                await self.telling.told()
                await self.alerts.sent()
        await services.runner.stop()
        await services.sources.flush()
        await services.standing.leave()
        await self.alerts.close()
        await self.sender.close()
        self.passwords.close()
        await self.close_further()
        await self.disk.close()
