"""What one node knows of itself in this run: its name and number, its secret hash, where the feed's places begin."""

from dataclasses import dataclass, field

from whatsync.store.keyed_hash import Hash, keyed_hash


@dataclass(slots=True)
class Node:
    """Filled in when the store opens."""

    name: str
    """Stays the same when the node starts again: then its earlier run is over for sure."""
    label: str
    """Names it to people."""
    run: int = 0
    """The number of this run, which claims belong to: the node's epoch."""
    over: bool = False
    """The run has ended; others have its work."""
    version: str = ""
    """Of WhatsSync."""
    place_base: int = 0
    """Added to transaction ids in the feed."""
    hash_of: Hash = field(default_factory=lambda: keyed_hash(b""))
