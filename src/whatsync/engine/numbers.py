"""Numbers: they appear by themselves, operators say whose they are, and what came before is processed then.

Knows no HTTP and no payload.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from whatsync.engine import audit
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import Directory, RunningAccount
from whatsync.engine.source_directory import NUMBER, RunningNumber, RunningSource
from whatsync.model import limits
from whatsync.model.arrival import SeenNumber
from whatsync.model.errors import Conflict, FieldError, Invalid, LimitExceeded, NotFound, Problem, Unavailable
from whatsync.model.source import GRAPH_VERSION, Former, NewNumberForm, Number, NumberForm, read_number
from whatsync.ports.clock import Clock
from whatsync.ports.store import Change, Delete, Put
from whatsync.ports.vault import Vault

logger = logging.getLogger(__name__)

_SEEN_WAITING_MAX = 10_000
_ACTOR = "whatsapp"


class Numbers:
    """All numbers of this installation."""

    def __init__(self, *, directory: Directory, configuration: Configuration, vault: Vault, clock: Clock) -> None:
        self._directory = directory
        self._configuration = configuration
        self._vault = vault
        self._clock = clock
        self._seen: dict[str, tuple[str, SeenNumber]] = {}
        self._wakeup = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.on_assigned: list[Callable[[str], None]] = []
        """Called with the id of each number that has got an account."""

    # What others ask

    def access_token(self, number: str) -> str | None:
        """The token for a number's files and settings: its own, else its source's."""
        running = self._directory.whatsapp.numbers.get(number)
        if running is None:
            return None
        source = self._directory.whatsapp.sources.get(running.number.source)
        return running.access_token or (None if source is None else source.access_token)

    def graph_version(self, number: str) -> str:
        """The version of Meta's API to ask about a number."""
        running = self._directory.whatsapp.numbers.get(number)
        source = None if running is None else self._directory.whatsapp.sources.get(running.number.source)
        return GRAPH_VERSION if source is None else source.source.api_version

    # Lists

    def page(
        self,
        account: RunningAccount | None,
        after: int | None = None,
        limit: int = 50,
        source: str | None = None,
        assigned: bool | None = None,
    ) -> tuple[list[RunningNumber], int | None]:
        """List numbers, newest first: an account's, or all (operators); and where the next page begins."""
        known = [
            one
            for one in self._directory.whatsapp.numbers.values()
            if (account is None or one.account == account.row)
            and (source is None or one.number.source == source)
            and (assigned is None or (one.account != 0) == assigned)
            and (after is None or one.document.row < after)
        ]
        known.sort(key=lambda one: -one.document.row)
        return known[:limit], known[limit - 1].document.row if len(known) > limit else None

    def find(self, number: str, account: RunningAccount | None = None) -> RunningNumber:
        """The number with this id; within an account, only its own. Raises NotFound."""
        running = self._directory.whatsapp.numbers.get(number)
        if running is None or (account is not None and running.account != account.row):
            raise NotFound("number_not_found", f"there is no number {number[:40]!r}")
        return running

    # Changes

    async def create(self, form: NewNumberForm, actor: str) -> RunningNumber:
        """Make a number known before its first webhook. Raises Invalid, Conflict."""
        read = self._sealed(read_number(form))
        if form.source not in self._directory.whatsapp.sources:
            raise Invalid([FieldError("source", "there is no such source; GET /v1/sources lists them")])
        account = self._account_of(form)
        now_ms = self._clock.now_ms()
        number = Number(
            id=form.phone_number_id, source=form.source, created_ms=now_ms, updated_ms=now_ms, account=account, **read
        )
        if number.id in self._directory.whatsapp.numbers:
            raise Conflict("number_exists", f"the number {number.id} is known already; change it instead")
        await self._write(None, number, actor, "number.created")
        return self.find(number.id)

    async def patch(self, number_id: str, form: NumberForm, actor: str, version: int | None = None) -> RunningNumber:
        """Change what the form sets; with another account, everything from now on is that one's. Raises Invalid."""
        running = self.find(number_id)
        if version is not None and running.document.version != version:
            words = f"the number has version {running.document.version} now, not {version}; read it and try again"
            raise Conflict("changed_meanwhile", words)
        read = self._sealed(read_number(form))
        if form.account is not msgspec.UNSET:
            read["account"] = self._account_of(form)
        after = msgspec.structs.replace(running.number, updated_ms=self._clock.now_ms(), **read)
        moved = after.account != running.number.account
        if moved and running.number.account is not None:
            left = Former(running.number.account, after.updated_ms)
            after = msgspec.structs.replace(after, former=(*after.former, left)[-limits.FORMER_ACCOUNTS_MAX :])
        if moved and running.account and after.account is not None:
            # Two steps: with each, one account's routing moves on, so that no node goes by an older one.
            await self._write(running, msgspec.structs.replace(after, account=None), actor, "number.changed")
            running = self.find(number_id)
        await self._write(running, after, actor, "number.changed")
        return self.find(number_id)

    async def delete(self, number_id: str, actor: str) -> None:
        """Forget a number; it appears again with its next webhook. Raises NotFound."""
        running = self.find(number_id)
        entry = audit.entry(
            running.account, self._clock.now_ms(), actor, "number.deleted", subject=number_id, before=running.number
        )
        change = Change(running.account, deletes=(Delete(NUMBER, number_id),), audit=(entry,))
        await self._configuration.change(change)

    def _account_of(self, form: NumberForm) -> str | None:
        if not isinstance(form.account, str):
            return None
        account = self._directory.accounts_by_id.get(form.account)
        if account is None or account.account.deleted_ms is not None:
            raise Invalid([FieldError("account", "there is no such account; GET /v1/accounts lists them")])
        return form.account

    def _sealed(self, read: dict[str, Any]) -> dict[str, Any]:
        token = read.get("access_token")
        return read if token is None else read | {"access_token": self._vault.seal(token)}

    async def _write(self, running: RunningNumber | None, after: Number, actor: str, action: str) -> None:
        """Write the record under its account; the account that gains or loses it routes anew."""
        if running is None and len(self._directory.whatsapp.numbers) >= limits.NUMBERS_MAX:
            raise LimitExceeded("too_many_numbers", f"at most {limits.NUMBERS_MAX:,} numbers are possible", 3600)
        account = self._directory.accounts_by_id.get(after.account or "")
        row = 0 if account is None else account.row
        before = None if running is None else running.number
        put = Put(NUMBER, after.id, row, msgspec.json.encode(after), 0 if running is None else running.document.version)
        concerned = row or (0 if running is None else running.account)
        entry = audit.entry(
            concerned, self._clock.now_ms(), actor, action, subject=after.id, before=before, after=after
        )
        moved = before is None or before.account != after.account
        await self._configuration.change(Change(concerned, (put,), audit=(entry,), routing=moved))
        if row and moved:
            for listener in self.on_assigned:
                listener(after.id)

    # Numbers that appear

    def seen(self, source: RunningSource, numbers: Sequence[SeenNumber]) -> None:
        """Note numbers that a body names and that are not known (so); they are written down in the background."""
        for one in numbers:
            if len(self._seen) < _SEEN_WAITING_MAX:
                self._seen[one.number] = (source.source.id, one)
        self._idle.clear()
        self._wakeup.set()

    async def noted(self) -> None:
        """Return when all numbers that were seen are written down."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write down what was seen, for ever."""
        while True:
            while self._seen:
                number, (source_id, seen) = next(iter(self._seen.items()))
                try:
                    await self._note(source_id, seen)
                except Problem as problem:
                    logger.warning("a number will be noted later: %s", problem.code)
                    await self._clock.sleep(1.0)
                    if not isinstance(problem, Conflict | Unavailable):
                        self._seen.pop(number, None)
                else:
                    self._seen.pop(number, None)
            self._idle.set()
            self._wakeup.clear()
            await self._wakeup.wait()

    async def _note(self, source_id: str, seen: SeenNumber) -> None:
        running = self._directory.whatsapp.numbers.get(seen.number)
        source = self._directory.whatsapp.sources.get(source_id)
        if source is None:
            return
        now_ms = self._clock.now_ms()
        if running is None:
            account = self._directory.accounts_by_id.get(source.source.account or "")
            owner = None if account is None or account.account.deleted_ms is not None else account.account.id
            number = Number(
                id=seen.number,
                source=source_id,
                created_ms=now_ms,
                updated_ms=now_ms,
                account=owner,
                display=seen.display,
                business=seen.business,
            )
            await self._write(None, number, _ACTOR, "number.appeared")
            return
        known = running.number
        after = msgspec.structs.replace(
            known,
            display=seen.display or known.display,
            business=seen.business or known.business,
            updated_ms=now_ms,
        )
        if (after.display, after.business) != (known.display, known.business):
            await self._write(running, after, _ACTOR, "number.changed")
