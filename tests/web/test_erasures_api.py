"""The route that erases a person, over real HTTP: as a job, with nothing of the person left in any answer."""

import pytest

from tests.web.following import make_message, read, read_until
from tests.web.running import Running

ON_DISK = True


@pytest.mark.parametrize("form", [{"phone": "+1 234 567-890"}, {"contactId": "contact_ann"}])
async def test_a_person_is_erased(web: Running, form: dict[str, str]) -> None:
    details = {"contactId": "contact_ann", "profileName": "Annabel", "wamid": "wamid.HBgL"}
    message = (await make_message(web, "private words", details=details))["id"]
    started = await web.call("POST", "/v1/erasures", json=form)
    assert started.status_code == 202, started.text
    assert (started.json()["kind"], started.json()["parameters"]) == ("erase", {})
    job = await read_until(web, f"/v1/jobs/{started.json()['id']}", lambda job: job["state"] != "running")
    assert (job["state"], job["done"]) == ("done", 1)
    event = await read(web, f"/v1/events/{message}")
    assert event["data"]["text"] is None
    assert (event["id"], event["details"], event["contact"]) == (message, None, None)
    for path in ("/v1/events", f"/v1/messages/{message}", "/v1/deliveries", "/v1/jobs", "/v1/events/feed"):
        text = (await web.call("GET", path)).text
        assert not [word for word in ("private words", "Annabel", "1234567890", "contact_ann") if word in text], path
    for q in ("Annabel", "%2B1234567890", "contact_ann", "wamid.HBgL"):
        assert (await read(web, f"/v1/events?q={q}"))["items"] == []


@pytest.mark.parametrize(
    "form", [{}, {"phone": "+1234567890", "contactId": "contact_ann"}, {"phone": "nobody"}, {"name": "Ann"}]
)
async def test_it_must_be_said_who(web: Running, form: dict[str, str]) -> None:
    assert (await web.call("POST", "/v1/erasures", json=form)).status_code == 422


async def test_what_repeats_an_erased_event_is_no_conflict_and_brings_nothing_back(web: Running) -> None:
    details = {"contactId": "contact_ann", "profileName": "Annabel"}
    given = {"id": "msg_ann", "details": details, "timestamp": "2023-06-15T14:22:33Z"}
    first = await make_message(web, "private words", **given)
    started = await web.call("POST", "/v1/erasures", json={"contactId": "contact_ann"})
    await read_until(web, f"/v1/jobs/{started.json()['id']}", lambda job: job["state"] == "done")
    data = {"from": "+1234567890", "to": "+0987654321", "text": "private words"}
    event = {"event": "message.incoming", "data": data, **given}
    again = await web.call("POST", "/v1/events", json=event)
    assert (again.status_code, again.json()) == (200, first)
    other = await web.call("POST", "/v1/events", json={**event, "data": {**data, "to": "+111111111"}})
    assert (other.status_code, other.json()["code"]) == (409, "id_taken")
    assert (await read(web, "/v1/events/msg_ann"))["data"]["text"] is None
