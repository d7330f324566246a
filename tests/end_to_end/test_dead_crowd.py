"""More than a thousand endpoints that refuse or never answer, in one account with one that is well: it gets everything
at once, the others what they are due.
"""

import asyncio
from pathlib import Path

import pytest

from tests.crash.server import serving, until
from tests.end_to_end.documented import EVENTS
from tests.end_to_end.receiver import receiving
from tests.end_to_end.test_receivers_days import make_endpoint, silent, submit
from tests.ports import free_port

REFUSING = 900
SILENT = 300
EVENTS_TO_SEND = 40


@pytest.mark.slow
async def test_a_crowd_of_dead_endpoints_delays_nobody_who_is_well(tmp_path: Path) -> None:
    settings = {"RETRY_SCHEDULE": "1h"}
    async with (
        serving(tmp_path / "data", **settings) as (_, client),
        receiving(always=silent) as mute,
        receiving() as healthy,
    ):
        closed, gate = free_port(), asyncio.Semaphore(16)

        async def dead(url: str) -> None:
            form = {"url": url, "events": ["contact.update"], "timeoutSeconds": 30}
            async with gate:
                assert (await client.post("/v1/endpoints", json=form)).status_code == 201

        refusing = [f"http://127.1.{number // 250}.{1 + number % 250}:{closed}/" for number in range(REFUSING)]
        await asyncio.gather(*map(dead, refusing + [f"{mute.url}/{number}" for number in range(SILENT)]))
        good = await make_endpoint(client, healthy)
        update = next(event for event in EVENTS if event["event"] == "contact.update")
        accepted = (await client.post("/v1/events", json={**update, "id": "contact_update_all"})).json()
        assert accepted["deliveries"] == REFUSING + SILENT + 1
        for _ in range(EVENTS_TO_SEND):
            await submit(client)
        path = f"/v1/deliveries?endpoint={good}&state=succeeded&limit=200"
        await until(client, path, lambda page: len(page["items"]) == EVENTS_TO_SEND + 1)
        # Nobody has waited for the end of any silent one's request: each has half a minute.
        silents = {"q": "contact_update_all", "state": "pending", "limit": "200"}
        assert (await client.get("/v1/deliveries", params=silents)).json()["items"]
        metrics = (await client.get("/metrics")).text
        assert 'whatsync_attempts_total{outcome="timeout"}' not in metrics
        await until(
            client, "/v1/deliveries?state=retrying&code=connection_refused&limit=200", lambda page: page["nextCursor"]
        )
        assert (await client.get("/readyz")).status_code == 200
