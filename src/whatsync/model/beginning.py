"""What can be read of a JSON text that was cut: the members before the cut, and a string as far as it goes.

Work grows with the beginning's length, never with the length of what was cut off.
"""

import re
from typing import Any

import msgspec

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],]', re.DOTALL)
_CUT_VALUE = re.compile(rb'\s*:\s*"((?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)')
"""After a key: a string whose end is missing; a broken escape at its end is left out."""
_CLOSING = {b"{": b"}", b"[": b"]"}
_decode = msgspec.json.Decoder().decode


def read_beginning(beginning: bytes) -> Any:
    """Decode a JSON text of which only the beginning may be there. ``None`` where nothing can be made of it."""
    try:
        return _decode(beginning)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _decode(_closed(beginning))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _closed(beginning: bytes) -> bytes:
    """The text up to its last whole member, and as much of a string that was cut as there is, with its ends."""
    open_: list[bytes] = []
    whole = 0  # Up to here it can be closed.
    key_end = -1
    at = 0
    for found in _TOKEN.finditer(beginning):
        token, at = found[0], found.end()
        if token in _CLOSING:
            open_.append(_CLOSING[token])
            whole = at
        elif token in (b"}", b"]"):
            del open_[-1:]
            whole = at
        elif token == b",":
            whole = found.start()
        else:
            key_end = at
    ends = b"".join(reversed(open_))
    value = _CUT_VALUE.match(beginning, at) if key_end == at else None
    if value is None:
        return beginning[:whole] + ends
    text = value[1].decode("utf-8", "ignore").encode()
    return beginning[: value.start(1)] + text + b'"' + ends
