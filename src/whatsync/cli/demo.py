"""``whatsync demo``: a whole server and a receiver for a minute, so that one can see what a customer gets.

Starts both by itself on this machine, needs nothing else, and leaves nothing behind.
"""

import queue
import signal
import threading
from typing import Annotated

import typer

from whatsync.cli import demo_source
from whatsync.cli.child_server import ChildServer
from whatsync.cli.client import Client
from whatsync.cli.demo_source import MetaStandIn
from whatsync.cli.demo_view import DemoView, JsonLines, Screen
from whatsync.cli.failure import Failure
from whatsync.cli.group import new_app
from whatsync.cli.options import example
from whatsync.cli.patience import ask_until
from whatsync.cli.receiver import Received, Receiver
from whatsync.model.catalogue import CATALOGUE, DOCUMENTED
from whatsync.net.system import SystemClock

STEADY = "/webhooks"
SHAKY = "/webhooks/shaky"
FAILURES = 2
SCHEDULE = "1s,2s"
ARRIVAL_SECONDS = 20
PAUSE_SECONDS = 0.9

app = new_app()


@app.command(epilog=example("whatsync demo", "whatsync demo --stay"))
def demo(
    stay: Annotated[bool, typer.Option("--stay", help="Keep the server until Ctrl+C, to look around.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Don't pause for reading.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead.")] = False,
) -> None:
    """See WhatsSync work: a server, a receiver that verifies, all four events, one endpoint that fails and recovers.

    Everything runs on this machine, in a temporary folder that is removed at the end. Ctrl+C ends it at any time.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    view: DemoView = JsonLines() if as_json else Screen(0 if fast else PAUSE_SECONDS)
    clock = SystemClock()
    judge = Judge()
    receiver = Receiver(judge, lambda: clock.now_ms() // 1000)
    try:
        began = clock.monotonic()
        with ChildServer({"LOG_LEVEL": "warning"}) as server:
            view.started(server.access.url, receiver.url, clock.monotonic() - began)
            Demo(Client(server.access), receiver, judge, view, clock.now_ms() // 1000).run()
            if stay:
                view.staying(server.access.url, str(server.data_dir))
                threading.Event().wait()
    except KeyboardInterrupt:
        view.interrupted()
    finally:
        receiver.close()
    view.ended()


def _interrupt(number: int, frame: object) -> None:
    """End as with Ctrl+C, so that nothing is left behind."""
    raise KeyboardInterrupt


class Judge:
    """How the receiver answers: the shaky address fails twice for each event until it has been deployed."""

    def __init__(self) -> None:
        self.deployed = False

    def __call__(self, path: str, event_id: str, before: int) -> int:
        """The status for a request that had so many ``before`` it."""
        return 503 if path == SHAKY and before < FAILURES and not self.deployed else 200


class Demo:
    """The acts of the demo, on a running server."""

    def __init__(self, client: Client, receiver: Receiver, judge: Judge, view: DemoView, now_s: int) -> None:
        self._client = client
        self._judge = judge
        self._now_s = now_s
        self._receiver = receiver
        self._view = view

    def run(self) -> None:
        """All acts. Raises Failure where something does not arrive or does not verify."""
        self._receiver.secret = self._client.get("/v1/account/secret")["secret"]
        self._four_events()
        self._recovery()
        self._whatsapp()
        self._history()

    def _four_events(self) -> None:
        url = self._receiver.url + STEADY
        self._client.post("/v1/endpoints", {"url": url, "events": ["*"], "description": "Your backend"})
        self._view.endpoint(url, "*")
        for name in DOCUMENTED:
            accepted = self._accept(name)
            self._view.accepted(accepted)
            self._view.received(self._arrival(), expected=200)

    def _recovery(self) -> None:
        url = self._receiver.url + SHAKY
        form = {"url": url, "events": ["message.status"], "description": "Being deployed", "retrySchedule": SCHEDULE}
        self._client.post("/v1/endpoints", form)
        self._view.shaky(url, FAILURES, SCHEDULE.replace(",", " and "))
        accepted = self._accept("message.status", status="delivered")
        self._view.accepted(accepted)
        steady, tries = 0, 0
        while not steady or tries <= FAILURES:
            received = self._arrival()
            if received.path == STEADY:
                steady += 1
                self._view.received(received, expected=200, briefly=True)
            else:
                tries += 1
                expected = 503 if tries <= FAILURES else 200
                self._view.received(received, expected, briefly=True)
        self._view.recovered(FAILURES)

    def _whatsapp(self) -> None:
        """Meta's own bodies come in, the documented events go out."""
        self._judge.deployed = True
        meta = MetaStandIn(self._client)
        meta.connect()
        self._view.source(meta.path)
        for body, events in ((demo_source.message(self._now_s), 2), (demo_source.status(self._now_s), 1)):
            meta.post(body)
            self._view.posted(meta.path, body)
            wanted = events
            while wanted:
                received = self._arrival()
                if received.path == STEADY:
                    wanted -= 1
                    self._view.received(received, expected=200, briefly=True)

    def _history(self) -> None:
        self._view.history(self._settled())

    def _settled(self) -> list[dict[str, object]]:
        """The deliveries, once the last answer is written down too."""

        def ask() -> list[dict[str, object]]:
            items: list[dict[str, object]] = self._client.get("/v1/deliveries", {"limit": 50})["items"]
            return items

        def settled(items: list[dict[str, object]]) -> bool:
            return all(item["state"] == "succeeded" for item in items)

        deliveries = ask_until(ask, settled, ARRIVAL_SECONDS)
        if not settled(deliveries):
            raise Failure("a delivery did not end. Please report this with what stands above")
        return deliveries

    def _accept(self, name: str, **changed: object) -> dict[str, object]:
        data = {**CATALOGUE[name].example["data"], **changed}
        data.pop("timestamp", None)
        accepted: dict[str, object] = self._client.post("/v1/events", {"event": name, "data": data})
        return accepted

    def _arrival(self) -> Received:
        try:
            received = self._receiver.arrivals.get(timeout=ARRIVAL_SECONDS)
        except queue.Empty:
            raise Failure(
                f"nothing arrived within {ARRIVAL_SECONDS} s. Please report this with what stands above"
            ) from None
        if not received.verified:
            self._view.received(received, expected=200)
            raise Failure("the signature of a request was wrong. Please report this with what stands above")
        return received
