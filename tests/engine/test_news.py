"""The copy of the configuration never goes back, whatever order news and own changes come in."""

import msgspec

from tests.engine.desk import ReversingVault
from whatsync.engine.directory import ACCOUNT, ENDPOINT, Directory
from whatsync.model.account import Account, SealedSecrets
from whatsync.model.endpoint import Endpoint
from whatsync.ports.cluster import Gone
from whatsync.ports.store import Changed, Document

VAULT = ReversingVault()


async def nobody() -> None:
    """Nobody else to ask."""


def account(row: int = 1, version: int = 1) -> Document:
    body = msgspec.json.encode(Account("acc_1", "One", SealedSecrets(VAULT.seal("whsec_c2VjcmV0c2VjcmV0c2VjcmV0")), 0))
    return Document(ACCOUNT, "acc_1", row, 0, version, body)


def endpoint(version: int, row: int = 2, description: str = "") -> Document:
    body = Endpoint("ep_1", "http://r.example/", ("*",), 0, 0, description=description or f"version {version}")
    return Document(ENDPOINT, "ep_1", row, 1, version, msgspec.json.encode(body))


def directory() -> Directory:
    made = Directory(VAULT)
    made.catch_up = nobody
    made.take_over([account()], [], {})
    return made


def test_what_follows_on_the_copy_raises_its_version() -> None:
    copy = directory()
    assert copy.apply(1, Changed(1, (endpoint(1),)))
    assert copy.accounts[1].version == 1


def test_an_own_change_behind_anothers_does_not_raise_the_version_until_the_other_is_read() -> None:
    copy = directory()
    assert not copy.apply(1, Changed(2, (endpoint(2),)))
    assert copy.accounts[1].version == 0
    copy.take_over([endpoint(2)], [], {1: 2})
    assert copy.accounts[1].version == 2


def test_a_change_that_routes_nothing_raises_no_version() -> None:
    copy = directory()
    copy.apply(1, Changed(1, ()), rose=False)
    assert copy.accounts[1].version == 0


def test_older_news_changes_nothing() -> None:
    copy = directory()
    copy.apply(1, Changed(1, (endpoint(1),)))
    copy.apply(1, Changed(2, (endpoint(2),)))
    copy.take_over([endpoint(1)], [], {1: 1})
    assert copy.endpoints[2].endpoint.description == "version 2"
    assert copy.accounts[1].version == 2


def test_news_from_before_a_removal_does_not_bring_it_back() -> None:
    copy = directory()
    copy.apply(1, Changed(1, (endpoint(1),)))
    copy.apply(1, Changed(2, ()), [(ENDPOINT, "ep_1")])
    copy.take_over([endpoint(1)], [], {1: 1})
    assert copy.endpoints == {}
    assert copy.accounts[1].endpoints == {}


def test_one_made_again_under_the_same_id_takes_the_place_of_the_first() -> None:
    copy = directory()
    copy.apply(1, Changed(1, (endpoint(1),)))
    copy.take_over([endpoint(1, row=5)], [Gone(ENDPOINT, "ep_1", 2)], {1: 3})
    assert list(copy.endpoints) == list(copy.accounts[1].endpoints) == [5]


def test_a_removal_of_an_earlier_one_with_the_same_id_leaves_the_later_one() -> None:
    copy = directory()
    copy.take_over([endpoint(1, row=5, description="later")], [Gone(ENDPOINT, "ep_1", 2)], {1: 3})
    assert copy.endpoints[5].endpoint.description == "later"
    copy.take_over([], [Gone(ENDPOINT, "ep_1", 5)], {1: 4})
    copy.take_over([], [Gone(ENDPOINT, "ep_1", 5)], {})
    assert copy.endpoints == {}
