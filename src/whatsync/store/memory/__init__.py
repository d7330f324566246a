"""The store in plain dictionaries and lists: what every other adapter has to agree with, and what
the simulator runs on.

Knows no file, clock or thread; works under any event loop.
"""

from whatsync.store.memory.cluster import Meeting, NodeStore
from whatsync.store.memory.disk import Disk
from whatsync.store.memory.store import MemoryStore

__all__ = ["Disk", "Meeting", "MemoryStore", "NodeStore"]
