"""A look ahead at a job that goes on from where it stopped: what was found so far travels with the page.

Knows neither jobs nor what they do.
"""

import msgspec

from whatsync.engine.jobs import Preview

FIELD = "soFar"
"""Of the query or form."""
_ROW_MAX = 2**63 - 1


def written(found: Preview) -> str:
    """What was found so far, to go on from."""
    return msgspec.json.encode(found).decode()


def read(text: str, phases: int = 1) -> Preview | None:
    """What an earlier part of the look has found; ``None`` where that can't be. A job goes through ``phases``."""
    try:
        found = msgspec.json.decode(text, type=Preview)
    except msgspec.DecodeError:
        return None
    fine = 0 <= found.phase < phases and 0 <= (found.cursor or 0) <= _ROW_MAX
    return found if fine else None
