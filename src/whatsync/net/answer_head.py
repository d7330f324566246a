"""Reads the raw head of an answer: where its headers stand, and the few of them the sender itself cares about.

Pure functions over bytes. That the head is well-formed was found out by the parser before any of them is asked.
"""

import re

_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_RETRY_AFTER = re.compile(rb"(?im)^retry-after[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$")
_FRAMED = re.compile(rb"(?im)^(?:content-length[ \t]*:|transfer-encoding[ \t]*:.*chunked)")
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_SHOWN_BYTES_MAX = 24
_RETRY_AFTER_BYTES_MAX = 100
TLS_ALERT = b"\x15\x03"


def is_http(head: bytes) -> bool:
    """Whether the answer is one of HTTP: the parser also takes those of its relatives, RTSP and ICE."""
    return head.startswith(b"HTTP/") or head.lstrip(b"\r\n").startswith(b"HTTP/")


def header_lines(head: bytes, interim: int) -> bytes:
    """The header lines of the answer that follows ``interim`` answers of status 1xx, CRLF between them.

    ``head`` may go on into the body.
    """
    if interim or not head.startswith(b"HTTP/"):
        return _header_lines_after(head, interim)
    end = head.find(b"\n\r\n")
    if end < 0 or head.find(b"\n\n", 0, end + 1) >= 0:
        return _header_lines_after(head, interim)
    begin = head.find(b"\n") + 1
    return head[begin : end - 1] if begin < end else b""


def _header_lines_after(head: bytes, interim: int) -> bytes:
    """The general case: other line ends, empty lines in front, interim answers."""
    block = b""
    for _ in range(interim + 1):
        head = head.lstrip(b"\r\n")
        found = _END.search(head)
        block = head if found is None else head[: found.start()]
        head = b"" if found is None else head[found.end() :]
    return b"\r\n".join(_LINE_END.split(block)[1:])


def retry_after(headers: bytes) -> str | None:
    """Raw value of the first ``Retry-After``; one too long to mean anything counts as none."""
    found = _RETRY_AFTER.search(headers)
    if found is None or len(found[1]) > _RETRY_AFTER_BYTES_MAX:
        return None
    return found[1].decode("latin-1")


def ends_with_connection(headers: bytes) -> bool:
    """Whether the body has no length of its own, so that the end of the connection is its proper end."""
    return _FRAMED.search(headers) is None


def beginning(data: bytes) -> str:
    """The first printable characters of what came instead of HTTP, for the history page."""
    shown = _PRINTABLE.match(data[:_SHOWN_BYTES_MAX])
    return shown[0].decode("ascii") if shown is not None else ""
