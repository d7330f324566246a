"""One attempt, straight through: sign, send, judge, decide, and the row that records it. Knows no lane and no store."""

import logging

import msgspec

from whatsync.engine.directory import RunningEndpoint
from whatsync.model import delivery as deliveries
from whatsync.model import limits
from whatsync.model.delivery import Decision
from whatsync.model.endpoint import Ordering
from whatsync.model.envelope import with_details
from whatsync.model.ids import delivery_id
from whatsync.model.outcome import Verdict, judge
from whatsync.model.request import attempt_head
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness
from whatsync.ports.sender import Answer, Failure, Request, Sender, Timing
from whatsync.ports.store import AttemptRow, Claimed, Origin

logger = logging.getLogger(__name__)


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


class _Wamid(msgspec.Struct):
    wamid: str | None = None


_wamid_decoder = msgspec.json.Decoder(_Wamid)


class Attempter:
    """Makes attempts. One per server; it has no state but its parts."""

    def __init__(self, sender: Sender, clock: Clock, randomness: Randomness, defaults: Defaults, run: int) -> None:
        self._sender = sender
        self._clock = clock
        self._randomness = randomness
        self._defaults = defaults
        self._run = run

    async def attempt(self, claimed: Claimed, endpoint: RunningEndpoint) -> Outcome:
        """Make one attempt of ``claimed`` at ``endpoint`` as it is now."""
        started_ms = self._clock.now_ms()
        request, signatures = self._request(claimed, endpoint, started_ms)
        answer = await self._send(request)
        finished_ms = self._clock.now_ms()
        if isinstance(answer, Answer):
            verdict = judge(answer.status, None, answer.retry_after, finished_ms)
        else:
            verdict = judge(None, answer.code, None, finished_ms)
        schedule = endpoint.endpoint.retry_schedule
        decision = deliveries.decide(
            verdict,
            claimed.attempts + 1,
            self._defaults.schedule_seconds if schedule is None else schedule,
            finished_ms,
            self._randomness.fraction(),
            single_try=claimed.origin is Origin.TEST,
        )
        row = self._row(claimed, endpoint, answer, verdict, decision, started_ms, finished_ms, signatures)
        return Outcome(row, verdict, decision)

    def _request(self, claimed: Claimed, endpoint: RunningEndpoint, now_ms: int) -> tuple[Request, bytes]:
        event = claimed.event
        policy = endpoint.endpoint
        body = event.body
        wamid = None
        if event.details is not None:
            wamid = _wamid_decoder.decode(event.details).wamid
            if policy.include_details:
                body = with_details(body, event.details)
        signed_s = now_ms // 1000
        signatures = endpoint.signer(now_ms).sign(event.id, signed_s, body)
        head = attempt_head(
            event.type,
            event.id,
            delivery_id(claimed.id),
            claimed.attempts + 1,
            signed_s,
            signatures,
            len(body),
            event.number,
            wamid,
            event.test,
        )
        timeout = policy.timeout_seconds or self._defaults.timeout_seconds
        connect = min(self._defaults.connect_timeout_seconds, timeout)
        return Request(endpoint.target, endpoint.head + head, body, connect, timeout), signatures

    async def _send(self, request: Request) -> Answer | Failure:
        try:
            return await self._sender.send(request)
        except Exception:
            # A bug of ours must not take the lane down or lose the delivery: it is recorded and tried again.
            logger.exception("the sender raised")
            return Failure("internal_error", "the sender raised; see the server's log", Timing())

    def _row(  # noqa: PLR0917 - the parts of one attempt, in their order
        self,
        claimed: Claimed,
        endpoint: RunningEndpoint,
        answer: Answer | Failure,
        verdict: Verdict,
        decision: Decision,
        started_ms: int,
        finished_ms: int,
        signatures: bytes,
    ) -> AttemptRow:
        timing = answer.timing
        got = answer if type(answer) is Answer else None
        return AttemptRow(
            delivery=claimed.id,
            claim=claimed.claim,
            number=claimed.attempts + 1,
            account=claimed.event.account,
            endpoint=endpoint.row,
            started_ms=started_ms,
            finished_ms=finished_ms,
            state=decision.state,
            due_ms=decision.due_ms,
            status=None if got is None else got.status,
            code=verdict.code,
            detail=answer.detail if type(answer) is Failure else None,
            address=answer.address,
            reused=answer.reused,
            dns_us=timing.dns_us,
            connect_us=timing.connect_us,
            tls_us=timing.tls_us,
            first_byte_us=timing.first_byte_us,
            total_us=timing.total_us,
            endpoint_version=endpoint.version,
            signed_s=started_ms // 1000,
            signatures=signatures,
            run=self._run,
            answer_headers=b"" if got is None else got.headers,
            answer_body=b"" if got is None else got.body,
            truncated=False if got is None else got.truncated,
            test=claimed.origin is Origin.TEST,
            ordered=claimed.contact is not None and endpoint.endpoint.ordering is Ordering.CONTACT,
        )
