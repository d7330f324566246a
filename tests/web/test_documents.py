"""What the server says about itself: OpenAPI document, reference page, health, readiness, metrics."""

import asyncio
import re
from pathlib import Path

import jsonschema_rs
import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.running import Running, running
from whatsync.engine.runner import Runner
from whatsync.model.catalogue import CATALOGUE
from whatsync.web.api.call import cursor_of, position_of, show_time, to_ms
from whatsync.web.api.routes import ROUTES
from whatsync.web.metrics import METRICS
from whatsync.web.openapi import document, operation_id


def test_the_document_describes_every_route_once() -> None:
    described = document(ROUTES)
    operations = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert operations == {(route.method, route.path) for route in ROUTES}
    names = [operation_id(route) for route in ROUTES]
    assert len(set(names)) == len(names)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    described = document(ROUTES)
    for reference in set(re.findall(r"'\$ref': '#/([^']+)'", str(described))):
        place = described
        for part in reference.split("/"):
            place = place[part]


def test_every_schema_of_the_document_is_one() -> None:
    described = document(ROUTES)
    components = {"components": described["components"]}
    for name in described["components"]["schemas"]:
        jsonschema_rs.validator_for({"$ref": f"#/components/schemas/{name}", **components})


def test_the_documented_examples_fit_what_receivers_are_told() -> None:
    webhooks = document(ROUTES)["webhooks"]
    assert list(webhooks) == list(CATALOGUE)
    for name, one in CATALOGUE.items():
        schema = webhooks[name]["post"]["requestBody"]["content"]["application/json"]["schema"]
        jsonschema_rs.validator_for(schema).validate(one.example)


async def test_the_page_shows_every_route_and_event_without_a_script(web: Running) -> None:
    answer = await web.client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'; style-src 'self'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    for route in ROUTES:
        assert f'id="{operation_id(route)}"' in answer.text
    for name in CATALOGUE:
        assert f'id="event-{name}"' in answer.text
    style = await web.client.get("/docs/reference.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"


async def test_links_on_the_page_lead_somewhere(web: Running) -> None:
    page = (await web.client.get("/docs")).text
    targets = set(re.findall(r'id="([^"]+)"', page))
    for link in set(re.findall(r'href="([^"]+)"', page)):
        if link.startswith("#"):
            assert link[1:] in targets
        else:
            assert (await web.client.get(link)).status_code == 200


async def test_ready_says_what_is_wrong(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await web.client.get("/readyz")).json() == {"status": "ready", "warnings": []}
    monkeypatch.setattr(Runner, "dead", {"sweep": "ValueError"})
    answer = await web.client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.json()["errors"] == [{"field": "loop.sweep", "message": "died (ValueError); the log tells more"}]
    assert answer.headers["retry-after"]
    monkeypatch.setattr(Runner, "dead", {})
    web.server.services.runner.ready = False
    assert "starting or stopping" in (await web.client.get("/readyz")).text
    assert (await web.client.get("/healthz")).status_code == 200


async def test_the_metrics_are_those_of_the_table(web: Running) -> None:
    event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
    for _ in range(3):
        await web.call("POST", "/v1/events", json=event)
    await web.call("POST", "/v1/events", json={})
    text = (await web.client.get("/metrics")).text
    assert {metric.name for metric in METRICS} == {
        re.sub("(?<=_seconds)$", "", name) for name in re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)
    }
    assert "whatsync_events_accepted_total 3.0" in text
    assert 'whatsync_requests_refused_total{status="422"} 1.0' in text
    assert "whatsync_accept_seconds_count 3.0" in text
    assert re.search(r"^whatsync_loop_lag_seconds_count \d", text, re.MULTILINE)
    assert web.first.account.account.id not in text


async def test_metrics_can_be_served_apart(tmp_path: Path) -> None:
    from whatsync.web.listener import bind

    async with running(tmp_path) as web:
        apart = bind("127.0.0.1", 0)
        port = apart.getsockname()[1]
        listener = web.server.metrics_listener()
        await listener.start([apart])
        base = f"http://127.0.0.1:{port}"
        health = [(await web.client.get(f"{base}{path}")).status_code for path in ("/healthz", "/readyz")]
        event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
        refused = await web.call("POST", f"{base}/v1/events", json=event)
        answer = await web.client.get(f"http://127.0.0.1:{port}/metrics")
        elsewhere = await web.client.get(f"http://127.0.0.1:{port}/v1/endpoints")
        await web.client.aclose()
        await asyncio.wait_for(listener.stop(), PATIENCE_SECONDS)
    assert "whatsync_events_accepted_total 0.0" in answer.text
    assert elsewhere.status_code == 404
    assert health == [200, 200]
    assert refused.status_code == 404
    assert web.server.services.ingest.accepted == 0


@pytest.mark.parametrize("position", [0, 1, 2**63 - 1, -1, 1_795_469_009_000 << 21])
def test_a_cursor_comes_back(position: int) -> None:
    assert position_of(cursor_of(position)) == position


def test_times_come_back() -> None:
    from datetime import datetime

    assert show_time(1_686_838_953_123) == "2023-06-15T14:22:33.123Z"
    assert to_ms(datetime.fromisoformat("2023-06-15T14:22:33.123Z")) == 1_686_838_953_123
