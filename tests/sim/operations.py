"""What people and programs do to the simulated server: submit and repeat, disable and enable, cancel, retry, delete."""

import asyncio
import random
from dataclasses import dataclass

import msgspec

from tests.sim.life import Life
from whatsync.engine.directory import ACCOUNT, ENDPOINT
from whatsync.model.account import Account, SealedSecrets
from whatsync.model.delivery import OPEN, Happening
from whatsync.model.endpoint import DisabledBy, Endpoint, Release
from whatsync.model.errors import Conflict, Problem
from whatsync.ports.store import Change, Put, Settlement, StoreUnavailable

SECRET = "whsec_" + "c2ltdWxhdGVkLXNlY3JldC1mb3Itc2lt"
ACCOUNT_ID = "acc_sim"


@dataclass
class Submission:
    """One event a client wants accepted, and what it was told."""

    id: str
    contact: str
    raw: bytes
    first_try_s: float
    acknowledged_s: float | None = None
    endpoints: frozenset[str] = frozenset()
    """Endpoints that were enabled and untouched from before the first try until the acknowledgement."""


def submission(event_id: str, contact: str, text: str, now_s: float) -> Submission:
    """A documented event with an id of the client's own."""
    data = {"from": contact, "to": "+10000000000", "text": text, "media": None, "timestamp": "2026-05-28T20:26:40Z"}
    raw = msgspec.json.encode({"event": "message.incoming", "id": event_id, "data": data})
    return Submission(event_id, contact, raw, now_s)


async def make_account(life: Life) -> None:
    """The account everything happens in, unless an earlier life made it."""
    if ACCOUNT_ID not in life.directory.accounts_by_id:
        account = Account(ACCOUNT_ID, "Simulated", SealedSecrets(SECRET), life.clock.now_ms())
        put = Put(ACCOUNT, ACCOUNT_ID, 0, msgspec.json.encode(account), 0)
        await persist(life, Change(0, (put,)))


async def make_endpoint(life: Life, endpoint: Endpoint) -> None:
    """One endpoint, unless an earlier life made it."""
    if endpoint.id not in life.directory.endpoints_by_id:
        account = life.directory.accounts_by_id[ACCOUNT_ID]
        await persist(
            life, Change(account.row, (Put(ENDPOINT, endpoint.id, account.row, msgspec.json.encode(endpoint)),))
        )


async def persist(life: Life, change: Change) -> None:
    """Carry out a change as a patient client does."""
    while True:
        try:
            await life.configuration.change(change)
            return
        except Conflict:
            return
        except Problem:
            await asyncio.sleep(1)


async def submit(life: Life, wanted: Submission) -> None:
    """Send until it is acknowledged, at growing intervals, as the documents advise."""
    pause = 0.5
    while wanted.acknowledged_s is None:
        try:
            account = life.directory.accounts_by_id[ACCOUNT_ID]
            receipts = await life.ingest.accept(account, wanted.raw)
            assert receipts[0].id == wanted.id
            wanted.acknowledged_s = life.network.time.now
        except Problem as problem:
            if problem.status not in (429, 503):
                raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 60)


async def disable(life: Life, endpoint_id: str, by: DisabledBy) -> None:
    """Switch an endpoint off, unless it is off or gone."""
    running = life.directory.endpoints_by_id.get(endpoint_id)
    if running is None or not running.endpoint.enabled:
        return
    changed = msgspec.structs.replace(running.endpoint, enabled=False, disabled_by=by)
    put = Put(ENDPOINT, endpoint_id, running.account.row, msgspec.json.encode(changed), running.document.version)
    await persist(life, Change(running.account.row, (put,)))


async def enable(life: Life, endpoint_id: str) -> None:
    """Switch an endpoint on and let what was held go."""
    running = life.directory.endpoints_by_id.get(endpoint_id)
    if running is None or running.endpoint.enabled:
        return
    changed = msgspec.structs.replace(
        running.endpoint, enabled=True, disabled_by=None, release=Release.SEND, release_until=2**62
    )
    put = Put(ENDPOINT, endpoint_id, running.account.row, msgspec.json.encode(changed), running.document.version)
    life.dispatcher.clear_health(running.row)
    await persist(life, Change(running.account.row, (put,)))


async def meddle(life: Life, source: random.Random) -> None:
    """Cancel or retry some open delivery by hand."""
    rows = [row for row, delivery in life.store.disk.deliveries.items() if delivery.state in OPEN]
    if not rows:
        return
    happening = source.choice([Happening.CANCEL, Happening.RETRY])
    chosen = source.choice(rows)
    account = life.directory.accounts_by_id[ACCOUNT_ID].row
    try:
        settled = await life.store.settle(Settlement(account, happening, life.clock.now_ms(), (chosen,)))
    except StoreUnavailable:
        return
    for one in settled:
        life.dispatcher.wake(one.endpoint)
