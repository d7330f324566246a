"""Turns: who has the fewest places is first, and nobody crowds out who comes next."""

from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.turns import Candidate, first_accounts, first_turns, most_of_one

ACCOUNTS = st.integers(1, 6)
CANDIDATES = st.lists(st.builds(Candidate, ACCOUNTS, st.integers(0, 9), st.uuids().map(str)), max_size=60)
HELD = st.dictionaries(ACCOUNTS, st.integers(0, 8))
FREE = st.integers(0, 20)


def flood(account: int, count: int, due_ms: int = 0) -> list[Candidate]:
    return [Candidate(account, due_ms, f"{account}-{nth:03}") for nth in range(count)]


def test_one_account_gets_half_and_the_next_one_is_not_kept_waiting() -> None:
    assert len(first_turns(flood(1, 100), 16, {})) == 8
    assert first_turns([*flood(1, 100), *flood(2, 1, 9)], 8, {1: 8}) == ["2-000"]


def test_many_at_once_get_one_each_the_longest_waiting_first() -> None:
    some = [Candidate(account, 100 - account, str(account)) for account in range(1, 21)]
    assert first_turns([*some, *flood(30, 50)], 4, {}) == ["30-000", "20", "19", "18"]


def test_two_floods_leave_room() -> None:
    taken = first_turns([*flood(1, 100), *flood(2, 100)], 16, {})
    assert (sum(name.startswith("1-") for name in taken), len(taken)) == (6, 11)


def test_places_are_taken_in_the_order_of_waiting_within_an_account() -> None:
    assert first_turns([Candidate(1, 5, "b"), Candidate(1, 5, "a"), Candidate(1, 4, "z")], 9, {}) == ["z", "a", "b"]


@given(CANDIDATES, FREE, HELD)
def test_somebody_new_always_finds_a_place(candidates: list[Candidate], free: int, held: dict[int, int]) -> None:
    taken = first_turns(candidates, free, held)
    accounts = {one.name: one.account for one in candidates}
    for account in range(1, 7):
        mine = sum(accounts[name] == account for name in taken)
        assert mine <= most_of_one(free)
        if free and mine == 0 and held.get(account, 0) == 0 and account in accounts.values():
            assert len(taken) == free
    assert len(set(taken)) == len(taken) <= free


@given(CANDIDATES, FREE, HELD)
def test_no_account_is_passed_over_by_reading_less(
    candidates: list[Candidate], free: int, held: dict[int, int]
) -> None:
    ordered = sorted(candidates, key=lambda one: (one.due_ms, one.name))
    of = {account: [one for one in ordered if one.account == account] for account in range(1, 7)}
    accounts = first_accounts((mine[0] for mine in of.values() if mine), free, held)
    fewer = [one for account in accounts for one in of[account][: most_of_one(free)]]
    assert first_turns(fewer, free, held) == first_turns(candidates, free, held)
