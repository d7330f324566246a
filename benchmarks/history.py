"""Fills a database with a long history and times every filter of the lists, alone and with others, first and next page.

Run as ``python -m benchmarks.history --deliveries 1000000``. Nothing is sent and no server runs. Prints one line per
question: median, 99th percentile and maximum in milliseconds, items found, and whether the page stopped at its bound.
"""

import argparse
import asyncio
import itertools
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw
from msgspec.structs import replace

from whatsync.model.delivery import State
from whatsync.ports.history import DeliveryQuery, EventQuery
from whatsync.store.sqlite.history import SqliteHistory
from whatsync.store.sqlite.lookup import Recent
from whatsync.store.sqlite.schema import migrate

Answer = TypeVar("Answer")
START_MS = 1_800_000_000_000
SPAN_MS = 30 * 86_400_000
TAIL = 3_000
PIECE = 100_000
SLOW_SECONDS = 0.03
"""Combinations are printed only where a page took longer."""
FILTERS: dict[str, list[Any]] = {
    "endpoint": [1001, 1058, 9999],
    "type": ["message.incoming", "own.rare", "nothing"],
    "number": ["100000000000007"],
    "states": [(State.FAILED,), (State.SUCCEEDED,), (State.PENDING,), (State.HELD, State.RETRYING), tuple(State)],
    "code": ["http_500", "http_404", "tls_error"],
    "test": [True, False],
    "text": ["order 471", "zebra"],
    "since_ms": [START_MS + SPAN_MS // 2],
    "until_ms": [START_MS + SPAN_MS // 10, START_MS + SPAN_MS // 2],
}


def statements() -> dict[str, str]:
    """The statements that fill."""
    parts = re.split(
        r"^-- name: (\w+)\n", Path(__file__).with_name("history_fill.sql").read_text(), flags=re.MULTILINE
    )[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@dataclass(frozen=True)
class Owner:
    """Whose most of a history is, and how much of what is his."""

    account: int = 1
    """The row of his account."""
    endpoints: int = 200
    first_endpoint: int = 1001
    """The row of the first of his endpoints; the others follow."""
    numbers: int = 30


def fill(path: Path, count: int, owner: Owner, start_ms: int = START_MS) -> None:
    """Make the database, or fill one that has no event yet, with 30 days that begin at a time."""
    sql = statements()
    db = apsw.Connection(str(path))
    for pragma in ("page_size = 4096", "journal_mode = WAL", "synchronous = OFF", "cache_size = -262144"):
        db.execute(f"PRAGMA {pragma}").fetchall()
    migrate(db, path)
    with db:
        if db.execute(sql["known_words"]).fetchall() != [(0,)]:
            raise SystemExit("the database has words of its own already; begin with a fresh one")
        db.execute(sql["words"])
        db.execute(sql["numbers"], {"numbers": owner.numbers})
        db.execute(sql["secret"])
    values = {"start_ms": start_ms, "span_ms": SPAN_MS, "count": count, **asdict(owner)}
    for first in range(0, count, PIECE):
        last = min(first + PIECE, count)
        bounds = {
            "low": start_ms + first * SPAN_MS // count << 21,
            "high": (start_ms + last * SPAN_MS // count << 21) - 1,
        }
        if last == count:
            bounds["high"] = (1 << 62) - 1
        with db:
            db.execute(sql["events"], {**values, "first": first, "last": last})
            db.execute(sql["deliveries"], {**values, **bounds})
    fold = db.execute(sql["fold_row"], {"tail": TAIL}).fetchall()[0][0]
    for name in ("event_types", "event_numbers", "delivery_endpoints", "delivery_types", "delivery_numbers", "fold"):
        with db:
            db.execute(sql[name], {"fold": fold})
    for name in ("attempts_by_minute", "attempts_of_all", "events_by_minute", "by_hour", "by_day"):
        with db:
            db.execute(sql[name])
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()


def questions() -> Iterator[dict[str, Any]]:
    """Each filter with each value, each pair of filters, and triples with the first value of each."""
    yield {}
    alone = [[(name, value) for value in values] for name, values in FILTERS.items()]
    for one in itertools.chain(*alone):
        yield dict([one])
    for left, right in itertools.combinations(alone, 2):
        for pair in itertools.product(left, right):
            yield dict(pair)
    for three in itertools.combinations(alone, 3):
        yield dict(some[0] for some in three)
        yield dict(some[-1] for some in three)


class Times:
    """Seconds that questions took, by the wall and of processor time."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    async def measure(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask once."""
        began, processor = time.perf_counter(), time.process_time()
        answer = await ask()
        self.wall.append(time.perf_counter() - began)
        self.processor.append(time.process_time() - processor)
        return answer

    def __str__(self) -> str:
        wall, processor = sorted(self.wall), sorted(self.processor)
        return f"{_ms(wall, 0.5):8.2f} {_ms(wall, 0.99):8.2f} {_ms(wall, 1):8.2f} {_ms(processor, 1):8.2f}"


async def times(history: SqliteHistory, query: DeliveryQuery, rounds: int) -> tuple[Times, int, bool]:
    """Times of the first page, each round, and of two pages after it; items of the first page; was it bounded."""
    taken = Times()
    items, bounded = 0, False
    for attempt in range(rounds):
        asked = query
        for page_number in range(3):
            page = await taken.measure(partial(history.deliveries, asked))
            if page_number == 0 and attempt == 0:
                items, bounded = len(page.items), page.searched_to_ms is not None
            if page.next is None:
                break
            asked = replace(asked, before=page.next)
    return taken, items, bounded


async def run(path: Path, rounds: int) -> None:
    """Ask everything."""
    history = SqliteHistory(path, Recent())
    await history.open()
    everything = Times()
    print("  median      p99      max  cpu max  items")
    for filters in questions():
        for ascending in (False, True):
            query = DeliveryQuery(1, ascending=ascending, **filters)
            taken, items, bounded = await times(history, query, rounds)
            everything.wall += taken.wall
            everything.processor += taken.processor
            if len(filters) < 2 or max(taken.wall) > SLOW_SECONDS:
                way = "up  " if ascending else "down"
                print(f"{taken} {items:6d} {'bounded' if bounded else '       '} {way} {filters}")
    print(f"{everything}   all {len(everything.wall)} pages; p99 of processor time ", end="")
    print(f"{_ms(sorted(everything.processor), 0.99):.2f} ms")
    await others(history)
    await history.close()


async def others(history: SqliteHistory) -> None:
    """Events, feed, gaps and counts."""
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "events": lambda: history.events(EventQuery(1)),
        "events of a small account": lambda: history.events(EventQuery(5)),
        "events unmatched": lambda: history.events(EventQuery(1, matched=False)),
        "events text": lambda: history.events(EventQuery(1, text="zebra")),
        "events type and number": lambda: history.events(EventQuery(1, type="own.rare", number="100000000000007")),
        "event by id": lambda: history.event(1, "msg_nothing"),
        "feed from the start": lambda: history.feed(1, 0, (), 200),
        "feed of a rare type": lambda: history.feed(1, 0, ("own.rare",), 200),
        "missing": lambda: history.missing(1, 1058, ("message.incoming",), 0, 2 * START_MS, 0, 200),
        "counts": lambda: history.counts(1001),
        "rollups": lambda: history.rollups(1, None, 0, 2 * START_MS),
    }
    for name, ask in asked.items():
        taken = Times()
        for _ in range(20):
            await taken.measure(ask)
        print(f"{taken}                {name}")


def _ms(seconds: list[float], share: float) -> float:
    return 1000 * seconds[min(len(seconds) - 1, int(len(seconds) * share))]


def main() -> None:
    """Fill, ask, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--endpoints", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the database here, or use the one that is here")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="whatsync-history-"))
    path = folder / "whatsync.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        fill(path, chosen.deliveries, Owner(endpoints=chosen.endpoints))
        print(f"filled in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e9:.2f} GB")
    asyncio.run(run(path, chosen.rounds))
    if chosen.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
