"""Times as people type them on the command line: RFC 3339, or how long ago. Knows no command."""

import re

from whatsync.cli.failure import wrong_use
from whatsync.model.timestamp import NotATime, format_time, parse_time
from whatsync.net.system import SystemClock

_AGO = re.compile(r"(\d{1,6})\s*(s|m|h|d)(?: ago)?")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def read_moment(text: str | None, option: str) -> str | None:
    """Write what was typed as the API takes it: a time as it is, ``30m``, ``24h``, ``7d`` as so long ago.

    Raises Failure that names the option.
    """
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return format_time(SystemClock().now_ms() - int(ago[1]) * _SECONDS[ago[2]] * 1_000)
    try:
        return parse_time(text.strip())[0]
    except NotATime:
        raise wrong_use(f"{option}: {text!r} is no time; write 2023-06-15T14:22:33Z, or 30m, 24h, 7d.") from None
