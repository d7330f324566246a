"""Lets go of what is older than an account keeps: events with all that hangs on them, ended jobs, old keys and audit.

Works in small steps beside the hot path. What is not final stays; held deliveries end only after that was announced.
"""

import logging
from collections.abc import Awaitable, Callable

import msgspec

from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import JOB, Directory, RunningAccount, RunningEndpoint
from whatsync.engine.watch import Notice
from whatsync.model import limits
from whatsync.model.account import JobState
from whatsync.model.delivery import State
from whatsync.model.errors import Problem
from whatsync.model.ids import ms_of
from whatsync.model.timestamp import format_time
from whatsync.ports.clock import Clock
from whatsync.ports.history import DeliveryQuery, DeliveryView, History
from whatsync.ports.store import Change, Delete, Store, StoreUnavailable

logger = logging.getLogger(__name__)

EXPIRING = "delivery.expiring"

_DAY_MS = 86_400_000
_ENDPOINTS_PER_TURN = 50


class Retention:
    """One pass over all accounts, asked for again and again."""

    def __init__(
        self,
        *,
        directory: Directory,
        store: Store,
        history: History,
        configuration: Configuration,
        clock: Clock,
        tell: Callable[[Notice], None],
        default_days: int = limits.RETENTION_DAYS,
    ) -> None:
        self._directory = directory
        self._store = store
        self._history = history
        self._configuration = configuration
        self._clock = clock
        self._tell = tell
        self._default_days = default_days

    def days(self, account: RunningAccount) -> int:
        """How long this account's events are kept."""
        return account.account.retention_days or self._default_days

    async def run(self) -> None:
        """Pass over all accounts every hour, for ever."""
        while True:
            await self.pass_once()
            await self._clock.sleep(limits.PRUNE_EVERY_SECONDS)

    async def pass_once(self) -> int:
        """Pass over all accounts once; returns how many events were removed."""
        removed = 0
        for account in list(self._directory.accounts.values()):
            removed += await self._tried(self._account(account), account.account.id)
        return removed + await self._tried(self._installation(), "the installation")

    async def _tried(self, work: Awaitable[int], whose: str) -> int:
        """Do one part of a pass: what goes wrong with it is told, and costs no other part."""
        try:
            return await work
        except (StoreUnavailable, Problem) as problem:
            logger.warning("retention will be tried again: %s", problem)
        except Exception:
            logger.exception("retention met a mistake of its own at %s; the others' goes on", whose)
        return 0

    async def _installation(self) -> int:
        """What belongs to no account, or to one that is gone."""
        await self._orphans()
        await self._arrivals()
        return await self._prune(0, self._clock.now_ms() - self._default_days * _DAY_MS)

    async def _account(self, account: RunningAccount) -> int:
        before_ms = self._clock.now_ms() - self.days(account) * _DAY_MS
        before_ms = await self._held_back(account, before_ms)
        removed = await self._prune(account.row, before_ms)
        await self._jobs(account)
        return removed

    async def _prune(self, account: int, before_ms: int) -> int:
        removed, cursor = 0, 0
        while True:
            step = await self._store.prune(account, before_ms, cursor, limits.PRUNE_STEP_EVENTS, self._clock.now_ms())
            removed += step.removed
            if step.cursor is None:
                return removed
            cursor = step.cursor
            await self._clock.sleep(limits.PRUNE_PAUSE_SECONDS)

    async def _arrivals(self) -> None:
        """Raw bodies and counts of sources, as long as the account keeps its events that keeps them longest."""
        days = max([self._default_days, *(self.days(account) for account in self._directory.accounts.values())])
        before_ms = self._clock.now_ms() - days * _DAY_MS
        for source in list(self._directory.whatsapp.sources.values()):
            while await self._store.prune_arrivals(source.row, before_ms, limits.PRUNE_STEP_EVENTS):
                await self._clock.sleep(limits.PRUNE_PAUSE_SECONDS)

    # Held deliveries

    async def _held_back(self, account: RunningAccount, before_ms: int) -> int:
        """Announce what is about to end; returns the time up to which nothing ends without a day's notice."""
        now_ms = self._clock.now_ms()
        for looked_at, endpoint in enumerate(list(account.endpoints.values())):
            if looked_at % _ENDPOINTS_PER_TURN == _ENDPOINTS_PER_TURN - 1:
                await self._clock.sleep(limits.PRUNE_PAUSE_SECONDS)
            oldest = await self._oldest_held(endpoint, before_ms + _DAY_MS)
            if oldest is None:
                continue
            notice = self._notice(account, endpoint, oldest)
            told = await self._history.event(account.row, notice.id)
            if told is None:
                self._tell(notice)
            if told is None or now_ms - ms_of(told.seq) < limits.HELD_NOTICE_SECONDS * 1000:
                before_ms = min(before_ms, ms_of(oldest.event))
        return before_ms

    async def _oldest_held(self, endpoint: RunningEndpoint, until_ms: int) -> DeliveryView | None:
        """The held delivery of the oldest event, where one was made before ``until_ms``."""
        if (await self._history.counts(endpoint.row)).held == 0:
            return None
        query = DeliveryQuery(
            endpoint.account.row,
            endpoint.row,
            states=(State.HELD,),
            until_ms=until_ms,
            limit=limits.PAGE_ITEMS_MAX,
            ascending=True,
        )
        while True:
            page = await self._history.deliveries(query)
            if page.items or page.next is None:
                return min(page.items, key=lambda view: view.event, default=None)
            query = msgspec.structs.replace(query, before=page.next)

    def _notice(self, account: RunningAccount, endpoint: RunningEndpoint, oldest: DeliveryView) -> Notice:
        """Told once for each time an endpoint is disabled; again only when the notice itself is past retention."""
        policy = endpoint.endpoint
        keep_ms = self.days(account) * _DAY_MS
        expires_ms = max(ms_of(oldest.event) + keep_ms, self._clock.now_ms() + limits.HELD_NOTICE_SECONDS * 1000)
        return Notice(
            account.row,
            EXPIRING,
            f"evt_expiring_{endpoint.row}_{policy.disabled_ms or 0}",
            {
                "endpointId": policy.id,
                "url": policy.url,
                "oldest": format_time(ms_of(oldest.event)),
                "expiresAt": format_time(expires_ms),
                "retentionDays": self.days(account),
            },
            not_to=endpoint.row,
        )

    # Jobs

    async def _jobs(self, account: RunningAccount) -> None:
        before_ms = self._clock.now_ms() - self.days(account) * _DAY_MS
        old = tuple(
            Delete(JOB, job.id)
            for document, job in self._directory.jobs.values()
            if document.account == account.row
            and job.state is not JobState.RUNNING
            and (job.finished_ms or job.created_ms) < before_ms
        )
        if old:
            await self._configuration.change(Change(account.row, deletes=old, routing=False))

    async def _orphans(self) -> None:
        """Jobs of accounts that are gone."""
        old = tuple(
            Delete(JOB, job.id)
            for document, job in self._directory.jobs.values()
            if document.account not in self._directory.accounts
        )
        if old:
            await self._configuration.change(Change(0, deletes=old, routing=False))
