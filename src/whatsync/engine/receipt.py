"""What the engine answers for one accepted event. Knows no HTTP."""

import msgspec


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What the caller gets for one event. ``repeated`` where it had been accepted before with the same content."""

    id: str
    event: str
    timestamp: str
    deliveries: int
    repeated: bool = False


class Timestamp(msgspec.Struct):
    """Of a stored body only when it was made."""

    timestamp: str
