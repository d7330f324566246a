"""Which body of an event an endpoint gets: our envelope, the same with details, or Meta's own. Pure; the one place."""

import msgspec
from msgspec import Raw

from whatsync.model.details import NULL
from whatsync.model.endpoint import Endpoint, Format
from whatsync.model.envelope import with_details

_META_BEGINS = b'{"object":'


class _Kept(msgspec.Struct):
    wamid: str | None = None
    raw: Raw = NULL


_decode = msgspec.json.Decoder(_Kept).decode


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A body as it is sent."""

    body: bytes
    wamid: str | None = None
    meta: bool = False
    """Meta's own shape, so it is signed in Meta's own header too."""


def outgoing(endpoint: Endpoint, body: bytes, details: bytes | None) -> Outgoing:
    """The body for an endpoint. What did not come from Meta, or was too large to keep, goes out in our envelope."""
    if details is None:
        return Outgoing(body)
    kept = _decode(details)
    if endpoint.format is Format.META:
        raw = bytes(kept.raw)
        if raw.startswith(_META_BEGINS):
            return Outgoing(raw, kept.wamid, meta=True)
    return Outgoing(with_details(body, details) if endpoint.include_details else body, kept.wamid)
