"""What errors of the database mean: out of reach, worth repeating, a missing day, or a mistake of ours. And the sentences
about them, which never hold a password.
"""

from urllib.parse import urlsplit, urlunsplit

import asyncpg

_OUT_OF_REACH = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
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


def shown(url: str) -> str:
    """A database's URL without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return urlunsplit(parts._replace(query=""))
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}", query=""))


def sentence(problem: BaseException) -> str:
    """What an operator has to know, without a full stop."""
    if isinstance(problem, asyncpg.TooManyConnectionsError):
        return "PostgreSQL has no connection left; raise its max_connections or start fewer nodes"
    if isinstance(problem, asyncpg.DiskFullError):
        return "PostgreSQL's disk is full; free some of it"
    if isinstance(problem, asyncpg.ReadOnlySQLTransactionError):
        return "PostgreSQL takes no writes: the URL leads to a standby"
    if isinstance(problem, asyncpg.CannotConnectNowError):
        return "PostgreSQL is starting or stopping"
    if isinstance(problem, asyncpg.AdminShutdownError | asyncpg.CrashShutdownError):
        return "PostgreSQL was stopped"
    if isinstance(problem, asyncpg.InvalidAuthorizationSpecificationError):
        return f"PostgreSQL refuses the user or password ({_first_line(problem)})"
    if isinstance(problem, TimeoutError):
        return "PostgreSQL does not answer in time"
    if isinstance(problem, asyncpg.PostgresError):
        return f"PostgreSQL says: {_first_line(problem)}"
    if isinstance(problem, OSError):
        return f"PostgreSQL can't be reached ({problem.strerror or _first_line(problem)})"
    return "the connection to PostgreSQL was lost"


def _first_line(problem: BaseException) -> str:
    return str(problem).partition("\n")[0] or type(problem).__name__
