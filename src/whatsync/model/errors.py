"""What can be wrong with a request, as values the web and the command line turn into answers. Knows no HTTP library.

Problem
├── Invalid         a field of the input is wrong (422)
├── NotFound        no such thing in this account (404)
├── Conflict        it contradicts what is there (409)
├── Gone            it was there and is no longer (410)
├── TooLarge        over a byte or row limit (413)
├── LimitExceeded   over an account's rate or quota; try later (429)
├── Forbidden       the key may not do this (403)
└── Unavailable     the store or the disk can't take it now; try later (503)
"""

from collections.abc import Sequence

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One field and what is wrong with it, in words that say what to do."""

    field: str
    """Path such as ``data.from`` or ``[17].data.items[3].price``; empty for the body as a whole."""
    message: str


class Problem(Exception):  # noqa: N818 - the field's word for it (RFC 9457)
    """Something the caller has to know. ``code`` is stable, ``detail`` is a plain sentence."""

    status = 500

    def __init__(self, code: str, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)


class Invalid(Problem):
    """Well-formed input with wrong values. Names every field it could find at reasonable cost."""

    status = 422

    def __init__(self, errors: Sequence[FieldError], code: str = "invalid") -> None:
        first = errors[0]
        where = f"{first.field}: " if first.field else ""
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(code, f"{where}{first.message}{more}", errors)


class Malformed(Problem):
    """Not JSON, or not the shape of a request at all."""

    status = 400


class NotFound(Problem):
    """No such thing, or not in this account: the two are never told apart."""

    status = 404


class Conflict(Problem):
    """It contradicts what is stored; the detail says what is there."""

    status = 409


class Gone(Problem):
    """It was there once; the detail says what remains."""

    status = 410


class TooLarge(Problem):
    """Over a limit in bytes or rows; the detail names the limit."""

    status = 413


class Forbidden(Problem):
    """The caller is known but may not do this; the detail names the scope that would."""

    status = 403


class LimitExceeded(Problem):
    """Over one of the account's limits for now."""

    status = 429

    def __init__(self, code: str, detail: str, retry_after_seconds: int) -> None:
        super().__init__(code, detail)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(Problem):
    """Nothing was accepted; the same request may be sent again later."""

    status = 503

    def __init__(self, code: str, detail: str, retry_after_seconds: int = 5) -> None:
        super().__init__(code, detail)
        self.retry_after_seconds = retry_after_seconds
