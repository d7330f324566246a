"""All accounts as operators see them, and the way between many of them, over HTTP."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.people import make_account, make_operator, make_team, post, sign_in, visitor
from tests.web.receiver import receiving
from tests.web.running import Running, running
from whatsync.model import limits
from whatsync.model.endpoint import DisabledBy
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.user import Role


@pytest.fixture
async def operator(web: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with visitor(web, await sign_in(web, await make_operator(web))) as client:
        yield client


async def test_accounts_with_trouble_stand_first(web: Running, operator: httpx.AsyncClient) -> None:
    services = web.server.services
    for name in ("Aaa", "Mmm", "Zzz"):
        account = await make_account(web, name)
        form = EndpointForm(url="https://example.com/hook", events=["*"])
        made = await services.endpoints.create(account, form, "test")
        if name == "Zzz":
            services.endpoints.disable_soon(made.running, DisabledBy.GONE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        page = (await operator.get("/accounts")).text
        while "1 disabled" not in page:  # it is carried out in the background
            page = (await operator.get("/accounts")).text
    assert page.index("<strong>Zzz") < page.index("<strong>Aaa") < page.index("<strong>Mmm")
    found = (await operator.get("/accounts?q=mm", headers={"hx-request": "true"})).text
    assert "Mmm" in found
    assert "Aaa" not in found


async def test_an_account_is_in_trouble_where_its_own_pages_say_so(tmp_path: Path) -> None:
    receiver_is_here = running(tmp_path, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8")
    async with receiving() as receiver, receiver_is_here as web:
        services = web.server.services
        await make_account(web, "Aaa")
        account = await make_account(web, "Zzz")
        receiver.status = 500
        form = EndpointForm(url=receiver.url, events=["*"], retry_schedule=[])
        await services.endpoints.create(account, form, "test")
        data = {"from": "+1234567890", "to": "+0987654321", "text": "Hello"}
        for _ in range(limits.FAILING_ATTEMPTS_MIN):
            await services.ingest.accept(account, msgspec.json.encode({"event": "message.incoming", "data": data}))
        async with visitor(web, await sign_in(web, await make_operator(web))) as client:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while "is failing" not in (await client.get(f"/a/{account.account.id}")).text:  # noqa: ASYNC110 - from outside
                    await asyncio.sleep(0.02)
            page = (await client.get("/accounts")).text
    assert "1 failing" in page
    assert page.index("<strong>Zzz") < page.index("<strong>Aaa")


async def test_an_account_is_made_limited_suspended_and_deleted(web: Running, operator: httpx.AsyncClient) -> None:
    made = await post(operator, "/accounts", {"name": "Customer"})
    assert made.status_code == 303
    account_id = made.headers["location"].removeprefix("/a/")
    path = f"/accounts/{account_id}"
    running = web.server.services.accounts.find(account_id)
    form = {"name": "Customer", "retentionDays": "7", "endpoints": "12", "version": str(running.document.version)}
    assert (await post(operator, path, form)).status_code == 303
    assert running.account.retention_days == 7
    assert running.account.limits.endpoints == 12
    assert (await post(operator, path, form)).status_code == 409
    now = form | {"version": str(running.document.version)}
    wrong = await post(operator, path, now | {"openDeliveries": "many"})
    assert wrong.status_code == 422
    assert "must be a whole number" in wrong.text
    assert (await post(operator, path, now | {"retentionDays": "0"})).status_code == 422
    assert (await post(operator, path, now | {"endpoints": ""})).status_code == 303
    assert not web.server.services.accounts.find(account_id).account.limits.endpoints
    assert (await post(operator, path + "/suspend", {"suspended": "true"})).status_code == 303
    assert web.server.services.accounts.find(account_id).account.suspended
    assert (await post(operator, path + "/suspend", {"suspended": "false"})).status_code == 303
    assert not web.server.services.accounts.find(account_id).account.suspended
    assert (await post(operator, path + "/delete", {"confirm": "customer"})).status_code == 422
    assert not web.server.services.accounts.find(account_id).account.deleted_ms
    assert (await post(operator, path + "/delete", {"confirm": "Customer"})).status_code == 303
    assert web.server.services.accounts.find(account_id).account.deleted_ms


async def test_the_link_for_another_product_opens_that_account_alone(web: Running, operator: httpx.AsyncClient) -> None:
    team, others = await make_team(web), await make_team(web, "Others")
    page = await post(operator, f"/accounts/{team.account.account.id}/sign-in-link", {"role": "viewer"})
    link = re.search(r"/link/([\w-]+)", page.text)
    assert link
    async with visitor(web) as guest:
        assert (await post(guest, f"/link/{link[1]}")).status_code == 303
        assert (await guest.get(team.path)).status_code == 200
        assert (await guest.get(others.path)).status_code in (403, 404)
        assert (await guest.get(f"{team.path}/team")).status_code == 403


async def test_beyond_fifty_accounts_the_switcher_leads_to_the_list(web: Running, operator: httpx.AsyncClient) -> None:
    for at in range(51):
        await make_account(web, f"Customer {at:02}")
    page = (await operator.get("/accounts")).text
    assert "All accounts" in page
    assert page.count('/choose"') == 50
    assert "Customer 50" in (await operator.get("/accounts?q=customer+50")).text
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as viewer:
        assert "All accounts" not in (await viewer.get(team.path)).text
