"""Verification code for one endpoint, its own path and port written in: which programs there are and which is shown."""

from dataclasses import dataclass

from whatsync.model.url import Target
from whatsync.web.pages.page import Visit
from whatsync.web.snippets.place import DEFAULT_PORT, Place, PlaceProblem, place_of, port_of
from whatsync.web.snippets.snippet import SNIPPETS, Snippet, snippet_named


@dataclass(frozen=True, slots=True)
class CodeShown:
    """One program, and the others to choose from."""

    choices: list[tuple[str, str, bool]]
    """Name, title, and whether it is the one that is shown."""
    snippet: Snippet
    program: str
    run: str
    problem: str | None
    """Why the own path is not written in."""


def code_shown(visit: Visit, target: Target | None) -> CodeShown:
    """The program that ``?code=`` names, else the first, for this target."""
    chosen = snippet_named(visit.asked("code")) or SNIPPETS[0]
    place: Place | PlaceProblem = Place("/webhook", "/webhook") if target is None else place_of(target)
    problem = None
    if isinstance(place, PlaceProblem):
        problem, place = place.message, Place("/webhook", "/webhook")
    port = DEFAULT_PORT if target is None else port_of(target)
    choices = [(one.name, one.title, one is chosen) for one in SNIPPETS]
    return CodeShown(choices, chosen, chosen.code(place, port), chosen.run(port), problem)
