"""Signing secrets, an account's and an endpoint's own: shown, rotated calmly, with the receivers' answers since."""

from dataclasses import dataclass

from whatsync.engine.directory import RunningEndpoint
from whatsync.engine.figures import Figures, figures
from whatsync.engine.rotation import RotationForm, SecretFacts, facts_of
from whatsync.model import limits
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Conflict, FieldError, Invalid, Problem
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Tone, Visit
from whatsync.web.pages.verification_code import CodeShown, code_shown

HOURS = (("1", "1 hour"), ("24", "24 hours"), ("72", "3 days"), ("168", "7 days"))
_FIELDS = ("secret", "switchAt", "overlapSeconds", "hours", "at")


@dataclass(frozen=True, slots=True)
class Answers:
    """What one receiver has answered since the rotation or the switch."""

    id: str
    url: str
    description: str
    enabled: bool
    figures: Figures
    refused: int
    """Answers 401 and 403: the signature was not accepted."""
    last_success_ms: int | None
    last_failure_ms: int | None


@dataclass(frozen=True, slots=True)
class SecretPage:
    """What ``secret.html`` shows."""

    endpoint_id: str | None
    """``None``: the account's."""
    url: str | None
    own: bool
    """Of the endpoint alone."""
    rotating: bool
    switched: bool
    switch_at_ms: int | None
    overlap_until_ms: int | None
    rotated_ms: int | None
    path: str
    """Of this page, for its forms."""
    plain: SecretFacts | None
    """Only where it was asked for just now."""
    fresh: bool
    """A new secret was made just now."""
    form: Filled
    answers: list[Answers]
    more: int
    """Receivers that sign with this secret and are not listed."""
    since_ms: int | None
    users: int
    """How many endpoints are signed with it."""
    code: CodeShown
    hours: tuple[tuple[str, str], ...] = HOURS

    @property
    def running(self) -> bool:
        """A rotation waits for its switch."""
        return self.rotating and not self.switched


def _endpoint(visit: Visit) -> RunningEndpoint | None:
    """The endpoint of the path; ``None`` on the account's page. Raises NotFound."""
    endpoint_id = visit.parameters.get("endpoint_id")
    return None if endpoint_id is None else visit.services.endpoints.find(visit.account, endpoint_id)


def _path(visit: Visit) -> str:
    endpoint_id = visit.parameters.get("endpoint_id")
    return visit.here("/webhooks/secret" if endpoint_id is None else f"/webhooks/{endpoint_id}/secret")


async def secret(visit: Visit) -> Given:
    """How the secret stands, without showing it."""
    return await _page(visit, Filled({"switchAt": "end", "hours": "24"}))


async def reveal(visit: Visit) -> Given:
    """Show it; that is written down."""
    running, services = _endpoint(visit), visit.services
    if running is None:
        plain = await services.accounts.secret(visit.account, visit.actor)
    else:
        plain = await services.endpoints.secret(visit.account, running.endpoint.id, visit.actor)
    return await _page(visit, Filled({"switchAt": "end", "hours": "24"}), plain)


async def rotate(visit: Visit) -> Given:
    """Make a new secret and show it."""
    running, services = _endpoint(visit), visit.services
    try:
        form = _rotation(visit)
        if running is None:
            plain = await services.accounts.rotate_secret(visit.account, form, visit.actor)
        else:
            plain = await services.endpoints.rotate_secret(visit.account, running.endpoint.id, form, visit.actor)
    except (Invalid, Conflict) as problem:
        return await _page(visit, Filled.again(visit.form, problem, *_FIELDS), problem=problem)
    return await _page(visit, Filled({"switchAt": "end", "hours": "24"}), plain, fresh=True)


async def switch(visit: Visit) -> Given:
    """Sign with the new one from now on."""
    running, services = _endpoint(visit), visit.services
    if running is None:
        await services.accounts.switch_secret(visit.account, visit.actor)
    else:
        await services.endpoints.switch_secret(visit.account, running.endpoint.id, visit.actor)
    words = "Switched: X-WhatsSync-Signature is made with the new secret from now on."
    return Redirect(_path(visit), Flash(words))


async def share(visit: Visit) -> Given:
    """Give an endpoint's own secret up: the account's counts from now on."""
    running = visit.services.endpoints.find(visit.account, visit.parameters["endpoint_id"])
    await visit.services.endpoints.patch(visit.account, running.endpoint.id, EndpointForm(secret=None), visit.actor)
    words = "From now on requests to this endpoint are signed with the account’s secret."
    return Redirect(_path(visit), Flash(words, Tone.NOTE))


def _rotation(visit: Visit) -> RotationForm:
    """What the form asks for. Raises Invalid."""
    form = visit.form
    own = form.text("secret") or None
    if form.flag("leaked"):
        return RotationForm(switch_at="now", overlap_seconds=0, secret=own)
    hours = form.text("hours")
    if hours not in dict(HOURS):
        raise Invalid([FieldError("hours", "choose one of the times")])
    at = form.text("switchAt")
    if at == "time":
        at = form.text("at")
        if not at:
            raise Invalid([FieldError("at", "give a date and time, in UTC")])
        at = (at if at.count(":") == 2 else f"{at}:00") + "Z"
    return RotationForm(switch_at=at or "end", overlap_seconds=int(hours) * 3600, secret=own)


async def _page(
    visit: Visit,
    form: Filled,
    plain: SecretFacts | None = None,
    *,
    problem: Problem | None = None,
    fresh: bool = False,
) -> Show:
    running, account, now_ms = _endpoint(visit), visit.account, visit.services.clock.now_ms()
    keyring = account.keyring if running is None else running.keyring or account.keyring
    sealed = account.account.secrets if running is None else running.endpoint.secrets or account.account.secrets
    own = running is not None and running.endpoint.secrets is not None
    facts = facts_of(keyring.secrets, sealed, own, now_ms)
    sharing = [one for one in account.endpoints.values() if one.endpoint.secrets is None]
    users = sharing if running is None else [running]
    since_ms = None
    if facts.rotated_ms is not None and (facts.previous is not None or now_ms - facts.rotated_ms < _FRESH_MS):
        since_ms = facts.switch_at_ms if facts.previous and facts.switched else facts.rotated_ms
    answers = [] if since_ms is None else await _answers(visit, users, since_ms, now_ms)
    page = SecretPage(
        endpoint_id=None if running is None else running.endpoint.id,
        url=None if running is None else running.endpoint.url,
        own=own,
        rotating=facts.previous is not None,
        switched=facts.switched,
        switch_at_ms=facts.switch_at_ms,
        overlap_until_ms=facts.overlap_until_ms,
        rotated_ms=facts.rotated_ms,
        path=_path(visit),
        plain=plain,
        fresh=fresh,
        form=Filled({"switchAt": "end", "hours": "24", **form.values}, form.errors, _words(form.problem, problem)),
        answers=answers,
        more=0 if since_ms is None else len(users) - len(answers),
        since_ms=since_ms,
        users=len(users) if running is None else (1 if own else len(sharing)),
        code=code_shown(visit, None if running is None else running.target),
    )
    fragment = "code" if visit.asked("part") == "code" else "shown"
    return Show("secret.html", page, 200 if problem is None else problem.status, fragment=fragment)


_FRESH_MS = 86_400_000
"""How long answers are shown after a rotation that left nothing behind."""


def _words(words: str | None, problem: Problem | None) -> str | None:
    if problem is None or problem.code != "rotation_running":
        return words
    return (
        "A rotation is running. Wait for its end, switch now, or, if a secret has leaked, drop both old ones at once."
    )


async def _answers(visit: Visit, users: list[RunningEndpoint], since_ms: int, now_ms: int) -> list[Answers]:
    """The receivers' answers since then; those with failures first."""

    def order(running: RunningEndpoint) -> tuple[bool, int]:
        health = visit.services.dispatcher.health(running.row)
        return (health.last_failure_ms or 0) < since_ms, -running.row

    shown = sorted(users, key=order)[: limits.ROTATION_ENDPOINTS_SHOWN]
    return [await _answers_of(visit, running, since_ms, now_ms) for running in shown]


async def _answers_of(visit: Visit, running: RunningEndpoint, since_ms: int, now_ms: int) -> Answers:
    # A rollup is of a whole minute: the one in which it happened holds answers from before it too.
    first_ms = -(-since_ms // 60_000) * 60_000
    rows = await visit.services.history.rollups(visit.account.row, running.row, first_ms, now_ms + 1)
    summed = figures(rows)
    health = visit.services.endpoints.facts(running).health
    return Answers(
        id=running.endpoint.id,
        url=running.endpoint.url,
        description=running.endpoint.description,
        enabled=running.endpoint.enabled,
        figures=summed,
        refused=sum(number for code, number in summed.failures if code in ("http_401", "http_403")),
        last_success_ms=_after(health.last_success_ms, since_ms),
        last_failure_ms=_after(health.last_failure_ms, since_ms),
    )


def _after(at_ms: int | None, since_ms: int) -> int | None:
    return at_ms if at_ms is not None and at_ms >= since_ms else None


_ACCOUNT, _ONE = "/a/{account}/webhooks/secret", "/a/{account}/webhooks/{endpoint_id}/secret"
PAGES = (
    *(
        page
        for path in (_ACCOUNT, _ONE)
        for page in (
            Page("GET", path, Need.DEVELOPER, secret, embedded=True),
            Page("POST", f"{path}/reveal", Need.DEVELOPER, reveal, embedded=True),
            Page("POST", f"{path}/rotate", Need.DEVELOPER, rotate, embedded=True),
            Page("POST", f"{path}/switch", Need.DEVELOPER, switch, embedded=True),
        )
    ),
    Page("POST", f"{_ONE}/share", Need.DEVELOPER, share, embedded=True),
)
ENTRIES: tuple[Entry, ...] = ()
