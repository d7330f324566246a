"""Signing secrets in use: what requests are signed with before, during and after a rotation; what is stored."""

import hashlib
import hmac

import pytest

from tests.engine.desk import ACTOR, Desk, opened_desk
from whatsync.engine.directory import RunningAccount
from whatsync.engine.rotation import RotationForm, SecretFacts
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Conflict, Invalid
from whatsync.ports.sender import Request

DAY_SECONDS = 86_400
OWN = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"


def header(request: Request, name: str) -> str:
    """The value of one header as sent."""
    lines = request.head.decode().split("\r\n")
    return next(line.partition(": ")[2] for line in lines if line.startswith(f"{name}: "))


def made_with(request: Request, secret: str) -> bool:
    """Whether the one signature of the public example was made with this secret."""
    digest = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    return header(request, "X-WhatsSync-Signature") == digest


async def sent(desk: Desk, account: RunningAccount) -> Request:
    """Accept an event and wait for its one request."""
    count = len(desk.receivers.requests)
    await desk.event(account, str(count))
    return (await desk.receivers.until(count + 1))[count]


async def test_endpoints_share_the_accounts_secret() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
        shown = await desk.endpoints.secret(account, name, ACTOR)
        assert shown == await desk.accounts.secret(account, ACTOR)
        assert not shown.own
        assert made_with(await sent(desk, account), shown.current)


@pytest.mark.parametrize("secret", [OWN, "generate"])
async def test_an_endpoint_may_have_its_own_from_the_start(secret: str) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        form = EndpointForm(url="https://own.example/", events=["*"], secret=secret)
        name = (await desk.endpoints.create(account, form, ACTOR)).running.endpoint.id
        shown = await desk.endpoints.secret(account, name, ACTOR)
        assert shown.own
        assert secret in ("generate", shown.current)
        assert shown.current != (await desk.accounts.secret(account, ACTOR)).current
        assert made_with(await sent(desk, account), shown.current)


async def rotations(desk: Desk, account: RunningAccount, of_endpoint: str | None, form: RotationForm) -> SecretFacts:
    """Rotate the account's secret or the endpoint's."""
    if of_endpoint is None:
        return await desk.accounts.rotate_secret(account, form, ACTOR)
    return await desk.endpoints.rotate_secret(account, of_endpoint, form, ACTOR)


@pytest.mark.parametrize("own", [False, True])
async def test_a_rotation_is_calm_until_the_switch(own: bool) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
        old = (await desk.endpoints.secret(account, name, ACTOR)).current
        rotated = await rotations(desk, account, name if own else None, RotationForm())
        assert rotated.own is own
        assert (rotated.previous, rotated.switched) == (old, False)
        assert rotated.overlap_until_ms == desk.clock.ms + DAY_SECONDS * 1000
        during = await sent(desk, account)
        assert made_with(during, old)
        assert len(header(during, "webhook-signature").split()) == 2
        switched = await (
            desk.endpoints.switch_secret(account, name, ACTOR) if own else desk.accounts.switch_secret(account, ACTOR)
        )
        assert switched.switched
        after = await sent(desk, account)
        assert made_with(after, rotated.current)
        assert len(header(after, "webhook-signature").split()) == 2
        desk.clock.advance(DAY_SECONDS)
        assert len(header(await sent(desk, account), "webhook-signature").split()) == 1
        shown = await desk.endpoints.secret(account, name, ACTOR)
        assert (shown.current, shown.previous) == (rotated.current, None)


@pytest.mark.parametrize("own", [False, True])
async def test_a_leaked_secret_is_gone_at_once(own: bool) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
        await rotations(desk, account, name if own else None, RotationForm())
        leaked = RotationForm(switch_at="now", overlap_seconds=0)
        rotated = await rotations(desk, account, name if own else None, leaked)
        assert rotated.previous is None
        request = await sent(desk, account)
        assert made_with(request, rotated.current)
        assert len(header(request, "webhook-signature").split()) == 1


async def test_only_one_rotation_runs_at_a_time() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
        for of_endpoint in (None, name):
            await rotations(desk, account, of_endpoint, RotationForm())
            with pytest.raises(Conflict, match="at once"):
                await rotations(desk, account, of_endpoint, RotationForm())


async def test_a_secret_of_ones_own_may_be_rotated_to() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        rotated = await desk.accounts.rotate_secret(account, RotationForm(secret=OWN), ACTOR)
        assert rotated.current == OWN
        with pytest.raises(Invalid) as raised:
            await desk.accounts.rotate_secret(account, RotationForm(secret="hunter2"), ACTOR)
        assert raised.value.errors[0].field == "secret"
        assert "hunter2" not in raised.value.detail


async def test_there_is_nothing_to_switch_without_a_rotation() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
        with pytest.raises(Conflict):
            await desk.accounts.switch_secret(account, ACTOR)
        await desk.accounts.rotate_secret(account, RotationForm(), ACTOR)
        with pytest.raises(Conflict):
            await desk.endpoints.switch_secret(account, name, ACTOR)


async def test_null_goes_back_to_the_accounts_secret() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
        await desk.endpoints.rotate_secret(account, name, RotationForm(), ACTOR)
        await desk.endpoints.patch(account, name, EndpointForm(secret=None), ACTOR)
        shown = await desk.endpoints.secret(account, name, ACTOR)
        assert not shown.own
        assert made_with(await sent(desk, account), shown.current)


async def test_secrets_are_sealed_and_looking_at_them_is_written_down() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
        rotated = await desk.endpoints.rotate_secret(account, name, RotationForm(), ACTOR)
        shown = await desk.accounts.secret(account, ACTOR)
        on_disk = desk.configuration_on_disk()
        for secret in (rotated.current, rotated.previous, shown.current):
            assert secret is not None
            assert secret.encode() not in on_disk
        entries = await desk.store.audit(account.row, None, 2)
        assert [entry.action for entry in entries] == ["account.secret_shown", "endpoint.secret_rotated"]


async def test_secrets_outlive_a_restart() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        rotated = await desk.accounts.rotate_secret(account, RotationForm(), ACTOR)
    async with opened_desk(desk.store.disk) as again:
        assert await again.accounts.secret(again.directory.accounts[account.row], ACTOR) == rotated
