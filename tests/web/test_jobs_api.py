"""Routes of bulk work over real HTTP: recovering an endpoint, following the job, cancelling it."""

import pytest

from tests.web.following import deliveries, make_endpoint, make_message, read, read_until
from tests.web.receiver import receiving
from tests.web.running import Running

ON_DISK = True

SINCE = "2023-06-15T14:22:33Z"


async def test_recovering_an_endpoint(web: Running) -> None:
    async with receiving() as receiver:
        missed = (await make_message(web, "before there was an endpoint"))["id"]
        receiver.status = 500
        endpoint = await make_endpoint(web, receiver.url, retrySchedule=[])
        failed = (await make_message(web))["id"]
        await deliveries(web, 1, "failed")
        receiver.status = 200
        path = f"/v1/endpoints/{endpoint['id']}/recover"
        preview = await web.call("POST", path, json={"since": SINCE, "dryRun": True})
        assert (preview.status_code, preview.json()["would"]) == (200, 2), preview.text
        started = await web.call("POST", path, json={"since": SINCE, "states": ["failed", "missing"]})
        assert started.status_code == 202, started.text
        assert started.json()["kind"] == "recover"
        asked = started.json()["parameters"]
        assert (asked["endpointId"], asked["states"]) == (endpoint["id"], ["failed", "missing"])
        job = await read_until(web, f"/v1/jobs/{started.json()['id']}", lambda job: job["state"] != "running")
        assert (job["state"], job["done"], job["error"]) == ("done", 2, None)
        items = await deliveries(web, 2, "succeeded")
        assert {item["eventId"] for item in items} == {missed, failed}
        assert {item["origin"] for item in items} == {"recover"}
        listed = (await read(web, "/v1/jobs"))["items"]
        assert [item["id"] for item in listed] == [job["id"]]
        late = await web.call("POST", f"/v1/jobs/{job['id']}/cancel")
        assert (late.status_code, late.json()["code"]) == (409, "job_ended")


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"since": SINCE, "states": []}, "states"),
        ({"since": SINCE, "states": ["pending"]}, "states"),
        ({"since": SINCE, "until": "2001-01-01T00:00:00Z"}, "since"),
        ({"since": SINCE, "endpoint": "x"}, "endpoint"),
    ],
)
async def test_nonsense_is_named(web: Running, form: dict[str, object], field: str) -> None:
    endpoint = await make_endpoint(web, "https://shop.example/")
    answer = await web.call("POST", f"/v1/endpoints/{endpoint['id']}/recover", json=form)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_disabled_endpoint_is_not_recovered(web: Running) -> None:
    endpoint = await make_endpoint(web, "https://shop.example/", enabled=False)
    answer = await web.call("POST", f"/v1/endpoints/{endpoint['id']}/recover", json={"since": SINCE})
    assert (answer.status_code, answer.json()["code"]) == (409, "endpoint_disabled")
    assert (await web.call("POST", "/v1/endpoints/ep_none/recover", json={"since": SINCE})).status_code == 404


async def test_unknown_jobs(web: Running) -> None:
    assert (await web.call("GET", "/v1/jobs/job_none")).status_code == 404
    assert (await web.call("POST", "/v1/jobs/job_none/cancel")).status_code == 404
    assert (await read(web, "/v1/jobs"))["items"] == []
