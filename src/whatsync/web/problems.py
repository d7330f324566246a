"""Problems as RFC 9457 documents: what every error of the API looks like on the wire.

Knows statuses, no HTTP library.
"""

from http import HTTPStatus

import msgspec

from whatsync.model.errors import FieldError, LimitExceeded, Problem, Unavailable

CONTENT_TYPE = "application/problem+json"


class Unauthorized(Problem):
    """No key, or none that is valid."""

    status = 401


class MethodNotAllowed(Problem):
    """The path is there, but not for this method."""

    status = 405

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__("method_not_allowed", f"{method} is not possible here; possible is {allowed}")
        self.allowed = allowed


class Timeout(Problem):
    """The request did not arrive completely in time."""

    status = 408


class HeadTooLarge(Problem):
    """The request's headers are over their limit."""

    status = 431


class RangeNotSatisfiable(Problem):
    """The part that was asked for lies outside the file."""

    status = 416

    def __init__(self, size: int) -> None:
        super().__init__("range_not_satisfiable", f"the file has {size} bytes; ask for a part of it")
        self.size = size


class ProblemDocument(msgspec.Struct, frozen=True):
    """The body of every error."""

    type: str
    title: str
    """The status in words."""
    status: int
    detail: str
    """A plain sentence about this one occurrence."""
    code: str
    """Stable: programs may rely on it."""
    errors: list[FieldError] = []


def document(problem: Problem) -> bytes:
    """The body of the answer that tells ``problem``."""
    title = HTTPStatus(problem.status).phrase
    return msgspec.json.encode(
        ProblemDocument("about:blank", title, problem.status, problem.detail, problem.code, list(problem.errors))
    )


def headers_of(problem: Problem) -> dict[str, str]:
    """Headers that belong to the problem: when to try again, what is allowed, how to authenticate."""
    if isinstance(problem, LimitExceeded | Unavailable):
        return {"retry-after": str(problem.retry_after_seconds)}
    if isinstance(problem, Unauthorized):
        return {"www-authenticate": 'Bearer realm="WhatsSync"'}
    if isinstance(problem, MethodNotAllowed):
        return {"allow": problem.allowed}
    if isinstance(problem, RangeNotSatisfiable):
        return {"content-range": f"bytes */{problem.size}"}
    return {}
