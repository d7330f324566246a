"""One attempt, straight through: sign, send, judge, decide, and the row that records it. Knows no lane and no store."""

import asyncio
import logging

from whatsync.engine.directory import RunningEndpoint
from whatsync.engine.outcome import Defaults, Outcome
from whatsync.model import delivery as deliveries
from whatsync.model.delivery import SUCCEEDED, Decision
from whatsync.model.endpoint import Ordering
from whatsync.model.ids import DELIVERY_PREFIX, row_text
from whatsync.model.outcome import SUCCESS, Verdict, judge
from whatsync.model.outgoing import outgoing
from whatsync.model.request import attempt_head
from whatsync.model.signature import Signer
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness
from whatsync.ports.sender import Answer, Failure, Request, Sender, Timing, UnderWay
from whatsync.ports.store import AttemptRow, Claimed, Origin

logger = logging.getLogger(__name__)

_TEST = Origin.TEST  # members of an enum are looked up slowly in Python 3.11


class Attempt:
    """One attempt: of what, where to, and what was sent once it has begun. ``ended`` is whoever makes it."""

    __slots__ = ("attempter", "claimed", "endpoint", "signatures", "started_ms", "under_way")

    def __init__(self, attempter: "Attempter", claimed: Claimed, endpoint: RunningEndpoint) -> None:
        self.attempter = attempter
        self.claimed = claimed
        self.endpoint = endpoint
        self.started_ms = 0
        self.signatures = b""
        self.under_way: UnderWay | None = None

    def ended(self, outcome: Outcome | Exception) -> None:
        """Take what came of it; an exception is a bug of ours in judging it."""
        raise NotImplementedError

    def answered(self, answer: Answer | Failure) -> None:
        """The request has ended."""
        self.under_way = None  # the two know each other: only the collector, which stops everything, would free them
        try:
            outcome: Outcome | Exception = self.attempter.conclude(self, answer)
        except Exception as bug:  # noqa: BLE001 - whoever waits gets it
            outcome = bug
        self.ended(outcome)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        if self.under_way is not None:
            self.under_way.cancel()


class _Awaited(Attempt):
    """An attempt that somebody waits for."""

    __slots__ = ("answer",)

    def __init__(
        self,
        attempter: "Attempter",
        claimed: Claimed,
        endpoint: RunningEndpoint,
        answer: "asyncio.Future[Outcome]",
    ) -> None:
        super().__init__(attempter, claimed, endpoint)
        self.answer = answer

    def ended(self, outcome: Outcome | Exception) -> None:
        if self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class Attempter:
    """Makes attempts. One per server; it has no state but its parts."""

    def __init__(self, sender: Sender, clock: Clock, randomness: Randomness, defaults: Defaults, run: int) -> None:
        self._sender = sender
        self._clock = clock
        self._randomness = randomness
        self._defaults = defaults
        self._run = run

    def begin(self, attempt: Attempt, signer: Signer | None = None) -> None:
        """Begin an attempt; its ``ended`` is called once, later.

        ``signer``: another than the endpoint's own of now, for tests.
        """
        started_ms = attempt.started_ms = self._clock.now_ms()
        request, attempt.signatures = self._request(attempt.claimed, attempt.endpoint, started_ms, signer)
        try:
            attempt.under_way = self._sender.begin(request, attempt.answered)
        except Exception:
            # A bug of ours must not take the lane down or lose the delivery: it is recorded and tried again.
            logger.exception("the sender raised")
            failure = Failure("internal_error", "the sender raised; see the server's log", Timing())
            asyncio.get_running_loop().call_soon(attempt.answered, failure)

    async def attempt(self, claimed: Claimed, endpoint: RunningEndpoint, signer: Signer | None = None) -> Outcome:
        """The same, for who waits. Cancelling it closes the connection."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        attempt = _Awaited(self, claimed, endpoint, answer)
        self.begin(attempt, signer)
        try:
            return await answer
        except asyncio.CancelledError:
            attempt.cancel()
            raise

    def _request(
        self, claimed: Claimed, endpoint: RunningEndpoint, now_ms: int, signer: Signer | None = None
    ) -> tuple[Request, bytes]:
        event = claimed.event
        policy = endpoint.endpoint
        sent = outgoing(policy, event.body, event.details)
        signed_s = now_ms // 1000
        signatures = (signer or endpoint.signer(now_ms)).sign(event.id, signed_s, sent.body)
        head = attempt_head(
            event.type,
            event.id,
            row_text(DELIVERY_PREFIX, claimed.id),
            claimed.attempts + 1,
            signed_s,
            signatures,
            len(sent.body),
            event.number,
            sent.wamid,
            event.test,
            sent.meta,
        )
        timeout = policy.timeout_seconds or self._defaults.timeout_seconds
        connect = min(self._defaults.connect_timeout_seconds, timeout)
        return Request(endpoint.target, endpoint.head + head, sent.body, connect, timeout), signatures

    def conclude(self, attempt: Attempt, answer: Answer | Failure) -> Outcome:
        """Judge what came of an attempt, and decide what follows."""
        finished_ms = self._clock.now_ms()
        claimed, endpoint = attempt.claimed, attempt.endpoint
        if type(answer) is Answer:
            verdict = judge(answer.status, None, answer.retry_after, finished_ms)
        else:
            verdict = judge(None, answer.code, None, finished_ms)  # type: ignore[union-attr] # the other of the two
        if verdict is SUCCESS:
            decision = SUCCEEDED
        else:
            schedule = endpoint.endpoint.retry_schedule
            decision = deliveries.decide(
                verdict,
                claimed.attempts + 1,
                self._defaults.schedule_seconds if schedule is None else schedule,
                finished_ms,
                self._randomness.fraction(),
                single_try=claimed.origin is Origin.TEST,
            )
        return Outcome(
            self._row(attempt, answer, verdict, decision, finished_ms), verdict, decision, attempt.claimed.event.id
        )

    def _row(
        self, attempt: Attempt, answer: Answer | Failure, verdict: Verdict, decision: Decision, finished_ms: int
    ) -> AttemptRow:
        """The attempt as it is kept. By position, in the struct's order: naming so many fields costs 1.3 µs more."""
        claimed, endpoint, timing, started_ms = attempt.claimed, attempt.endpoint, answer.timing, attempt.started_ms
        status, detail, headers, body, truncated = None, None, b"", b"", False
        if type(answer) is Answer:
            status, headers, body, truncated = answer.status, answer.headers, answer.body, answer.truncated
        elif type(answer) is Failure:
            detail = answer.detail
        return AttemptRow(
            claimed.id,
            claimed.claim,
            claimed.attempts + 1,
            claimed.event.account,
            endpoint.row,
            started_ms,
            finished_ms,
            decision.state,
            decision.due_ms,
            status,
            verdict.code,
            detail,
            answer.address,
            answer.reused,
            timing.dns_us,
            timing.connect_us,
            timing.tls_us,
            timing.first_byte_us,
            timing.total_us,
            endpoint.document.version,
            started_ms // 1000,
            attempt.signatures,
            self._run,
            headers,
            body,
            truncated,
            claimed.origin is _TEST,
            claimed.contact is not None and endpoint.endpoint.ordering is Ordering.CONTACT,
        )
