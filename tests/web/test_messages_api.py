"""Routes of messages over real HTTP: a story by id, by wamid, by phone number, and the verdict about it."""

from urllib.parse import quote

from tests.web.following import deliveries, make_endpoint, make_message, read
from tests.web.receiver import receiving
from tests.web.running import Running

ON_DISK = True

WAMID = "wamid.HBgLMTIzNDU2Nzg5MBUCABIYFjNB/+=="
DETAILS = {"number": "106540352242922", "wamid": WAMID, "recipient": "+1234567890"}


async def test_the_story_of_an_incoming_message(web: Running) -> None:
    async with receiving() as receiver:
        endpoint = await make_endpoint(web, receiver.url)
        message = (await make_message(web, "Hello", details={**DETAILS, "recipient": None}))["id"]
        await deliveries(web, 1, "succeeded")
        story = await read(web, f"/v1/messages/{message}")
        assert story["verdict"]["code"] == "delivered"
        assert (story["id"], story["wamid"], story["direction"]) == (message, WAMID, "incoming")
        assert (story["text"], story["contact"], story["number"]) == ("Hello", "+1234567890", "106540352242922")
        (entry,) = story["endpoints"]
        assert (entry["id"], entry["why"], entry["deliveries"][0]["state"]) == (endpoint["id"], None, "succeeded")


async def test_the_statuses_of_an_outgoing_message(web: Running) -> None:
    await make_endpoint(web, "https://shop.example/", events=["contact.update"])
    error = {"code": 131047, "title": "Re-engagement message", "explanation": "Send a template."}
    for status, details in (("sent", DETAILS), ("failed", {**DETAILS, "error": error})):
        data = {"messageId": "msg_out", "status": status}
        await web.call("POST", "/v1/events", json={"event": "message.status", "data": data, "details": details})
    story = await read(web, "/v1/messages/msg_out")
    assert [entry["status"] for entry in story["statuses"]] == ["sent", "failed"]
    assert story["statuses"][1]["error"] == error
    assert story["verdict"]["code"] == "whatsapp_failed"
    assert [entry["why"] for entry in story["endpoints"]] == ["not_subscribed"]
    key = {"authorization": f"Bearer {web.account_key}"}
    by_wamid = await web.client.get("/v1/messages", params={"q": WAMID}, headers=key)
    assert by_wamid.json()["items"] == [story]
    for name in (WAMID, quote(WAMID, safe="")):
        assert await read(web, f"/v1/messages/{name}") == story
    assert (await web.call("GET", "/v1/messages/")).status_code == 404


async def test_messages_of_a_phone_number(web: Running) -> None:
    made = [(await make_message(web, text))["id"] for text in ("one", "two", "three")]
    first = await read(web, "/v1/messages?q=%2B1%20234%20567890&limit=2")
    rest = await read(web, f"/v1/messages?q=%2B1234567890&limit=2&cursor={first['nextCursor']}")
    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
    assert [item["verdict"]["code"] for item in first["items"]] == ["no_endpoint"] * 2
    assert len((await read(web, "/v1/messages"))["items"]) == 3


async def test_what_nobody_knows_has_a_verdict_too(web: Running) -> None:
    story = await read(web, "/v1/messages/msg_unknown")
    assert (story["verdict"]["code"], story["endpoints"], story["receivedAt"]) == ("not_received", [], None)
    assert story["verdict"]["nextStep"]
    assert (await web.call("GET", "/v1/messages?limit=51")).status_code == 422


async def test_a_phone_number_in_place_of_an_id_is_told_where_its_messages_are(web: Running) -> None:
    event = {"event": "message.incoming", "data": {"from": "+491701112229", "to": "+49", "text": "Hello"}}
    await web.call("POST", "/v1/events", json=event)
    verdict = (await web.call("GET", "/v1/messages/%2B491701112229")).json()["verdict"]
    assert "is a phone number" in verdict["sentence"]
    assert "GET /v1/messages?q=" in verdict["nextStep"]
    unknown = (await web.call("GET", "/v1/messages/%2B4917011122")).json()["verdict"]
    assert (unknown["code"], "phone" in unknown["sentence"]) == ("not_received", False)
