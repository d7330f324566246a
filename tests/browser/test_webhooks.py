"""Webhooks Configuration as people use it: to a verified delivery, editing, rotating, pausing, recovering."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import Page, expect

from tests.browser.dashboard import PATIENCE_MS, Dashboard, assert_accessible
from tests.web.people import Team
from whatsync.engine.endpoints import EndpointFacts
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.user import Role

BODY = b'{"event":"message.status","data":{"messageId":"msg_1","status":"read"}}'


@dataclass
class Verifier:
    """A receiver written from the public example: one secret, the whole header compared, 401 on a mismatch."""

    port: int = 0
    secret: str = ""
    down: int = 0
    """A status to answer whatever comes."""
    accepted: list[bytes] = field(default_factory=list)
    refused: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/whatsync"

    def answer(self, signature: str, body: bytes) -> int:
        """The status for one request."""
        if self.down:
            return self.down
        wanted = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, wanted):
            self.refused += 1
            return 401
        self.accepted.append(body)
        return 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n"))
                }
                body = await reader.readexactly(int(headers["content-length"]))
                status = self.answer(headers["x-whatssync-signature"], body)
                text = b"OK" if status == 200 else b"Invalid signature"
                writer.write(b"HTTP/1.1 %d Told\r\nContent-Length: %d\r\n\r\n%s" % (status, len(text), text))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def verifying(secret: str = "") -> AsyncIterator[Verifier]:
    """A verifying receiver that listens while the block runs."""
    verifier = Verifier(secret=secret)
    server = await asyncio.start_server(verifier.serve, "127.0.0.1", 0)
    verifier.port = server.sockets[0].getsockname()[1]
    try:
        yield verifier
    finally:
        server.close()


async def add(dashboard: Dashboard, team: Team, url: str, **fields: object) -> EndpointFacts:
    """An endpoint made without the browser."""
    form = EndpointForm(url=url, **{"events": ["*"], **fields})  # type: ignore[arg-type]
    return await dashboard.web.server.services.endpoints.create(team.account, form, "test")


async def secret_of(page: Page) -> str:
    """What the page shows as the secret."""
    await page.get_by_role("button", name="Show", exact=True).click()
    return (await page.locator("#secret-text").inner_text()).strip()


async def test_from_the_first_page_to_a_verified_delivery(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with verifying() as receiver, dashboard.open(team.path, Role.DEVELOPER, team) as page:
        await page.get_by_role("link", name="Webhooks").first.click()
        await expect(page.get_by_role("heading", name="Your first delivery, in three steps")).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "webhooks-first")
        await page.get_by_role("textbox", name="URL", exact=True).fill("http://10.0.0.1/hook")
        await expect(page.locator("#url-advice")).to_contain_text("10.0.0.1 is a private address")
        await page.get_by_role("textbox", name="URL", exact=True).fill(receiver.url)
        await expect(page.locator("#url-advice")).to_contain_text("on WhatsSync’s own machine")
        await page.get_by_role("button", name="Add endpoint").click()
        await expect(page.get_by_role("heading", name="Now try it")).to_be_visible()
        await expect(page.locator("#code pre")).to_contain_text("'/hooks/whatsync'")
        await assert_accessible(page)
        await dashboard.shoot(page, "endpoint-new")
        await page.get_by_role("button", name="Send test").click()
        await expect(page.get_by_text("usually the signature check failed")).to_be_visible()
        await page.get_by_role("link", name="show or rotate").click()
        receiver.secret = await secret_of(page)
        assert receiver.secret == team.account.keyring.secrets.current
        await page.go_back()
        await page.get_by_role("button", name="Send test").click()
        await expect(page.locator(".test-verdict")).to_contain_text("Delivered")
        await expect(page.locator(".exchange")).to_contain_text("X-WhatsSync-Test: true")
        await expect(page.locator(".exchange")).to_contain_text("HTTP 200")
        await page.get_by_role("button", name="Check signatures").click()
        await expect(page.locator(".test-verdict")).to_contain_text("Verified")
        await expect(page.locator(".test-verdict")).to_be_focused()
        await assert_accessible(page)
        await dashboard.shoot(page, "endpoint-verified")
    assert len(receiver.accepted) == 2
    assert receiver.refused == 2


async def test_a_receiver_that_checks_nothing_is_found_out(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with verifying() as receiver:
        receiver.down = 204
        facts = await add(dashboard, team, receiver.url)
        path = f"{team.path}/webhooks/{facts.running.endpoint.id}"
        async with dashboard.open(path, Role.DEVELOPER, team, scripts=False) as page:
            await page.get_by_role("button", name="Check signatures").click()
            await expect(page.locator(".test-verdict")).to_contain_text("a forged request was accepted too")
            await expect(page.locator(".exchange")).to_have_count(2)


async def test_an_endpoint_is_made_with_everything_and_edited(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with verifying() as receiver, dashboard.open(f"{team.path}/webhooks/new", Role.DEVELOPER, team) as page:
        await page.get_by_role("textbox", name="URL", exact=True).fill("https://")
        await page.get_by_role("button", name="Add endpoint").click()
        await expect(page.get_by_role("alert")).to_be_focused()
        await expect(page.locator("#url-error")).to_contain_text("has no host name")
        await page.get_by_role("textbox", name="URL", exact=True).fill(receiver.url)
        await page.get_by_label("Description").fill("Orders of the shop")
        await page.get_by_role("checkbox", name="contact.update").uncheck()
        await page.get_by_text("Only events whose fields").click()
        await page.locator("summary", has_text="messageId, status").click()
        await page.get_by_role("checkbox", name="failed", exact=True).check()
        await page.get_by_text("With what WhatsApp said").click()
        await page.get_by_label("With WhatsApp details").check()
        await page.get_by_text("Your own, such as Authorization").click()
        await page.get_by_label("Name of header 1").fill("Authorization")
        await page.get_by_label("Value of header 1").fill("Bearer of-the-shop")
        await page.get_by_text("When a failed delivery is tried again").click()
        await page.get_by_label("On a schedule of its own").check()
        await page.get_by_label("Waits after the first try").fill("5s,30s,2x")
        await expect(page.locator("#schedule-preview")).to_contain_text("'2x' is not a wait")
        await page.get_by_label("Waits after the first try").fill("5s,30s,2m")
        await expect(page.locator("#schedule-preview")).to_contain_text("4 tries over 2 min")
        await page.get_by_label("Timeout in seconds").fill("soon")
        await page.get_by_text("How much at once").click()
        await page.get_by_label("Keep the order per contact").check()
        await dashboard.shoot(page, "endpoint-form")
        await assert_accessible(page)
        await page.get_by_role("button", name="Add endpoint").click()
        await expect(page.locator("#timeoutSeconds-error")).to_contain_text("must be a number of seconds")
        await page.get_by_label("Timeout in seconds").fill("10")
        await page.get_by_role("button", name="Add endpoint").click()
        await expect(page.get_by_role("heading", name="Orders of the shop")).to_be_visible()
        await expect(page.get_by_text("message.status: status is failed")).to_be_visible()
        await page.get_by_role("link", name="Settings").click()
        await expect(page.get_by_label("Name of header 1")).to_have_value("Authorization")
        await expect(page.get_by_label("Value of header 1")).to_have_value("")
        assert "of-the-shop" not in await page.content()
        await page.get_by_label("Description").fill("Orders")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("It counts from the next request on.")).to_be_visible()
    endpoint = next(iter(team.account.endpoints.values()))
    assert endpoint.headers == {"Authorization": "Bearer of-the-shop"}
    assert list(endpoint.endpoint.retry_schedule or ()) == [5, 30, 120]
    assert endpoint.endpoint.filters == {"message.status": {"status": ("failed",)}}
    assert (endpoint.endpoint.include_details, endpoint.endpoint.ordering.value) == (True, "contact")
    assert endpoint.endpoint.events == ("message.incoming", "message.status", "media.upload")
    assert (endpoint.endpoint.timeout_seconds, endpoint.endpoint.description) == (10, "Orders")


async def test_who_saves_second_is_asked(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    facts = await add(dashboard, team, "http://127.0.0.1:9/hook")
    path = f"{team.path}/webhooks/{facts.running.endpoint.id}/edit"
    async with dashboard.open(path, Role.DEVELOPER, team) as page:
        form = EndpointForm(timeout_seconds=3)
        await dashboard.web.server.services.endpoints.patch(team.account, facts.running.endpoint.id, form, "another")
        await page.get_by_label("Description").fill("Mine")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("changed this endpoint meanwhile: timeout")
        await expect(page.get_by_label("Description")).to_have_value("Mine")
        await dashboard.shoot(page, "endpoint-conflict")
        await assert_accessible(page)
        await page.get_by_role("button", name="Save mine over it").click()
        await expect(page.get_by_role("heading", name="Mine")).to_be_visible()


async def test_pausing_holds_and_enabling_sends(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    services = dashboard.web.server.services
    async with verifying(team.account.keyring.secrets.current) as receiver:
        facts = await add(dashboard, team, receiver.url, description="Shop")
        path = f"{team.path}/webhooks/{facts.running.endpoint.id}"
        async with dashboard.open(path, Role.DEVELOPER, team) as page:
            await page.get_by_role("button", name="Pause").click()
            await expect(page.get_by_role("dialog")).to_contain_text("what comes meanwhile is kept as events")
            await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
            await expect(page.get_by_text("Paused. What waited is held")).to_be_visible()
            await services.ingest.accept(team.account, BODY)
            await page.reload()
            await expect(page.locator("#standing")).to_contain_text("Paused")
            await assert_accessible(page)
            await dashboard.shoot(page, "endpoint-paused")
            await page.get_by_role("button", name="Enable").click()
            await dashboard.shoot(page, "endpoint-enable")
            await page.get_by_role("dialog").get_by_role("button", name="Enable").click()
            await expect(page.get_by_text("Enabled.")).to_be_visible()
            await expect(page.locator("#standing")).to_contain_text("Healthy")
            await _until(lambda: bool(receiver.accepted))
            await page.get_by_role("button", name="Delete").click()
            await page.get_by_role("dialog").get_by_role("button", name="Delete endpoint").click()
            await expect(page.get_by_text("The endpoint is deleted.")).to_be_visible()
    assert not team.account.endpoints


async def test_a_failing_endpoint_says_what_to_do_and_is_recovered(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    services = dashboard.web.server.services
    async with verifying(team.account.keyring.secrets.current) as receiver:
        receiver.down = 500
        facts = await add(dashboard, team, receiver.url, description="Shop")
        healthy = await add(dashboard, team, "http://127.0.0.1:9/other?tenant=a-long-one", events=["message.incoming"])
        path = f"{team.path}/webhooks/{facts.running.endpoint.id}"
        await services.ingest.accept(team.account, BODY)
        async with dashboard.open(path, Role.DEVELOPER, team) as page:
            await expect(page.locator("#standing")).to_contain_text("Failing")
            await expect(page.locator("#standing")).to_contain_text("http_500")
            await page.reload()
            await assert_accessible(page)
            await dashboard.shoot(page, "endpoint-failing")
            await page.goto(f"{team.path}/webhooks")
            await expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "webhooks")
            await page.get_by_role("link", name="Endpoints", exact=True).click()
            await page.get_by_label("Search").fill("tenant=a")
            await expect(page.get_by_text("1 endpoint found")).to_be_visible()
            await page.get_by_label("Search").fill("")
            await expect(page.get_by_text("2 endpoints found")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "endpoints")
            receiver.down = 0
            await page.goto(f"{path}/recover")
            await page.get_by_text("From a time of your own").click()
            await page.get_by_role("textbox", name="Since").fill("2026-01-02T03:04:05")
            await page.get_by_role("button", name="Show what would be done").click()
            await expect(page.locator("#preview")).to_contain_text("1 delivery goes to")
            await expect(page.locator("#preview time").first).to_have_attribute("datetime", "2026-01-02T03:04:05.000Z")
            await assert_accessible(page)
            await dashboard.shoot(page, "endpoint-recover")
            await page.get_by_role("button", name="Recover now").click()
            await expect(page.locator(".recovery-job")).to_contain_text("Recovered: 1 done")
            await expect(page.locator("#standing")).to_contain_text("Healthy")
    assert receiver.accepted
    assert healthy.running.endpoint.enabled


async def test_a_secret_is_rotated_without_losing_a_request(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    services = dashboard.web.server.services
    old = team.account.keyring.secrets.current
    async with verifying(old) as receiver:
        await add(dashboard, team, receiver.url)
        async with dashboard.open(f"{team.path}/webhooks/secret", Role.DEVELOPER, team) as page:
            await expect(page.get_by_text("whsec_••••")).to_be_visible()
            assert old not in await page.content()
            await assert_accessible(page)
            await dashboard.shoot(page, "secret-hidden")
            assert await secret_of(page) == old
            await page.get_by_text("without losing a request").click()
            await dashboard.shoot(page, "secret-rotate")
            await page.get_by_role("button", name="Make a new secret").click()
            await expect(page.get_by_text("The new secret is made.")).to_be_visible()
            new = (await page.locator("#secret-text").inner_text()).strip()
            assert new == team.account.keyring.secrets.current != old
            await page.get_by_role("button", name="Test with the new secret").click()
            await expect(page.locator(".brief")).to_contain_text("401")
            receiver.secret = new
            await page.get_by_role("button", name="Test with the new secret").click()
            await expect(page.locator(".brief")).to_contain_text("accepts the new secret")
            await assert_accessible(page)
            await dashboard.shoot(page, "secret-rotating")
            receiver.secret = old
            await services.ingest.accept(team.account, BODY)
            await _until(lambda: bool(receiver.accepted))
            receiver.secret = new
            await page.get_by_role("button", name="Switch to the new secret").click()
            await page.get_by_role("dialog").get_by_role("button", name="Switch").click()
            await expect(page.get_by_text("Switched: X-WhatsSync-Signature")).to_be_visible()
            refused = receiver.refused
            await services.ingest.accept(team.account, BODY)
            await _until(lambda: len(receiver.accepted) == 3)
            assert receiver.refused == refused
            await page.get_by_role("link", name="Look again").click()
            await expect(page.get_by_role("heading", name="Answers since the switch")).to_be_visible()
            await dashboard.shoot(page, "secret-switched")
            await page.get_by_role("button", name="Replace it at once").click()
            await page.get_by_role("dialog").get_by_role("button", name="Replace at once").click()
            await expect(page.get_by_text("It counts from now on.")).to_be_visible()
    assert team.account.keyring.secrets.previous is None
    assert team.account.keyring.secrets.current not in (old, new)


async def _until(true: Callable[[], bool]) -> None:
    """Wait for something that the receiver will see soon."""
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while not true():  # noqa: ASYNC110 - the receiver has no event to wait for
            await asyncio.sleep(0.02)


async def test_who_may_only_look_sees_no_buttons_and_no_secret(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    facts = await add(dashboard, team, "http://127.0.0.1:9/hook", headers={"X-Token": "hidden-value"})
    path = f"{team.path}/webhooks/{facts.running.endpoint.id}"
    async with dashboard.open(path, Role.SUPPORT, team) as page:
        await expect(page.get_by_role("heading", name="127.0.0.1:9")).to_be_visible()
        for name in ("Pause", "Delete", "Send test", "Check signatures"):
            await expect(page.get_by_role("button", name=name)).to_have_count(0)
        await expect(page.get_by_role("link", name="Signing secret")).to_have_count(0)
        assert "hidden-value" not in await page.content()
        await assert_accessible(page)
        await page.goto(f"{team.path}/webhooks/secret")
        await expect(page.get_by_text("this needs the role developer", exact=False)).to_be_visible()
