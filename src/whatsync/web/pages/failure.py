"""Pages of what did not work: what happened in words, and where to go from here. No dead ends. Decides no rights."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus

from whatsync.model.errors import Problem
from whatsync.web.pages.page import Flash, Show, Tone, Visit
from whatsync.web.problems import headers_of

_TITLES: Mapping[int, str] = {
    400: "That can’t be read",
    403: "That is not open to you",
    404: "Nothing is here",
    405: "That is not possible here",
    409: "Something stands against it",
    410: "It is not here any more",
    413: "That is too much at once",
    422: "Something in it is wrong",
    429: "A little too fast",
    503: "Not possible at this moment",
}
_BUG = "That was our mistake"
_NEXT: Mapping[int, str] = {
    403: "Your role decides what you see. An owner of the account can change it under Team.",
    404: "The address may be mistyped, or what it led to was removed.",
    500: "What was accepted before is safe. Should it happen again, tell the operator the name above.",
    503: "Nothing was changed. What was accepted before is safe; try again in a moment.",
}
_ADVICE: Mapping[str, str] = {
    "endpoint_not_found": "It was deleted, or the address is mistyped. What was sent to it stays in the history as "
    "long as events are kept.",
}
"""What is known better about some problems than their status tells."""
_WAYS: Mapping[str, tuple[str, str, str]] = {
    "endpoint_not_found": ("Webhook History", "/history", "history"),
    "event_not_found": ("All events", "/history/events", "history"),
}
"""Where in the account one may find what was meant: words, path, picture."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way on from a page of what did not work."""

    words: str
    url: str
    icon: str


@dataclass(frozen=True, slots=True)
class FailurePage:
    """What ``failure.html`` shows."""

    status: int
    phrase: str
    title: str
    sentence: str
    advice: str | None
    again: bool
    """Trying again may help."""
    way: Way | None


def failed(problem: Problem, visit: Visit) -> Show:
    """What to show for a problem that no view has dealt with: a page, or for htmx a message beside the page."""
    status = problem.status
    page = FailurePage(
        status=status,
        phrase=HTTPStatus(status).phrase,
        title=_TITLES.get(status, _BUG),
        sentence=_sentence(problem.detail),
        advice=_ADVICE.get(problem.code, _NEXT.get(status)),
        again=status in (429, 503) or status >= 500,
        way=_way(problem, visit),
    )
    headers = headers_of(problem)
    if visit.htmx:
        headers |= {"hx-retarget": "#flashes", "hx-reswap": "beforeend"}
        return Show("failure.html", page, status, "message", Flash(page.sentence, Tone.BAD), headers)
    return Show("failure.html", page, status, headers=headers)


def _way(problem: Problem, visit: Visit) -> Way | None:
    if problem.code not in _WAYS or visit.running is None:
        return None
    words, path, icon = _WAYS[problem.code]
    return Way(words, visit.here(path), icon)


def bare_failure(request_id: str) -> str:
    """The page where not even the page of mistakes can be made: no template, no style."""
    named = escape(request_id)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_BUG} · WhatsSync</title><main><h1>{_BUG}</h1>'
        f"<p>Something went wrong here; the server’s log tells about {named}.</p><p>{_NEXT[500]}</p>"
        '<p><a href="/">Go to the start</a></p></main></html>'
    )


def _sentence(detail: str) -> str:
    text = detail[:1].upper() + detail[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
