"""What all tests of the network share: both event loops, senders that are closed at the end, and receivers' answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from tests.net.receivers import Handler, Receiver
from tests.net.turning_clock import TurningClock, turning
from whatsync.net.address_guard import AddressGuard
from whatsync.net.http_sender import HttpSender
from whatsync.net.sender_limits import SenderLimits

MakeSender = Callable[..., HttpSender]
MakeReceiver = Callable[..., Any]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test of this room runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def clock() -> AsyncIterator[TurningClock]:
    """What the senders and resolvers of a test go by."""
    async with turning() as made:
        yield made


@pytest.fixture
async def make_sender(clock: TurningClock) -> AsyncIterator[MakeSender]:
    """Senders that may reach loopback; all are closed at the end, and must then hold no socket."""
    senders: list[HttpSender] = []

    def make(*, guard: AddressGuard | None = None, limits: SenderLimits | None = None, **more: Any) -> HttpSender:
        allowing = AddressGuard(allow_loopback=lambda: True)
        sender = HttpSender(guard=guard or allowing, clock=clock, limits=limits, **more)
        senders.append(sender)
        return sender

    yield make
    for sender in senders:
        await sender.close()
        assert sender.stats()["open_sockets"] == 0
        assert sender.stats()["open_sockets_slow"] == 0


@pytest.fixture
async def receive() -> AsyncIterator[MakeReceiver]:
    """Receivers on free ports of the loopback, stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler, **more: Any) -> Receiver:
            return await stack.enter_async_context(Receiver(handler, **more))

        yield start
