"""Ids and row numbers: how they are made, derived, written and read back. Random bytes and the time are arguments."""

import hashlib
from base64 import b32encode
from typing import NewType

EventId = NewType("EventId", str)
MessageId = NewType("MessageId", str)
ContactId = NewType("ContactId", str)
EndpointId = NewType("EndpointId", str)
AccountId = NewType("AccountId", str)
DeliveryId = NewType("DeliveryId", str)
RowNumber = NewType("RowNumber", int)

TOKEN_BYTES = 26
"""Random bytes that ``random_id`` takes: each gives one character."""
RANDOM_CHARS = 26
DELIVERY_PREFIX = "dlv_"
ROW_CHARS = 13
ROW_MAX = 2**63 - 1
NODE_MAX = 2**10 - 1

_BASE32 = b"abcdefghijklmnopqrstuvwxyz234567"
_BASE32HEX = "0123456789abcdefghijklmnopqrstuv"
# 256 is eight times 32, so every character is equally likely.
_CHARACTER_OF_BYTE = _BASE32 * 8
_PAIRS = tuple(high + low for high in _BASE32HEX for low in _BASE32HEX)
_COUNT_SHIFT = 10
_MS_SHIFT = 21


def random_id(prefix: str, token: bytes) -> str:
    """Return ``prefix`` and 26 characters of lower-case base32 made from ``TOKEN_BYTES`` random bytes (130 bits)."""
    if len(token) != TOKEN_BYTES:
        raise ValueError(f"an id is made from {TOKEN_BYTES} random bytes, not {len(token)}")
    return prefix + token.translate(_CHARACTER_OF_BYTE).decode("ascii")


def derived_id(prefix: str, *parts: str) -> str:
    """Return ``prefix`` and the first 26 characters of lower-case base32(SHA-256(parts joined by a zero byte)).

    The same parts give the same id on any machine, for ever.
    """
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).digest()
    return prefix + b32encode(digest[:20])[:RANDOM_CHARS].decode("ascii").lower()


def message_id(phone_number_id: str, wamid: str) -> MessageId:
    """The public id of a WhatsApp message, for the business number's ``phone_number_id`` and Meta's message id."""
    return MessageId(derived_id("msg_", phone_number_id, wamid))


def row_text(prefix: str, row: int) -> str:
    """Write a row number as ``prefix`` and 13 characters of lower-case base32hex: texts sort as the numbers do."""
    if not 0 <= row <= ROW_MAX:
        raise ValueError(f"{row} is no row number")
    pairs = _PAIRS
    return (
        f"{prefix}{_BASE32HEX[row >> 60]}{pairs[row >> 50 & 1023]}{pairs[row >> 40 & 1023]}"
        f"{pairs[row >> 30 & 1023]}{pairs[row >> 20 & 1023]}{pairs[row >> 10 & 1023]}{pairs[row & 1023]}"
    )


def row_of(prefix: str, text: str) -> int | None:
    """Read back what ``row_text`` wrote; ``None`` for anything else, other spellings of the same number included."""
    if not text.startswith(prefix) or len(text) != len(prefix) + ROW_CHARS:
        return None
    row = 0
    for character in text[len(prefix) :]:
        value = _BASE32HEX.find(character)
        if value < 0:
            return None
        row = row << 5 | value
    return row if row <= ROW_MAX else None


def delivery_id(row: int) -> DeliveryId:
    """The public id of a delivery."""
    return DeliveryId(row_text(DELIVERY_PREFIX, row))


def delivery_row(text: str) -> int | None:
    """The row number of a delivery's public id, ``None`` where the text is none."""
    return row_of(DELIVERY_PREFIX, text)


def ms_of(row: int) -> int:
    """When a row number was drawn, in Unix milliseconds."""
    return row >> _MS_SHIFT


def first_row_at(at_ms: int) -> int:
    """The smallest row number that could be drawn at ``at_ms``: the border for questions about time."""
    return max(at_ms, 0) << _MS_SHIFT


class Sequence:
    """Draws row numbers that only rise: 42 bits of Unix milliseconds, 11 bits of counter, 10 bits of node.

    Stays ahead of ``floor``, the highest number known from before, and does not go back when the clock does.
    More than 2,048 numbers in a millisecond run ahead of the clock by as many milliseconds as they need.
    """

    __slots__ = ("_last", "_node")

    def __init__(self, node: int = 0, floor: int = 0) -> None:
        if not 0 <= node <= NODE_MAX:
            raise ValueError(f"a node's number lies between 0 and {NODE_MAX}, not {node}")
        self._node = node
        self._last = floor >> _COUNT_SHIFT << _COUNT_SHIFT | node

    def renumber(self, node: int) -> None:
        """Go on as another node."""
        self._node = node
        self._last = self._last >> _COUNT_SHIFT << _COUNT_SHIFT | node

    def next(self, now_ms: int) -> int:
        """Draw the next number at ``now_ms``."""
        number = now_ms << _MS_SHIFT | self._node
        if number <= self._last:
            number = self._last + (1 << _COUNT_SHIFT)
        self._last = number
        return number
