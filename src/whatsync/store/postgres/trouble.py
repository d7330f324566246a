"""What errors of the database mean: out of reach, worth repeating, a missing day, or a mistake of ours. And the
sentences about them, which never hold a password.
"""

from urllib.parse import urlsplit, urlunsplit

import asyncpg

_OUT_OF_REACH = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.PostgresIOError,
    asyncpg.DataCorruptedError,
    asyncpg.IndexCorruptedError,
    OSError,
    TimeoutError,
    EOFError,
)
"""Nothing is wrong with what was asked: the database can't be had now."""
REPEATED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
"""Two transactions got into each other's way; the same again will do."""


def out_of_reach(problem: BaseException) -> bool:
    """Whether the database can't be had now. A value that doesn't fit its column is a mistake of ours, though."""
    return isinstance(problem, _OUT_OF_REACH) and not isinstance(problem, ValueError)


def is_missing_day(problem: BaseException) -> bool:
    """Whether rows were refused because their day is not made yet."""
    return isinstance(problem, asyncpg.CheckViolationError) and "no partition" in str(problem)


def is_over(problem: BaseException) -> bool:
    """Whether a transaction was refused because its run has ended (function ``hold_run``)."""
    return isinstance(problem, asyncpg.PostgresError) and problem.sqlstate == "WS001"


def shown(url: str) -> str:
    """A database's URL without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return urlunsplit(parts._replace(query=""))
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}", query=""))


def sentence(problem: BaseException) -> str:
    """What an operator has to know, without a full stop."""
    for kind, words in _SENTENCES:
        if isinstance(problem, kind):
            return words.format(_first_line(problem))
    return "the connection to PostgreSQL was lost"


_SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (
        asyncpg.TooManyConnectionsError,
        "PostgreSQL has no connection left; raise its max_connections or start fewer nodes",
    ),
    (asyncpg.DiskFullError, "PostgreSQL's disk is full; free some of it"),
    (asyncpg.ReadOnlySQLTransactionError, "PostgreSQL takes no writes: the URL leads to a standby"),
    (asyncpg.CannotConnectNowError, "PostgreSQL is starting or stopping"),
    (asyncpg.AdminShutdownError, "PostgreSQL was stopped"),
    (asyncpg.CrashShutdownError, "PostgreSQL was stopped"),
    (asyncpg.InvalidAuthorizationSpecificationError, "PostgreSQL refuses the user or password ({0})"),
    (asyncpg.InvalidCatalogNameError, "there is no such database: make it with CREATE DATABASE ({0})"),
    (asyncpg.PostgresConnectionError, "the connection to PostgreSQL was lost"),
    (TimeoutError, "PostgreSQL does not answer in time"),
    (asyncpg.PostgresError, "PostgreSQL says: {0}"),
    (OSError, "PostgreSQL can't be reached ({0})"),
)


def _first_line(problem: BaseException) -> str:
    return str(problem).partition("\n")[0] or type(problem).__name__
