"""The routes of event types over real HTTP: the catalogue as documented, and types of one's own."""

from tests.web.running import Running
from whatsync.model.catalogue import CATALOGUE


async def test_the_catalogue(web: Running) -> None:
    items = (await web.call("GET", "/v1/event-types")).json()["items"]
    assert [item["name"] for item in items] == list(CATALOGUE)
    message = items[0]
    assert message["example"] == CATALOGUE["message.incoming"].example
    assert [field["name"] for field in message["fields"]] == ["from", "to", "text", "media", "timestamp"]
    assert message["schema"]["properties"]["event"] == {"const": "message.incoming"}
    one = await web.call("GET", "/v1/event-types/message.incoming")
    assert one.json() == message


async def test_a_type_of_ones_own(web: Running) -> None:
    form = {"name": "order.created", "description": "An order came in"}
    made = await web.call("POST", "/v1/event-types", json=form)
    assert (made.status_code, made.json()["kind"]) == (201, "own")
    again = await web.call("POST", "/v1/event-types", json={**form, "description": "Other words"})
    assert (again.status_code, again.json()["description"]) == (200, "Other words")
    event = {"event": "order.created", "data": {"total": 1}}
    assert (await web.call("POST", "/v1/events", json=event)).status_code == 202
    body = {"url": "https://shop.example/", "events": ["order.created"]}
    endpoint = (await web.call("POST", "/v1/endpoints", json=body)).json()["id"]
    used = await web.call("DELETE", "/v1/event-types/order.created")
    assert (used.status_code, used.json()["code"]) == (409, "event_type_in_use")
    await web.call("DELETE", f"/v1/endpoints/{endpoint}")
    assert (await web.call("DELETE", "/v1/event-types/order.created")).status_code == 204
    assert (await web.call("GET", "/v1/event-types/order.created")).status_code == 404


async def test_mistakes_are_named(web: Running) -> None:
    wrong = await web.call("POST", "/v1/event-types", json={"name": "message.incoming", "description": "x" * 501})
    assert [error["field"] for error in wrong.json()["errors"]] == ["name", "description"]
    assert (await web.call("DELETE", "/v1/event-types/message.incoming")).status_code == 404
    assert (await web.call("POST", "/v1/event-types", json={"title": "x"})).status_code == 422


async def test_own_types_are_the_accounts_own(web: Running) -> None:
    await web.call("POST", "/v1/event-types", json={"name": "order.created"})
    other = (await web.call("POST", "/v1/accounts", key=web.operator_key, json={"name": "Other"})).json()["id"]
    form = {"name": "theirs", "scopes": ["admin"]}
    key = (await web.call("POST", f"/v1/keys?account={other}", key=web.operator_key, json=form)).json()["key"]
    assert (await web.call("GET", "/v1/event-types/order.created", key=key)).status_code == 404
    assert (await web.call("DELETE", "/v1/event-types/order.created", key=key)).status_code == 404
    names = [item["name"] for item in (await web.call("GET", "/v1/event-types", key=key)).json()["items"]]
    assert "order.created" not in names
