"""``POST /v1/events`` as a route. The short cut in ``web/hot.py`` answers the same requests without the detour here."""

import asyncio
from functools import partial
from typing import Any

from whatsync.model.account import Scope
from whatsync.web.accepting import Submission
from whatsync.web.api.call import Answer, Call, Route
from whatsync.web.receipts import EventReceipt, EventReceipts


async def post_events(call: Call) -> Answer:
    """Accepts one event, or an array of up to 1,000 of them, all or nothing.

    A 202 means that the events and all their deliveries are on disk. The same `id` with the same content is answered
    200 with the first result, with other content 409. An `Idempotency-Key` protects a request without ids.
    """
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    key = call.headers.get("idempotency-key")
    started = call.services.clock.monotonic()
    submission = Submission(call.services, call.account, call.body, partial(_settle, answered), started)
    submission.begin(None if key is None else key.encode("latin-1"))
    return await answered


def _settle(answered: "asyncio.Future[Answer]", answer: Answer | Exception) -> None:
    if answered.done():
        return
    if isinstance(answer, Exception):
        answered.set_exception(answer)
    else:
        answered.set_result(answer)


_GIVES: dict[int, Any] = {202: (EventReceipt, EventReceipts), 200: (EventReceipt, EventReceipts)}

ROUTES = (
    Route(
        "POST",
        "/v1/events",
        Scope.EVENTS_WRITE,
        post_events,
        "Accept events",
        takes=bytes,
        gives=_GIVES,
        problems=(400, 409, 413),
        headers={"Idempotency-Key": "1 to 255 printable ASCII characters; remembered for 8 days"},
    ),
)
