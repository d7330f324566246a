"""The headers of every answer, in one order and spelling, whichever way the answer takes. Knows no HTTP library."""

from collections.abc import Mapping

from whatsync.model.errors import Problem
from whatsync.web.api.call import Answer
from whatsync.web.problems import CONTENT_TYPE, document, headers_of

FIXED_HEADERS = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))


def answer_headers(
    answer: Answer, body: bytes, request_id: str, length: int | None = None
) -> list[tuple[bytes, bytes]]:
    """Headers of an answer whose body is ``body``, or will have ``length`` bytes. What the answer itself sets replaces
    what every answer has.
    """
    pairs: dict[str, str] = {"x-request-id": request_id, **dict(FIXED_HEADERS)}
    if answer.status not in (204, 304):
        pairs["content-type"] = answer.content_type
        pairs["content-length"] = str(len(body) if length is None else length)
    pairs.update(answer.headers)
    return encode_headers(pairs)


def encode_headers(pairs: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as bytes."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs.items()]


def problem_answer(problem: Problem) -> Answer:
    """The answer that tells a problem."""
    return Answer(problem.status, document(problem), headers_of(problem), CONTENT_TYPE)
