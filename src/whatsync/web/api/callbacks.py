"""Routes that sources call: for WhatsApp, the callback URL that is given to Meta."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.intake import Refused
from whatsync.engine.services import Services
from whatsync.model import limits
from whatsync.web.api.call import Answer, Call, Route
from whatsync.web.arriving import overloaded
from whatsync.web.problems import Unauthorized

_TEXT = "text/plain; charset=utf-8"
_OK = b"OK"
PATH = "/sources/whatsapp/"
"""What stands before a source's id."""


class ChallengeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What Meta asks with when the callback is set."""

    mode: Annotated[str, Meta(max_length=100, description="`subscribe`")] | None = msgspec.field(
        default=None, name="hub.mode"
    )
    token: Annotated[str, Meta(max_length=1_000, description="The source's verify token")] | None = msgspec.field(
        default=None, name="hub.verify_token"
    )
    challenge: Annotated[str, Meta(max_length=1_000, description="Sent back as it is")] | None = msgspec.field(
        default=None, name="hub.challenge"
    )


async def answer_challenge(call: Call) -> Answer:
    """Answers `hub.challenge` as it is when the verify token is the source's."""
    query: ChallengeQuery = call.query
    inbound = call.services.inbound
    challenge = inbound.challenge(call.path["source_id"], query.mode, query.token, query.challenge)
    return Answer(200, challenge.encode(), content_type=_TEXT)


async def receive(call: Call) -> Answer:
    """Checks the signature over the raw bytes; answers 200 once the body and all events in it are on disk.

    Elements nothing can be made of are kept and shown, not refused. A body that came before makes no event twice.
    """
    return await take_body(call.services, call.path["source_id"], call.headers, call.body)


async def take_body(services: Services, source_id: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Take a body of Meta's in; the short cut of the protocol calls this, too. Raises Problem, StoreUnavailable."""
    tally = services.tally
    if tally.accepting_bytes > limits.ACCEPTING_BYTES_MAX:
        raise overloaded()
    tally.accepting_bytes += len(body)
    started = services.clock.monotonic()
    try:
        taken = await services.inbound.receive(source_id, headers, body)
    finally:
        tally.accepting_bytes -= len(body)
    if isinstance(taken, Refused):
        raise Unauthorized(taken.code, taken.sentence)
    counts = (taken.events, taken.duplicates, taken.set_aside)
    services.journal.taken_in(source_id, counts, len(body), services.clock.monotonic() - started)
    return Answer(200, _OK, content_type=_TEXT)


ROUTES = (
    Route(
        "GET", PATH + "{source_id}", None, answer_challenge, "Answer Meta's challenge",
        query=ChallengeQuery, gives={200: bytes}, problems=(403, 404), content_type=_TEXT,
    ),
    Route(
        "POST", PATH + "{source_id}", None, receive, "Receive Meta's webhooks",
        takes=bytes, body_schema={"type": "object", "description": "Meta's body, whatever is in it"},
        gives={200: bytes}, problems=(401, 404, 413), content_type=_TEXT,
        headers={"X-Hub-Signature-256": "`sha256=` and the HMAC-SHA256 of the body under the app secret"},
    ),
)  # fmt: skip
