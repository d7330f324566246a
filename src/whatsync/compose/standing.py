"""Wires a server's place among others over the same database, or the lack of any."""

from whatsync.compose.places import Disk
from whatsync.config import Config
from whatsync.engine.common_clock import CommonClock
from whatsync.engine.directory import Directory
from whatsync.engine.node import Node
from whatsync.engine.standing import SOLE, Standing
from whatsync.model.ids import NODE_MAX, Sequence
from whatsync.ports.clock import Clock
from whatsync.ports.cluster import Role
from whatsync.ports.store import Opened


def clock_of(disk: Disk, own: Clock) -> Clock:
    """The clock a server goes by: where nodes share a database, the database's."""
    return own if disk.cluster is None else CommonClock(own)


def standing_of(
    disk: Disk, config: Config, clock: Clock, directory: Directory, sequence: Sequence, opened: Opened
) -> Standing:
    """Alone, or one node of many."""
    if disk.cluster is None or not isinstance(clock, CommonClock):
        return SOLE
    clock.set(opened.now_ms, clock.monotonic())
    sequence.renumber(opened.run & NODE_MAX)
    return Node(
        cluster=disk.cluster,
        role=Role(config.role),
        clock=clock,
        directory=directory,
        sequence=sequence,
        cursor=opened.cursor,
        timeout_seconds=config.request_timeout,
    )
