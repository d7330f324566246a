"""What needs somebody's attention in an account, worst first, each with its next step. Decides nothing itself.

Reads what is in memory, and of a few endpoints how much is held.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from whatsync.engine.endpoints import EndpointFacts
from whatsync.model.delivery import State
from whatsync.model.endpoint import DisabledBy
from whatsync.model.outcome import explain
from whatsync.ports.history import DeliveryQuery
from whatsync.web.health import faults
from whatsync.web.pages.condition import is_failing
from whatsync.web.pages.page import Visit

ENDPOINTS_NAMED = 5
_HELD_LOOKED_AT = 10
_HELD_ROWS_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing to look at."""

    tone: str
    icon: str
    title: str
    sentence: str
    step: str
    """What the link says."""
    path: str
    ends_ms: int | None = None
    """When it gets worse by itself."""


async def matters(visit: Visit, endpoints: list[EndpointFacts]) -> list[Matter]:
    """All that there is now."""
    found = [*_server(visit), *_failing(visit, endpoints), *await _disabled(visit, endpoints), *await _kept(visit)]
    found += _numbers(visit)
    if not visit.embedded:
        found += [*_sources(visit), *_settings(visit, endpoints)]
    return sorted(found, key=lambda one: ("bad", "warn", "note").index(one.tone))


def _server(visit: Visit) -> Iterator[Matter]:
    if not visit.operator:
        return
    for fault in faults(visit.services):
        title = f"The server: {fault.field} {fault.message}"
        yield Matter("bad", "warn", title, "New events may not be accepted or sent.", "What to do", "/help#support")


def _failing(visit: Visit, endpoints: list[EndpointFacts]) -> Iterator[Matter]:
    failing = [one for one in endpoints if one.running.endpoint.enabled and is_failing(one.health)]
    failing.sort(key=lambda one: (not one.health.announced_failing, one.health.first_failure_ms or 0))
    for one in failing[:ENDPOINTS_NAMED]:
        endpoint, code = one.running.endpoint, one.health.last_failure_code or "internal_error"
        words, name = explain(code), endpoint.description or short(endpoint.url)
        bad = one.health.announced_failing
        count = one.health.failed_attempts
        yield Matter(
            "bad" if bad else "warn",
            "hook",
            f"{name} is failing",
            f"{words.sentence} {count:,} failed attempt{'' if count == 1 else 's'} since the last success.",
            "See what came back",
            visit.here(f"/webhooks/{endpoint.id}"),
            one.disable_at_ms,
        )
    rest = failing[ENDPOINTS_NAMED:]
    if rest:
        path = visit.here("/webhooks/endpoints", state="failing")
        tone = "bad" if rest[0].health.announced_failing else "warn"  # never above those named before it
        title = "1 further endpoint is failing" if len(rest) == 1 else f"{len(rest):,} further endpoints are failing"
        yield Matter(tone, "hook", title, "", "See all of them", path)


async def _disabled(visit: Visit, endpoints: list[EndpointFacts]) -> list[Matter]:
    off = [one.running for one in endpoints if not one.running.endpoint.enabled]
    off.sort(key=lambda one: (one.endpoint.disabled_by is DisabledBy.USER, -(one.endpoint.disabled_ms or 0)))
    found = []
    for one in off[:_HELD_LOOKED_AT]:
        held = (await visit.services.history.counts(one.row)).held
        by_itself = one.endpoint.disabled_by is not DisabledBy.USER
        if not held and not by_itself:
            continue
        waits = f"{held:,} deliver{'y is' if held == 1 else 'ies are'} held." if held else "Nothing is held yet."
        why = {
            DisabledBy.GONE: "Its receiver answered 410 Gone.",
            DisabledBy.FAILING: "Nothing succeeded for days.",
        }.get(one.endpoint.disabled_by or DisabledBy.USER, "Somebody paused it.")
        title = f"{one.endpoint.description or short(one.endpoint.url)} is {'disabled' if by_itself else 'paused'}"
        path = visit.here(f"/webhooks/{one.endpoint.id}")
        step = "Repair and enable it" if by_itself else "Enable it"
        found.append(Matter("bad" if by_itself else "warn", "pause", title, f"{why} {waits}", step, path))
    return found


async def _kept(visit: Visit) -> list[Matter]:
    """What was held while an endpoint was off and is held still, now that it is on; as far as the newest held tell."""
    history, endpoints = visit.services.history, visit.account.endpoints
    held = await history.deliveries(DeliveryQuery(visit.account.row, states=(State.HELD,), limit=_HELD_ROWS_LOOKED_AT))
    found: list[Matter] = []
    for row in dict.fromkeys(view.endpoint for view in held.items):
        if len(found) == ENDPOINTS_NAMED:
            break  # each costs a count
        running = endpoints.get(row)
        if running is None or not running.endpoint.enabled or running.endpoint.release is not None:
            continue
        count = (await history.counts(row)).held
        name = running.endpoint.description or short(running.endpoint.url)
        title = f"{count:,} deliver{'y is' if count == 1 else 'ies are'} still held for {name}"
        words = "They are from the time it was off, and are not sent by themselves."
        path = visit.here(f"/webhooks/{running.endpoint.id}")
        found.append(Matter("warn", "pause", title, words, "Send or drop them", path))
    return found


def _numbers(visit: Visit) -> Iterator[Matter]:
    known = visit.services.directory.whatsapp.numbers
    quiet = [known[id_] for id_ in visit.services.quiet.standing if id_ in known]
    mine = [one.number for one in quiet if one.account == visit.account.row]
    if not mine:
        return
    names = ", ".join(one.name or one.display or one.id for one in mine[:3])
    title = f"{names} {'is' if len(mine) == 1 else 'are'} quiet" if len(mine) <= 3 else f"{len(mine)} numbers are quiet"
    words = "Nothing has come at a time that is usually busy."
    yield Matter("warn", "number", title, words, "See the numbers", visit.here("/numbers", show="quiet"))


def _sources(visit: Visit) -> Iterator[Matter]:
    """Sources that refuse signatures; their owner hears it, operators can mend it."""
    whatsapp, sources = visit.services.directory.whatsapp, visit.services.sources
    for one in whatsapp.sources.values():
        refused = sources.refused_in_a_row(one)
        if not refused:
            continue
        owners = {number.account for number in whatsapp.of_source(one.source.id)}
        mine = visit.account.row in owners or one.source.account == visit.account.account.id
        if mine or visit.operator:
            title = f"The source {one.source.name} refuses {'requests' if refused > 1 else 'a request'}"
            words = f"{refused:,} in a row had a wrong signature. Meta keeps trying for 7 days, so nothing is lost yet."
            if visit.operator:
                yield Matter("bad", "source", title, words, "Store the right secret", f"/sources/{one.source.id}")
            else:
                yield Matter("bad", "source", title, words, "Ask the operator", visit.here("/help") + "#support")
    if visit.operator:
        waiting = sum(not one.account for one in whatsapp.numbers.values())
        if waiting:
            title = f"{waiting:,} number{' belongs' if waiting == 1 else 's belong'} to nobody"
            words = "What comes for them is kept and waits."
            yield Matter("warn", "number", title, words, "Say whose they are", "/numbers?show=unassigned")


def _settings(visit: Visit, endpoints: list[EndpointFacts]) -> Iterator[Matter]:
    """Settings that are missing; asked for only once there is something that they would be good for."""
    account = visit.account.account
    whatsapp = visit.services.directory.whatsapp
    if visit.operator and not visit.facts.public and whatsapp.sources:
        words = "Meta can't call this server, and links in alerts lead to this machine only."
        yield Matter("warn", "globe", "No public URL is set", words, "How to set it", "/sources")
    if not endpoints or not visit.may("owner"):
        return
    settings = visit.here("/settings")
    if not account.alert_emails and account.alert_url is None:
        words = "When an endpoint fails, nobody in this account is told. Name a mail address or a chat webhook."
        yield Matter("note", "send", "Nobody is told of trouble", words, "Set up alerts", settings + "#alerts")
    elif account.alert_emails and not visit.facts.mail:
        words = "Alerts have mail addresses, but the installation has no mail server (WHATSYNC_SMTP_URL)."
        yield Matter("warn", "send", "Alerts can't be mailed", words, "See the settings", settings + "#alerts")


def short(url: str) -> str:
    """A URL as a line can hold it."""
    words = url.partition("://")[2] or url
    return words if len(words) <= 60 else words[:40] + "…" + words[-18:]
