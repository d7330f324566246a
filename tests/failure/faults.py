"""What can go wrong on the n-th call of a store, a disk or a sender: once, or again and again until it is repaired.
Counts calls and decides; what failing means, each place says itself."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Fault:
    """Strikes at call ``number`` and, unless ``once``, at every later one until the world is repaired. Number 0 never
    strikes: it only counts."""

    number: int
    once: bool = True
    repaired_s: float = 40 * 60.0
    """Virtual seconds after which nothing fails any more."""
    struck_max: int = 1_000_000
    """The same, told by how often it has struck: where time passes as the machine pleases."""
    now_s: Callable[[], float] = lambda: 0.0
    armed: bool = True
    """Before that, calls are not even counted: who opens a broken disk is told so and does not start."""
    calls: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        """Count a call; whether this one fails."""
        if not self.armed:
            return False
        self.calls += 1
        if self.number == 0 or self.calls < self.number or self.repaired:
            return False
        if self.once and self.calls > self.number:
            return False
        self.struck += 1
        return True

    @property
    def repaired(self) -> bool:
        """Whether nothing fails any more."""
        return self.now_s() > self.repaired_s or self.struck >= self.struck_max
