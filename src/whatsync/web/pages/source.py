"""One source: how to connect it, what is missing, how it fares, what it brought and what was set aside.

Knows the services, no HTTP and no payload.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import msgspec

from whatsync.engine.connection import Finding
from whatsync.engine.intake import unpacked
from whatsync.engine.source_directory import RunningNumber, RunningSource
from whatsync.engine.sources import SourceFacts
from whatsync.model.errors import Conflict, Invalid, NotFound, Problem, Unavailable
from whatsync.model.ids import ms_of, row_of, row_text
from whatsync.ports.arrivals import BodyRow, SetAsideRow
from whatsync.web.api.sources import BODY_PREFIX, SampleForm, take_sample
from whatsync.web.pages.page import (
    Download,
    Entry,
    Filled,
    Flash,
    Given,
    Need,
    Page,
    Redirect,
    Show,
    Tone,
    Visit,
    whole,
)
from whatsync.web.pages.rendering import pretty
from whatsync.web.pages.sources import found_source

_LINES = 20
"""Rows of each list on the source's own page."""
_PAGE_LINES = 50
_BODY_SHOWN_CHARS_MAX = 200_000
_ASIDE_LOOKED_AT = 200
SAMPLES = (
    ("text", "Text message"),
    ("image", "Picture"),
    ("voice", "Voice note"),
    ("location", "Location"),
    ("button", "Button reply"),
    ("reaction", "Reaction"),
    ("sent", "Status: sent"),
    ("delivered", "Status: delivered"),
    ("read", "Status: read"),
    ("failed", "Status: failed"),
)


@dataclass(frozen=True, slots=True)
class BodyLine:
    """A raw body in a list."""

    id: str
    at_ms: int
    updates: int
    test: bool


@dataclass(frozen=True, slots=True)
class AsideLine:
    """What was set aside, in a list."""

    row: SetAsideRow
    body: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SourcePage:
    """What ``source.html`` shows."""

    source: RunningSource
    facts: SourceFacts
    callback: str | None
    secure: bool
    """The callback is one that Meta would call."""
    findings: list[Finding] | None
    aside: list[AsideLine]
    bodies: list[BodyLine]
    numbers: list[RunningNumber]
    unassigned: int
    account: str | None
    form: Filled
    samples: tuple[tuple[str, str], ...] = SAMPLES


@dataclass(frozen=True, slots=True)
class RowsPage:
    """What ``source_rows.html`` shows: one of the two lists, whole."""

    source: RunningSource
    aside: list[AsideLine] | None
    bodies: list[BodyLine] | None
    newest: str | None
    older: str | None


@dataclass(frozen=True, slots=True)
class BodyPage:
    """What ``source_body.html`` shows."""

    source: RunningSource
    line: BodyLine
    size: int
    text: str
    cut: bool
    aside: list[AsideLine]


async def source(visit: Visit) -> Given:
    """The source; with ``?check=1`` also what has to be right, asked of Meta."""
    findings = await visit.services.connector.check(found_source(visit)) if visit.asked("check") else None
    return await _page(visit, Filled({"kind": "text"}), findings)


async def _page(visit: Visit, form: Filled, findings: list[Finding] | None = None, status: int = 200) -> Show:
    running, services = found_source(visit), visit.services
    numbers = sorted(
        services.directory.whatsapp.of_source(running.source.id), key=lambda one: (one.account != 0, one.number.id)
    )
    callback = services.connector.callback(running)
    owner = services.directory.accounts_by_id.get(running.source.account or "")
    page = SourcePage(
        source=running,
        facts=await services.sources.facts(running),
        callback=callback,
        secure=(callback or "").startswith("https://"),
        findings=findings,
        aside=[_aside(row) for row in await services.sources.set_aside(running, None, _LINES)],
        bodies=[_body(row) for row in await services.sources.bodies(running, None, _LINES)],
        numbers=numbers[:_LINES],
        unassigned=sum(not one.account for one in numbers),
        account=None if owner is None else owner.account.name,
        form=form,
    )
    return Show("source.html", page, status, fragment="check")


async def connect(visit: Visit) -> Given:
    """Let the source connect itself through Meta's API."""
    running = found_source(visit)
    try:
        done = await visit.services.connector.connect(
            running, (), visit.form.flag("replace"), visit.form.flag("override")
        )
    except (Invalid, Conflict, Unavailable) as problem:
        return await _page(visit, Filled({"kind": "text"}, problem=_sentence(problem)), status=problem.status)
    words = f"Connected: {len(done.businesses)} business account(s) with {len(done.numbers)} number(s)."
    return Redirect(visit.to(f"/sources/{running.source.id}", check=1), Flash(words))


async def sample(visit: Visit) -> Given:
    """Take a sample in, as if Meta had sent it."""
    running, form = found_source(visit), visit.form
    given = {"kind": form.text("kind") or "text", "number": form.text("number")}
    try:
        wanted = msgspec.convert(given, SampleForm)
    except msgspec.ValidationError:
        problem = "Give the number’s phoneNumberId: the digits Meta shows beside it."
        return await _page(visit, Filled({**given, "kind": "text"}, {"number": problem}), status=422)
    try:
        _, taken = await take_sample(visit.services, running, wanted)
    except Conflict as refused:
        return await _page(visit, Filled(given, problem=_sentence(refused)), status=refused.status)
    words = f"The sample is taken in: {taken.events} event(s), {taken.set_aside} set aside."
    if taken.set_aside and not taken.events:
        words += " A new number is made known first; its events follow once it has an account."
    return Redirect(f"/sources/{running.source.id}", Flash(words))


async def process(visit: Visit) -> Given:
    """Process again a part of what is set aside."""
    running = found_source(visit)
    done = await visit.services.reprocessing.set_aside(running)
    words = f"{done.bodies} request(s) processed again: {done.events} new event(s), {done.set_aside} still set aside."
    if done.more:
        words += " There is more; press the button once more."
    return Redirect(f"/sources/{running.source.id}", Flash(words, Tone.GOOD if done.events else Tone.NOTE))


async def set_aside(visit: Visit) -> Given:
    """Everything that was set aside, in pages."""
    running, before = found_source(visit), _before(visit)
    rows = await visit.services.sources.set_aside(running, before, _PAGE_LINES, visit.asked("reason") or None)
    path = f"/sources/{running.source.id}/set-aside"
    older = visit.to(path, before=rows[-1].seq, reason=visit.asked("reason")) if len(rows) == _PAGE_LINES else None
    newest = path if before is not None else None
    return Show("source_rows.html", RowsPage(running, [_aside(row) for row in rows], None, newest, older))


async def bodies(visit: Visit) -> Given:
    """All raw bodies, in pages."""
    running, before = found_source(visit), _before(visit)
    rows = await visit.services.sources.bodies(running, before, _PAGE_LINES)
    path = f"/sources/{running.source.id}/bodies"
    older = visit.to(path, before=rows[-1].seq) if len(rows) == _PAGE_LINES else None
    newest = path if before is not None else None
    return Show("source_rows.html", RowsPage(running, None, [_body(row) for row in rows], newest, older))


async def body(visit: Visit) -> Given:
    """One raw body."""
    running, row = await _found_body(visit)
    raw = unpacked(row.body)
    try:
        text = pretty(raw)
    except msgspec.DecodeError:
        text = raw.decode("utf-8", "replace")
    line = _body(row)
    mine = [_aside(one) for one in await visit.services.sources.set_aside(running, None, _ASIDE_LOOKED_AT)]
    page = BodyPage(
        source=running,
        line=line,
        size=len(raw),
        text=text[:_BODY_SHOWN_CHARS_MAX],
        cut=len(text) > _BODY_SHOWN_CHARS_MAX,
        aside=[one for one in mine if one.row.body == row.seq],
    )
    return Show("source_body.html", page)


async def raw_body(visit: Visit) -> Given:
    """The same, byte for byte."""
    _, row = await _found_body(visit)

    async def parts() -> AsyncGenerator[bytes]:
        yield unpacked(row.body)

    return Download(f"{row_text(BODY_PREFIX, row.seq)}.json", "application/octet-stream", parts())


async def process_body(visit: Visit) -> Given:
    """Process one body again."""
    running, row = await _found_body(visit)
    taken = await visit.services.reprocessing.body(running, row.seq)
    words = f"Processed again: {taken.events} new event(s), {taken.duplicates} known, {taken.set_aside} set aside."
    return Redirect(f"/sources/{running.source.id}/bodies/{row_text(BODY_PREFIX, row.seq)}", Flash(words))


async def _found_body(visit: Visit) -> tuple[RunningSource, BodyRow]:
    running = found_source(visit)
    row = row_of(BODY_PREFIX, visit.parameters["body_id"])
    if row is None:
        raise NotFound("body_not_found", "there is no such raw body; they are kept as long as events are")
    return running, await visit.services.sources.body(running, row)


def _before(visit: Visit) -> int | None:
    asked = visit.asked("before")
    return whole(asked)


def _body(row: BodyRow) -> BodyLine:
    return BodyLine(row_text(BODY_PREFIX, row.seq), ms_of(row.seq), row.updates, row.test)


def _aside(row: SetAsideRow) -> AsideLine:
    return AsideLine(row, row_text(BODY_PREFIX, row.body), ms_of(row.body))


def _sentence(problem: Problem) -> str:
    detail = problem.errors[0].message if problem.errors else problem.detail
    return detail[:1].upper() + detail[1:] + ("" if detail.endswith((".", "!", "?")) else ".")


_ONE = "/sources/{source_id}"

PAGES = (
    Page("GET", _ONE, Need.OPERATOR, source),
    Page("POST", _ONE + "/connect", Need.OPERATOR, connect),
    Page("POST", _ONE + "/sample", Need.OPERATOR, sample),
    Page("POST", _ONE + "/process", Need.OPERATOR, process),
    Page("GET", _ONE + "/set-aside", Need.OPERATOR, set_aside),
    Page("GET", _ONE + "/bodies", Need.OPERATOR, bodies),
    Page("GET", _ONE + "/bodies/{body_id}", Need.OPERATOR, body),
    Page("GET", _ONE + "/bodies/{body_id}/raw", Need.OPERATOR, raw_body),
    Page("POST", _ONE + "/bodies/{body_id}/process", Need.OPERATOR, process_body),
)
ENTRIES: tuple[Entry, ...] = ()
