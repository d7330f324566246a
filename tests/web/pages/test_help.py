"""Help says what the public document says; the support bundle holds nothing that it should not."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sources.whatsapp.cloud import SECRET, escaped, incoming, message, signed
from tests.web.people import ACTOR, make_operator, make_team, sign_in, visitor
from tests.web.running import Running, running
from whatsync.config import SETTINGS
from whatsync.model.account_form import AlertsForm, SettingsForm
from whatsync.model.catalogue import CATALOGUE
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.source import NewNumberForm, SourceForm
from whatsync.model.user import Role

NUMBER, PERSON = "700000000000077", "491700000077"
SENTENCES = (
    "Setting up webhooks",
    "Reliable delivery",
    "message.incoming",
    "message.status",
    "contact.update",
    "media.upload",
    "Triggered when a new message is received from a contact.",
    "Always verify webhook signatures",
    "crypto.timingSafeEqual",
    "Respond quickly",
    "Handle retries",
    "Verify signatures",
    "Monitor Webhook History",
    "Need help?",
    "Contact Support",
)


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    server = running(
        tmp_path,
        in_memory=False,
        WHATSYNC_SMTP_URL="smtp://mailer:mail-password@127.0.0.1:2525",
        WHATSYNC_MAIL_FROM="alerts@sender.example",
        WHATSYNC_SUPPORT_URL="https://support.example/webhooks",
        WHATSYNC_PUBLIC_URL="https://hooks.customer.example",
        WHATSYNC_ENCRYPTION_KEY="encryption-key-of-the-test-0123456789",
        WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8",
    )
    async with server as started:
        yield started


async def test_help_says_what_the_public_document_says(web: Running) -> None:
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        page = (await client.get(f"{team.path}/help")).text
        outside = (await client.get("/help")).text
    for words in SENTENCES:
        assert words in page, words
        assert words in outside, words
    assert 'href="https://support.example/webhooks"' in page
    assert "msg_123456789" in page
    assert "support-bundle" not in page
    for one in list(CATALOGUE)[:4]:
        assert f"{team.path}/event-types/{one}" in page


async def test_without_a_support_address_the_operators_are_named(tmp_path: Path) -> None:
    async with running(tmp_path) as plain:
        team = await make_team(plain)
        async with visitor(plain, await sign_in(plain, team.users[Role.VIEWER])) as client:
            assert "Ask whoever runs this installation" in (await client.get(f"{team.path}/help")).text
            operator = await make_operator(plain, "boss@example.com")
            assert f'href="mailto:{operator.email}"' in (await client.get(f"{team.path}/help")).text


@pytest.mark.parametrize(
    ("setting", "link", "words"),
    [
        ("help@example.com", "mailto:help@example.com", "help@example.com"),
        ("mailto:a%2Bb@example.com?subject=Webhooks", "mailto:a%2Bb@example.com?subject=Webhooks", "a+b@example.com"),
    ],
)
async def test_a_mail_address_for_support_can_be_followed_wherever_it_stands(
    tmp_path: Path, setting: str, link: str, words: str
) -> None:
    async with running(tmp_path, WHATSYNC_SUPPORT_URL=setting) as started:
        team = await make_team(started)
        async with visitor(started) as stranger:
            door, lost = await stranger.get("/sign-in"), await stranger.get("/sign-in/links/no-such-link")
        async with visitor(started, await sign_in(started, team.users[Role.VIEWER])) as client:
            told, missing = await client.get(f"{team.path}/help"), await client.get(f"{team.path}/endpoints/ep_none")
    assert (door.status_code, told.status_code) == (200, 200)
    assert (lost.status_code, missing.status_code) == (404, 404)
    for page in (door, lost, missing, told):
        assert f'href="{link}"' in page.text, page.url
    assert f" at {words}</span>" in told.text


async def test_only_operators_are_told_how_another_product_shows_it(web: Running) -> None:
    team = await make_team(web)
    leads = f'href="/accounts/{team.account.account.id}#embed"'
    for user, told in ((await make_operator(web), True), (team.users[Role.OWNER], False)):
        async with visitor(web, await sign_in(web, user)) as client:
            assert (leads in (await client.get(f"{team.path}/help")).text) is told
            if told:
                page = (await client.get(f"/accounts/{team.account.account.id}")).text
                assert 'id="embed"' in page
                assert "WHATSYNC_EMBED_ORIGINS" in page


async def test_the_bundle_holds_no_secret_no_text_no_phone_and_no_message(web: Running) -> None:
    services, team = web.server.services, await make_team(web, "Name of the customer")
    account = team.account
    source = await services.sources.create(
        SourceForm(name="Secret project app", app_secret=SECRET, access_token="EAAB-graph-token"), ACTOR
    )
    number = NewNumberForm(
        phone_number_id=NUMBER,
        source=source.source.id,
        account=account.account.id,
        name="Hotline",
        access_token="EAAB-own",
    )
    await services.numbers.create(number, ACTOR)
    alerts = AlertsForm(emails=["pager@customer.example"], url="https://chat.example/hooks/chat-secret")
    await services.accounts.patch(account, SettingsForm(alerts=alerts), ACTOR)
    form = EndpointForm(
        url="http://127.0.0.1:1/path-token?key=query-token",
        events=["*"],
        description="Description of Ada",
        headers={"x-api": "header-secret"},
        numbers=[NUMBER],
        filters={"message.incoming": {"from": [f"+{PERSON}"]}},
        retry_schedule=[],
        secret="whsec_" + "QUJD" * 10,
    )
    made = await services.endpoints.create(account, form, ACTOR)
    key = await services.keys.create(account, "Key of Grace", [next(iter(web.first.account_key.key.scopes))], ACTOR)
    raw = escaped(
        incoming(message("wamid.PRIVATE", person=PERSON, text={"body": "My password is swordfish"}), number=NUMBER)
    )
    door = f"/sources/whatsapp/{source.source.id}"
    assert (await web.client.post(door, content=raw, headers=signed(raw))).status_code == 200
    events = await services.history.find(account.row, ["wamid:wamid.PRIVATE"], 5)
    assert events
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        answer = await client.get(f"{team.path}/help/support-bundle")
    assert answer.headers["content-disposition"] == 'attachment; filename="whatsync-support.json"'
    bundle = json.loads(answer.text)
    assert bundle["account"]["endpoints"] == 1
    assert bundle["endpoints"][0]["id"] == made.running.endpoint.id
    assert {one["name"] for one in bundle["settings"]} == {setting.name for setting in SETTINGS}
    private = [
        *("mail-password", "sender.example", "encryption-key", "customer.example", "support.example"),
        *(SECRET, "EAAB", "chat-secret", "chat.example", "pager", "path-token", "query-token", "header-secret", "QUJD"),
        *(key.secret, key.key.hash, key.key.hint, "Grace", "Ada", "Hotline", "Secret project", "Name of the customer"),
        *(PERSON, PERSON[2:], NUMBER, "swordfish", "wamid", "15550100200", events[0].id, "msg_", "contact_", "dlv_"),
        *(account.keyring.secrets.current, source.verify_token, web.account_key, web.operator_key),
        *(user.email for user in team.users.values()),
        str(web.server.config.data_dir),
    ]
    found = [words for words in private if words in answer.text]
    assert not found


async def test_the_bundle_counts_how_deliveries_failed(web: Running) -> None:
    services, team = web.server.services, await make_team(web)
    form = EndpointForm(url="http://127.0.0.1:1/hook", events=["*"], retry_schedule=[])
    made = await services.endpoints.create(team.account, form, ACTOR)
    source = await services.sources.create(SourceForm(name="App", app_secret=SECRET), ACTOR)
    await services.numbers.create(
        NewNumberForm(phone_number_id=NUMBER, source=source.source.id, account=team.account.account.id), ACTOR
    )
    raw = escaped(incoming(message("wamid.failing"), number=NUMBER))
    await web.client.post(f"/sources/whatsapp/{source.source.id}", content=raw, headers=signed(raw))
    await services.dispatcher.stop(2)
    async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as client:
        bundle = (await client.get(f"{team.path}/help/support-bundle")).json()
    assert {(one["endpoint"], one["code"]) for one in bundle["lastFailures"]} == {
        (made.running.endpoint.id, "connection_refused")
    }
