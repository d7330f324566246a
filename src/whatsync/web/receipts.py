"""What ``POST /v1/events`` answers: the receipts of events that are on disk."""

import msgspec


class EventReceipt(msgspec.Struct, frozen=True, gc=False):
    """One event that is on disk, with how many deliveries were made of it."""

    id: str
    event: str
    timestamp: str
    deliveries: int


class EventReceipts(msgspec.Struct, frozen=True, gc=False):
    """The receipts of an array, in its order."""

    items: list[EventReceipt]
