"""Find a message: by whatever somebody has in hand, its whole story, with one verdict and what to do next as a button.

Tells what the engine's story says; the next steps are said in the dashboard's own buttons.
"""

import re
from dataclasses import dataclass
from datetime import datetime

import msgspec

from whatsync.engine.inspection import DeliveryStory
from whatsync.engine.messages import EndpointEntry, Message, as_text, endpoints_of, message_of
from whatsync.engine.verdicts import Verdict
from whatsync.model import limits
from whatsync.model.delivery import FINAL, State
from whatsync.model.endpoint import Why
from whatsync.model.ids import delivery_id, delivery_row
from whatsync.model.phone import is_phone
from whatsync.model.rough_time import SLACK, Rough, rough_time
from whatsync.ports.store import EventRow, Origin
from whatsync.web.api.call import cursor_of, position_of, show_time, to_ms
from whatsync.web.pages.history_filters import short_url
from whatsync.web.pages.history_rows import ORIGINS
from whatsync.web.pages.page import Entry, Given, Need, Page, Redirect, Show, Visit

PATH = "/messages"
LIST_ITEMS = 15
_SLACK_MS = int(SLACK.total_seconds() * 1000)
_SHORTLY_MS = 10 * 60_000
"""How long after the time somebody named a message may have come in."""
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)")
_ENDPOINT_ID = re.compile(r"ep_[a-z2-7]{26}", re.ASCII)
"""Its page says where it was deleted; no message is called so."""
TONES = {
    "delivered": "good",
    "waiting": "warn",
    "held": "held",
    "no_endpoint": "warn",
    "delivery_failed": "bad",
    "whatsapp_failed": "bad",
    "expired": "bad",
    "set_aside": "warn",
    "not_received": "note",
}
TITLES = {
    "delivered": "Delivered",
    "waiting": "On its way",
    "held": "Held",
    "no_endpoint": "No endpoint wanted it",
    "delivery_failed": "Not delivered",
    "whatsapp_failed": "WhatsApp could not deliver it",
    "expired": "Never sent",
    "set_aside": "Set aside",
    "not_received": "Not received",
}
WHY_WORDS = {
    Why.FILTERED: "Its numbers or filters leave this event out.",
    Why.DISABLED: "It was disabled when the event came in.",
    Why.CREATED_LATER: "It was made later.",
    Why.NOT_SUBSCRIBED: "It does not subscribe to this type of event.",
}
_NEAREST = list(WHY_WORDS)
"""First what was nearest to getting the event."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One delivery of the story."""

    story: DeliveryStory

    @property
    def id(self) -> str:
        """Its public id."""
        return delivery_id(self.story.view.id)

    @property
    def origin(self) -> str | None:
        """How it came to be, in a word, where it is not simply the event's own."""
        return ORIGINS.get(self.story.view.origin)

    @property
    def open(self) -> bool:
        """Whether it can still change."""
        return self.story.view.state not in FINAL


@dataclass(frozen=True, slots=True)
class Proof:
    """That an endpoint got the event, to copy into a mail."""

    url: str
    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """One endpoint of the story, with what can be done there."""

    entry: EndpointEntry
    url: str
    legs: list[Leg]
    why: str | None
    enabled: bool
    resend: str | None
    """The event to resend there."""
    retry: str | None
    """The delivery to retry."""
    proof: Proof | None

    @property
    def name(self) -> str:
        """What its people call it."""
        return self.entry.description or self.url

    @property
    def to_retry(self) -> bool:
        """Has failed so far or is held, and can be tried now."""
        views = [leg.story.view for leg in self.legs if leg.id == self.retry]
        return any(view.attempts or view.state is State.HELD for view in views)

    @property
    def paused_then(self) -> bool:
        """Got nothing because it was disabled, and still is."""
        return self.entry.why is Why.DISABLED and not self.enabled


@dataclass(frozen=True, slots=True)
class Stand:
    """Where an event or a message stands, and what to do next."""

    code: str
    title: str
    tone: str
    sentence: list[str | int]
    """Text, and moments in it to be shown in the viewer's zone."""
    next_step: str
    stops: list[Stop]
    """Endpoints, first what is nearest to the event."""

    @property
    def to_retry(self) -> list[Stop]:
        """Where it can be tried at once, as far as one button goes."""
        found = [stop for stop in self.stops if stop.to_retry] if self.code in ("waiting", "held") else []
        return found[: limits.PAGE_ITEMS_MAX]

    @property
    def to_resend(self) -> list[Stop]:
        """Where it was tried in vain, or never, and can be sent anew, as far as one button goes."""
        found = [stop for stop in self.stops if stop.resend]
        if self.code == "delivery_failed":
            found = [stop for stop in found if stop.legs and stop.legs[0].story.view.state is not State.SUCCEEDED]
        elif self.code != "expired":
            found = []
        return found[: limits.PAGE_ITEMS_MAX]

    @property
    def own_buttons(self) -> list[Stop]:
        """The first of those, which have a button of their own at the top: a long row of them finds nobody."""
        return self.to_resend[: limits.RESEND_BUTTONS_SHOWN]


@dataclass(frozen=True, slots=True)
class StoryPage:
    """What ``message.html`` shows."""

    asked: str
    message: Message
    stand: Stand
    event_id: str | None
    """The event the verdict is about."""
    failed_event: str | None
    """The status that says why WhatsApp could not deliver."""
    moving: bool
    """Something is still to happen by itself."""
    endpoints_meant: int
    """Where nothing was found: endpoints with these words in their description or URL."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """What ``messages.html`` shows."""

    asked: str
    rough: Rough
    items: list[Message]
    older: str | None
    newest: str | None
    searched_ms: int | None
    titles: dict[str, str]
    tones: dict[str, str]
    widened: bool = False
    """There was nothing at the time asked for; these are from other times."""
    missing: list[str | int] | None = None
    """Where nothing was found: what came in at all, with the moments apart."""
    next_step: str = ""
    """Where nothing was found: what to do."""


async def messages(visit: Visit) -> Given:
    """The story of one message, a list to choose from, or the event that was meant."""
    asked = visit.asked("q")[: limits.SEARCH_CHARS_MAX]
    rough = _begun_near(rough_time(asked, visit.services.clock.now_ms(), _zone(visit)))
    if _ENDPOINT_ID.fullmatch(rough.words):
        return Redirect(visit.here(f"/webhooks/{rough.words}"))
    event = await _event_named(visit, rough.words) if rough.words else None
    if event is not None:
        known = message_of(event)
        return Redirect(visit.here(f"/events/{event.id}")) if known is None else await _told(visit, asked, known)
    return await _searched(visit, asked, rough)


def _begun_near(rough: Rough) -> Rough:
    """A time of day alone begins the list shortly after it: the newest come first, and hours of others would."""
    if rough.words or rough.since_ms is None or rough.until_ms != rough.since_ms + 2 * _SLACK_MS:
        return rough
    return msgspec.structs.replace(rough, until_ms=rough.since_ms + _SLACK_MS + _SHORTLY_MS)


async def _event_named(visit: Visit, name: str) -> EventRow | None:
    """The event with this id, or the one that the delivery with this id is about."""
    history, account = visit.services.history, visit.account.row
    row = delivery_row(name)
    view = None if row is None else await history.delivery(account, row)
    return await history.event(account, name) if view is None else await history.event_by_seq(account, view.event)


async def _searched(visit: Visit, asked: str, rough: Rough) -> Given:
    """Everything that is no id of ours: wamids, phone numbers and words with or without a time, or nothing at all."""
    before = position_of(visit.asked("cursor") or None)
    page_of = visit.services.messages.page
    found = await page_of(visit.account, rough.words, before, LIST_ITEMS, rough.since_ms, rough.until_ms, brief=True)
    widened = not found.items and rough.since_ms is not None and bool(rough.words)
    if widened:
        found = await page_of(visit.account, rough.words, before, LIST_ITEMS, brief=True)
    missing = None
    if asked and before is None and found.next is None:
        by_chance = widened and (is_phone(rough.words) or as_text(rough.words) is not None)
        if len(found.items) == 1 and not by_chance:
            return await _told(visit, asked, found.items[0].id)
        if not found.items and not is_phone(rough.words):
            return await _told(visit, asked, rough.words, rough)
        if not found.items:
            missing = (await visit.services.messages.read(visit.account, rough.words, _middle(rough))).verdict
    page = ListPage(
        asked=asked,
        rough=rough,
        items=list(found.items),
        older=None if found.next is None else visit.here(PATH, q=asked, cursor=cursor_of(found.next)),
        newest=visit.here(PATH, q=asked) if before is not None else None,
        searched_ms=found.searched_to_ms,
        titles=TITLES,
        tones=TONES,
        widened=widened and bool(found.items),
        missing=None if missing is None else moments_apart(missing.sentence),
        next_step="" if missing is None else missing.next_step,
    )
    return Show("messages.html", page)


def _middle(rough: Rough | None) -> int | None:
    if rough is None or rough.since_ms is None or rough.until_ms is None:
        return None
    return (rough.since_ms + rough.until_ms) // 2


def _zone(visit: Visit) -> int:
    try:
        return int(visit.asked("zone") or 0)
    except ValueError:
        return 0


async def _told(visit: Visit, asked: str, name: str, rough: Rough | None = None) -> Given:
    message = await visit.services.messages.read(visit.account, name, _middle(rough))
    main = await _main_event(visit, message)
    mains = {entry.id: entry for entry in endpoints_of(main, message.endpoints)}
    stops = [_stop(visit, message, main, entry, mains.get(entry.id, entry)) for entry in message.endpoints]
    failed = next((one.event_id for one in reversed(message.statuses) if one.status == "failed"), None)
    page = StoryPage(
        asked=asked,
        message=message,
        stand=_stand(visit, message.verdict, stops),
        event_id=None if main is None else main.id,
        failed_event=failed,
        endpoints_meant=_endpoints_meant(visit, asked) if message.verdict.code == "not_received" else 0,
        moving=any(leg.open and leg.story.view.state is not State.HELD for stop in stops for leg in stop.legs),
    )
    return Show("message.html", page, fragment="story")


def _endpoints_meant(visit: Visit, words: str) -> int:
    known = (running.endpoint for running in visit.account.endpoints.values())
    return sum(words.lower() in f"{one.description} {one.url}".lower() for one in known)


async def stand_of(visit: Visit, event: EventRow) -> Stand:
    """Where an event stands and what to do next."""
    verdict, entries = await visit.services.messages.about(visit.account, event)
    return _stand(visit, verdict, [_stop(visit, None, event, entry, entry) for entry in entries])


def _stand(visit: Visit, verdict: Verdict, stops: list[Stop]) -> Stand:
    stops.sort(key=lambda stop: -1 if stop.legs else _NEAREST.index(stop.entry.why or Why.NOT_SUBSCRIBED))
    return Stand(
        code=verdict.code,
        title=TITLES.get(verdict.code, verdict.code),
        tone=TONES.get(verdict.code, "note"),
        sentence=moments_apart(verdict.sentence),
        next_step=_next_step(verdict, stops, visit.may("support")),
        stops=stops,
    )


def moments_apart(sentence: str) -> list[str | int]:
    """A sentence with the times in it as Unix milliseconds."""
    parts: list[str | int] = []
    for at, part in enumerate(_MOMENT.split(sentence)):
        parts.append(part if at % 2 == 0 else to_ms(datetime.fromisoformat(part)) or 0)
    return parts


async def _main_event(visit: Visit, message: Message) -> EventRow | None:
    """The event that the verdict is about: the message itself, else its newest status."""
    history, account = visit.services.history, visit.account.row
    found = await history.event(account, message.id)
    if found is not None and found.type == "message.incoming":
        return found
    name = message.statuses[-1].event_id if message.statuses else next((m.event_id for m in message.media), None)
    return None if name is None else await history.event(account, name)


def _stop(
    visit: Visit, message: Message | None, main: EventRow | None, entry: EndpointEntry, of_main: EndpointEntry
) -> Stop:
    running = visit.services.directory.endpoints_by_id.get(entry.id or "")
    enabled = running is not None and running.account.row == visit.account.row and running.endpoint.enabled
    newest = next(iter(of_main.deliveries), None)
    state = None if newest is None else newest.view.state
    open_one = next((story for story in entry.deliveries if story.view.state not in FINAL), None)
    resendable = enabled and main is not None and not main.test and (state is None or state in FINAL)
    return Stop(
        entry=entry,
        url=short_url(entry.url),
        legs=[Leg(story) for story in entry.deliveries],
        why=None if entry.why is None else WHY_WORDS[entry.why],
        enabled=enabled,
        resend=main.id if resendable and main is not None else None,
        retry=delivery_id(open_one.view.id)
        if open_one is not None and enabled and not open_one.view.in_flight
        else None,
        proof=_proof(message, of_main),
    )


def _proof(message: Message | None, entry: EndpointEntry) -> Proof | None:
    for story in entry.deliveries:
        view = story.view
        if view.state is State.SUCCEEDED and view.origin is not Origin.TEST and view.finished_ms is not None:
            took = f"{view.duration_us / 1000:.1f} ms" if view.duration_us is not None else "–"
            lines = (
                [] if message is None else [f"Message:   {message.id}{f' ({message.wamid})' if message.wamid else ''}"]
            )
            lines += [
                f"Event:     {view.type} {view.event_id}",
                f"Delivered: {show_time(view.finished_ms)} (UTC)",
                f"To:        {entry.url}",
                f"Answer:    HTTP {view.status} after {took}, attempt {view.attempts}",
                f"Delivery:  {delivery_id(view.id)}",
            ]
            return Proof(entry.url or "", "\n".join(lines))
    return None


_NEXT = {
    "delivered": "Nothing is left to do here. If the receiver says it has nothing, give it the proof below.",
    "expired": "Enable endpoints sooner, or let the operator raise the time events are kept.",
    "no_endpoint": "Send it to an endpoint anyway, or change what that endpoint subscribes to so that the next one "
    "arrives.",
    "held": "Enable the endpoint and send what is held for it.",
    "waiting": "Wait a moment: this page looks again by itself.",
}


def _next_step(verdict: Verdict, stops: list[Stop], acts: bool) -> str:
    """What to do, for people who have buttons before them."""
    code = verdict.code
    if code == "waiting":
        for story in (leg.story for stop in stops for leg in stop.legs if leg.open):
            if story.explanation is not None:
                several = sum(stop.to_retry for stop in stops) > 1
                button = "Retry all" if several else "Retry now"
                now = f" “{button}” does not wait for that." if acts else ""
                place = f"{story.place.description or short_url(story.place.url)}: " if several else ""
                return f"{place}{story.explanation.next_step} It is tried again by itself.{now}"
    if code == "held" and any(stop.retry for stop in stops):
        return "Retry sends what is held of it now."
    if code == "no_endpoint" and not stops:
        return "Add an endpoint; then this event can be sent to it."
    if code == "no_endpoint" and any(stop.paused_then for stop in stops):
        return "Enable that endpoint; this event can then be sent to it from here, and “Recover” sends all it missed."
    return _NEXT.get(code, verdict.next_step)


PAGES = (Page("GET", "/a/{account}" + PATH, Need.VIEWER, messages, embedded=True),)
ENTRIES: tuple[Entry, ...] = ()
