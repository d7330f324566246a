"""Whose what comes through a source is: the account of its number, at the time at which it happened.

Knows sources and numbers in memory; no payload, no store.
"""

from typing import NamedTuple

from whatsync.engine.directory import Directory
from whatsync.engine.source_directory import RunningNumber, RunningSource
from whatsync.model.arrival import Arrival, Sighting

UNASSIGNED = "unassigned"
"""Why something is set aside whose number is nobody's yet; the sentence and the rest stand with it."""
FORMER = "former_account"
"""Why something is set aside that is of an account which is gone."""
_NOT_YET = "the number belongs to no account yet; assign it, and this is processed"
_NOBODYS = "the business account has no number here that belongs to an account"
_OTHERS = "the number is another account's and came through another source; this source is for one account only"
_SEVERAL = "the business account has numbers of several accounts, and this names none of them"
_GONE = "it happened while the number was another account's, and that account is gone"


class Owner(NamedTuple):
    """Row of the account something is for; 0 for none, with the reason and a sentence."""

    account: int
    reason: str = UNASSIGNED
    sentence: str = _NOT_YET


class Ownership:
    """Decides."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def of_arrival(self, source: RunningSource, arrival: Arrival, came_ms: int) -> Owner:
        """Whose an event is. ``came_ms``: when its body came, for what does not say when it happened."""
        at_ms = arrival.at_ms or came_ms
        if arrival.number is None:
            return self._of_business(source, arrival, at_ms)
        known = self._directory.whatsapp.numbers.get(arrival.number)
        return Owner(0) if known is None else self._of_number(source, known, at_ms)

    def of_sighting(self, source: RunningSource, sighting: Sighting) -> Owner:
        """Whose something said about a person is."""
        known = self._directory.whatsapp.numbers.get(sighting.number)
        return Owner(0) if known is None else self._of_number(source, known, sighting.at_ms)

    def of_element(self, source: RunningSource, number: str | None, came_ms: int) -> Owner:
        """Whose an element is of which nothing could be made."""
        known = self._directory.whatsapp.numbers.get(number or "")
        return Owner(0) if known is None else self._of_number(source, known, came_ms)

    def of_sample(self, source: RunningSource) -> Owner:
        """Whose Meta's example is."""
        return Owner(self._row(source.source.account))

    def is_foreign(self, source: RunningSource, known: RunningNumber) -> bool:
        """Whether a number is out of a source's reach."""
        return bool(known.account) and self._is_beyond(source, known, known.account)

    def _of_number(self, source: RunningSource, known: RunningNumber, at_ms: int) -> Owner:
        if self.is_foreign(source, known):
            return Owner(0, UNASSIGNED, _OTHERS)
        former = known.former_at(at_ms)
        if former is None:
            return Owner(known.account)
        row = self._row(former)
        if row and self._is_beyond(source, known, row):
            return Owner(0, UNASSIGNED, _OTHERS)
        return Owner(row, FORMER, _GONE)

    def _is_beyond(self, source: RunningSource, known: RunningNumber, account: int) -> bool:
        """Whoever has the secret of one account's source could make up events of others. A number that came through it
        may be given to anybody.
        """
        own = source.source.account
        return own is not None and known.number.source != source.source.id and self._row(own) != account

    def _of_business(self, source: RunningSource, arrival: Arrival, at_ms: int) -> Owner:
        numbers = self._directory.whatsapp.of_business(arrival.business or "", arrival.display_number)
        owners = {self._at(known, at_ms) for known in numbers} - {0}
        own = source.source.account
        if own is not None and not numbers:
            return Owner(self._row(own), UNASSIGNED, _NOBODYS)
        if own is not None:
            through = self._directory.whatsapp.of_source(source.source.id)
            owners &= {self._row(own), *(self._at(known, at_ms) for known in through)}
        if len(owners) == 1:
            return Owner(owners.pop())
        return Owner(0, UNASSIGNED, _SEVERAL if owners else _NOBODYS)

    def _at(self, known: RunningNumber, at_ms: int) -> int:
        former = known.former_at(at_ms)
        return known.account if former is None else self._row(former)

    def _row(self, account_id: str | None) -> int:
        known = self._directory.accounts_by_id.get(account_id or "")
        return 0 if known is None else known.row
