"""What a server stands on: its database, its key, clock and randomness, its own addresses.

Wires only; reads settings and builds adapters of them.
"""

import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from whatsync import __version__
from whatsync.config import Config, is_postgres
from whatsync.engine.journal import Spans, Write
from whatsync.model.ids import TOKEN_BYTES, random_id
from whatsync.model.source import GRAPH_URL
from whatsync.ports.clock import Clock
from whatsync.ports.cluster import Cluster
from whatsync.ports.history import History
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import Opened, Store, StoreRefused
from whatsync.store.postgres.connection import Address
from whatsync.store.postgres.store import PostgresStore
from whatsync.store.sqlite.folder_lock import FolderLock
from whatsync.store.sqlite.store import SqliteStore
from whatsync.store.vault import AesVault, key_from, key_in

DATABASE_NAME = "whatsync.db"
NODE_NAME = "node"
"""File in the data folder."""


class Disk(Protocol):
    """Where a server keeps its things: the writing and the reading side, opened and closed together."""

    store: Store
    history: History
    cluster: Cluster | None
    """Where many nodes share it: the port they meet at."""

    async def open(self, now_ms: int) -> Opened:
        """Open both sides. Raises StoreRefused."""

    async def close(self) -> None:
        """Close both sides."""


class SqliteDisk:
    """A database file."""

    def __init__(self, config: Config, clock: Clock) -> None:
        path = database_path(config)
        owner = f"http://{config.host}:{config.port}"
        self._sqlite = SqliteStore(path, clock=clock, free_bytes_min=config.min_free_disk, owner=owner)
        self.store: Store = self._sqlite
        self.cluster: Cluster | None = None
        self.history: History = self._sqlite.history

    async def open(self, now_ms: int) -> Opened:
        """Open the file for writing and reading."""
        return await self._sqlite.open(now_ms, __version__)

    async def close(self) -> None:
        """Write what waits and let go of the file."""
        await self._sqlite.close()


class PostgresDisk:
    """A database on a PostgreSQL server. The data folder keeps who this node is, and lets one server be it."""

    def __init__(self, config: Config, outside: "Outside") -> None:
        self._lock = FolderLock(config.data_dir / NODE_NAME, f"http://{config.host}:{config.port}")
        try:
            address = database_address(config)
            name = _node_name(config.data_dir / NODE_NAME, outside.randomness)
            label = f"{socket.gethostname()}:{config.port}"
            self._postgres = PostgresStore(address, clock=outside.clock, name=name, label=label, folder=config.data_dir)
        except BaseException:
            self._lock.release()
            raise
        self.store: Store = self._postgres
        self.history: History = self._postgres.history
        self.cluster: Cluster | None = self._postgres.cluster

    async def open(self, now_ms: int) -> Opened:
        """Connect and begin a run."""
        try:
            return await self._postgres.open(now_ms, __version__)
        except BaseException:
            self._lock.release()
            raise

    async def close(self) -> None:
        """Write what waits and close the connections."""
        await self._postgres.close()
        self._lock.release()


def disk_of(config: Config, outside: "Outside") -> Disk:
    """Where the settings say that things are kept."""
    if is_postgres(config.database_url):
        return PostgresDisk(config, outside)
    return SqliteDisk(config, outside.clock)


def database_address(config: Config) -> Address:
    """The PostgreSQL database of the settings."""
    assert config.database_url is not None
    return Address(config.database_url, config.database_pooler == "transaction", config.database_unsafe)


def _node_name(path: Path, randomness: Randomness) -> str:
    """Who this node is: made once, kept in its data folder."""
    try:
        if name := path.read_text("ascii").strip():
            return name
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as problem:
        raise StoreRefused(f"{path} can't be read: {problem}") from None
    name = random_id("node_", randomness.token(TOKEN_BYTES))
    try:
        path.write_text(name + "\n", "ascii")
    except OSError as problem:
        raise StoreRefused(f"{path} can't be written: {problem.strerror}") from None
    return name


@dataclass(frozen=True, slots=True)
class Outside:
    """The real or simulated outside world of one server."""

    clock: Clock
    randomness: Randomness
    write_line: Write | None = None
    spans: Spans | None = None
    local_token: str | None = None
    """Lets this machine's command line in as an operator."""
    disk: Disk | None = None
    """Another place than the settings name, for tests."""
    graph_url: str = GRAPH_URL
    """Where Meta's Graph API is."""


def database_path(config: Config) -> Path:
    """The file of the database."""
    if config.database_url is None:
        return config.data_dir / DATABASE_NAME
    return Path(config.database_url.removeprefix("sqlite:///"))


def vault_of(config: Config, randomness: Randomness) -> AesVault:
    """The vault under the installation's key. Raises StoreRefused where the key's file is damaged."""
    if config.encryption_key is not None:
        return AesVault(key_from(config.encryption_key), randomness)
    return AesVault(key_in(config.data_dir, randomness), randomness)


def own_addresses(config: Config) -> list[str]:
    """Addresses the server listens on, as far as they are named by number."""
    try:
        return [str(ip_address(config.host))]
    except ValueError:
        return []


def own_ports(config: Config) -> list[int]:
    """Ports of the server itself: nothing is ever delivered there."""
    return [config.port, *([] if config.metrics_address is None else [config.metrics_address[1]])]
