"""A source, an account, and the whole engine between them, for tests that post bodies."""

import asyncio
import json
from typing import Any

from tests.engine.desk import ACTOR, Desk
from tests.patience import PATIENCE_SECONDS
from tests.sources.whatsapp.cloud import BUSINESS, NUMBER, SECRET, Element, escaped, signed
from whatsync.compose.whatsapp import WhatsApp
from whatsync.engine.directory import RunningAccount
from whatsync.engine.intake import Taken
from whatsync.engine.source_directory import RunningSource
from whatsync.model.account_form import AccountForm
from whatsync.model.source import NewNumberForm, SourceForm
from whatsync.ports.history import EventQuery
from whatsync.ports.store import EventRow


class Post:
    """A source, an account, and the engine between them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.whatsapp = WhatsApp(
            directory=desk.directory,
            configuration=desk.configuration,
            store=desk.store,
            history=desk.store,
            ingest=desk.ingest,
            vault=desk.vault,
            clock=desk.clock,
            randomness=desk.randomness,
            sequence=desk.sequence,
            tell=desk.notices.append,
        )
        self.source: RunningSource
        self.account: RunningAccount

    async def open(self) -> None:
        self.account = (await self.desk.accounts.create(AccountForm(name="Shop"), ACTOR)).running
        self.source = await self.whatsapp.sources.create(SourceForm(name="App", app_secret=SECRET), ACTOR)
        await self.number(NUMBER, self.account)

    async def number(self, number: str, account: RunningAccount | None) -> None:
        form = NewNumberForm(
            phone_number_id=number,
            source=self.source.source.id,
            account=None if account is None else account.account.id,
            waba_id=BUSINESS,
        )
        await self.whatsapp.numbers.create(form, ACTOR)

    async def post(self, given: Element) -> Taken:
        raw = escaped(given)
        answer = await self.whatsapp.inbound.receive(self.source.source.id, signed(raw), raw)
        assert isinstance(answer, Taken)
        return answer

    async def events(self, account: RunningAccount | None = None, event_type: str | None = None) -> list[EventRow]:
        """Oldest first."""
        row = (account or self.account).row
        page = await self.desk.store.events(EventQuery(row, type=event_type, limit=200))
        return list(reversed(page.items))

    async def names(self) -> list[tuple[str | None, str | None]]:
        """Phone and name in each ``contact.update``, oldest first."""
        bodies = [decoded(event) for event in await self.events(event_type="contact.update")]
        return [(data["phone"], data["name"]) for data in bodies]

    async def again_until_idle(self) -> None:
        task = asyncio.ensure_future(self.whatsapp.reprocessing.run())
        done = asyncio.ensure_future(self.whatsapp.reprocessing.done())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not done.done():
                await asyncio.sleep(0)
                self.desk.clock.advance(0.01)
        task.cancel()


def decoded(event: EventRow) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(event.body)["data"]
    return data
