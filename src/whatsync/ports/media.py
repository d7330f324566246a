"""What a store keeps about media files: one row each, from the moment their URL is made public.

The bytes lie in a media store (``ports.media_store``); the row decides what the URL answers and what is left to do.
"""

from enum import IntEnum

import msgspec


class MediaState(IntEnum):
    """What a media URL stands for."""

    WAITING = 0
    """The bytes are on their way."""
    STORED = 1
    FAILED = 2
    """The bytes will never come."""
    REMOVED = 3
    """There may have been bytes; retention or an erasure took them away."""


class MediaRow(msgspec.Struct, frozen=True, gc=False):
    """One media file. The fields from ``claim`` on are kept by the store and filled in on reading."""

    name: str
    """Last part of its URL: unguessable, unique in the installation, never used again for something else."""
    account: int
    event: int
    """Row of the event it came with. The file goes when this event has gone."""
    id: str
    """Id of the ``media.upload`` event that tells of it."""
    created_ms: int
    state: MediaState
    due_ms: int | None = None
    """When there is something to do about it: to fetch it (``WAITING``), to remove its bytes (``REMOVED``)."""
    mime_type: str | None = None
    size: int | None = None
    """In bytes, once stored."""
    sha256: bytes = b""
    """Of the bytes, once stored."""
    task: bytes = b""
    """How to get the bytes and what to tell when they are here: known to the engine alone, emptied when it is over."""
    claim: int = 0
    """Rises with each claim and with each removal; an outcome counts only under the last one."""
    attempts: int = 0
    """Outcomes recorded so far."""
    reason: str | None = None
    """Why it failed or was removed: a word such as ``expired``, ``erased`` or a failure's code."""
    changed_ms: int = 0
    """When its state or ``due_ms`` was last decided; claims leave it."""


class MediaClaim(msgspec.Struct, frozen=True, gc=False):
    """Media that were claimed, and where to go on."""

    rows: tuple[MediaRow, ...]
    after: int | None = None
    """There may be more behind this account's row; ``None`` where all that is due was looked at."""
    contended: bool = False
    """Some were claimed by another node first: asking again soon may give others."""


class MediaOutcome(msgspec.Struct, frozen=True, gc=False):
    """What became of a claimed media file."""

    name: str
    claim: int
    state: MediaState
    at_ms: int
    due_ms: int | None = None
    """When to try again; ``None`` ends it, and empties its ``task``."""
    mime_type: str | None = None
    size: int | None = None
    sha256: bytes = b""
    reason: str | None = None
    event: int | None = None
    """Row of the event that keeps the file from now on, where it is another one."""
