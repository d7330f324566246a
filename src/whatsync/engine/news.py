"""Keeps this node's copy of the configuration as new as the database's, whoever made a change. Knows no HTTP."""

import asyncio
from collections.abc import Callable

from whatsync.engine.directory import ENDPOINT, Directory
from whatsync.ports.cluster import Cluster


class NewsReader:
    """Reads on from where it stopped; many callers at once cost one question."""

    def __init__(self, cluster: Cluster, directory: Directory, cursor: int) -> None:
        self._cluster = cluster
        self._directory = directory
        self.cursor = cursor
        self.on_endpoint: list[Callable[[int], None]] = []
        """Called with the row of each endpoint that others may have made, changed or deleted."""
        self.on_change: list[Callable[[], object]] = []
        """Called when anything was read."""
        self._turn = asyncio.Lock()
        self._asked = 0
        self._answered = 0

    async def catch_up(self) -> None:
        """Return when the copy has all that was committed before the call. Raises StoreUnavailable."""
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._answered >= mine:
                return  # Somebody else has asked the database since.
            asked = self._asked
            news = await self._cluster.news(self.cursor)
            self._answered = asked
            known = {gone.row for gone in news.gone if gone.row in self._directory.endpoints}
            self._directory.take_over(news.documents, news.gone, news.versions)
            self.cursor = max(self.cursor, news.cursor)
        if news.documents or news.gone or news.versions:
            rows = {document.row for document in news.documents if document.kind == ENDPOINT}
            for row in sorted(rows | known):
                for listener in self.on_endpoint:
                    listener(row)
            for changed in self.on_change:
                changed()
