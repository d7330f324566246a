"""Whose turn it is where many accounts want few places. Pure: knows no store and no work."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Candidate(NamedTuple):
    """Something that waits for a place."""

    account: int
    due_ms: int
    name: str


def first_turns(candidates: Iterable[Candidate], free: int, held: Mapping[int, int]) -> list[str]:
    """Names of those that get the ``free`` places, in the order in which they get them.

    Who has the fewest is first, then who has waited longest; and nobody gets a place who has as many already as are
    still free. So one account can fill half of all places, two a third each, and there is always one for somebody new.
    """
    nth = dict(held)
    ranked: list[tuple[int, int, str]] = []
    for account, due_ms, name in sorted(candidates, key=lambda one: (one.due_ms, one.name)):
        nth[account] = nth.get(account, 0) + 1
        ranked.append((nth[account], due_ms, name))
    ranked.sort()
    return [name for place, (rank, _, name) in enumerate(ranked) if rank + place <= free]


def first_accounts(firsts: Iterable[Candidate], free: int, held: Mapping[int, int]) -> list[int]:
    """The accounts that can get a place at all, given the first candidate of each; the others need not be read."""
    ranked = sorted((held.get(one.account, 0), one.due_ms, one.name, one.account) for one in firsts)
    return [account for *_, account in ranked[:free]]


def most_of_one(free: int) -> int:
    """How many of ``free`` places one account can get at most."""
    return (free + 1) // 2
