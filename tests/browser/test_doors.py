"""Signing in, links, the profile and failures, as people see them."""

from pathlib import Path

from playwright.async_api import expect

from tests.browser.dashboard import PHONE, Dashboard, assert_accessible
from tests.web.running import running
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.user import Role

PASSWORD = "correct horse battery"


async def test_the_first_start_leads_to_the_dashboard(dashboard: Dashboard, tmp_path: Path) -> None:
    async with running(tmp_path) as web:  # where nobody has been yet
        await first_start(Dashboard(web, dashboard.browser, dashboard.shots))


async def first_start(dashboard: Dashboard) -> None:
    link = await dashboard.web.server.services.links.make_first("test")
    async with dashboard.open(link.path) as page:
        await assert_accessible(page)
        await dashboard.shoot(page, "first-start")
        await page.get_by_label("Mail address").fill("first@example.com")
        await page.get_by_label("New password").fill("short")
        await page.get_by_role("button", name="Begin").click()
        await expect(page.get_by_text("must have at least 10 characters")).to_be_visible()
        await expect(page.get_by_role("alert")).to_be_focused()
        await assert_accessible(page)
        await dashboard.shoot(page, "first-start-wrong")
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_role("button", name="Begin").click()
        await expect(page.get_by_text("Welcome. You are signed in.")).to_be_visible()
        await page.get_by_role("button", name="Dismiss").click()
        await expect(page.get_by_text("Welcome. You are signed in.")).to_have_count(0)
        await page.goto(link.path)
        await expect(page.get_by_role("heading", name="This link does nothing")).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "dead-link")


async def test_signing_in_and_out(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    user = team.users[Role.OWNER]
    made = await dashboard.web.server.services.links.make_for(user, "test")
    async with dashboard.open(made.path) as page:
        await expect(page.get_by_text(user.email)).to_be_visible()
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_role("button", name="Join").click()
        await expect(page.get_by_role("heading", name="Example Ltd")).to_be_visible()
        await page.get_by_label("Your menu").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_text("You are signed out.")).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "sign-in")
        await page.goto(team.path)
        await page.get_by_label("Mail address").fill(user.email.upper())
        await page.get_by_label("Password", exact=True).fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("mail address or password is wrong")).to_be_visible()
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(f"{dashboard.origin}{team.path}")


async def test_everything_works_without_scripts(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    made = await dashboard.web.server.services.links.make_for(team.users[Role.VIEWER], "test")
    async with dashboard.open(made.path, scripts=False) as page:
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_role("button", name="Join").click()
        await expect(page.get_by_role("heading", name="Example Ltd")).to_be_visible()
        await page.get_by_label("Your menu").click()
        await page.get_by_role("link", name="Your profile").click()
        await expect(page.get_by_text("this one")).to_be_visible()
        await page.get_by_label("Your menu").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_the_profile(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    user = team.users[Role.DEVELOPER]
    await dashboard.token(Role.DEVELOPER, team)
    async with dashboard.open("/profile", Role.DEVELOPER, team) as page:
        await expect(page.get_by_role("heading", name="Your profile")).to_be_visible()
        await expect(page.get_by_role("row", name="Example Ltd")).to_contain_text("developer")
        await assert_accessible(page)
        await dashboard.shoot(page, "profile")
        await page.get_by_role("button", name="Sign out", exact=True).last.click()
        await expect(page.get_by_text("That browser is signed out.")).to_be_visible()
    assert len(dashboard.web.server.services.sessions.of(user.id)) == 1


async def test_light_and_dark_are_remembered(dashboard: Dashboard) -> None:
    async with dashboard.open("/sign-in") as page:
        await page.get_by_role("button", name="Dark").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.goto("/sign-in")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.get_by_role("button", name="System").click()
        await expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")


async def test_an_embedded_visit_opens_by_itself_and_shows_no_navigation(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    made = await dashboard.web.server.services.links.make_embedded(team.account, Role.SUPPORT, "test")
    async with dashboard.open(made.path) as page:
        await expect(page.get_by_role("heading", name="Example Ltd")).to_be_visible()
        await expect(page.locator(".side")).to_have_count(0)
        await assert_accessible(page)
        await dashboard.shoot(page, "embedded")


async def test_another_products_user_edits_an_endpoint(dashboard: Dashboard) -> None:
    """The operator's key asks for a link, the other product's page leads to it, and Configuration works inside."""
    team, web = await dashboard.team(), dashboard.web
    services = web.server.services
    made = await services.endpoints.create(
        team.account, EndpointForm(url="https://8.8.8.8/hook", events=["message.status"]), "test"
    )
    path = f"/v1/accounts/{team.account.account.id}/sign-in-link"
    link = (await web.call("POST", path, key=web.operator_key, json={"role": "developer"})).json()["url"]
    product = f'<a id="open" href="{link}">Webhooks</a>'
    async with dashboard.open(who=None) as page:
        await page.set_content(product)
        await page.click("#open")
        await expect(page.get_by_role("heading", name="Example Ltd")).to_be_visible()
        await page.get_by_role("link", name="Webhooks", exact=True).click()
        await page.get_by_role("link", name="8.8.8.8/hook").first.click()
        await page.get_by_role("link", name="Settings").click()
        await assert_accessible(page)
        await dashboard.shoot(page, "embedded-edit")
        await page.get_by_label("Description").fill("Shop")
        await page.get_by_role("checkbox", name="message.incoming").check()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("heading", name="Shop")).to_be_visible()
        for closed in ("/team", "/keys", "/audit"):
            answer = await page.goto(team.path + closed)
            assert answer is not None
            assert answer.status in (403, 404)
    endpoint = services.endpoints.find(team.account, made.running.endpoint.id).endpoint
    assert (endpoint.description, set(endpoint.events)) == ("Shop", {"message.status", "message.incoming"})
    entries = await services.history.audit(team.account.row, None, 10)
    assert any(entry.action == "endpoint.changed" and entry.actor.startswith("embedded:") for entry in entries)


async def test_home_and_the_phones_navigation(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with dashboard.open("/", Role.OWNER, team) as page:
        await expect(page.get_by_role("heading", name="Example Ltd")).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "home")
        await page.set_viewport_size(PHONE)
        await expect(page.get_by_role("navigation", name="Main")).to_be_hidden()
        await page.get_by_role("button", name="Menu").click()
        await expect(page.get_by_role("navigation", name="Main")).to_be_visible()
        await page.get_by_role("link", name="Overview").click()
        await expect(page.get_by_role("navigation", name="Main")).to_be_hidden()


async def test_failures_lead_on(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with dashboard.open("/a/acc_nothing", Role.VIEWER, team) as page:
        await expect(page.get_by_text("404 Not Found")).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "not-found")
        await page.get_by_role("link", name="Go to the start").click()
        await expect(page.get_by_role("heading", name="Example Ltd")).to_be_visible()
