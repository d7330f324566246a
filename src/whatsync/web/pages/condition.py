"""How an endpoint stands, in the words and tones that all pages use. Reads what is in memory; decides nothing."""

from dataclasses import dataclass

from whatsync.engine.endpoints import EndpointFacts
from whatsync.model import limits
from whatsync.model.endpoint import DisabledBy
from whatsync.model.health import Health
from whatsync.model.outcome import explain

GOOD, WARN, BAD, QUIET, PAUSED = "good", "warn", "bad", "quiet", "paused"


@dataclass(frozen=True, slots=True)
class Condition:
    """One word, one sentence, and when it began where that is known."""

    tone: str
    word: str
    sentence: str
    since_ms: int | None = None
    next_step: str | None = None

    @property
    def state(self) -> str:
        """The word lists are filtered by."""
        return {GOOD: "healthy", WARN: "failing", BAD: "failing", QUIET: "quiet", PAUSED: "disabled"}[self.tone]


_OFF = "What waited is held, and what comes meanwhile can be sent when you enable it."

STATES = (("healthy", "Healthy"), ("failing", "Failing"), ("disabled", "Paused or disabled"), ("quiet", "Quiet"))


def condition(facts: EndpointFacts) -> Condition:
    """How this endpoint stands now."""
    endpoint, health = facts.running.endpoint, facts.health
    words = None if health.last_failure_code is None else explain(health.last_failure_code)
    if not endpoint.enabled:
        return _off(facts)
    if health.first_failure_ms is not None and words is not None:
        tone, word = (BAD, "Failing") if is_failing(health) else (WARN, "Last try failed")
        return Condition(tone, word, words.sentence, health.first_failure_ms, words.next_step)
    if health.last_success_ms is None and facts.succeeded_lately:
        return Condition(GOOD, "Healthy", f"Deliveries arrived in the last {limits.SUCCESS_DAYS} days.")
    if health.last_success_ms is None:
        return Condition(QUIET, "Quiet", "Nothing failed, and nothing was sent lately.")
    return Condition(GOOD, "Healthy", "The last delivery arrived.", health.last_success_ms)


def is_failing(health: Health) -> bool:
    """Whether an endpoint that is on is called failing: more than a try or two went wrong since the last success."""
    return health.announced_failing or health.failed_attempts >= limits.FAILING_ATTEMPTS_MIN


def _off(facts: EndpointFacts) -> Condition:
    endpoint = facts.running.endpoint
    at_ms = endpoint.disabled_ms
    if endpoint.disabled_by is DisabledBy.GONE:
        words = f"The receiver answered 410 Gone, so nothing is sent to it. {_OFF}"
        return Condition(PAUSED, "Disabled", words, at_ms, "Enable it when the receiver is back.")
    if endpoint.disabled_by is DisabledBy.FAILING:
        words = f"Nothing succeeded for {limits.DISABLE_AFTER_SECONDS // 86_400} days, so nothing is sent to it. {_OFF}"
        return Condition(PAUSED, "Disabled", words, at_ms, "Repair the receiver, send a test, then enable it.")
    return Condition(PAUSED, "Paused", f"Nothing is sent to it. {_OFF}", at_ms)
