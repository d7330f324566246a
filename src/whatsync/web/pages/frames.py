"""Our pages in a frame of another product's page: which requests come from inside one, who may frame us, and what a
frame shows where no visit goes on.

A frame has no way out: what it can't show it says, with what to do. Decides no rights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whatsync.model.errors import Problem
from whatsync.web.pages import guard
from whatsync.web.pages.page import Given, Redirect, Show, Visit

FRAME_HEADER = "x-whatssync-frame"
"""Our own scripts say with it that their page stands in a frame; browsers tell it of whole pages only."""
_DESTINATIONS = frozenset({"iframe", "frame"})


class NoCookies(Problem):
    """The browser keeps no cookies for us in this frame, so that no visit can begin."""

    status = 403


class Frames:
    """Pages of these origins may show us in a frame; of none: we never show in one."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._on = bool(origins)
        self.headers = guard.framed_headers(origins) if origins else guard.HEADERS

    def asked(self, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from inside a frame. Where frames are off, all are as if from a window."""
        return self._on and (headers.get("sec-fetch-dest") in _DESTINATIONS or FRAME_HEADER in headers)


@dataclass(frozen=True, slots=True)
class FramePage:
    """What ``frame.html`` shows."""

    title: str
    lead: str
    advice: str
    window: str | None = None
    """What to open in a window of its own."""
    over: bool = False
    """The page around is told, so that it can begin another visit."""


def ended(visit: Visit) -> Given:
    """No visit is there, or it is over."""
    if visit.htmx:
        return Redirect("/")  # htmx opens it in the frame, and we say it there
    page = FramePage(
        "This visit has ended",
        "It was left for too long, or another visit took its place.",
        "Load the page around it again to go on.",
        over=True,
    )
    return Show("frame.html", page, 401)


def cookieless(visit: Visit) -> Show:
    """The link is not used up: it can still open in a window."""
    page = FramePage(
        "Your browser keeps this frame empty",
        "It keeps no cookies for a page inside another site’s page, so nobody can be signed in here.",
        "It opens in a tab of its own.",
        window=visit.path,
    )
    return Show("frame.html", page, NoCookies.status)


def dead_in_frame(problem: Problem) -> Show:
    """A link that does nothing."""
    sentence = problem.detail[:1].upper() + problem.detail[1:] + "."
    page = FramePage("This link does nothing", sentence, "Load the page around it again to go on.")
    return Show("frame.html", page, problem.status)
