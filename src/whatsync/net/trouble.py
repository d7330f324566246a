"""What can go wrong on the way to a connection, as a value, and which code an error of the socket layer has."""

import errno

import msgspec

_NO_SOCKETS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN})
_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "the network is unreachable",
    errno.ETIMEDOUT: "no answer",
    errno.ECONNRESET: "connection reset",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.EADDRNOTAVAIL: "no free local port",
}


class Trouble(msgspec.Struct, frozen=True):
    """Why there is no connection: a network code, a short phrase, and the address where one was reached for."""

    code: str
    detail: str
    address: str | None = None


def trouble_of(number: int, address: str) -> Trouble:
    """The trouble that ``errno`` ``number`` means for a connection to ``address``."""
    detail = f"{_WORDS.get(number) or errno.errorcode.get(number, str(number))} ({address})"
    if number == errno.ECONNREFUSED:
        return Trouble("connection_refused", detail, address)
    if number == errno.ETIMEDOUT:
        return Trouble("connection_timeout", detail, address)
    if number in _NO_SOCKETS and not (number == errno.EADDRNOTAVAIL and ":" in address):
        return Trouble("no_sockets", detail, address)
    return Trouble("connection_failed", detail, address)


def most_telling(troubles: list[Trouble]) -> Trouble:
    """The one to show of several addresses' troubles: a machine that answered says more than one out of reach."""
    order = ("no_sockets", "blocked_address", "connection_refused", "connection_timeout", "connection_failed")
    return min(troubles, key=lambda trouble: order.index(trouble.code) if trouble.code in order else len(order))
