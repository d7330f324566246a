"""The request a customer receives, as bytes: its head, from the part that never changes to the signatures of one
attempt.

Used to send and, later, to show exactly what was sent. Knows no socket.
"""

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from whatsync import __version__
from whatsync.model.url import Target

MASK = "••••••"
USER_AGENT = f"WhatsSync/{__version__}"

PROTECTED_HEADERS = frozenset(
    {
        "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection",
        "keep-alive", "te", "trailer", "upgrade",
        "proxy-authorization", "proxy-connection", "expect", "user-agent", "accept-encoding", "cookie2",
        "webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature-256",
    }
)  # fmt: skip
"""Headers an endpoint's own can't override; everything that begins with ``x-whatssync-`` or ``x-whatsync-`` is
protected too.
"""


def fixed_head(target: Target, headers: Mapping[str, str], version: str = __version__) -> bytes:
    """Request line and the headers that are the same in every request to an endpoint."""
    lines = [
        f"POST {target.request_target} HTTP/1.1",
        f"Host: {target.host_header}",
        f"User-Agent: WhatsSync/{version}",
        "Content-Type: application/json",
        "Accept: */*",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def attempt_head(  # noqa: PLR0917 - the parts of one request, in their order
    event_type: str,
    event_id: str,
    delivery: str,
    attempt: int,
    signed_s: int,
    signatures: bytes,
    body_bytes: int,
    number: str | None = None,
    wamid: str | None = None,
    test: bool = False,
    meta: bool = False,
) -> bytes:
    """The headers of one attempt, with the empty line that ends the head.

    ``signatures`` are the 32-byte HMACs: the one of ``X-WhatsSync-Signature`` first, then those of
    ``webhook-signature``. ``meta``: the body has Meta's shape, so Meta's own header stands beside them.
    """
    standard = "v1," + b2a_base64(signatures[32:64], newline=False).decode()
    for at in range(64, len(signatures), 32):  # during a rotation
        standard += " v1," + b2a_base64(signatures[at : at + 32], newline=False).decode()
    extra = ""
    if number is not None:
        extra += f"X-WhatsSync-Number: {header_text(number)}\r\n"
    if wamid is not None:
        extra += f"X-WhatsSync-Wamid: {header_text(wamid)}\r\n"
    if test:
        extra += "X-WhatsSync-Test: true\r\n"
    signature = signatures[:32].hex()
    if meta:
        extra += f"X-Hub-Signature-256: sha256={signature}\r\n"
    # The public example reads ``x-whatsync-signature``, one s in the middle, where the product's name has two:
    # both are sent, see docs/decisions.
    return (
        f"X-WhatsSync-Event: {event_type}\r\n"
        f"X-WhatsSync-Delivery: {delivery}\r\n"
        f"X-WhatsSync-Attempt: {attempt}\r\n"
        f"X-WhatsSync-Signature: {signature}\r\n"
        f"X-Whatsync-Signature: {signature}\r\n"
        f"webhook-id: {event_id}\r\n"
        f"webhook-timestamp: {signed_s}\r\n"
        f"webhook-signature: {standard}\r\n"
        f"{extra}"
        f"Content-Length: {body_bytes}\r\n\r\n"
    ).encode("latin-1")


def header_text(text: str) -> str:
    """Text that somebody else gave, fit to stand in a header: what a header can't carry is percent-encoded.

    Ids of WhatsApp stay as they are. Without this a line break in one would begin a header of its own.
    """
    return text if text.isascii() and text.isprintable() else quote(text, safe=_PRINTABLE, errors="replace")


_PRINTABLE = bytes(range(0x20, 0x7F)).replace(b"%", b"")


def masked(head: bytes, own_names: Sequence[str]) -> list[tuple[str, str]]:
    """Read a head back as name and value pairs, with the values of the endpoint's own headers masked."""
    own = {name.lower() for name in own_names}
    pairs = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:] if line]
    return [(name, MASK if name.lower() in own else value) for name, _, value in pairs]
