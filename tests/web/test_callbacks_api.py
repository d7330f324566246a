"""The callback over real sockets: Meta's challenge, proof before anything else, and no body that makes a 500."""

import asyncio
import gzip
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE_SECONDS
from tests.sources.whatsapp.cloud import (
    DISPLAY,
    NUMBER,
    PERSON,
    SECRET,
    body,
    change,
    escaped,
    incoming,
    message,
    signed,
    value,
)
from tests.sources.whatsapp.kinds import BATCH, BODIES
from tests.web.receiver import receiving
from tests.web.running import Running, running
from whatsync.model.ids import message_id
from whatsync.sources.whatsapp import signature
from whatsync.sources.whatsapp.signature import sign

PUBLIC = "https://hooks.example.com"


class Meta:
    """Meta, as far as a server can tell."""

    def __init__(self, server: Running, source: str, token: str) -> None:
        self.server = server
        self.path = f"/sources/whatsapp/{source}"
        self.source = source
        self.token = token

    async def post(self, raw: bytes, **headers: str) -> httpx.Response:
        given = signed(raw) | {name.replace("_", "-"): text for name, text in headers.items()}
        return await self.server.client.post(self.path, content=raw, headers=given)

    async def operator(self, method: str, path: str, json: object = None) -> httpx.Response:
        return await self.server.call(method, path, key=self.server.operator_key, json=json)

    async def event_ids(self) -> list[str]:
        events = (await self.server.call("GET", "/v1/events")).json()["items"]
        return [event["id"] for event in events]


@pytest.fixture
async def meta(tmp_path: Path) -> AsyncIterator[Meta]:
    async with running(tmp_path, WHATSYNC_PUBLIC_URL=PUBLIC) as server:
        account = (await server.call("GET", "/v1/account")).json()["id"]
        form = {"name": "Shop's app", "appSecret": SECRET, "account": account}
        made = await server.call("POST", "/v1/sources", key=server.operator_key, json=form)
        assert made.status_code == 201, made.text
        source = made.json()
        assert source["callbackUrl"] == f"{PUBLIC}/sources/whatsapp/{source['id']}"
        meta = Meta(server, source["id"], source["verifyToken"])
        number = {"phoneNumberId": NUMBER, "source": source["id"], "account": account}
        assert (await meta.operator("POST", "/v1/numbers", number)).status_code == 201
        yield meta


async def test_the_challenge_is_given_back_as_it_is(meta: Meta) -> None:
    asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": meta.token}
    answer = await meta.server.client.get(meta.path, params=asked)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("change_of", "status"),
    [
        ({"hub.verify_token": "wrong"}, 403),
        ({"hub.verify_token": ""}, 403),
        ({"hub.mode": "unsubscribe"}, 400),
        ({"hub.challenge": None}, 400),
        ({"hub.verify_token": None}, 400),
    ],
)
async def test_a_wrong_challenge_is_refused(meta: Meta, change_of: dict[str, str | None], status: int) -> None:
    asked = {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": meta.token} | change_of
    params = {name: text for name, text in asked.items() if text is not None}
    assert (await meta.server.client.get(meta.path, params=params)).status_code == status


async def test_an_unknown_source_is_not_found(meta: Meta) -> None:
    raw = escaped(BODIES["text"])
    for path in ("/sources/whatsapp/src_unknown", "/sources/whatsapp/x%2F..%2Fy"):
        assert (await meta.server.client.post(path, content=raw, headers=signed(raw))).status_code == 404
        assert (await meta.server.client.get(path)).status_code == 404


async def test_a_signed_body_becomes_an_event(meta: Meta) -> None:
    answer = await meta.post(escaped(incoming(message(text={"body": "Grüße 😊 /50%"}))))
    assert (answer.status_code, answer.text) == (200, "OK")
    event = (await meta.server.call("GET", f"/v1/events/{message_id(NUMBER, 'wamid.one')}")).json()
    assert event["data"]["text"] == "Grüße 😊 /50%"
    assert event["data"]["to"] == "+" + DISPLAY


async def test_what_is_not_signed_is_refused_and_not_stored(meta: Meta) -> None:
    raw = escaped(BODIES["text"])
    wrong = [
        {},
        signed(raw, "x" * 32),
        signed(raw + b" "),
        {"x-hub-signature-256": "sha256=zz"},
        {"x-hub-signature": "1"},
    ]
    for headers in wrong:
        answer = await meta.server.client.post(meta.path, content=raw, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_signature")
    assert all(event.startswith("evt_rejected_") for event in await meta.event_ids())
    facts = (await meta.operator("GET", f"/v1/sources/{meta.source}")).json()["facts"]
    assert (facts["rejected"], facts["webhooks"], facts["lastWebhookAt"]) == (5, 0, None)
    assert (await meta.operator("GET", f"/v1/sources/{meta.source}/bodies")).json()["items"] == []


async def test_both_secrets_are_good_while_the_secret_is_changed(meta: Meta) -> None:
    new = "f" * 32
    patched = await meta.operator("PATCH", f"/v1/sources/{meta.source}", {"appSecret": new})
    assert patched.json()["previousSecretUntil"] is not None
    for at, secret in enumerate((SECRET, new)):
        raw = escaped(incoming(message(f"wamid.{at}")))
        answer = await meta.server.client.post(meta.path, content=raw, headers=signed(raw, secret))
        assert answer.status_code == 200
    await meta.operator("PATCH", f"/v1/sources/{meta.source}", {"appSecret": "e" * 32})
    raw = escaped(BODIES["text"])
    assert (await meta.server.client.post(meta.path, content=raw, headers=signed(raw))).status_code == 401


async def test_a_source_without_a_secret_takes_nothing(meta: Meta) -> None:
    made = (await meta.operator("POST", "/v1/sources", {"name": "Bare"})).json()
    raw = escaped(BODIES["text"])
    answer = await meta.server.client.post(f"/sources/whatsapp/{made['id']}", content=raw, headers=signed(raw, ""))
    assert (answer.status_code, answer.json()["code"]) == (401, "no_secret")


async def test_a_forwarder_proves_itself_by_password(meta: Meta) -> None:
    form = {"name": "Forwarder", "auth": "basic", "username": "ada", "password": "a-password"}
    made = (await meta.operator("POST", "/v1/sources", form)).json()
    path, raw = f"/sources/whatsapp/{made['id']}", escaped(BODIES["text"])
    for user, status in (("ada:a-password", 200), ("ada:other", 401)):
        headers = {"authorization": "Basic " + b64encode(user.encode()).decode()}
        assert (await meta.server.client.post(path, content=raw, headers=headers)).status_code == status
    assert (await meta.server.client.post(path, content=raw, headers=signed(raw))).status_code == 401


async def test_gzip_is_understood_whatever_was_signed(meta: Meta) -> None:
    for at, sign_packed in enumerate((True, False)):
        raw = escaped(incoming(message(f"wamid.{at}")))
        packed = gzip.compress(raw)
        headers = signed(packed if sign_packed else raw) | {"content-encoding": "gzip"}
        answer = await meta.server.client.post(meta.path, content=packed, headers=headers)
        assert answer.status_code == 200
        assert message_id(NUMBER, f"wamid.{at}") in await meta.event_ids()
    assert (await meta.post(b"no gzip", content_encoding="gzip")).status_code == 413
    bomb = gzip.compress(b"0" * 20_000_000)
    assert (await meta.post(bomb, content_encoding="gzip")).status_code == 413
    assert (await meta.post(b"{}", content_encoding="br")).status_code == 400


async def test_a_body_whose_characters_a_proxy_wrote_out_is_taken_as_it_was_signed(meta: Meta) -> None:
    raw = escaped(incoming(message(text={"body": "Grüße 😊"})))
    written_out = json.dumps(json.loads(raw), ensure_ascii=False, separators=(",", ":")).replace("/", "\\/").encode()
    assert written_out != raw
    codings: tuple[tuple[bytes, dict[str, str]], ...] = (
        (written_out, {}),
        (gzip.compress(written_out), {"content-encoding": "gzip"}),
    )
    for sent, coding in codings:
        answer = await meta.server.client.post(meta.path, content=sent, headers=signed(raw) | coding)
        assert answer.status_code == 200
    event = (await meta.server.call("GET", f"/v1/events/{message_id(NUMBER, 'wamid.one')}")).json()
    assert event["data"]["text"] == "Grüße 😊"
    changed = written_out.replace("Grüße".encode(), "Größe".encode())
    assert (await meta.server.client.post(meta.path, content=changed, headers=signed(raw))).status_code == 401


async def test_only_what_was_signed_is_read(meta: Meta) -> None:
    """The escaped form of a backslash before a written-out character is another text: that one was signed."""
    raw = escaped(incoming(message(text={"body": "a \\u00e4 b"})))
    other = raw.replace(b"\\\\u00e4", b"\\" + "ä".encode())
    assert other != raw
    assert (await meta.server.client.post(meta.path, content=other, headers=signed(raw))).status_code == 200
    event = (await meta.server.call("GET", f"/v1/events/{message_id(NUMBER, 'wamid.one')}")).json()
    assert event["data"]["text"] == "a \\u00e4 b"


async def test_nothing_is_unpacked_for_who_shows_no_proof(meta: Meta, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(signature, "unzipped", refuse)
    packed = gzip.compress(b"0" * 20_000_000)
    given: tuple[dict[str, str], ...] = ({}, {"x-hub-signature-256": "sha256=short"})
    for headers in given:
        coded = headers | {"content-encoding": "gzip"}
        assert (await meta.server.client.post(meta.path, content=packed, headers=coded)).status_code == 401


async def test_a_bomb_with_a_forged_signature_is_refused(meta: Meta) -> None:
    packed = gzip.compress(b"0" * 20_000_000)
    headers = signed(b"else") | {"content-encoding": "gzip"}
    assert (await meta.server.client.post(meta.path, content=packed, headers=headers)).status_code == 401


async def test_four_megabytes_are_taken_and_more_than_the_limit_is_not(meta: Meta) -> None:
    raw = escaped(incoming(message(text={"body": "small"}), message("wamid.big", blob="x" * 4_000_000)))
    assert (await meta.post(raw)).status_code == 200
    assert len(await meta.event_ids()) == 3
    assert (await meta.post(b"x" * (8 * 1024 * 1024 + 1))).status_code == 413


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 200_000, b'{"entry":' + b'{"a":' * 50_000, b"{}" * 2],
    ids=str,
)
async def test_signed_nonsense_is_kept_and_answered_with_200(meta: Meta, raw: bytes) -> None:
    assert (await meta.post(raw)).status_code == 200
    (row,) = (await meta.operator("GET", f"/v1/sources/{meta.source}/set-aside")).json()["items"]
    assert row["reason"] in {"not_json", "not_an_object", "not_a_list"}
    kept = await meta.operator("GET", f"/v1/sources/{meta.source}/bodies/{row['bodyId']}")
    assert kept.content == raw


async def test_every_kind_of_body_is_taken(meta: Meta) -> None:
    for name, given in BODIES.items():
        assert (await meta.post(escaped(given))).status_code == 200, name
    assert (await meta.post(escaped(BATCH))).status_code == 200
    reasons = (await meta.operator("GET", f"/v1/sources/{meta.source}/set-aside")).json()["items"]
    assert {row["reason"] for row in reasons} <= {"unassigned"}


async def test_an_unassigned_number_is_shown_assigned_and_processed(meta: Meta) -> None:
    await meta.operator("PATCH", f"/v1/sources/{meta.source}", {"account": None})
    raw = escaped(body(change(value("4711", messages=[message("wamid.x")]))))
    assert (await meta.post(raw)).status_code == 200
    await meta.server.server.services.numbers.noted()
    (number,) = (await meta.operator("GET", "/v1/all-numbers?assigned=false")).json()["items"]
    assert (number["phoneNumberId"], number["account"]) == ("4711", None)
    assert [one["phoneNumberId"] for one in (await meta.server.call("GET", "/v1/numbers")).json()["items"]] == [NUMBER]
    assert (await meta.server.call("GET", "/v1/numbers/4711")).status_code == 404
    account = (await meta.server.call("GET", "/v1/account")).json()["id"]
    assert (await meta.operator("PATCH", "/v1/numbers/4711", {"account": account})).status_code == 200
    await meta.server.server.services.reprocessing.done()
    assert message_id("4711", "wamid.x") in await meta.event_ids()
    assert (await meta.operator("GET", f"/v1/sources/{meta.source}/set-aside")).json()["items"] == []


async def test_a_body_can_be_processed_again_without_duplicates(meta: Meta) -> None:
    await meta.post(escaped(BODIES["text"]))
    before = await meta.event_ids()
    (kept,) = (await meta.operator("GET", f"/v1/sources/{meta.source}/bodies")).json()["items"]
    again = await meta.operator("POST", f"/v1/sources/{meta.source}/bodies/{kept['id']}/process")
    assert again.json() == {"bodies": 1, "events": 0, "setAside": 0, "more": False}
    await meta.post(b"{}")
    again = await meta.operator("POST", f"/v1/sources/{meta.source}/set-aside/process")
    assert again.json() == {"bodies": 1, "events": 0, "setAside": 1, "more": False}
    assert await meta.event_ids() == before
    for path in ("bodies/body_x", "bodies/body_0000000000000"):
        assert (await meta.operator("GET", f"/v1/sources/{meta.source}/{path}")).status_code == 404


async def test_many_connections_at_once_lose_nothing(meta: Meta) -> None:
    bodies = [escaped(incoming(message(f"wamid.{at}", person=f"4917{at % 7:08}"), contacts=[])) for at in range(150)]
    answers = await asyncio.gather(*(meta.post(raw) for raw in bodies + bodies[::2]))
    assert {answer.status_code for answer in answers} == {200}
    page = (await meta.server.call("GET", "/v1/events?event=message.incoming&limit=200")).json()["items"]
    assert len(page) == 150


# Who may do what


async def test_sources_are_the_operators_alone(meta: Meta) -> None:
    for method, path in (
        ("GET", "/v1/sources"),
        ("POST", "/v1/sources"),
        ("GET", f"/v1/sources/{meta.source}"),
        ("PATCH", f"/v1/sources/{meta.source}"),
        ("DELETE", f"/v1/sources/{meta.source}"),
        ("GET", f"/v1/sources/{meta.source}/bodies"),
        ("GET", f"/v1/sources/{meta.source}/set-aside"),
        ("POST", f"/v1/sources/{meta.source}/set-aside/process"),
        ("PATCH", f"/v1/numbers/{NUMBER}"),
        ("DELETE", f"/v1/numbers/{NUMBER}"),
        ("GET", "/v1/all-numbers"),
    ):
        answer = await meta.server.call(method, path, json={} if method in {"POST", "PATCH"} else None)
        assert answer.status_code == 403, path


async def test_secrets_are_never_shown(meta: Meta) -> None:
    form = {"accessToken": "EAAsecret-token", "auth": "basic", "username": "u", "password": "secret-password"}
    answers = [
        await meta.operator("PATCH", f"/v1/sources/{meta.source}", form),
        await meta.operator("GET", f"/v1/sources/{meta.source}"),
        await meta.operator("GET", "/v1/sources"),
        await meta.operator("PATCH", f"/v1/numbers/{NUMBER}", {"accessToken": "EAAother-token"}),
    ]
    for answer in answers:
        assert answer.status_code == 200
        for secret in (SECRET, "EAAsecret-token", "secret-password", "EAAother-token"):
            assert secret not in answer.text
    assert answers[0].json()["accessTokenSet"] is True
    assert meta.server.server.services.numbers.access_token(NUMBER) == "EAAother-token"
    assert meta.server.server.services.numbers.access_token("999") is None


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x", "appSecret": "short"}, "appSecret"),
        ({"name": "x", "accessToken": "has space"}, "accessToken"),
        ({"name": "x", "appId": "abc"}, "appId"),
        ({"name": "x", "apiVersion": "25"}, "apiVersion"),
        ({"name": "x", "auth": "basic"}, "username"),
        ({"name": "x", "account": "acc_unknown"}, "account"),
        ({"name": "x", "colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_source_names_its_field(meta: Meta, form: dict[str, object], field: str) -> None:
    answer = await meta.operator("POST", "/v1/sources", form)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


async def test_a_source_with_numbers_can_not_be_deleted(meta: Meta) -> None:
    assert (await meta.operator("DELETE", f"/v1/sources/{meta.source}")).status_code == 409
    assert (await meta.operator("DELETE", f"/v1/numbers/{NUMBER}")).status_code == 204
    assert (await meta.operator("DELETE", f"/v1/sources/{meta.source}")).status_code == 204
    assert (await meta.post(escaped(BODIES["text"]))).status_code == 404


async def test_sources_and_numbers_survive_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, in_memory=False) as server:
        account = (await server.call("GET", "/v1/account")).json()["id"]
        form = {"name": "App", "appSecret": SECRET, "account": account}
        source = (await server.call("POST", "/v1/sources", key=server.operator_key, json=form)).json()["id"]
        meta = Meta(server, source, "")
        await meta.post(escaped(incoming(message(), number="4712")))
        await server.server.services.numbers.noted()
        await server.server.services.reprocessing.done()
        documents = [one.document for one in server.server.services.directory.whatsapp.sources.values()]
        assert SECRET not in json.dumps([one.body.decode() for one in documents])
        first = await meta.event_ids()
        assert len(first) == 2


async def test_both_ways_answer_alike(meta: Meta) -> None:
    """The protocol's short cut, and the ordinary way that a query in the address leads to."""
    right, wrong = escaped(BODIES["text"]), {"x-hub-signature-256": "sha256=" + "0" * 64}
    for raw, headers in ((right, signed(right)), (b"{", signed(b"{")), (right, wrong), (right, {})):
        quick = await meta.server.client.post(meta.path, content=raw, headers=headers)
        ordinary = await meta.server.client.post(meta.path + "?from=meta", content=raw, headers=headers)
        assert quick.status_code == ordinary.status_code
        named = [{**one.headers, "x-request-id": "", "date": "", "content-length": ""} for one in (quick, ordinary)]
        assert named[0] == named[1]
    assert meta.server.server.services.tally.accepting_bytes == 0


# What follows from it


async def test_an_endpoint_of_metas_format_gets_metas_body_signed_as_meta_does(tmp_path: Path) -> None:
    async with receiving() as receiver, running(tmp_path, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8") as server:
        account = (await server.call("GET", "/v1/account")).json()["id"]
        form = {"name": "App", "appSecret": SECRET, "account": account}
        source = (await server.call("POST", "/v1/sources", key=server.operator_key, json=form)).json()["id"]
        number = {"phoneNumberId": NUMBER, "source": source, "account": account}
        await server.call("POST", "/v1/numbers", key=server.operator_key, json=number)
        wanted = {"url": receiver.url, "events": ["*", "whatsapp.reaction"], "format": "meta"}
        assert (await server.call("POST", "/v1/endpoints", json=wanted)).status_code == 201
        given = [BODIES["text"], BODIES["failed"], BODIES["reaction"]]
        for one in given:
            await Meta(server, source, "").post(escaped(one))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(receiver.bodies) < len(given):  # noqa: ASYNC110 - the receiver has no event to wait for
                await asyncio.sleep(0.01)
        secret = (await server.call("GET", "/v1/account/secret")).json()["secret"]
        key = lambda one: json.dumps(one, sort_keys=True)  # noqa: E731 - an order, whatever it is
        assert sorted(map(json.loads, receiver.bodies), key=key) == sorted(given, key=key)
        for raw, head in zip(receiver.bodies, receiver.heads, strict=True):
            assert f"\r\nX-Hub-Signature-256: {sign(secret, raw)}\r\n" in head
        shown = (await server.call("GET", "/v1/deliveries")).json()["items"][0]["id"]
        attempt = (await server.call("GET", f"/v1/deliveries/{shown}/attempts")).json()["items"][0]
        assert json.loads(attempt["request"]["body"])["object"] == "whatsapp_business_account"


async def test_a_message_that_is_unknown_is_explained(meta: Meta) -> None:
    answer = (await meta.server.call("GET", "/v1/messages/wamid.nowhere")).json()
    assert answer["verdict"]["code"] == "not_received"
    assert "nothing came in the last week" in answer["verdict"]["sentence"]
    await meta.post(escaped(BODIES["text"]))
    raw = escaped(incoming(message("wamid.lost")))
    for _ in range(2):
        await meta.server.client.post(meta.path, content=raw, headers=signed(raw, "x" * 32))
    told = (await meta.server.call("GET", "/v1/messages/wamid.lost")).json()["verdict"]
    assert (told["code"], "2 requests" in told["sentence"]) == ("not_received", True)
    assert "secret" in told["nextStep"]
    past = "/v1/messages/wamid.lost?at=2026-11-01T00:00:00Z&number=" + NUMBER
    told = (await meta.server.call("GET", past)).json()["verdict"]
    assert "nothing in the week before" in told["sentence"]
    await meta.post(escaped(incoming({"id": "wamid.odd", "type": "text"}, contacts=[])))
    for name in ("wamid.odd", message_id(NUMBER, "wamid.odd")):
        told = (await meta.server.call("GET", f"/v1/messages/{name}")).json()["verdict"]
        assert (told["code"], "who wrote it" in told["sentence"]) == ("set_aside", True)
    await meta.post(escaped(BODIES["failed"]))
    told = (await meta.server.call("GET", "/v1/messages/wamid.out")).json()["verdict"]
    assert (told["code"], "131047" in told["sentence"]) == ("whatsapp_failed", True)
    assert "Send a template" in told["nextStep"]


async def test_an_erased_person_is_gone_from_contacts_and_raw_bodies(meta: Meta) -> None:
    await meta.post(escaped(BODIES["text"]))
    await meta.post(escaped(incoming(message("wamid.other", person="491700000777"), contacts=[])))
    job = (await meta.server.call("POST", "/v1/erasures", json={"phone": "+" + PERSON})).json()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await meta.server.call("GET", f"/v1/jobs/{job['id']}")).json()["state"] == "running":  # noqa: ASYNC110 - asked as a customer asks
            await asyncio.sleep(0.02)
    kept = (await meta.operator("GET", f"/v1/sources/{meta.source}/bodies")).json()["items"]
    texts = [(await meta.operator("GET", f"/v1/sources/{meta.source}/bodies/{one['id']}")).text for one in kept]
    assert texts[1] == '{"erased":true}'
    assert "491700000777" in texts[0]
    history = meta.server.server.services.history
    account = meta.server.first.account.row
    assert await history.contacts(account, ["phone:+" + PERSON]) == ()
    assert len(await history.contacts(account, ["phone:+491700000777"])) == 1
    await meta.post(escaped(incoming(message("wamid.again"))))
    assert len(await history.contacts(account, ["phone:+" + PERSON])) == 1
