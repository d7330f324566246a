"""The one way to change configuration: durable first, then the copy in memory, then everybody who must know.

Services build the change; this file carries it out. Knows no HTTP.
"""

import asyncio
import contextlib
from collections.abc import Callable

from whatsync.engine.directory import ENDPOINT, Directory
from whatsync.engine.standing import SOLE, Standing
from whatsync.model.errors import Conflict, Unavailable
from whatsync.ports.store import Change, ChangeConflict, Changed, Store, StoreUnavailable


class Configuration:
    """Carries out changes one at a time per server, in the order they were asked for."""

    def __init__(self, directory: Directory, store: Store, standing: Standing = SOLE) -> None:
        self._directory = directory
        self._store = store
        self._standing = standing
        self._turn = asyncio.Lock()
        self.on_endpoint: list[Callable[[int], None]] = []
        """Called with the row of each endpoint that was made, changed or deleted."""

    async def change(self, change: Change) -> Changed:
        """Write ``change`` and take it over.

        Raises Conflict where somebody else changed a document meanwhile or the account is being removed, Unavailable
        where the store can't write.
        """
        # Shielded: a caller that goes away must leave neither the copy in memory nor the listeners behind the disk.
        return await asyncio.shield(asyncio.ensure_future(self._change(change)))

    async def _change(self, change: Change) -> Changed:
        async with self._turn:
            if any(self._is_leaving(put.account) for put in change.puts):
                raise Conflict("account_removed", "the account is being removed; nothing can be made or changed in it")
            rows = [
                running.row
                for kind, id_ in ((d.kind, d.id) for d in change.deletes)
                if kind == ENDPOINT and (running := self._directory.endpoints_by_id.get(id_))
            ]
            changed = await self._carry_out(change)
            rows += [document.row for document in changed.documents if document.kind == ENDPOINT]
        for row in rows:
            for listener in self.on_endpoint:
                listener(row)
        return changed

    def _is_leaving(self, account: int) -> bool:
        running = self._directory.accounts.get(account)
        return account != 0 and (running is None or running.account.deleted_ms is not None)

    async def _carry_out(self, change: Change) -> Changed:
        try:
            result = await self._store.change(change)
            if isinstance(result, ChangeConflict):
                await self._standing.catch_up()  # Whoever tries again has to see what stood against it.
        except StoreUnavailable as problem:
            raise Unavailable("store_unavailable", problem.reason) from None
        if isinstance(result, ChangeConflict):
            raise Conflict(
                "changed_meanwhile",
                f"the {result.kind} {result.id} was changed or exists already; read it and try again",
            )
        gone = [(gone.kind, gone.id) for gone in change.deletes]
        whole = self._directory.apply(change.account, result, gone, rose=change.routing)
        self._standing.announce()
        if not whole:
            # It is on disk: what is still missing here is fetched before anything is routed, whatever goes wrong now.
            with contextlib.suppress(StoreUnavailable):
                await self._standing.catch_up()
        return result
