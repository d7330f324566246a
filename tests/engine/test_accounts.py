"""Accounts: made, changed and removed by operators; the first one made by itself; alerts kept secret."""

import asyncio

import msgspec
import pytest

from tests.engine.desk import ACTOR, Desk, opened_desk, until
from tests.patience import PATIENCE_SECONDS
from whatsync.engine.bootstrap import Chosen, bootstrap
from whatsync.engine.directory import RunningAccount
from whatsync.model.account import Scope
from whatsync.model.account_form import AccountForm, AlertsForm, LimitsForm, SettingsForm
from whatsync.model.errors import Conflict, Gone, Invalid, NotFound
from whatsync.model.request import MASK
from whatsync.ports.history import DeliveryQuery, EventQuery

CHAT = "https://chat.example/services/T0/B0/hunter2"


async def test_a_new_account_has_a_secret_and_nothing_else() -> None:
    async with opened_desk() as desk:
        account = await desk.account(" Shop ")
        assert account.account.id.startswith("acc_")
        assert account.account.name == "Shop"
        secret = (await desk.accounts.secret(account, ACTOR)).current
        assert secret.startswith("whsec_")
        assert secret.encode() not in desk.configuration_on_disk()
        assert (account.endpoints, account.own_types) == ({}, {})


async def test_pages_are_newest_first() -> None:
    async with opened_desk() as desk:
        for name in "abc":
            await desk.account(name)
        first, after = desk.accounts.page(limit=2)
        last, end = desk.accounts.page(after, 2)
        assert [facts.running.account.name for facts in first + last] == ["c", "b", "a"]
        assert end is None


async def test_every_mistake_is_named_at_once() -> None:
    async with opened_desk() as desk:
        form = AccountForm(
            name="",
            alerts=AlertsForm(emails=["not an address", "ok@example.com"], url="http://127.0.0.1/"),
            limits=LimitsForm(events_per_second=0, endpoints=-1),
            retention_days=0,
        )
        with pytest.raises(Invalid) as raised:
            await desk.accounts.create(form, ACTOR)
        assert {error.field for error in raised.value.errors} == {
            "name", "alerts.emails[0]", "alerts.url", "limits.eventsPerSecond", "limits.endpoints", "retentionDays",
        }  # fmt: skip


async def test_a_patch_merges_limits_and_null_is_the_default() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await desk.accounts.patch(account, AccountForm(limits=LimitsForm(endpoints=5, events_per_second=9)), ACTOR)
        await desk.accounts.patch(account, AccountForm(limits=LimitsForm(endpoints=None), retention_days=7), ACTOR)
        assert account.account.limits.endpoints is None
        assert account.account.limits.events_per_second == 9
        assert account.account.retention_days == 7
        await desk.accounts.patch(account, AccountForm(retention_days=None, suspended=True), ACTOR)
        changed = account.account
        assert changed.retention_days is None
        assert changed.suspended


async def test_a_version_that_is_not_there_any_more_is_a_conflict() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        version = account.document.version
        await desk.accounts.patch(account, SettingsForm(name="One"), ACTOR, version)
        with pytest.raises(Conflict):
            await desk.accounts.patch(account, SettingsForm(name="Two"), ACTOR, version)


async def test_changes_at_the_same_time_are_all_kept() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        forms = [AccountForm(name="New"), AccountForm(retention_days=3), AccountForm(suspended=True)]
        await asyncio.gather(*(desk.accounts.patch(account, form, ACTOR) for form in forms))
        stored = account.account
        assert (stored.name, stored.retention_days, stored.suspended) == ("New", 3, True)


async def test_the_chat_webhook_is_sealed_masked_and_kept_by_its_mask() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        facts = await desk.accounts.patch(account, SettingsForm(alerts=AlertsForm(url=CHAT)), ACTOR)
        assert facts.alert_url == f"https://chat.example/{MASK}"
        assert b"hunter2" not in desk.configuration_on_disk()
        form = SettingsForm(alerts=AlertsForm(emails=["a@example.com"], url=facts.alert_url))
        await desk.accounts.patch(account, form, ACTOR)
        assert account.account.alert_emails == ("a@example.com",)
        assert account.account.alert_url is not None
        assert desk.vault.unseal(account.account.alert_url) == CHAT
        await desk.accounts.patch(account, SettingsForm(alerts=AlertsForm(url=None)), ACTOR)
        assert account.account.alert_url is None


async def full_account(desk: Desk) -> RunningAccount:
    """An account with something of everything."""
    account = await desk.account()
    await desk.endpoint(account)
    await desk.keys.create(account, "x", [Scope.READ], ACTOR)
    await desk.event_types.put(account, "order.created", "", ACTOR)
    desk.receivers.held["shop.example"] = asyncio.Event()
    for text in ("a", "b"):
        await desk.event(account, text)
    return account


async def removed(desk: Desk) -> None:
    """Let the removal finish, pushing the clock past its pauses."""
    done = asyncio.ensure_future(desk.removal.removed())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not done.done():
            desk.clock.advance(1)
            await asyncio.sleep(0)


async def test_an_account_with_something_in_it_is_removed_only_when_confirmed() -> None:
    async with opened_desk() as desk:
        account = await full_account(desk)
        name = account.account.id
        for confirm in (None, "acc_other", ""):
            with pytest.raises(Conflict, match=f"confirm={name}"):
                await desk.accounts.delete(name, confirm, ACTOR)
        assert desk.accounts.find(name).endpoints


async def test_removing_an_account_leaves_nothing_of_it_and_all_of_the_others() -> None:
    async with opened_desk() as desk:
        other = await desk.account("Other")
        await desk.event(other)
        account = await full_account(desk)
        await desk.accounts.delete(account.account.id, account.account.id, ACTOR)
        assert account.account.suspended
        assert not account.endpoints
        await removed(desk)
        with pytest.raises(NotFound):
            desk.accounts.find(account.account.id)
        assert not (await desk.store.events(EventQuery(account.row))).items
        assert not (await desk.store.deliveries(DeliveryQuery(account.row))).items
        left = [document for document in desk.store.disk.documents.values() if document.account == account.row]
        assert left == []
        assert len((await desk.store.events(EventQuery(other.row))).items) == 1
        assert desk.keys.page(account)[0] == []


async def test_an_empty_account_needs_no_confirmation() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await desk.accounts.delete(account.account.id, None, ACTOR)
        await removed(desk)
        assert not desk.directory.accounts


async def test_a_removal_goes_on_after_a_restart() -> None:
    async with opened_desk() as desk:
        account = await full_account(desk)
        desk.accounts.on_deleted.clear()
        await desk.accounts.delete(account.account.id, account.account.id, ACTOR)
    async with opened_desk(desk.store.disk) as again:
        await removed(again)
        assert not again.directory.accounts


async def test_a_removal_survives_a_store_that_can_not_write() -> None:
    async with opened_desk() as desk:
        account = await full_account(desk)
        await desk.accounts.delete(account.account.id, account.account.id, ACTOR)
        desk.stage.broken = True
        await until(lambda: bool(desk.clock.sleepers))
        assert desk.directory.accounts
        desk.stage.broken = False
        await removed(desk)
        assert not desk.directory.accounts


async def test_an_empty_installation_gets_an_account_and_two_keys_once() -> None:
    async with opened_desk() as desk:
        made = await bootstrap(desk.directory, desk.accounts, desk.keys)
        assert made is not None
        assert made.account_key.key.scopes == (Scope.ADMIN,)
        assert made.account_key.key.account == made.account.account.id
        assert made.operator_key.secret.startswith("wso_")
        assert await bootstrap(desk.directory, desk.accounts, desk.keys) is None
        assert len(desk.directory.accounts) == 1
    async with opened_desk(desk.store.disk) as again:
        assert await bootstrap(again.directory, again.accounts, again.keys) is None


async def test_a_first_start_that_was_cut_short_is_made_good() -> None:
    async with opened_desk() as desk:
        account = await desk.account("First account")
    async with opened_desk(desk.store.disk) as again:
        made = await bootstrap(again.directory, again.accounts, again.keys)
        assert made is not None
        assert made.account.row == account.row


async def test_the_first_keys_may_be_chosen() -> None:
    async with opened_desk() as desk:
        chosen = Chosen(api_key="wsk_" + "k" * 43, email="owner@example.com")
        made = await bootstrap(desk.directory, desk.accounts, desk.keys, chosen)
        assert made is not None
        assert made.account_key.secret == chosen.api_key
        assert desk.directory.key("wsk_" + "k" * 43) == made.account_key.key
        assert made.account.account.alert_emails == ("owner@example.com",)


async def test_the_audit_log_holds_only_what_changed() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await desk.accounts.patch(account, AccountForm(retention_days=3), ACTOR)
        entry = (await desk.store.audit(account.row, None, 1))[0]
        assert entry.actor == ACTOR
        assert entry.after is not None
        assert msgspec.json.decode(entry.after) == {"retentionDays": 3}


async def test_nothing_is_made_in_an_account_that_is_being_removed() -> None:
    async with opened_desk() as desk:
        account = await full_account(desk)
        await desk.accounts.delete(account.account.id, account.account.id, ACTOR)
        with pytest.raises(Conflict, match="being removed"):
            await desk.endpoint(account)
        await removed(desk)
        with pytest.raises(Conflict, match="being removed"):
            await desk.keys.create(account, "x", [Scope.READ], ACTOR)
        with pytest.raises(Gone):
            await desk.event(account)
    async with opened_desk(desk.store.disk) as again:
        assert not again.directory.accounts


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        (Chosen(password="correct horse battery"), "email"),
        (Chosen(email="owner@example.com", password="short"), "password"),
    ],
)
async def test_a_wrong_password_for_the_first_start_is_refused_before_keys_are_made(chosen: Chosen, field: str) -> None:
    async with opened_desk() as desk:
        with pytest.raises(Invalid) as refused:
            await bootstrap(desk.directory, desk.accounts, desk.keys, chosen)
        assert refused.value.errors[0].field == field
        assert not desk.directory.accounts
        assert await bootstrap(desk.directory, desk.accounts, desk.keys) is not None
