"""One wide line per accepted event and per attempt, without anything personal, and sampled when there are too many."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_SECONDS
from tests.sources.whatsapp.cloud import NUMBER, PERSON, SECRET, incoming, message, signed
from tests.web.running import Running, running
from whatsync.engine.journal import Journal
from whatsync.engine.receipt import Receipt
from whatsync.model import limits

PERSONAL = ("4915112345678", "15550001111", "very private words", "wamid.HBgM", "token=s3cret", "Jane Roe")


class Book:
    """Collects lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.more = asyncio.Event()

    def write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.lines.append((level, event, fields))
        self.more.set()

    async def until(self, event: str, count: int) -> list[tuple[str, str, dict[str, Any]]]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found := [line for line in self.lines if line[1] == event]) < count:
                self.more.clear()
                await self.more.wait()
        return found


async def send_something(web: Running, receiver: int) -> str:
    form = {"url": f"http://127.0.0.1:{receiver}/hook?token=s3cret", "events": ["*"]}
    await web.call("POST", "/v1/endpoints", json=form)
    data = {"from": "+4915112345678", "to": "+15550001111", "text": "very private words", "media": None}
    details = {"wamid": "wamid.HBgM", "profileName": "Jane Roe"}
    event = {"event": "message.incoming", "data": data, "details": details}
    return str((await web.call("POST", "/v1/events", json=event)).json()["id"])


async def test_lines_tell_what_happened_and_nothing_personal(tmp_path: Path) -> None:
    book = Book()
    async with running(tmp_path, book.write) as web:
        event_id = await send_something(web, 9)
        ((level, _, attempt),) = await book.until("attempt", 1)
        ((_, _, accepted),) = await book.until("event accepted", 1)
    assert level == "warning"
    assert attempt["code"] == "connection_refused"
    assert attempt["host"] == "127.0.0.1"
    assert attempt["state"] == "retrying"
    assert {"account", "endpoint", "delivery", "attempt", "totalMicroseconds"} <= attempt.keys()
    assert accepted["type"] == "message.incoming"
    assert accepted["deliveries"] == 1
    for word in (*PERSONAL, event_id):
        assert word not in str(book.lines)


async def test_bodies_of_sources_and_refusals_leave_lines(tmp_path: Path) -> None:
    book = Book()
    async with running(tmp_path, book.write, WHATSYNC_PUBLIC_URL="https://hooks.example.com") as web:
        account = (await web.call("GET", "/v1/account")).json()["id"]
        form = {"name": "App", "appSecret": SECRET, "account": account}
        source = (await web.call("POST", "/v1/sources", key=web.operator_key, json=form)).json()["id"]
        number = {"phoneNumberId": NUMBER, "source": source, "account": account}
        await web.call("POST", "/v1/numbers", key=web.operator_key, json=number)
        raw, path = json.dumps(incoming(message())).encode(), f"/sources/whatsapp/{source}"
        await web.client.post(path, content=raw, headers=signed(raw))
        forged = await web.client.post(path, content=raw + b" ", headers=signed(raw))
        wrong = await web.client.post("/v1/events", content=b"{}", headers={"Authorization": "Bearer wsk_no"})
        lost = await web.client.get("/v1/nowhere")
    ((_, _, taken),) = await book.until("webhook taken in", 1)
    assert (taken["source"], taken["events"], taken["setAside"]) == (source, 2, 0)  # the message, and whom it is from
    refused = [fields for _, _, fields in await book.until("request refused", 3)]
    assert [(line["request"], line["status"]) for line in refused] == [
        (answer.headers["x-request-id"], answer.status_code) for answer in (forged, wrong, lost)
    ]
    assert [line["source"] for line in refused] == [source, None, None]
    for word in (PERSON, NUMBER, SECRET):
        assert word not in str(book.lines)


class Second:
    """A clock that stands still."""

    now = 100.5

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


async def test_too_many_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as web:
        account = web.server.services.directory.accounts_by_id[web.first.account.account.id]
        book, clock = Book(), Second()
        journal = Journal(book.write, clock)
        receipt = Receipt("id", "message.status", "2023-06-15T14:22:33Z", 1)
        for _ in range(limits.LOG_LINES_PER_SECOND + 7):
            journal.accepted(account, [receipt], 10, 0.001)
        assert len(book.lines) == limits.LOG_LINES_PER_SECOND
        assert journal.left_out_in_all == 7
        clock.now += 1
        journal.accepted(account, [receipt], 10, 0.001)
        assert book.lines[-1][2]["leftOut"] == 7
        journal.accepted(account, [receipt], 10, 0.001)
        assert "leftOut" not in book.lines[-1][2]


async def test_failures_are_never_left_out(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "LOG_LINES_PER_SECOND", 0)
    book = Book()
    async with running(tmp_path, book.write) as web:
        await send_something(web, 9)
        ((_, _, fields),) = await book.until("attempt", 1)
    assert fields["leftOut"] == 1
