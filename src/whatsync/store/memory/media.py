"""Rows of media files in plain dictionaries: each verb's effect as one step. Knows no commits and no event loop."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from whatsync.model import limits
from whatsync.model.retry import replanned_file_ms
from whatsync.model.turns import Candidate, first_turns
from whatsync.ports.media import MediaClaim, MediaOutcome, MediaRow, MediaState
from whatsync.ports.store import Admission
from whatsync.store.memory.disk import Disk

DAY_MS = 86_400_000
EXPIRED = "expired"


class MediaSteps:
    """The transactions over media."""

    disk: Disk
    epoch: int
    """What is claimed belongs to it; 0 where the disk has one owner."""

    def write_media(self, admission: Admission) -> None:
        """Write the files that came with the admission's events."""
        events = {event.seq for event in admission.events}
        for row in admission.media:
            if row.event in events and row.name not in self.disk.media:
                self.disk.media[row.name] = replace(row, claim=0, attempts=0, changed_ms=row.created_ms)

    def apply_claim_media(
        self, now_ms: int, until_ms: int, free: int, held: Mapping[int, int], after: int = 0
    ) -> MediaClaim:
        """Take what is due, in turns."""
        rows = [
            Candidate(row.account, row.due_ms, row.name) for row in self.disk.media.values() if row.due_ms is not None
        ]
        due = [one for one in rows if one.due_ms <= now_ms]
        further: int | None = None
        if len(due) > limits.MEDIA_DUE_LOOKED_AT:
            accounts = sorted({one.account for one in rows if one.account > after})[: limits.MEDIA_ACCOUNTS_LOOKED_AT]
            due = [one for one in due if one.account in accounts]
            through = len(accounts) < limits.MEDIA_ACCOUNTS_LOOKED_AT
            further = (None if after == 0 else 0) if through else accounts[-1]
        names = first_turns(due, free, held)
        for name in names:
            row = self.disk.media[name]
            self.disk.media[name] = replace(row, claim=row.claim + 1, due_ms=until_ms)
            self.disk.media_claimed[name] = self.epoch
        return MediaClaim(tuple(self.disk.media[name] for name in names), further)

    def apply_replan_media(self, now_ms: int, after: tuple[int, str], limit: int) -> tuple[int, str] | None:
        """Bring forward what a later clock had planned."""
        later = sorted(
            (row.due_ms, row.name)
            for row in self.disk.media.values()
            if row.due_ms is not None and (row.due_ms, row.name) > after
        )
        for due_ms, name in later[:limit]:
            row = self.disk.media[name]
            then = replanned_file_ms(now_ms, due_ms, row.changed_ms, claimed=name in self.disk.media_claimed)
            if then != due_ms:
                self.disk.media[name] = replace(row, due_ms=then, changed_ms=now_ms)
        return later[limit - 1] if len(later) >= limit else None

    def apply_record_media(self, outcomes: Sequence[MediaOutcome]) -> tuple[str, ...]:
        """Write outcomes whose claim holds; the names of the others."""
        late = []
        for one in outcomes:
            row = self.disk.media.get(one.name)
            if row is None or row.claim != one.claim or one.name not in self.disk.media_claimed:
                late.append(one.name)
                continue
            del self.disk.media_claimed[one.name]
            self.disk.media[one.name] = replace(
                row,
                state=one.state,
                changed_ms=one.at_ms,
                due_ms=one.due_ms,
                mime_type=row.mime_type if one.mime_type is None else one.mime_type,
                event=row.event if one.event is None else one.event,
                size=one.size,
                sha256=one.sha256,
                reason=one.reason,
                task=b"" if one.due_ms is None else row.task,
                attempts=row.attempts + 1,
            )
        return tuple(late)

    def apply_remove_media(self, account: int, names: Sequence[str], reason: str, now_ms: int) -> None:
        """End media whose bytes have to go."""
        for name in names:
            row = self.disk.media.get(name)
            if row is not None and row.account == account and row.state is not MediaState.REMOVED:
                self.end_media(row, reason, now_ms)

    def end_media(self, row: MediaRow, reason: str, now_ms: int) -> None:
        """End one: its claim is void, its bytes are due to be removed."""
        self.disk.media_claimed.pop(row.name, None)
        self.disk.media[row.name] = replace(
            row,
            state=MediaState.REMOVED,
            reason=reason,
            changed_ms=now_ms,
            due_ms=now_ms,
            claim=row.claim + 1,
            task=b"",
        )

    def expire_media(self, event: int, now_ms: int) -> None:
        """End what came with an event that is gone."""
        for row in list(self.disk.media.values()):
            if row.event == event and row.state in (MediaState.WAITING, MediaState.STORED):
                self.end_media(row, EXPIRED, now_ms)

    def forget_media(self, now_ms: int) -> None:
        """Forget what ended long ago."""
        before_ms = now_ms - limits.MEDIA_ENDED_DAYS * DAY_MS
        for row in list(self.disk.media.values()):
            if row.state > MediaState.STORED and row.due_ms is None and row.changed_ms < before_ms:
                del self.disk.media[row.name]

    def take_back_media(self, now_ms: int, epoch: int = 0) -> None:
        """Make due what earlier runs, or an epoch, had claimed."""
        for name in [name for name, holder in self.disk.media_claimed.items() if holder == epoch]:
            self.disk.media[name] = replace(self.disk.media[name], due_ms=now_ms)
            del self.disk.media_claimed[name]
