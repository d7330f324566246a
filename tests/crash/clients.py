"""Programs that use the server while it is killed again and again: they repeat what was not answered, as the documents
advise, and remember what was acknowledged. Nothing here knows when a crash comes."""

import json
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

MADE = "2026-01-01T00:00:00Z"
CONTACTS_EACH = 10


def event(text: str, contact: str) -> dict[str, Any]:
    """A documented event; ``text`` tells it from all others."""
    data = {"from": contact, "to": "+10000000000", "text": text, "media": None, "timestamp": MADE}
    return {"event": "message.incoming", "timestamp": MADE, "data": data}


def body_of(submitted: dict[str, Any], event_id: str) -> bytes:
    """The bytes that must arrive of an event."""
    ordered = {"event": submitted["event"], "id": event_id, "timestamp": submitted["timestamp"]}
    return json.dumps({**ordered, "data": submitted["data"]}, separators=(",", ":")).encode()


class Client(Protocol):
    """Somebody who uses the server."""

    async def work(self, http: httpx.AsyncClient) -> None:
        """Work until the server dies."""


@dataclass
class Sender:
    """Submits one thing after the other, each until it is acknowledged. ``size`` above 1: arrays; ``keyed``: ids are
    left to the server, and an ``Idempotency-Key`` tells repetitions."""

    name: str
    size: int = 1
    keyed: bool = False
    count: int = 0
    unsure: list[dict[str, Any]] | None = None
    """What was sent and not answered yet."""
    key: str = ""
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    """Bodies that must arrive, by event id, in the order of their acknowledgement."""
    contacts: dict[str, list[str]] = field(default_factory=dict)
    """Ids by contact, in the order they were accepted."""
    strange: list[str] = field(default_factory=list)

    def _next(self) -> list[dict[str, Any]]:
        events = []
        for _ in range(self.size):
            text = f"{self.name}-{self.count}"
            made = event(text, f"+49{self.name}{self.count % CONTACTS_EACH}")
            events.append(made if self.keyed else {**made, "id": text})
            self.count += 1
        self.key = f"{self.name}-{self.count}"
        return events

    async def work(self, http: httpx.AsyncClient) -> None:
        """Submit until the server dies."""
        while await self.submit(http):
            continue

    async def submit(self, http: httpx.AsyncClient) -> bool:
        """Submit what is unsure, else something new; false where the server is gone."""
        events = self.unsure = self.unsure or self._next()
        headers = {"Idempotency-Key": self.key} if self.keyed else {}
        try:
            answer = await http.post("/v1/events", json=events if self.size > 1 else events[0], headers=headers)
        except httpx.HTTPError:
            return False
        if answer.status_code in (200, 202):
            self._note(events, answer.json())
            self.unsure = None
        elif answer.status_code != 503:
            self.strange.append(f"{answer.status_code} {answer.text}")
            self.unsure = None
        return True

    def _note(self, events: list[dict[str, Any]], answer: dict[str, Any]) -> None:
        receipts = answer["items"] if self.size > 1 else [answer]
        for submitted, receipt in zip(events, receipts, strict=True):
            self.acknowledged[receipt["id"]] = body_of(submitted, receipt["id"])
            self.contacts.setdefault(submitted["data"]["from"], []).append(receipt["id"])


@dataclass
class Follower:
    """Reads the feed on from where it was, over all crashes."""

    cursor: str | None = None
    seen: list[str] = field(default_factory=list)

    async def work(self, http: httpx.AsyncClient) -> None:
        """Read until the server dies."""
        while await self.read(http, wait=1) is not None:
            continue

    async def read(self, http: httpx.AsyncClient, wait: int = 0) -> int | None:
        """Read one page: how much it held, or ``None`` where the server is gone."""
        after = {} if self.cursor is None else {"after": self.cursor}
        try:
            answer = await http.get("/v1/events/feed", params={"wait": wait, "limit": 200, **after})
        except httpx.HTTPError:
            return None
        if answer.status_code == 503:
            return 0
        page = answer.raise_for_status().json()
        self.seen += [item["id"] for item in page["items"]]
        self.cursor = page["nextCursor"]
        return len(page["items"])


@dataclass
class Tinkerer:
    """Changes an endpoint's description again and again, and looks after each crash what became of it."""

    path: str
    written: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)

    async def look(self, http: httpx.AsyncClient) -> None:
        """The last acknowledged change is there; the one after it may be."""
        found = int((await http.get(self.path)).raise_for_status().json()["description"] or 0)
        if not self.acknowledged <= found <= self.written:
            self.lost.append(f"found {found}, acknowledged {self.acknowledged}, written {self.written}")

    async def work(self, http: httpx.AsyncClient) -> None:
        """Look, then change until the server dies."""
        try:
            await self.look(http)
            while True:
                self.written += 1
                (await http.patch(self.path, json={"description": str(self.written)})).raise_for_status()
                self.acknowledged = self.written
        except httpx.HTTPError:
            return


@dataclass
class Observer:
    """Notes when a delivery was first seen recorded as succeeded; nothing may be sent for it from then on."""

    seen: dict[str, int] = field(default_factory=dict)
    """Milliseconds since the epoch, by delivery."""

    async def work(self, http: httpx.AsyncClient) -> None:
        """Look until the server dies."""
        try:
            while True:
                answer = await http.get("/v1/deliveries", params={"state": "succeeded", "limit": 200})
                now_ms = time.time_ns() // 1_000_000
                for item in answer.raise_for_status().json()["items"]:
                    self.seen.setdefault(item["id"], now_ms)
        except httpx.HTTPError:
            return
