"""Recognises requests whose head was read before: those of one client differ in nothing but their length.

Only heads of good requests are remembered, and the same bytes at the same place always mean the same. Knows no socket.
"""

from collections.abc import Mapping

from whatsync.model import limits

_END = b"\r\n\r\n"
_LENGTH = b"ength: "
_BEFORE_LENGTH = b"\r\ncontent-length: "
_EACH_ITS_OWN = frozenset(
    {b"idempotency-key", b"x-request-id", b"expect", b"transfer-encoding", b"x-whatssync-account"}
)
"""Headers of requests that are read each time."""

Headers = Mapping[bytes, bytes]


class KnownHeads:
    """Heads by what surrounds the digits of their length, all connections together."""

    def __init__(self) -> None:
        self._headers: dict[tuple[bytes, bytes], Headers] = {}

    def find(self, data: bytes) -> tuple[Headers, bytes] | None:
        """Headers and body of a request that begins and ends with ``data``, where its head is known."""
        key, digits, end = _cut(data)
        headers = self._headers.get(key)
        if headers is None or not digits.isdigit() or len(data) - end != int(digits):
            return None
        return headers, data[end:]

    def learn(self, data: bytes, headers: Headers) -> None:
        """Remember the head of a good request, if ``data`` is all of it and nothing else."""
        key, digits, end = _cut(data)
        if (
            key not in self._headers
            and end <= limits.KNOWN_HEAD_BYTES_MAX
            and key[0].lower().endswith(_BEFORE_LENGTH)
            and headers.get(b"content-length") == digits
            and digits.isdigit()
            and len(data) - end == int(digits)
            and headers.keys().isdisjoint(_EACH_ITS_OWN)
        ):
            if len(self._headers) >= limits.KNOWN_HEADS_MAX:
                self._headers.clear()
            self._headers[key] = headers


def _cut(data: bytes) -> tuple[tuple[bytes, bytes], bytes, int]:
    """What surrounds the digits of the length, these digits, and where the body begins."""
    end = data.find(_END) + len(_END)
    begin = data.find(_LENGTH, 0, end) + len(_LENGTH)
    stop = data.find(b"\r", begin, end)
    return (data[:begin], data[stop:end]), data[begin:stop], end
