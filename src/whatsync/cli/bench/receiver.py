"""A receiver as cheap as Python allows: answers every POST with 500 bytes and notes how long the event was on its way.

Run as a process of its own (``python -m whatsync.cli.bench.receiver``). Reads one line of JSON with its orders from
standard input, and writes one line of JSON when it listens and one per further line: ``report``, ``reset`` (a report,
then all is forgotten), ``count`` (no percentiles: they cost much) or ``delay`` with seconds, for answers from then on.
"""

import asyncio
import gc
import json
import sys
import time
from array import array
from typing import Any, cast

import httptools
import uvloop

from whatsync.cli.bench.courtesy import step_aside

ANSWER_BODY = b'{"ok":true,"note":"' + b"x" * 479 + b'"}'
MARK = b'"text":"'
"""What stands before the sending time in the events the generator makes."""
_STAMP_CHARS = 20


class Log:
    """What has arrived since the last report."""

    def __init__(self) -> None:
        self.times_us = array("q")
        self.ids: set[bytes] = set()
        self.requests = 0
        self.wrong = 0
        self.last_ns = 0

    def count(self) -> dict[str, Any]:
        """Counts alone."""
        return {
            "requests": self.requests,
            "distinct": len(self.ids),
            "wrong": self.wrong,
            "last_ns": self.last_ns,
        }

    def report(self) -> dict[str, Any]:
        """Percentiles in milliseconds, and counts."""
        times = sorted(self.times_us)
        return {
            **self.count(),
            **{f"p{share:g}": round(times[int(len(times) * share / 100)] / 1000, 2) for share in (50, 90, 99) if times},
        }


class Receiver(asyncio.Protocol):
    """One connection. The group's ``delay_s``: how long an answer takes; ``None``: for ever."""

    def __init__(self, log: Log, group: dict[str, Any]) -> None:
        self._log = log
        self._group = group
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are not derived from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Collect."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Note the event and answer."""
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        log = self._log
        log.requests += 1
        now = log.last_ns = time.monotonic_ns()
        at = body.find(MARK) + len(MARK)
        stamp = body[at : at + _STAMP_CHARS]
        if stamp.isdigit():
            log.times_us.append((now - int(stamp)) // 1000)
            begin = body.find(b'"id":"') + 6
            log.ids.add(body[begin : body.find(b'"', begin)])
        else:
            log.wrong += 1
        delay_s = self._group["delay_s"]
        if delay_s is None:
            return
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._transport.write(_ANSWER)


_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER_BODY) + ANSWER_BODY
)


async def serve(orders: dict[str, Any]) -> None:
    """Listen on every address of the orders until standard input ends."""
    log, others = Log(), Log()
    port = orders["port"]
    servers = [await _listen(group, port, log if group["counts"] else others) for group in orders["groups"]]
    print(json.dumps({"listening": True}), flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command, _, value = line.decode().partition(" ")
        if command == "delay":
            for group in orders["groups"]:
                group["delay_s"] = float(value) if group["counts"] else group["delay_s"]
        print(json.dumps(log.report() if command.strip() in {"report", "reset"} else log.count()), flush=True)
        if command.strip() == "reset":
            log.__init__()  # type: ignore[misc]
    for server in servers:
        server.close()


async def _listen(group: dict[str, Any], port: int, log: Log) -> asyncio.Server:
    """Listen on the addresses of one group, which behave alike."""
    context = None
    if group["certificate"]:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(group["certificate"])
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Receiver(log, group), group["hosts"], port, backlog=1024, ssl=context)


def main() -> None:
    """Entry of the process."""
    step_aside()
    # It lives for minutes: garbage may stay, while looks for it would keep the server's requests waiting.
    gc.disable()
    uvloop.run(serve(json.loads(sys.stdin.readline())))


if __name__ == "__main__":
    main()
