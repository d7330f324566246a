"""What an attempt was and what follows from it, and the policy where an endpoint has none of its own."""

import msgspec

from whatsync.model import limits
from whatsync.model.delivery import Decision
from whatsync.model.outcome import Verdict
from whatsync.ports.store import AttemptRow


class Defaults(msgspec.Struct, frozen=True):
    """The installation's policy where an endpoint has none of its own."""

    schedule_seconds: tuple[float, ...]
    timeout_seconds: float = limits.REQUEST_TIMEOUT_SECONDS
    connect_timeout_seconds: float = limits.CONNECT_TIMEOUT_SECONDS


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What an attempt was and what follows from it."""

    row: AttemptRow
    verdict: Verdict
    decision: Decision
    event: str
    """Id of the event it was about."""
