"""A receiver as a customer would write it, in plain Python: verifies each request both ways and answers.

Used by ``whatsync demo``. Shares no signing code with the side that sends; knows no server of ours.
"""

import base64
import hashlib
import hmac
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from whatsync.model.javascript import NotJson, parse, stringify

TOLERANCE_SECONDS = 300
_BODY_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived, what the checks said, and the status it was answered with."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    document_check: bool
    """``X-WhatsSync-Signature``, checked as the public document's example does."""
    standard_check: bool
    """``webhook-signature``, checked as the Standard Webhooks libraries do."""
    status: int

    @property
    def verified(self) -> bool:
        """Whether both signatures are right."""
        return self.document_check and self.standard_check


def document_check(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """Check as the public document does: hex HMAC over ``JSON.stringify(JSON.parse(body))``, keyed with the secret."""
    try:
        payload = stringify(parse(body)).encode()
    except NotJson:
        return False
    expected = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers.get("x-whatsync-signature", "").encode(), expected.encode())


def standard_check(headers: dict[str, str], body: bytes, secret: str, now_s: int) -> bool:
    """Check as Standard Webhooks do: base64 HMAC over ``id.timestamp.body``, keyed with the decoded secret, not old."""
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isdecimal() or abs(now_s - int(stamp)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(one, expected) for one in given)


Judge = Callable[[str, str, int], int]
"""Path, event id and how often it came there already, to the status of the answer."""


class Receiver:
    """Listens on a free port of this machine from construction until ``close``; what arrives is in ``arrivals``."""

    def __init__(self, judge: Judge, now_s: Callable[[], int]) -> None:
        self.secret = ""
        """Given once the server told it; until then every check fails."""
        self.arrivals: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self._judge = judge
        self._now_s = now_s
        self._seen: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Received:
        """Check a request and decide on its answer: 401 where a signature is wrong."""
        place = (path, headers.get("webhook-id", ""))
        with self._lock:
            before = self._seen.get(place, 0)
            self._seen[place] = before + 1
        by_document = document_check(headers, body, self.secret)
        by_standard = standard_check(headers, body, self.secret, self._now_s())
        status = self._judge(*place, before) if by_document and by_standard else 401
        return Received(path, headers, body, by_document, by_standard, status)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                size = min(int(self.headers.get("content-length", "0")), _BODY_BYTES_MAX)
                body = self.rfile.read(size)
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = receiver.answer(self.path, headers, body)
                answer = b"OK" if received.status < 300 else b"Please try again later"
                self.send_response(received.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
                receiver.arrivals.put(received)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the demo prints what arrives."""

        return Handler
