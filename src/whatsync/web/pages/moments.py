"""Times as people type them into a form, and as addresses have them. A time without a zone is UTC."""

from datetime import UTC, datetime

from whatsync.model.errors import FieldError, Invalid
from whatsync.web.api.call import show_time

_LOCAL_FORMATS = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")


def zoned(value: str) -> str:
    """A time as the API takes it, from what a browser's field gives; anything else unchanged."""
    for form in _LOCAL_FORMATS:
        try:
            return show_time(int(datetime.strptime(value, form).replace(tzinfo=UTC).timestamp() * 1000))
        except ValueError:
            continue
    return value


def moment_ms(value: str, field: str) -> int | None:
    """A typed time in milliseconds, ``None`` for nothing. Raises Invalid with the field's name."""
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(zoned(value))
        if moment.tzinfo is not None and moment.timestamp() >= 0:
            return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    raise Invalid([FieldError(field, "must be a time, such as 2023-06-15T14:22:33Z")])


def written_time(ms: int) -> str:
    """A time as an address has it."""
    return show_time(ms).replace(".000Z", "Z")
