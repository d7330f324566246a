"""API keys: what is stored of them, who may end them, and that accounts and operators never see each other's."""

import hashlib

import pytest

from tests.engine.desk import ACTOR, opened_desk
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.errors import Conflict, Invalid, LimitExceeded, NotFound

DAY_SECONDS = 86_400


async def test_a_key_is_shown_once_and_stored_as_its_hash() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        made = await desk.keys.create(account, " backend ", [Scope.READ, Scope.EVENTS_WRITE, Scope.READ], ACTOR)
        assert made.secret.startswith("wsk_")
        assert len(made.secret) == len("wsk_") + 43
        assert made.key.name == "backend"
        assert made.key.hint == made.secret[-4:]
        assert made.key.scopes == (Scope.EVENTS_WRITE, Scope.READ)
        assert made.key.hash == hashlib.sha256(made.secret.encode()).hexdigest()
        assert desk.directory.key(made.secret) == made.key
        assert made.secret.encode() not in desk.configuration_on_disk()


async def test_every_mistake_is_named_at_once() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        with pytest.raises(Invalid) as raised:
            await desk.keys.create(account, "", [], ACTOR, expires_ms=desk.clock.ms)
        assert [error.field for error in raised.value.errors] == ["name", "scopes", "expiresAt"]
        with pytest.raises(Invalid, match="operator"):
            await desk.keys.create(account, "x", [Scope.OPERATOR], ACTOR)
        with pytest.raises(Invalid, match="operator"):
            await desk.keys.create(None, "x", [Scope.ADMIN], ACTOR)


async def test_pages_are_newest_first_and_within_one_account() -> None:
    async with opened_desk() as desk:
        account, other = await desk.account(), await desk.account("Other")
        names = ["a", "b", "c"]
        for name in names:
            await desk.keys.create(account, name, [Scope.READ], ACTOR)
        await desk.keys.create(other, "theirs", [Scope.READ], ACTOR)
        await desk.keys.create(None, "operators", [Scope.OPERATOR], ACTOR)
        first, after = desk.keys.page(account, limit=2)
        assert [key.name for key in first] == ["c", "b"]
        assert after is not None
        last, end = desk.keys.page(account, after, 2)
        assert [key.name for key in last] == ["a"]
        assert end is None
        assert [key.name for key in desk.keys.page(None)[0]] == ["operators"]


async def test_nobody_ends_the_keys_of_others() -> None:
    async with opened_desk() as desk:
        account, other = await desk.account(), await desk.account("Other")
        theirs = await desk.keys.create(other, "theirs", [Scope.READ], ACTOR)
        operators = await desk.keys.create(None, "operators", [Scope.OPERATOR], ACTOR)
        for key in (theirs.key.id, operators.key.id, "key_nothing"):
            with pytest.raises(NotFound):
                await desk.keys.revoke(account, key, ACTOR)
        with pytest.raises(NotFound):
            await desk.keys.revoke(None, theirs.key.id, ACTOR)
        assert desk.directory.keys[theirs.key.id][1].revoked_ms is None


async def test_revoking_counts_at_once_and_twice_is_once() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        made = await desk.keys.create(account, "x", [Scope.READ], ACTOR)
        ended = await desk.keys.revoke(account, made.key.id, ACTOR)
        assert ended.revoked_ms == desk.clock.ms
        found = desk.directory.key(made.secret)
        assert found is not None
        assert found.revoked_ms == desk.clock.ms
        desk.clock.advance(5)
        assert (await desk.keys.revoke(account, made.key.id, ACTOR)).revoked_ms == ended.revoked_ms


async def test_the_last_admin_key_does_not_end_itself_by_mistake() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        last = (await desk.keys.create(account, "admin", [Scope.ADMIN], ACTOR)).key.id
        await desk.keys.create(account, "reader", [Scope.READ], ACTOR)
        expired = await desk.keys.create(account, "gone", [Scope.ADMIN], ACTOR, expires_ms=desk.clock.ms + 1000)
        desk.clock.advance(2)
        assert expired.key.id != last
        with pytest.raises(Conflict, match="force"):
            await desk.keys.revoke(account, last, ACTOR, by=last)
        ended = await desk.keys.revoke(account, last, ACTOR, by=last, force=True)
        assert ended.revoked_ms is not None


async def test_another_admin_key_or_an_operator_may_end_an_admin_key() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        one = (await desk.keys.create(account, "one", [Scope.ADMIN], ACTOR)).key.id
        two = (await desk.keys.create(account, "two", [Scope.ADMIN], ACTOR)).key.id
        assert (await desk.keys.revoke(account, one, ACTOR, by=one)).revoked_ms is not None
        assert (await desk.keys.revoke(account, two, ACTOR, by="key_of_an_operator")).revoked_ms is not None


async def test_there_is_a_limit_and_revoked_keys_leave_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACCOUNT_KEYS", 2)
    async with opened_desk() as desk:
        account = await desk.account()
        first = (await desk.keys.create(account, "one", [Scope.READ], ACTOR)).key.id
        await desk.keys.create(account, "two", [Scope.READ], ACTOR)
        with pytest.raises(LimitExceeded) as raised:
            await desk.keys.create(account, "three", [Scope.READ], ACTOR)
        assert raised.value.code == "keys"
        await desk.keys.revoke(account, first, ACTOR)
        desk.clock.advance(91 * DAY_SECONDS)
        await desk.keys.create(account, "three", [Scope.READ], ACTOR)
        assert [key.name for key in desk.keys.page(account)[0]] == ["three", "two"]
