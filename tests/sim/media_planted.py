"""Bugs about files planted on purpose: each must be found within a bounded number of schedules."""

import asyncio

from msgspec.structs import replace

from tests.sim.media_world import MediaParts, ShelfStore
from whatsync.engine.media_work import Fetched, MediaWork, NotFetched
from whatsync.model.media import MediaTask
from whatsync.ports.media import MediaOutcome, MediaRow
from whatsync.ports.media_store import UnfinishedFile
from whatsync.sources.whatsapp.media import GraphMedia


class KeepsLater(ShelfStore):
    """A file counts as kept a while before it outlives a crash."""

    def put(self, name: str, data: bytes) -> None:
        asyncio.get_running_loop().call_later(20.0, super().put, name, data)


class BelievesAnything(GraphMedia):
    """Whatever comes is the file."""

    async def fetch(self, task: MediaTask, unfinished: UnfinishedFile) -> Fetched | NotFetched:
        found = await super().fetch(task, unfinished)
        return Fetched() if isinstance(found, NotFetched) and found.code == "wrong_hash" else found


class GivesUp(GraphMedia):
    """The first failure is the last."""

    async def fetch(self, task: MediaTask, unfinished: UnfinishedFile) -> Fetched | NotFetched:
        found = await super().fetch(task, unfinished)
        return replace(found, final=True) if isinstance(found, NotFetched) else found


class ShowsToken(GraphMedia):
    """Every host sees the token."""

    def _may_see_token(self, url: str) -> bool:
        return True


class Insists(MediaWork):
    """What failed is tried again after two minutes, each time."""

    def _again(self, row: MediaRow, result: NotFetched, at_least_seconds: float) -> MediaOutcome:
        return super()._again(replace(row, attempts=2), replace(result, retry_after_seconds=0.0), 0.0)


class TellsAgain(MediaWork):
    """What became of a file is never written down."""

    async def _do(self, row: MediaRow) -> None:
        await self._get(row)


BUGS = {
    "kept later": lambda: MediaParts(shelf_store=KeepsLater),
    "hash ignored": lambda: MediaParts(graph=BelievesAnything),
    "given up at once": lambda: MediaParts(graph=GivesUp),
    "token shown": lambda: MediaParts(graph=ShowsToken),
    "asked without pause": lambda: MediaParts(work=Insists),
    "outcome not written": lambda: MediaParts(work=TellsAgain),
}
