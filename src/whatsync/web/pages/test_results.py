"""Tests that were sent, as pages show them: the real request, the real answer, and what to make of both."""

from dataclasses import dataclass

from whatsync.engine.inspection import AttemptStory
from whatsync.engine.test_sends import Signing
from whatsync.model.errors import NotFound
from whatsync.web.pages.page import Visit

_REFUSALS = range(400, 500)


@dataclass(frozen=True, slots=True)
class TestShown:
    """One test with its attempt."""

    __test__ = False  # the name is the product's; it is no test case

    delivery: str
    signing: Signing
    story: AttemptStory

    @property
    def arrived(self) -> bool:
        """Whether the receiver answered 2xx."""
        return self.story.row.code is None

    @property
    def refused(self) -> bool:
        """Whether the receiver itself said no."""
        return self.story.row.status in _REFUSALS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What tests have shown."""

    tone: str
    title: str
    sentence: str


@dataclass(frozen=True, slots=True)
class TestsShown:
    """The tests of one click, and the verdict."""

    __test__ = False  # the name is the product's; it is no test case

    tests: list[TestShown]
    verdict: Verdict


async def tests_asked(visit: Visit) -> TestsShown | None:
    """The tests that the query names: ``?test=dlv_…`` or, of a check of signatures, ``&forged=dlv_…`` too."""
    tests = []
    for name, signing in (("test", signing_named(visit.asked("signing"))), ("forged", Signing.FORGED)):
        delivery = visit.asked(name)
        if delivery:
            try:
                stories = await visit.services.inspection.attempts(visit.account, delivery)
            except NotFound:
                continue
            if stories:
                tests.append(TestShown(delivery, signing, stories[-1]))
    return shown(tests) if tests else None


def signing_named(word: str) -> Signing:
    """What a form or address asks for; anything else means as every request."""
    return Signing(word) if word in tuple(Signing) else Signing.PRESENT


def shown(tests: list[TestShown]) -> TestsShown:
    """Judge tests of one click."""
    right = next((one for one in tests if one.signing is not Signing.FORGED), None)
    forged = next((one for one in tests if one.signing is Signing.FORGED), None)
    if forged is None or right is None:
        return TestsShown(tests, _single(tests[0]))
    return TestsShown(tests, _checked(right, forged))


def _single(test: TestShown) -> Verdict:
    row = test.story.row
    if test.arrived:
        newest = " It accepts the newest secret." if test.signing is Signing.NEWEST else ""
        return Verdict("good", "Delivered", f"The receiver answered {row.status}.{newest}")
    assert test.story.explanation is not None
    return Verdict("bad", test.story.explanation.sentence, test.story.explanation.next_step)


def _checked(right: TestShown, forged: TestShown) -> Verdict:
    if right.arrived and forged.refused:
        words = f"The right signature was answered {right.story.row.status}, a forged one {forged.story.row.status}."
        return Verdict("good", "Verified", f"{words} Nobody else can send to this receiver in your name.")
    if right.arrived and forged.arrived:
        words = "It takes every request, whoever sends it. Put the verification code in, then check again."
        return Verdict("warn", "Delivered, but a forged request was accepted too", words)
    if right.arrived:
        words = "The right one was delivered, but the forged one met another fault. Check again."
        return Verdict("warn", "Not certain yet", words)
    if right.refused and forged.refused:
        words = (
            "It refuses the right signature as well. Most often the program holds another secret, or parses the body "
            "before it verifies."
        )
        return Verdict("bad", f"Refused with {right.story.row.status}", words)
    return _single(right)
