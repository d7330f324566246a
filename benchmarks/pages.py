"""Times the dashboard's pages over a long history of a large account: a real server, real sockets, one question at a
time.

Run as ``python -m benchmarks.pages --deliveries 1000000``: 1,000 endpoints and 300 numbers unless told otherwise.
Prints one line per page: median, 95th percentile and maximum in milliseconds, median of processor time, and kilobytes
as sent and as the browser unpacks them.
"""

import argparse
import asyncio
import re
import shutil
import tempfile
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx

from benchmarks.history import SPAN_MS, Owner, fill
from tests.web.people import ACTOR, make_operator, sign_in, visitor
from tests.web.receiver import receiving
from tests.web.running import Running, running
from whatsync.engine.bootstrap import FirstKeys
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.source import GRAPH_URL, NewNumberForm, SourceForm
from whatsync.web.pages.moments import written_time

FIRST_ACCOUNT = 2
"""Row of the account that a fresh installation makes."""
ADDRESSES = (
    "",
    "?span=1h",
    "?span=7d",
    "?span=30d",
    "/webhooks",
    "/webhooks/endpoints",
    "/webhooks/endpoints?event=message.status",
    "/webhooks/endpoints?q=shop+77",
    "/webhooks/new",
    "/webhooks/secret",
    "/webhooks/{endpoint}",
    "/webhooks/{endpoint}?span=7d",
    "/webhooks/{endpoint}/edit",
    "/webhooks/{endpoint}/recover",
    "/history",
    "/history?endpoint={endpoint}",
    "/history?state=failed",
    "/history?state=held&state=retrying",
    "/history?state=pending",
    "/history?event=own.rare",
    "/history?event=message.status&number=100000000000007",
    "/history?code=http_500",
    "/history?code=http_404&event=message.incoming",
    "/history?test=true",
    "/history?since={middle}",
    "/history?since={middle}&until={late}&state=failed",
    "/history?q=%2B49151",
    "/history?q=zebra",
    "/history?q=order+471&state=failed",
    "/history/{delivery}",
    "/history?after={last}",
    "/history/bulk?state=failed",
    "/history/events",
    "/history/events?matched=false",
    "/history/events?event=own.rare&number=100000000000007",
    "/history/events?q=zebra",
    "/events/{event}",
    "/messages",
    "/messages?q={event}",
    "/messages?q=msg_0000000000000000500000",
    "/messages?q=wamid.none",
    "/jobs",
    "/event-types",
    "/event-types/message.incoming",
    "/keys",
    "/team",
    "/numbers",
    "/audit-log",
    "/settings",
    "/help",
)
INSTALLATION = (
    "/accounts",
    "/sources",
    "/numbers",
    "/numbers?q=100000000000299",
    "/numbers/100000000000007",
    "/audit-log",
    "/profile",
)


def served(folder: Path, keys: FirstKeys | None = None) -> AbstractAsyncContextManager[Running]:
    """The server over this folder; it may deliver to this machine, and removes nothing while it is measured."""
    settings = {"WHATSYNC_ALLOW_ADDRESSES": "127.0.0.0/8", "WHATSYNC_RETENTION_DAYS": "90"}
    return running(folder, None, None, False, None, GRAPH_URL, "all", keys, **settings)


async def prepared(folder: Path, endpoints: int, numbers: int, url: str) -> tuple[FirstKeys, Owner]:
    """Make the account's endpoints and numbers, as the API would; the first keys and what there is now."""
    async with served(folder) as web:
        services = web.server.services
        account = next(iter(services.directory.accounts.values()))
        if account.row != FIRST_ACCOUNT:
            raise SystemExit(f"the first account's row is {account.row}, not {FIRST_ACCOUNT}")
        made = []
        for at in range(endpoints):
            form = EndpointForm(
                url=f"{url}/{at:04d}",
                events=["*"] if at % 10 == 0 else ["message.incoming", "message.status"],
                description=f"Shop {at} of the chain" if at % 2 else "",
            )
            made.append((await services.endpoints.create(account, form, ACTOR)).running.row)
        if made != list(range(made[0], made[0] + endpoints)):
            raise SystemExit("the endpoints' rows do not follow each other")
        source = await services.sources.create(SourceForm(name="The chain's app"), ACTOR)
        for at in range(numbers):
            number = NewNumberForm(
                phone_number_id=f"10{at:013d}",
                source=source.source.id,
                account=account.account.id,
                name=f"Shop {at}",
            )
            await services.numbers.create(number, ACTOR)
        return web.first, Owner(account.row, endpoints, made[0], numbers)


async def measure(client: httpx.AsyncClient, address: str, rounds: int) -> list[float]:
    """Ask for one page again and again; print and return the seconds it took."""
    taken, busy, size, unpacked = [], [], 0, 0
    for _ in range(rounds):
        began, processor = time.perf_counter(), time.process_time()
        answer = await client.get(address)
        taken.append(time.perf_counter() - began)
        busy.append(time.process_time() - processor)
        assert answer.status_code in (200, 303), (address, answer.status_code)
        size, unpacked = int(answer.headers["content-length"]), len(answer.content)
    told = sorted(1000 * one for one in taken)
    print(
        f"{told[len(told) // 2]:8.1f} {told[int(len(told) * 0.95)]:8.1f} {told[-1]:8.1f} "
        f"{1000 * sorted(busy)[len(busy) // 2]:8.1f} {size / 1000:7.1f} {unpacked / 1000:7.1f} kB  ",
        end="",
    )
    print(re.sub(r"^/a/\w+", "/a/…", address))
    return taken


async def run(folder: Path, rounds: int, keys: FirstKeys, start_ms: int) -> None:
    """Ask for every page, live looks and the newest delivery and event included."""
    async with served(folder, keys) as web:
        account = next(iter(web.server.services.directory.accounts.values()))
        here = f"/a/{account.account.id}"
        async with visitor(web, await sign_in(web, await make_operator(web))) as client:
            for state in ("pending", "retrying"):  # what is open goes out first
                while "dlv_" in (await client.get(f"{here}/history?state={state}")).text:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(1)
            rows = re.findall(r'id="(dlv_\w+)"', (await client.get(f"{here}/history")).text)
            places = {
                "endpoint": account.endpoints[min(account.endpoints)].endpoint.id,
                "delivery": rows[0],
                "last": rows[-1],
                "event": re.findall(r"/events/(msg_\w+)", (await client.get(f"{here}/history/events")).text)[0],
                "middle": written_time(start_ms + SPAN_MS // 2),
                "late": written_time(start_ms + SPAN_MS * 9 // 10),
            }
            everything: list[float] = []
            print("  median      p95      max      cpu    sent unpacked")
            for address in (*(here + one for one in ADDRESSES), *INSTALLATION):
                everything += await measure(client, address.format(**places), rounds)
            told = sorted(everything)
            print(f"{1000 * told[int(len(told) * 0.95)]:17.1f} is the 95th percentile of all {len(told)}")


async def whole(folder: Path, deliveries: int, endpoints: int, numbers: int, rounds: int) -> None:
    """Prepare, fill, ask."""
    async with receiving() as receiver:
        keys, owner = await prepared(folder, endpoints, numbers, receiver.url)
        start_ms = int(time.time() * 1000) - SPAN_MS
        await asyncio.to_thread(fill, folder / "whatsync.db", deliveries, owner, start_ms)
        await run(folder, rounds, keys, start_ms)


def main() -> None:
    """Fill, ask, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--endpoints", type=int, default=1_000)
    parser.add_argument("--numbers", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=20)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="whatsync-pages-"))
    try:
        asyncio.run(whole(folder, chosen.deliveries, chosen.endpoints, chosen.numbers, chosen.rounds))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
