"""WhatsApp as a source under load: signed bodies of Meta's shape at a fixed rate, and how long the door takes.

    python benchmarks/source.py [--updates 1000] [--batch 10] [--seconds 10] [--numbers 20]

The bodies come whether or not the door keeps up, as Meta's do, so its time is measured from when a body was due. Every
second update is a message, the others are statuses; one receiver gets all events and verifies nothing. Prints the
door's percentiles, the way from Meta to the receiver, and what the server used.
"""

import argparse
import asyncio
import hmac
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from whatsync.cli.bench.installation import Receiver, Server

SECRET = "0123456789abcdef0123456789abcdef"
CONNECTIONS = 64


def body_of(at: int, batch: int, numbers: list[str]) -> bytes:
    """A body of ``batch`` updates; each message carries when it was sent, for the receiver to measure."""
    changes = []
    for number in range(at * batch, at * batch + batch):
        person = f"4917{number % 5_000:08}"
        value: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550100200", "phone_number_id": numbers[number % len(numbers)]},
        }
        stamp = str(int(time.time()))
        if number % 2:
            value["contacts"] = [{"profile": {"name": f"Person {number % 5_000}"}, "wa_id": person}]
            text = f"{time.monotonic_ns():020d} is when this message of about usual length was written"
            message = {"from": person, "id": f"wamid.{number:030}", "timestamp": stamp}
            value["messages"] = [{**message, "text": {"body": text}, "type": "text"}]
        else:
            pricing = {"billable": True, "pricing_model": "PMP", "category": "utility"}
            status = {"id": f"wamid.{number:030}", "status": "delivered", "timestamp": stamp}
            value["statuses"] = [{**status, "recipient_id": person, "pricing": pricing}]
        changes.append({"value": value, "field": "messages"})
    entry = {"id": "800000000000001", "changes": changes}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}, separators=(",", ":")).encode()


def request_of(path: str, body: bytes) -> bytes:
    """The signed request."""
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Load:
    """All bodies of one run."""

    def __init__(self, server: Server, path: str, batch: int, numbers: list[str]) -> None:
        self.server, self.path, self.batch, self.numbers = server, path, batch, numbers
        self.door_ms: list[float] = []
        self.refused = 0
        self._next = 0

    async def run(self, bodies: int, per_second: float) -> float:
        """Send; how many seconds it took."""
        started = time.perf_counter()
        await asyncio.gather(*(self._client(started, bodies, per_second) for _ in range(CONNECTIONS)))
        return time.perf_counter() - started

    async def _client(self, started: float, bodies: int, per_second: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        while self._next < bodies:
            at, self._next = self._next, self._next + 1
            due = started + at / per_second
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            writer.write(request_of(self.path, body_of(at, self.batch, self.numbers)))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            self.door_ms.append((time.perf_counter() - due) * 1000)
            self.refused += not head.startswith(b"http/1.1 200")
        writer.close()


def percentile(values: list[float], share: float) -> float:
    """A percentile by nearest rank."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def prepare(server: Server, receiver: Receiver, numbers: list[str]) -> str:
    """A source, its numbers, and an endpoint for everything; the callback's path."""
    account = server.client.get("/v1/account").raise_for_status().json()["id"]
    form = {"name": "bench", "appSecret": SECRET, "account": account}
    source = server.client.post("/v1/sources", json=form).raise_for_status().json()["id"]
    for number in numbers:
        known = {"phoneNumberId": number, "source": source, "account": account}
        server.client.post("/v1/numbers", json=known).raise_for_status()
    url = f"http://{receiver.hosts[0]}:{receiver.port}/"
    endpoint = {"url": url, "events": ["*"], "maxInFlight": 100}
    server.client.post("/v1/endpoints", json=endpoint).raise_for_status()
    return f"/sources/whatsapp/{source}"


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=1_000, help="a second")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--numbers", type=int, default=20)
    wanted = parser.parse_args()
    numbers = [str(700_000_000_000_000 + at) for at in range(wanted.numbers)]
    with tempfile.TemporaryDirectory() as folder:
        receiver = Receiver(1)
        server = Server(Path(folder) / "server", {}, [])
        try:
            load = Load(server, prepare(server, receiver, numbers), wanted.batch, numbers)
            bodies = int(wanted.updates * wanted.seconds / wanted.batch)
            used = server.cpu_seconds()
            seconds = uvloop.run(load.run(bodies, wanted.updates / wanted.batch))
            expected, arrived = bodies * wanted.batch // 2, {"distinct": 0}
            until = time.monotonic() + 60
            while arrived["distinct"] < expected and time.monotonic() < until:
                time.sleep(0.2)
                arrived = receiver.report()
            show(load, seconds, wanted, arrived, expected)
            print(
                f"the server used {(server.cpu_seconds() - used) / bodies / wanted.batch * 1e6:.0f} µs of CPU an update"
            )
        finally:
            server.process.terminate()
            server.process.wait(30)
            receiver.stop()


def show(load: Load, seconds: float, wanted: argparse.Namespace, arrived: dict[str, Any], expected: int) -> None:
    """Print the figures."""
    sent = len(load.door_ms) * wanted.batch
    print(f"{sent:,} updates in bodies of {wanted.batch}: {sent / seconds:,.0f}/s of {wanted.updates:,}/s asked for")
    door = ", ".join(f"p{share:g} {percentile(load.door_ms, share / 100):.1f} ms" for share in (50, 90, 99))
    print(f"the door, from when a body was due: {door}; {load.refused} refused")
    way = ", ".join(f"p{share} {arrived[f'p{share}']} ms" for share in (50, 90, 99) if f"p{share}" in arrived)
    print(f"from Meta to the receiver: {way}; {arrived['distinct']:,} of {expected:,} messages arrived")


if __name__ == "__main__":
    main()
