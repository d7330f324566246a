"""A request as a curl command that any POSIX shell runs: what arrives are the same bytes.

Used to show what was sent, to be copied and tried again. Values that must stay secret are masked by the caller.
"""

import shlex
from collections.abc import Sequence

from whatsync.model.limits import COMMAND_ARGUMENT_BYTES_MAX
from whatsync.model.url import Target

_WRITTEN_BY_CURL = frozenset({"host", "content-length", "accept"})
"""Headers that curl writes by itself, and as we do."""
_READ_BY_CURL = frozenset("[]{}")
"""In a URL, curl reads these as a list of URLs unless it is told not to."""
_JOINERS = frozenset("\u200c\u200d")
"""Not printable by themselves, but part of names in many scripts and of many emoji."""


def curl_command(target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> str:
    """The request as one line. A body that can't be an argument, such as one with a zero byte, comes through a pipe."""
    url = f"{target.scheme}://{target.host_header}{target.request_target}"
    parts = ["curl -X POST", shlex.quote(url)]
    if not _READ_BY_CURL.isdisjoint(url):
        parts.append("--globoff")
    if "/." in target.request_target:
        parts.append("--path-as-is")
    parts += [f"-H {shlex.quote(_header(*pair))}" for pair in headers if pair[0].lower() not in _WRITTEN_BY_CURL]
    text = _as_argument(body)
    if text is not None:
        return " ".join([*parts, f"--data-binary {shlex.quote(text)}"])
    return " ".join([f"printf %b '{_escaped(body)}' |", *parts, "--data-binary @-"])


def _header(name: str, value: str) -> str:
    """As curl's ``-H`` reads it: with nothing behind the colon it would take the header away."""
    return f"{name}: {value}" if value else f"{name};"


def _as_argument(body: bytes) -> str | None:
    """The body as text that can stand in a command and be read there; ``None`` where it can't.

    A beginning ``@`` would name a file; what is not printable gets lost or does harm where it is pasted.
    """
    if len(body) > COMMAND_ARGUMENT_BYTES_MAX or body.startswith(b"@"):
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if all(line.isprintable() for line in _without_joiners(text).split("\n")) else None


def _without_joiners(text: str) -> str:
    return "".join(character for character in text if character not in _JOINERS)


def _escaped(body: bytes) -> str:
    r"""For ``printf %b`` between single quotes: letters as they are, all else as ``\0`` and three octal digits."""
    return "".join(chr(byte) if byte in _AS_IT_IS else f"\\0{byte:03o}" for byte in body)


_AS_IT_IS = frozenset(range(0x20, 0x7F)) - frozenset(b"'\\")
