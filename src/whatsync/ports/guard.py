"""The judge of addresses, as the engine asks for it when a URL is saved. The real check is made on each connection."""

from typing import Protocol


class Refused(Protocol):
    """Why an address may not be reached."""

    @property
    def sentence(self) -> str:
        """The reason and, where there is one, the setting an operator can paste to allow it."""


class Guard(Protocol):
    """Judges addresses that deliveries may reach."""

    def check(self, ip: str, port: int) -> Refused | None:
        """Judge one numeric address; ``None`` lets it through."""
