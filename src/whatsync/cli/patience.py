"""Waiting on the command line: a pause that Ctrl+C ends, and asking again until something is so."""

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Found = TypeVar("Found")


def pause(seconds: float) -> None:
    """Wait so long."""
    threading.Event().wait(seconds)


def ask_until(ask: Callable[[], Found], good: Callable[[Found], bool], seconds: float) -> Found:
    """Ask again, ever more slowly, until the answer is good or about ``seconds`` are over; returns the last answer."""
    found = ask()
    for wait in _waits(seconds):
        if good(found):
            break
        pause(wait)
        found = ask()
    return found


def _waits(seconds: float) -> Iterator[float]:
    wait, passed = 0.05, 0.0
    while passed < seconds:
        yield wait
        passed += wait
        wait = min(wait * 1.5, 1.0)
