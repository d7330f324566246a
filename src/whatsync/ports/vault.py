"""Sealing of secrets at rest, as the engine asks for it."""

from typing import Protocol


class Vault(Protocol):
    """Turns secrets into sealed text and back. A wrong key raises when the vault is made, not here."""

    def seal(self, plain: str) -> str:
        """Return text that only this installation's key opens."""

    def unseal(self, sealed: str) -> str:
        """Return the plain text. Raises ValueError on text that was not sealed with this key."""

    def derive(self, purpose: bytes) -> bytes:
        """Return 32 bytes that belong to this installation and ``purpose``, the same for ever."""
