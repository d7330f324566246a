"""``whatsync listen``: copies of live events to a program on this machine, signed as real requests are.

No public URL is needed: the events come by the feed. Endpoints are neither touched nor delayed by it.
"""

import asyncio
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, Any

import typer

from whatsync.cli import keyboard
from whatsync.cli.client import find_access
from whatsync.cli.failure import wrong_use
from whatsync.cli.forwarder import Forwarder, read_target
from whatsync.cli.group import new_app
from whatsync.cli.listen_secret import kept_secret
from whatsync.cli.listen_view import ListenView, choose_view
from whatsync.cli.live_feed import Event, LiveFeed, Wish
from whatsync.cli.moments import read_moment
from whatsync.cli.options import OfAccount, Since, example
from whatsync.model import limits
from whatsync.net.address_guard import AddressGuard
from whatsync.net.http_sender import HttpSender
from whatsync.net.system import SystemClock, SystemRandomness

EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))

app = new_app()


@dataclass(frozen=True, slots=True)
class Orders:
    """What was asked for."""

    url: str
    wish: Wish
    replay: str | None
    count: int | None
    timeout_seconds: float
    with_details: bool
    account: str | None


@app.command(
    epilog=example(
        "whatsync listen --forward-to localhost:3000/webhook",
        "whatsync listen --forward-to 3000/webhook --event message.incoming --since 1h",
        "whatsync listen --forward-to 3000/webhook --replay msg_…",
    )
)
def listen(
    *,
    forward_to: Annotated[str, typer.Option(metavar="URL", help="The program: http://localhost:3000/webhook.")],
    events: Annotated[
        list[str] | None, typer.Option("--event", metavar="TYPE", help="Only events of this type. Repeatable.")
    ] = None,
    number: Annotated[str | None, typer.Option(metavar="ID", help="Only events of this phoneNumberId.")] = None,
    since: Since = None,
    replay: Annotated[str | None, typer.Option(metavar="EVENT_ID", help="First send a copy of this old event.")] = None,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many copies.")] = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Time to answer; endpoints have 15 s unless set otherwise.")
    ] = limits.REQUEST_TIMEOUT_SECONDS,
    details: Annotated[bool, typer.Option("--details", help="With WhatsApp details in the body.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    account: OfAccount = None,
) -> None:
    """Send copies of live events to a program on this machine, as they happen. No public URL is needed.

    Each copy is what an endpoint would get: the same body and headers, signed in both ways with a secret that is shown
    and stays the same. A copy is tried once; on a terminal r sends the last one again and q quits.
    """
    wish = Wish(tuple(event for event in events or () if event != "*"), number, read_moment(since, "--since"))
    orders = Orders(read_target(forward_to), wish, replay, count, timeout, details, account)
    if timeout > 600:
        raise wrong_use("--timeout: at most 600 seconds.")
    view = choose_view(as_json)
    try:
        asyncio.run(Listening(orders, view).run())
    except KeyboardInterrupt:
        return


class Listening:
    """One run of the command: the feed's events to the program, until somebody quits."""

    def __init__(self, orders: Orders, view: ListenView) -> None:
        self._orders = orders
        self._view = view
        self._last: Event | None = None
        self._copies = 0
        self._quit = asyncio.Event()
        self._again: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Listen. Raises Failure where it can't go on."""
        orders, clock, randomness = self._orders, SystemClock(), SystemRandomness()
        secret = kept_secret(randomness)
        feed = LiveFeed(lambda: find_access(orders.account), orders.wish, self._view, clock, randomness)
        sender = HttpSender(guard=AddressGuard(EVERYWHERE), clock=clock)
        forwarder = Forwarder(
            orders.url,
            secret,
            sender,
            clock,
            timeout_seconds=orders.timeout_seconds,
            with_details=orders.with_details,
        )
        self._view.began(orders.url, secret)
        try:
            with keyboard.keys(lambda key: self._pressed(key, forwarder)):
                await self._until_quit(self._forward(feed, forwarder))
        finally:
            self._view.close()
            await sender.close()
            await feed.close()

    async def _until_quit(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work until it ends, or somebody quits by key or signal. Raises what the work raises."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._quit.set)
        working, quitting = loop.create_task(work), loop.create_task(self._quit.wait())
        try:
            await asyncio.wait((working, quitting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, quitting, *self._again):
                task.cancel()
        await asyncio.wait((working, quitting, *self._again))
        if not working.cancelled():
            working.result()

    async def _forward(self, feed: LiveFeed, forwarder: Forwarder) -> None:
        if self._orders.replay is not None:
            await self._copy(await feed.event(self._orders.replay), forwarder)
        if self._is_enough():
            return
        async for event in feed.events():
            await self._copy(event, forwarder)
            if self._is_enough():
                return

    def _is_enough(self) -> bool:
        return self._orders.count is not None and self._copies >= self._orders.count

    async def _copy(self, event: Event, forwarder: Forwarder, again: bool = False) -> None:
        self._last = event
        self._view.sending(event)
        forwarded = await forwarder.send(event)
        self._copies += not again
        self._view.sent(forwarded, again)

    def _pressed(self, key: str, forwarder: Forwarder) -> None:
        if key in "qQ\x04":
            self._quit.set()
        elif key in "rR":
            if self._last is None:
                self._view.remark("Nothing was sent yet, so nothing can be sent again.")
                return
            task = asyncio.ensure_future(self._copy(self._last, forwarder, again=True))
            self._again.add(task)
            task.add_done_callback(self._again.discard)
