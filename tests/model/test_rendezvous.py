"""Who does what among equals: everybody agrees, it is spread evenly, and little changes hands."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.rendezvous import chosen

MEMBERS = st.lists(st.integers(1, 10_000), min_size=1, max_size=8, unique=True)


@given(st.text(), MEMBERS)
def test_the_order_in_which_members_are_known_decides_nothing(post: str, members: list[int]) -> None:
    assert chosen(post, members) == chosen(post, sorted(members, reverse=True))
    assert chosen(post, members) in members


@given(st.text(), MEMBERS)
def test_who_goes_leaves_only_its_own_posts(post: str, members: list[int]) -> None:
    before = chosen(post, members)
    for gone in members:
        rest = [member for member in members if member != gone]
        if before != gone:
            assert chosen(post, rest) == before


def test_nobody_is_chosen_among_nobody() -> None:
    assert chosen("jobs", []) is None


def test_posts_are_spread() -> None:
    counts = Counter(chosen(f"endpoint:{row}", (3, 7, 8)) for row in range(3_000))
    assert set(counts) == {3, 7, 8}
    assert min(counts.values()) > 850
