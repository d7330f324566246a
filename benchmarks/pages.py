"""Times the dashboard's pages of the history over a long history: a real server, real sockets, one question at a time.

Run as ``python -m benchmarks.pages --deliveries 1000000``. Prints one line per page: median, 95th percentile and
maximum in milliseconds, median of processor time, and kilobytes as sent.
"""

import argparse
import asyncio
import re
import shutil
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.history import SPAN_MS, START_MS, fill
from tests.web.people import make_operator, sign_in, visitor
from tests.web.running import running
from whatsync.web.pages.moments import written_time

FIRST_ACCOUNT = 2
"""Row of the account that a fresh installation makes."""
MIDDLE = written_time(START_MS + SPAN_MS // 2)
LATE = written_time(START_MS + SPAN_MS * 9 // 10)
ADDRESSES = (
    "/history",
    "/history?state=failed",
    "/history?state=held&state=retrying",
    "/history?state=pending",
    "/history?event=own.rare",
    "/history?event=message.status&number=100000000000007",
    "/history?code=http_500",
    "/history?code=http_404&event=message.incoming",
    "/history?test=true",
    f"/history?since={MIDDLE}",
    f"/history?since={MIDDLE}&until={LATE}&state=failed",
    "/history?q=%2B49151",
    "/history?q=zebra",
    "/history?q=order+471&state=failed",
    "/history/events",
    "/history/events?matched=false",
    "/history/events?event=own.rare&number=100000000000007",
    "/history/events?q=zebra",
    "/messages",
    "/messages?q=msg_0000000000000000500000",
    "/messages?q=wamid.none",
    "/jobs",
)


async def measure(client: httpx.AsyncClient, address: str, rounds: int) -> list[float]:
    """Ask for one page again and again; print and return the seconds it took."""
    taken, busy, size = [], [], 0
    for _ in range(rounds):
        began, processor = time.perf_counter(), time.process_time()
        answer = await client.get(address)
        taken.append(time.perf_counter() - began)
        busy.append(time.process_time() - processor)
        assert answer.status_code in (200, 303), (address, answer.status_code)
        size = int(answer.headers["content-length"])
    told = sorted(1000 * one for one in taken)
    print(
        f"{told[len(told) // 2]:8.1f} {told[int(len(told) * 0.95)]:8.1f} {told[-1]:8.1f} {size / 1000:7.1f} kB  ",
        end="",
    )
    print(re.sub(r"^/a/\w+", "", address))
    return taken


async def run(folder: Path, rounds: int) -> None:
    """Ask for every page, live looks and the newest delivery and event included."""
    async with running(folder, in_memory=False) as web:
        account = next(iter(web.server.services.directory.accounts.values()))
        if account.row != FIRST_ACCOUNT:
            raise SystemExit("the history was filled for the first account, and it is another one")
        here = f"/a/{account.account.id}"
        async with visitor(web, await sign_in(web, await make_operator(web))) as client:
            # The endpoints of this history are not there: what is open is ended first.
            while "dlv_" in (await client.get(f"{here}/history?state=retrying")).text:  # noqa: ASYNC110 - from outside
                await asyncio.sleep(1)
            page = (await client.get(f"{here}/history")).text
            rows = re.findall(r'id="(dlv_\w+)"', page)
            event = re.findall(r"/events/(msg_\w+)", (await client.get(f"{here}/history/events")).text)[0]
            everything: list[float] = []
            print("  median      p95      max      cpu")
            for address in (*ADDRESSES, f"/history/{rows[0]}", f"/events/{event}", f"/history?after={rows[-1]}"):
                everything += await measure(client, here + address, rounds)
            told = sorted(everything)
            print(f"{1000 * told[int(len(told) * 0.95)]:17.1f} is the 95th percentile of all {len(told)}")


def main() -> None:
    """Fill, ask, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--endpoints", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="whatsync-pages-"))
    try:
        fill(folder / "whatsync.db", chosen.deliveries, chosen.endpoints, FIRST_ACCOUNT)
        asyncio.run(run(folder, chosen.rounds))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
