"""A shop with something to look at: endpoints that work and fail in their ways, events of every type, texts in several
scripts and some that would be code if anything took them for it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.browser.dashboard import PATIENCE_MS, Dashboard
from tests.ports import free_port
from tests.web.people import Team
from tests.web.receiver import Receiver, receiving
from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.model.delivery import State
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.ids import delivery_id
from whatsync.ports.history import DeliveryQuery, DeliveryView

NUMBER = "106540352242922"
WAMID = "wamid.HBgLMTIzNDU2Nzg5MBUCABIYFjNB"
HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> & \"quoted\""
ARABIC = "مرحبا، هل وصل طلبي رقم ٤٧١١؟"
EMOJI = "Danke! 🎉👩‍👩‍👧‍👦 bis morgen 🇩🇪"
LONG = "Is it possible to change the address of the order I made yesterday evening? " * 6


@dataclass
class Shop:
    """One team's account on the dashboard's server."""

    dashboard: Dashboard
    team: Team
    stack: AsyncExitStack
    receivers: dict[str, Receiver] = field(default_factory=dict)

    @property
    def account(self) -> RunningAccount:
        return self.team.account

    @property
    def path(self) -> str:
        return self.team.path

    async def receiver(self, name: str, status: int = 200) -> Receiver:
        """A receiver that listens until the test ends."""
        made = await self.stack.enter_async_context(receiving())
        made.status = status
        self.receivers[name] = made
        return made

    async def endpoint(self, url: str, *events: str, **form: Any) -> RunningEndpoint:
        """A new endpoint."""
        asked = EndpointForm(url=url, events=list(events) or ["*"], **form)
        return (await self.dashboard.web.server.services.endpoints.create(self.account, asked, "test")).running

    async def change(self, endpoint: RunningEndpoint, **form: Any) -> None:
        """Change an endpoint."""
        services = self.dashboard.web.server.services
        await services.endpoints.patch(self.account, endpoint.endpoint.id, EndpointForm(**form), "test")

    async def event(self, event: str, data: dict[str, Any], **more: Any) -> str:
        """Accept an event; its id."""
        raw = msgspec.json.encode({"event": event, "data": data, **more})
        return (await self.dashboard.web.server.services.ingest.accept(self.account, raw))[0].id

    async def message(self, text: str = "Hello", phone: str = "+1234567890", **more: Any) -> str:
        """Accept an incoming message; its id."""
        return await self.event("message.incoming", {"from": phone, "to": "+0987654321", "text": text}, **more)

    async def status(self, message: str, status: str, **details: Any) -> str:
        """Accept a status of a message."""
        given = {"number": NUMBER, "recipient": "+4915112345678", **details}
        return await self.event("message.status", {"messageId": message, "status": status}, details=given)

    async def deliveries(self, *states: State) -> list[DeliveryView]:
        """The newest deliveries."""
        query = DeliveryQuery(self.account.row, states=states, limit=200)
        return list((await self.dashboard.web.server.services.history.deliveries(query)).items)

    async def settled(self, count: int, *states: State) -> list[str]:
        """Wait until so many deliveries are in one of these states; their ids, newest first."""
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while len(found := await self.deliveries(*states)) < count:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.02)
        return [delivery_id(view.id) for view in found]

    async def refused_url(self) -> str:
        """A URL nobody listens at."""
        return f"http://127.0.0.1:{free_port()}/hook"

    async def silent_url(self) -> str:
        """A URL that takes a request and never answers."""
        held: list[asyncio.StreamWriter] = []

        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer)
            with contextlib.suppress(ConnectionError):
                await reader.read(65_536)

        server = await asyncio.start_server(wait, "127.0.0.1", 0)

        def close() -> None:
            server.close()
            for writer in held:
                writer.close()

        self.stack.callback(close)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/slow/hook"


@asynccontextmanager
async def opened_shop(dashboard: Dashboard) -> AsyncIterator[Shop]:
    """An account with nothing in it yet."""
    async with AsyncExitStack() as stack:
        yield Shop(dashboard, await dashboard.team("Blue Door Coffee"), stack)


async def furnish(shop: Shop) -> None:
    """Fill the shop with endpoints and events of every kind, and wait until it has come to rest."""
    works = await shop.receiver("works")
    broken = await shop.receiver("broken", 500)
    missing = await shop.receiver("missing", 404)
    await shop.endpoint(works.url, description="Order desk")
    await shop.endpoint(broken.url.replace("/hook", "/whatsapp/incoming?tenant=blue-door"), retry_schedule=[])
    await shop.endpoint(missing.url, "message.status", retry_schedule=[900], description="Analytics of an agency")
    await shop.endpoint(await shop.refused_url(), "message.incoming", retry_schedule=[])
    await shop.endpoint(await shop.silent_url(), "contact.update", retry_schedule=[3600], timeout_seconds=1)
    paused = await shop.endpoint(works.url + "/archive", "media.upload")
    await shop.change(paused, enabled=False)
    details = {"number": NUMBER, "wamid": WAMID, "profileName": "Ada"}
    first = await shop.message("Hello, is this the coffee shop?", "+4915112345678", details=details)
    for text, phone in ((HOSTILE, "+15550100"), (ARABIC, "+201001234567"), (EMOJI, "+4917012345678"), (LONG, "+15551")):
        await shop.message(text, phone)
    error = {"code": 131047, "title": "Re-engagement message", "explanation": "Send a template instead."}
    for status in ("sent", "delivered", "read"):
        await shop.status("msg_ours", status)
    await shop.status("msg_lost", "failed", error=error)
    await shop.event("contact.update", {"contactId": "contact_1", "phone": "+4915112345678", "name": "Ada Lovelace"})
    media = {"mediaType": "image", "mediaUrl": "https://x.example/1.jpg", "mimeType": "image/jpeg"}
    await shop.event("media.upload", {"messageId": first, **media, "caption": "The receipt"})
    await shop.settled(8, State.SUCCEEDED)
    await shop.settled(14, State.FAILED)
