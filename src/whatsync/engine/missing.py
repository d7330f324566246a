"""Why a message is unknown here: set aside, or never received; and what its number's webhooks did about that time.

Reads only, within one account. Knows no HTTP.
"""

from collections.abc import Sequence

from whatsync.engine.arrival_counts import REJECTED, UPDATE, ArrivalCounts
from whatsync.engine.directory import Directory, RunningAccount
from whatsync.engine.source_directory import RunningNumber
from whatsync.engine.verdicts import NOT_RECEIVED, Verdict
from whatsync.model import limits
from whatsync.model.ids import message_id, ms_of
from whatsync.model.timestamp import format_time
from whatsync.ports.arrivals import SetAsideQuery, SetAsideRow
from whatsync.ports.clock import Clock
from whatsync.ports.history import History

_DAY_MS = 86_400_000
_AROUND_MS = 7 * _DAY_MS
_HOUR_MS = 3_600_000
_NUMBERS_MAX = 10
"""Numbers whose webhooks are told of."""


class Missing:
    """Explains what is not there."""

    def __init__(self, directory: Directory, history: History, counts: ArrivalCounts, clock: Clock) -> None:
        self._directory = directory
        self._history = history
        self._counts = counts
        self._clock = clock

    async def verdict(self, account: RunningAccount, name: str, at_ms: int | None, number: str | None) -> Verdict:
        """Judge a message by its id or wamid. ``at_ms``: about when it was sent; ``number``: to which number."""
        aside = await self._set_aside(account, name)
        if aside is not None:
            return _set_aside_verdict(aside)
        numbers = [
            one
            for one in self._directory.whatsapp.numbers.values()
            if one.account == account.row and (number is None or one.number.id == number)
        ]
        told = [await self._around(one, at_ms) for one in numbers[:_NUMBERS_MAX]]
        refused = await self._refused(account, numbers, at_ms)
        return _not_received(told, refused, at_ms) if told or refused else NOT_RECEIVED

    async def _set_aside(self, account: RunningAccount, name: str) -> SetAsideRow | None:
        query = SetAsideQuery(account=account.row, reference=name, limit=1)
        for row in await self._history.set_aside(query):
            return row
        if not name.startswith("msg_"):
            return None
        for number in self._directory.whatsapp.of_account(account.row)[:_NUMBERS_MAX]:
            query = SetAsideQuery(account=account.row, number=number.id, limit=limits.PAGE_ITEMS_MAX)
            for row in await self._history.set_aside(query):
                if row.number and row.reference and message_id(row.number, row.reference) == name:
                    return row
        return None

    async def _around(self, running: RunningNumber, at_ms: int | None) -> str:
        """The number's last webhook before a time and the first after it, in words."""
        number = running.number
        source = self._directory.whatsapp.sources.get(number.source)
        shown = number.name or number.display or number.id
        if source is None:
            return f"{shown} has no source any more"
        now_ms = self._clock.now_ms()
        middle = now_ms if at_ms is None else at_ms
        counts = await self._counts.between(source.row, middle - _AROUND_MS, middle + _AROUND_MS, number.id)
        times = [time for one in counts if one.what == UPDATE for time in (one.first_ms, one.last_ms)]
        before = max((time for time in times if time <= middle), default=None)
        after = min((time for time in times if time > middle), default=None)
        said = None if before is None else format_time(before)
        if at_ms is None:
            return f"{shown}: nothing came in the last week" if said is None else f"{shown}: the last came at {said}"
        last = "nothing in the week before" if said is None else f"the last webhook before came at {said}"
        following = "none after it" if after is None else f"the next one at {format_time(after)}"
        return f"{shown}: {last}, {following}"

    async def _refused(self, account: RunningAccount, numbers: Sequence[RunningNumber], at_ms: int | None) -> int:
        """Requests refused within an hour of the time, or within the last day, by the sources of these numbers and of
        the account: one whose app secret was wrong from the start has no number yet.
        """
        now_ms = self._clock.now_ms()
        since, until = (now_ms - _DAY_MS, now_ms + 1) if at_ms is None else (at_ms - _HOUR_MS, at_ms + _HOUR_MS)
        total = 0
        named = {one.number.source for one in numbers}
        for source_id, source in self._directory.whatsapp.sources.items():
            if source_id in named or source.source.account == account.account.id:
                counts = await self._counts.between(source.row, since, until)
                total += sum(one.count for one in counts if one.what == REJECTED)
        return total


def _set_aside_verdict(row: SetAsideRow) -> Verdict:
    return Verdict(
        "set_aside",
        f"It came at {format_time(ms_of(row.body))}, but no event could be made of it: {row.sentence}.",
        "The body is kept: after an upgrade, or once the reason is gone, the operator can process it again.",
    )


def _not_received(told: Sequence[str], refused: int, at_ms: int | None) -> Verdict:
    when = "in the last day" if at_ms is None else "within an hour of that time"
    words = f"It was never received here. {'; '.join(told)}." if told else "It was never received here."
    if refused:
        were = "1 request of the source was" if refused == 1 else f"{refused} requests of the source were"
        return Verdict(
            NOT_RECEIVED.code,
            f"{words} {were} refused {when}, for a wrong signature.",
            "Correct the source's app secret: Meta repeats for 7 days what was refused, so it may still come.",
        )
    return Verdict(NOT_RECEIVED.code, words, NOT_RECEIVED.next_step)
