"""What an answer or a network failure means: success, try again, or gone; with a stable code, a plain sentence and what
to do.

Knows nothing of sockets or HTTP libraries; it judges a status number or one of ``NETWORK_CODES``.
"""

from enum import StrEnum
from http import HTTPStatus

import msgspec

from whatsync.model import retry


class Kind(StrEnum):
    """The three things an attempt can tell us."""

    SUCCESS = "success"
    RETRY = "retry"
    GONE = "gone"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The judgement of one attempt. ``code`` is ``None`` on success, else stable and listed in the docs."""

    kind: Kind
    code: str | None = None
    retry_after_seconds: float | None = None


class Explanation(msgspec.Struct, frozen=True):
    """A code in words for someone who has never seen the product."""

    sentence: str
    next_step: str


SUCCESS = Verdict(Kind.SUCCESS)

NETWORK: dict[str, Explanation] = {
    "dns_error": Explanation(
        "The host name of the URL could not be looked up.",
        "Check the spelling of the host name and its DNS records.",
    ),
    "blocked_address": Explanation(
        "The URL leads to an address that deliveries may not reach.",
        "Use a public address, or let the operator add the network to WHATSYNC_ALLOW_ADDRESSES.",
    ),
    "connection_refused": Explanation(
        "The receiver's machine refused the connection: nothing listens on that port.",
        "Start the receiver, and check port and firewall.",
    ),
    "connection_timeout": Explanation(
        "No connection could be made in time.",
        "Check that the machine is up and its firewall lets the connection in.",
    ),
    "connection_failed": Explanation(
        "No connection could be made: the network said no.",
        "Check routing and firewall between here and the receiver.",
    ),
    "tls_error": Explanation(
        "The encrypted connection could not be set up.",
        "Check the certificate: its name, its dates and that the chain is complete; the detail names the fault.",
    ),
    "timeout": Explanation(
        "The receiver did not answer in time.",
        "Answer 200 first and do the work afterwards; or raise the endpoint's timeout.",
    ),
    "connection_reset": Explanation(
        "The receiver closed the connection before it answered.",
        "Look for a crash, a restart or a proxy limit at the receiver.",
    ),
    "bad_response": Explanation(
        "What came back is not a valid HTTP answer.",
        "Check that the URL's port speaks HTTP (or HTTPS, if it begins so).",
    ),
    "headers_too_large": Explanation(
        "The answer's headers are larger than 32 KiB.",
        "Make the receiver send fewer or shorter headers and cookies.",
    ),
    "no_sockets": Explanation(
        "This server had no free connection for the request.",
        "The operator should raise the limit of open files.",
    ),
    "internal_error": Explanation(
        "WhatsSync itself could not make the request.",
        "If it stays, report it with the delivery's id.",
    ),
}
NETWORK_CODES: tuple[str, ...] = tuple(NETWORK)

_STATUS: dict[int, Explanation] = {
    400: Explanation(
        "The receiver answered 400: it did not understand the request.",
        "Look at the answer's text; often the body is parsed twice.",
    ),
    401: Explanation(
        "The receiver answered 401: usually the signature check failed.",
        "Compare the secret the receiver holds with the signing secret here; whatsync verify explains a mismatch.",
    ),
    403: Explanation(
        "The receiver answered 403: something in front of it forbids the request.",
        "Check firewall rules, CSRF protection and bot filters.",
    ),
    404: Explanation(
        "The receiver answered 404: there is nothing at this path.", "Correct the path of the endpoint's URL."
    ),
    405: Explanation(
        "The receiver answered 405: it does not take POST at this path.",
        "Let the receiver's route accept POST.",
    ),
    410: Explanation(
        "The receiver answered 410 Gone, so the endpoint was disabled.",
        "Enable the endpoint again when the receiver is back; held deliveries can be sent then.",
    ),
    413: Explanation(
        "The receiver answered 413: it takes no body of this size.",
        "Raise the receiver's limit to at least 100 kB.",
    ),
    415: Explanation(
        "The receiver answered 415: it does not take this content type.",
        "Let the receiver accept Content-Type application/json.",
    ),
    429: Explanation(
        "The receiver answered 429: too many requests.",
        "Set a rate limit on the endpoint if this stays.",
    ),
    502: Explanation(
        "A proxy in front of the receiver answered 502: the receiver itself is down.",
        "Start the receiver behind the proxy.",
    ),
    503: Explanation(
        "The receiver answered 503: it is not available for now.",
        "Look at the receiver's health.",
    ),
    504: Explanation(
        "A proxy in front of the receiver answered 504: the receiver is too slow.",
        "Answer 200 first and do the work afterwards.",
    ),
}


def judge(status: int | None, network_code: str | None, retry_after: str | None, now_ms: int) -> Verdict:
    """Judge one attempt by the answer's status, or by the network's code where no answer came.

    ``retry_after`` is the raw header; it counts on 429 and 503 only.
    """
    if status is None:
        return Verdict(Kind.RETRY, network_code or "internal_error")
    if 200 <= status < 300:
        return SUCCESS
    if status == HTTPStatus.GONE:
        return Verdict(Kind.GONE, "http_410")
    wait = None
    if retry_after is not None and status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        wait = retry.parse_retry_after(retry_after, now_ms)
    return Verdict(Kind.RETRY, f"http_{status}", wait)


_GONE_TO_A_TEST = Explanation(
    "The receiver answered 410 Gone. A delivery that is answered so disables its endpoint; this request did not.",
    "Bring the receiver back, or correct the endpoint's URL, before the next event.",
)


def explain(code: str, test: bool = False) -> Explanation:
    """Put a code into words; every code that ``judge`` can return has some. ``test``: of a request that changes nothing
    about its endpoint.
    """
    if test and code == "http_410":
        return _GONE_TO_A_TEST
    if code in NETWORK:
        return NETWORK[code]
    status = int(code.removeprefix("http_"))
    if status in _STATUS:
        return _STATUS[status]
    if 300 <= status < 400:
        return Explanation(
            f"The receiver answered {status}, a redirect; redirects are never followed.",
            "Put the final address into the endpoint's URL.",
        )
    if 400 <= status < 500:
        return Explanation(
            f"The receiver answered {status}: it refused the request.",
            "Look at the answer's text for the receiver's reason.",
        )
    return Explanation(
        f"The receiver answered {status}: it failed on its own side.",
        "Look at the receiver's log for the time of the attempt.",
    )
