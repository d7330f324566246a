"""Sources: made, changed and deleted by operators, secrets sealed; and how they fare. Knows no HTTP and no payload."""

from collections.abc import Callable
from typing import Any

import msgspec

from whatsync.engine import audit
from whatsync.engine.arrival_counts import ASIDE, DUPLICATE, REJECTED, SAMPLE, UPDATE, WEBHOOK, ArrivalCounts
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import Directory
from whatsync.engine.source_directory import SOURCE, RunningSource
from whatsync.engine.watch import Notice
from whatsync.model import limits
from whatsync.model.errors import Conflict, FieldError, Invalid, LimitExceeded, NotFound
from whatsync.model.ids import TOKEN_BYTES, random_id
from whatsync.model.source import SEALED, Source, SourceForm, read_source
from whatsync.model.timestamp import format_time
from whatsync.ports.arrivals import BodyRow, Count, SetAsideQuery, SetAsideRow
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import AuditEntry, Change, Delete, Put, Store
from whatsync.ports.vault import Vault

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_FACTS_DAYS = 7
WRONG_SIGNATURE = "wrong_signature"
_WRONG = (
    "Requests for this source are not signed with the app secret stored for it. Correct the secret, and nothing is "
    "lost: Meta keeps trying for 7 days."
)


class SourceFacts(msgspec.Struct, frozen=True):
    """How a source fares. Counts are those of the last 7 days."""

    last_webhook_ms: int | None
    updates_last_hour: int
    webhooks: int
    updates: int
    duplicates: int
    set_aside: int
    rejected: int
    last_rejected_ms: int | None
    rejected_since_good: int
    """Requests refused since the last good one."""
    last_sample_ms: int | None = None
    """When Meta's own test came."""

    @property
    def is_only_tested(self) -> bool:
        """Whether Meta's test was the last that came: it reaches us, and the signature is right."""
        return self.last_sample_ms is not None and self.last_sample_ms >= (self.last_webhook_ms or 0)


class Sources:
    """All sources of this installation."""

    def __init__(
        self,
        *,
        directory: Directory,
        configuration: Configuration,
        store: Store,
        history: History,
        counts: ArrivalCounts,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        tell: Callable[[Notice], None],
    ) -> None:
        self._directory = directory
        self._configuration = configuration
        self._store = store
        self._history = history
        self._counts = counts
        self._vault = vault
        self._clock = clock
        self._randomness = randomness
        self._tell = tell
        self._refused: dict[int, tuple[int, int]] = {}
        """By source row: requests refused since the last good one, and when the first of them came."""

    # Operators

    def page(self, before: int | None = None, limit: int = 50) -> tuple[list[RunningSource], int | None]:
        """List sources, newest first; and where the next page begins."""
        known = sorted(self._directory.whatsapp.sources.values(), key=lambda one: -one.row)
        below = [one for one in known if before is None or one.row < before]
        return below[:limit], below[limit - 1].row if len(below) > limit else None

    def find(self, source_id: str) -> RunningSource:
        """The source with this id. Raises NotFound."""
        running = self._directory.whatsapp.sources.get(source_id)
        if running is None:
            raise NotFound("source_not_found", f"there is no source {source_id[:40]!r}")
        return running

    async def create(self, form: SourceForm, actor: str) -> RunningSource:
        """Make a source; a verify token is made up where none is given. Raises Invalid, LimitExceeded."""
        if len(self._directory.whatsapp.sources) >= limits.SOURCES_MAX:
            raise LimitExceeded("too_many_sources", f"at most {limits.SOURCES_MAX:,} sources are possible", 3600)
        now_ms = self._clock.now_ms()
        read = self._read(form, None)
        read.setdefault("verify_token", random_id("", self._randomness.token(TOKEN_BYTES)))
        source_id = random_id("src_", self._randomness.token(TOKEN_BYTES))
        source = Source(id=source_id, created_ms=now_ms, updated_ms=now_ms, **self._sealed(read))
        put = Put(SOURCE, source_id, 0, msgspec.json.encode(source), 0)
        entry = self._entry(actor, "source.created", source_id, None, source)
        await self._configuration.change(Change(0, (put,), audit=(entry,), routing=False))
        return self.find(source_id)

    async def patch(self, source_id: str, form: SourceForm, actor: str, version: int | None = None) -> RunningSource:
        """Change what the form sets; with a new app secret the old one is good for a week. Raises Invalid, Conflict."""
        running = self.find(source_id)
        current, now_ms = running.source, self._clock.now_ms()
        if version is not None and running.document.version != version:
            words = f"the source has version {running.document.version} now, not {version}; read it and try again"
            raise Conflict("changed_meanwhile", words)
        read = self._read(form, current)
        changed = self._sealed(read)
        if "app_secret" in read and read["app_secret"] != running.secret and current.app_secret is not None:
            changed["previous_secret"] = current.app_secret
            changed["previous_until_ms"] = now_ms + limits.PREVIOUS_SECRET_DAYS * _DAY_MS
        after = msgspec.structs.replace(current, updated_ms=now_ms, **changed)
        put = Put(SOURCE, source_id, 0, msgspec.json.encode(after), running.document.version)
        entry = self._entry(actor, "source.changed", source_id, current, after)
        await self._configuration.change(Change(0, (put,), audit=(entry,), routing=False))
        return self.find(source_id)

    async def delete(self, source_id: str, actor: str) -> None:
        """Delete a source that has no numbers any more. Raises NotFound, Conflict."""
        running = self.find(source_id)
        if self._directory.whatsapp.of_source(source_id):
            raise Conflict("source_has_numbers", "numbers come through this source; delete or move them first")
        # Bodies first: without the source nobody would ever look for them again.
        while await self._store.prune_arrivals(running.row, self._clock.now_ms() + _DAY_MS, limits.PRUNE_STEP_EVENTS):
            pass
        entry = self._entry(actor, "source.deleted", source_id, running.source, None)
        change = Change(0, deletes=(Delete(SOURCE, source_id),), audit=(entry,), routing=False)
        await self._configuration.change(change)

    def _read(self, form: SourceForm, current: Source | None) -> dict[str, Any]:
        read = read_source(form, current)
        account = read.get("account")
        if account is not None and account not in self._directory.accounts_by_id:
            raise Invalid([FieldError("account", "there is no such account; GET /v1/accounts lists them")])
        return read

    def _sealed(self, read: dict[str, Any]) -> dict[str, Any]:
        """The same fields with the secrets among them sealed."""
        sealed = {name: self._vault.seal(read[name]) for name in SEALED if read.get(name) is not None}
        return read | sealed

    def _entry(self, actor: str, action: str, subject: str, before: Source | None, after: Source | None) -> AuditEntry:
        now_ms = self._clock.now_ms()
        return audit.entry(0, now_ms, actor, action, subject=subject, before=before, after=after)

    # The door's news

    def accepted(self, source: RunningSource) -> None:
        """A good request came."""
        self._refused.pop(source.row, None)

    def rejected(self, source: RunningSource) -> None:
        """A request was refused for its signature or password: counted, and told once some were in a row."""
        now_ms = self._clock.now_ms()
        self._counts.add(source.row, REJECTED)
        count, since_ms = self._refused.get(source.row, (0, now_ms))
        self._refused[source.row] = (count + 1, since_ms)
        if count + 1 != limits.REJECTED_TO_TELL:
            return
        data = {
            "sourceId": source.source.id,
            "code": WRONG_SIGNATURE,
            "error": _WRONG,
            "refused": count + 1,
            "since": format_time(since_ms),
        }
        for account in self._owners(source):
            self._tell(Notice(account, "source.rejected", f"evt_rejected_{source.row}_{since_ms}", data))

    def _owners(self, source: RunningSource) -> set[int]:
        """Accounts whose events do not arrive when the source's do not."""
        named = self._directory.accounts_by_id.get(source.source.account or "")
        owners = {running.account for running in self._directory.whatsapp.of_source(source.source.id)} - {0}
        return owners if named is None else owners | {named.row}

    async def flush(self) -> None:
        """Write down the counts that wait."""
        await self._counts.flush()

    # How it fares

    def refused_in_a_row(self, source: RunningSource) -> int:
        """Requests refused since the last good one."""
        return self._refused.get(source.row, (0, 0))[0]

    async def facts(self, source: RunningSource) -> SourceFacts:
        """What to show of a source."""
        now_ms = self._clock.now_ms()
        counts = await self._counts.between(source.row, now_ms - _FACTS_DAYS * _DAY_MS, now_ms + 1)
        recent = [one for one in counts if one.what == UPDATE and one.last_ms >= now_ms - _HOUR_MS]
        return SourceFacts(
            last_webhook_ms=_last(counts, WEBHOOK),
            updates_last_hour=sum(one.count for one in recent),
            webhooks=_sum(counts, WEBHOOK),
            updates=_sum(counts, UPDATE),
            duplicates=_sum(counts, DUPLICATE),
            set_aside=_sum(counts, ASIDE),
            rejected=_sum(counts, REJECTED),
            last_rejected_ms=_last(counts, REJECTED),
            rejected_since_good=self.refused_in_a_row(source),
            last_sample_ms=_last(counts, SAMPLE),
        )

    async def bodies(self, source: RunningSource, before: int | None, limit: int) -> tuple[BodyRow, ...]:
        """Raw bodies, newest first, without their bytes."""
        return await self._history.bodies(source.row, before, limit)

    async def body(self, source: RunningSource, seq: int) -> BodyRow:
        """One raw body. Raises NotFound."""
        found = await self._history.body(seq)
        if found is None or found.source != source.row:
            raise NotFound("body_not_found", "there is no such raw body; they are kept as long as events are")
        return found

    async def set_aside(
        self, source: RunningSource, before: int | None, limit: int, reason: str | None = None
    ) -> tuple[SetAsideRow, ...]:
        """What was set aside, newest first."""
        return await self._history.set_aside(SetAsideQuery(source.row, reason=reason, before=before, limit=limit))


def _sum(counts: list[Count], what: str) -> int:
    return sum(one.count for one in counts if one.what == what)


def _last(counts: list[Count], what: str) -> int | None:
    return max((one.last_ms for one in counts if one.what == what), default=None)
