"""Opens the store and wires a server over it."""

from whatsync.compose.parts import Parts
from whatsync.compose.places import Outside, disk_of, vault_of
from whatsync.compose.server import Server
from whatsync.config import Config
from whatsync.net.remote_sender import RemoteSender
from whatsync.store.vault import check_key


async def open_server(config: Config, outside: Outside) -> Server:
    """Open the store and wire everything over it. Raises StoreRefused with what to do about it."""
    vault = vault_of(config, outside.randomness)
    disk = outside.disk or disk_of(config, outside)
    opened = await disk.open(outside.clock.now_ms())
    try:
        if not await check_key(vault, disk.store, opened.documents) and disk.cluster is not None:
            await check_key(vault, disk.store, (await disk.cluster.news(0)).documents)
        parts = Parts(config, outside, vault, disk, opened)
        if isinstance(parts.sender, RemoteSender):
            await parts.sender.start()
    except BaseException:
        await disk.close()
        raise
    return parts.server
