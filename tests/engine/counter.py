"""The desk of ``desk.py`` with everything about events and deliveries that people ask for across a counter.
Time stands still until a test moves it; jobs, notices and alerts have loops of their own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from tests.engine.desk import ACTOR, Desk, until
from tests.patience import PATIENCE_SECONDS
from whatsync.engine.alerts import Alerts
from whatsync.engine.bulk_resend import BulkResend
from whatsync.engine.deliveries import Deliveries
from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.erasure import Erasure
from whatsync.engine.feed import Feed
from whatsync.engine.inspection import Inspection
from whatsync.engine.jobs import Jobs
from whatsync.engine.messages import Messages
from whatsync.engine.recover import Recover
from whatsync.engine.retention import Retention
from whatsync.engine.telling import Telling
from whatsync.model.account import Job, JobState
from whatsync.model.delivery import State
from whatsync.model.endpoint_form import EndpointForm
from whatsync.ports.history import DeliveryQuery, DeliveryView
from whatsync.ports.mailer import MailRefused
from whatsync.store.memory import Disk

OPERATOR_URL = "https://chat.example/operator?token=secret"


class Mailbox:
    """Takes mails and keeps them, or refuses them."""

    def __init__(self) -> None:
        self.mails: list[tuple[tuple[str, ...], str, str]] = []
        self.refusal: MailRefused | None = None
        self.asked = 0

    async def send(self, recipients: Sequence[str], subject: str, text: str) -> None:
        """Keep one mail."""
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
        self.mails.append((tuple(recipients), subject, text))


class Counter(Desk):
    """A desk with all services of this part. ``serve`` starts their loops."""

    async def open(self) -> None:
        """Open the desk, then what stands on it."""
        await super().open()
        store, clock = self.store, self.clock
        self.inspection = Inspection(directory=self.directory, history=store)
        self.recover = Recover(history=store, clock=clock, sequence=self.sequence)
        self.bulk_resend = BulkResend(history=store, inspection=self.inspection, clock=clock, sequence=self.sequence)
        self.erasure = Erasure(store=store, history=store, dispatcher=self.dispatcher, clock=clock)
        self.jobs = Jobs(
            directory=self.directory,
            configuration=self.configuration,
            dispatcher=self.dispatcher,
            sweep=self.sweep,
            quota=self.quota,
            clock=clock,
            randomness=self.randomness,
            works={work.kind: work for work in (self.recover, self.bulk_resend, self.erasure)},
        )
        self.deliveries = Deliveries(
            directory=self.directory,
            store=store,
            history=store,
            dispatcher=self.dispatcher,
            clock=clock,
            sequence=self.sequence,
            quota=self.quota,
        )
        self.feed = Feed(history=store, ingest=self.ingest, clock=clock)
        self.messages = Messages(directory=self.directory, history=store, inspection=self.inspection)
        self.telling = Telling(self.directory, clock, self.ingest.emit, store)
        self.mailbox = Mailbox()
        self.alerts = Alerts(
            directory=self.directory,
            vault=self.vault,
            sender=self.receivers,
            clock=clock,
            mailer=self.mailbox,
            operator_url=OPERATOR_URL,
            public_url="https://sync.example",
        )
        self.telling.on_news.append(self.alerts.notify)
        self.retention = Retention(
            directory=self.directory,
            store=store,
            history=store,
            configuration=self.configuration,
            clock=clock,
            tell=self.telling.tell,
        )
        self._tasks += [asyncio.ensure_future(self.jobs.run()), asyncio.ensure_future(self.telling.run())]

    async def job_ended(self, account: RunningAccount, job: Job) -> Job:
        """Let time pass in small steps until a job has ended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (known := self.jobs.read(account, job.id)).state is JobState.RUNNING:
                self.clock.advance(0.05)
                await asyncio.sleep(0)
        return known

    async def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass and the loops run. The dispatcher's own sleep goes by real time, so it is woken."""
        for _ in range(max(1, round(seconds / step))):
            self.clock.advance(step)
            self.dispatcher.claiming.wakeup.set()
            for _ in range(20):
                await asyncio.sleep(0)

    async def views(self, account: RunningAccount) -> list[DeliveryView]:
        """All deliveries of an account, oldest first."""
        query = DeliveryQuery(account.row, ascending=True, limit=1000)
        return list((await self.store.deliveries(query)).items)

    async def states(self, account: RunningAccount) -> list[State]:
        """Their states."""
        return [view.state for view in await self.views(account)]

    async def settled(self, account: RunningAccount, count: int, state: State = State.SUCCEEDED) -> None:
        """Wait until so many deliveries of the account are in a state."""

        def there() -> bool:
            deliveries = self.store.disk.deliveries.values()
            return sum(one.row.account == account.row and one.state is state for one in deliveries) >= count

        await until(there)

    async def submit(self, account: RunningAccount, **submission: object) -> str:
        """Accept any event; returns its id."""
        return (await self.ingest.accept(account, msgspec.json.encode(submission)))[0].id

    async def once(self, account: RunningAccount, url: str = "https://down.example/hook") -> RunningEndpoint:
        """An endpoint that is tried once only: what fails is final."""
        form = EndpointForm(url=url, events=["*"], retry_schedule="")
        return (await self.endpoints.create(account, form, ACTOR)).running

    async def enable(self, endpoint: RunningEndpoint, enabled: bool, held: str | None = None) -> None:
        """Enable or disable an endpoint, and wait until its deliveries followed."""
        form = msgspec.convert({"enabled": enabled, **({"held": held} if held else {})}, EndpointForm)
        await self.endpoints.patch(endpoint.account, endpoint.endpoint.id, form, ACTOR)
        await self.sweep.settled()


@asynccontextmanager
async def opened_counter(disk: Disk | None = None) -> AsyncIterator[Counter]:
    """A counter that is open while the block runs."""
    counter = Counter(disk)
    await counter.open()
    try:
        yield counter
    finally:
        await counter.alerts.close()
        await counter.close()
