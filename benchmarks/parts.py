"""What each step of an event's way, and each feature on it, costs in the event loop: processor time alone, in µs.

    python benchmarks/parts.py

Takes the parts of a real server (over a database in a temporary folder) and calls each again and again; the least of
several runs counts. The store's own share is measured by ``benchmarks/store.py``, the sender's by ``sender.py``.
"""

import asyncio
import tempfile
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httptools
from msgspec.structs import replace

from whatsync.compose.opening import open_server
from whatsync.compose.places import Outside
from whatsync.compose.server import Server
from whatsync.config import read
from whatsync.engine.attempt import Attempt
from whatsync.engine.bootstrap import bootstrap
from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.ingest import event_row, wants
from whatsync.engine.outcome import Outcome
from whatsync.engine.quota import Quota
from whatsync.engine.receipt import Receipt
from whatsync.model import limits
from whatsync.model.account import OwnType
from whatsync.model.delivery import State
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.envelope import decode_submissions, with_details
from whatsync.model.ids import delivery_id
from whatsync.model.request import attempt_head
from whatsync.model.signature import Signer
from whatsync.net.system import SystemClock, SystemRandomness
from whatsync.ports.sender import Answer, Timing
from whatsync.ports.store import Claimed
from whatsync.web.known_heads import KnownHeads

_CALLS = 20_000
_RUNS = 5
DATA = b'{"from":"+4915112345678","to":"+4930123456","text":"%b","media":null,"timestamp":"2026-01-01T00:00:00Z"}'
EVENT = b'{"event":"message.incoming","id":"%b","data":%b}' % (b"a" * 32, DATA % (b"x" * 140))
OWN = EVENT.replace(b"message.incoming", b"order.created")
DETAILED = EVENT[:-1] + b',"details":{"number":"106271234500001","wamid":"wamid.HBgLNDkxNTExMjM0NQ","profileName":"A"}}'
HEAD = (
    b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:8600\r\nAuthorization: Bearer wsk_%b\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
SECRET = "whsec_" + "A" * 32
ANSWER = Answer(
    200, b"Content-Type: text/plain\r\nDate: Mon, 23 Nov 2026 20:00:00 GMT", b"ok", False, "203.0.113.7:443", True,
    Timing(None, None, None, 900, 30, 1_000),
)  # fmt: skip


class Parsed:
    """Hears what a parser tells, as a server's protocol does."""

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers = {name.lower(): value}

    def on_headers_complete(self) -> None:
        self.complete = True

    def on_body(self, body: bytes) -> None:
        self.body = body

    def on_message_complete(self) -> None:
        self.complete = True


def microseconds(call: Callable[[], object]) -> float:
    """The least time of one call."""
    return min(timeit.repeat(call, number=_CALLS, repeat=_RUNS, timer=_processor)) / _CALLS * 1e6


def _processor() -> float:
    import time

    return time.thread_time()


class Parts:
    """A server's parts with one account and one endpoint."""

    def __init__(self, server: Server, account: RunningAccount, endpoint: RunningEndpoint, key: str) -> None:
        self.services = server.services
        self.door = server.door
        self.account = account
        self.endpoint = endpoint
        self.authorization = f"Bearer {key}".encode()
        self.now_ms = server.services.clock.now_ms()
        self.attempter = server.services.test_sends._attempter
        [self.draft] = self.read(EVENT)
        [self.detailed] = self.read(DETAILED)
        self.event = event_row(self.draft, self.now_ms << 21, account.row)
        self.claimed = Claimed(self.event.seq + 1024, 1, 0, State.PENDING, self.event)
        self.attempt = Attempt(self.attempter, self.claimed, endpoint)
        self.attempt.started_ms, self.attempt.signatures = self.now_ms, bytes(64)

    def read(self, raw: bytes) -> list[Any]:
        """Drafts of a body."""
        return decode_submissions(raw, self.now_ms, {"order.created": OwnType("order.created", "", 0)}, str)

    def coming_in(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Steps before the commit."""
        request = HEAD % (b"k" * 43, len(EVENT)) + EVENT
        known, services, account = KnownHeads(), self.services, self.account
        known.learn(request, {b"content-length": b"%d" % len(EVENT)})
        parser = httptools.HttpRequestParser(Parsed())
        yield "parse a request (with callbacks that do nothing)", lambda: parser.feed_data(request)
        yield "in its place: recognise its head", lambda: known.find(request)
        yield "find the key and what it may do", lambda: self.door.gate.admit_writer(self.authorization, None)
        yield "the account's limits", lambda: self._within_limits(services.quota)
        yield "check an event and make its body canonical, documented type", lambda: self.read(EVENT)
        yield "the same, a type of the account's own", lambda: self.read(OWN)
        yield "the same, documented type with details", lambda: self.read(DETAILED)
        yield "route it", lambda: account.route("message.incoming", None)
        policy = replace(self.endpoint.endpoint, filters={"message.incoming": {"to": ("+4930123456",)}})
        filtered = RunningEndpoint(self.endpoint.document, policy, account, services.vault)
        yield "a filter on a field, for each endpoint that has one", lambda: wants(filtered, self.draft)

    def going_out(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Steps after the commit."""
        endpoint, body, name = self.endpoint, self.event.body, self.event.id
        one, two = Signer(SECRET, [SECRET]), Signer(SECRET, [SECRET, SECRET])
        hexed = Signer(SECRET, [])
        yield "X-WhatsSync-Signature", lambda: hexed.sign(name, 1_780_000_000, body)
        yield "that and webhook-signature", lambda: one.sign(name, 1_780_000_000, body)
        yield "that during a rotation", lambda: two.sign(name, 1_780_000_000, body)
        yield (
            "the head of the request",
            lambda: attempt_head(
                "message.incoming", name, delivery_id(self.claimed.id), 1, 1_780_000_000, bytes(64), 330
            ),
        )
        yield "details in the body, for an endpoint that wants them", lambda: with_details(body, self.detailed.details)
        yield "judge an answer and make its row of history", lambda: self.attempter.conclude(self.attempt, ANSWER)
        outcome = self.attempter.conclude(self.attempt, ANSWER)
        yield "count it for the metrics", lambda: self._count(outcome)
        receipts = [Receipt(name, "message.incoming", "2026-01-01T00:00:00Z", 1)]
        journal = self.services.journal
        yield "two log lines above 500 a second", lambda: self._tell(receipts, outcome)
        journal._write = lambda *_: None
        limits.LOG_LINES_PER_SECOND = 10**9
        yield "two log lines that are written (without the writing)", lambda: self._tell(receipts, outcome)
        assert endpoint.row == outcome.row.endpoint

    def _within_limits(self, quota: Quota) -> None:
        quota.admit(self.account, 1, 0)
        quota.count(self.account, 1, 0)
        quota._buckets[self.account.row].events += 1

    def _count(self, outcome: Outcome) -> None:
        tally = self.services.tally
        tally.count_attempt(outcome.row)
        tally.accept.add(0.001)

    def _tell(self, receipts: list[Receipt], outcome: Outcome) -> None:
        self.services.journal.accepted(self.account, receipts, 300, 0.001)
        self.services.journal.attempted(self.endpoint, outcome)


async def run() -> None:
    """Open a server, measure, close it."""
    with tempfile.TemporaryDirectory(prefix="whatsync-bench-") as folder:
        config = read({"WHATSYNC_DATA_DIR": folder})
        server = await open_server(config, Outside(SystemClock(), SystemRandomness()))
        services = server.services
        first = await bootstrap(services.directory, services.accounts, services.keys)
        assert first is not None
        account = next(iter(services.directory.accounts.values()))
        form = EndpointForm(url="http://127.0.0.1:9/hook", events=["message.incoming"])
        await services.endpoints.create(account, form, "bench")
        endpoint = next(iter(services.directory.endpoints.values()))
        parts = Parts(server, account, endpoint, first.account_key.secret)
        for steps in (parts.coming_in(), parts.going_out()):
            for name, call in steps:
                print(f"| {name} | {microseconds(call):.1f} |", flush=True)
        await server.stop(1)


if __name__ == "__main__":
    assert Path(__file__).exists()
    asyncio.run(run())
