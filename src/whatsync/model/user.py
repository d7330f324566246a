"""People: users with their roles, sessions and one-time links. Plain frozen data and the few rules about it.

Each record is stored as a document; passwords, session and link tokens only ever as hashes.
"""

import re
from enum import StrEnum

import msgspec

from whatsync.model import limits
from whatsync.model.errors import FieldError

_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


class Role(StrEnum):
    """What a person may do in one account; each includes those before it."""

    VIEWER = "viewer"
    SUPPORT = "support"
    DEVELOPER = "developer"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        """Its place: a higher rank may do all that a lower one may."""
        return tuple(Role).index(self)

    def includes(self, other: "Role") -> bool:
        """Whether who has this role may do what ``other`` may."""
        return self.rank >= other.rank


ROLE_MEANINGS = {
    Role.VIEWER: "See events and deliveries",
    Role.SUPPORT: "See all of it, resend, retry and cancel; never see secrets",
    Role.DEVELOPER: "All of that, and manage endpoints, API keys and secrets",
    Role.OWNER: "Everything in the account, the team and deleting included",
}
"""One line for each role, for forms and help."""


class User(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A person. Document kind ``user``, of the installation: one person may belong to several accounts."""

    id: str
    email: str
    """Lower case; unique in the installation."""
    created_ms: int
    password_hash: str | None = None
    """``None`` until the first link was used."""
    memberships: dict[str, Role] = {}
    """Account id to role."""
    operator: bool = False
    """Runs the installation: owner of every account, and sees all of them."""
    password_ms: int | None = None
    """When the password was last set."""
    signed_in_ms: int | None = None


class Theme(StrEnum):
    """How pages look, where somebody chose."""

    LIGHT = "light"
    DARK = "dark"


class Session(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A signed-in browser. Document kind ``session``; its id is derived from the token that only the browser has."""

    id: str
    created_ms: int
    seen_ms: int
    """Written now and then, not with every page."""
    expires_ms: int
    """At the latest; idle ones end before."""
    user: str | None = None
    """``None`` for an embedded session, which belongs to nobody."""
    account: str | None = None
    """Embedded: the only account it opens."""
    role: Role | None = None
    """Embedded: its role there."""
    frame: bool = False
    """Embedded: it lives in a frame of another product's page, and nowhere else."""
    theme: Theme | None = None
    """Embedded: how its pages look; ``None`` as the browser has it."""
    address: str = ""
    agent: str = ""
    """Browser and system in two words, to recognise it by."""

    @property
    def embedded(self) -> bool:
        """It opens configuration and history of one account, and nothing else."""
        return self.user is None

    def ended(self, now_ms: int) -> bool:
        """Whether it counts no more."""
        return now_ms >= self.expires_ms or now_ms - self.seen_ms >= limits.SESSION_IDLE_SECONDS * 1000


class LinkPurpose(StrEnum):
    """What a one-time link is for."""

    FIRST = "first"
    """The installation's first user chooses address and password."""
    INVITE = "invite"
    """An invited person chooses a password."""
    RESET = "reset"
    """A person chooses a new password."""
    EMBED = "embed"
    """Another product opens configuration and history for its user."""


class Link(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A link that signs in once. Document kind ``link``; its id is derived from the token inside it."""

    id: str
    purpose: LinkPurpose
    created_ms: int
    expires_ms: int
    user: str | None = None
    account: str | None = None
    role: Role | None = None
    used_ms: int | None = None
    embedding: "Embedding | None" = None
    """Where it is for another product."""


class Embedding(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """How another product shows what its link opens."""

    frame: bool = False
    """In a frame of its page; else its user is sent here."""
    path: str = ""
    """Below the account: where it opens, with the query."""
    theme: Theme | None = None
    """``None`` as the browser has it."""


def inner_path_problem(path: str) -> str | None:
    """What is wrong with a path below an account, ``None`` where nothing is."""
    if not path:
        return None
    if len(path) > limits.EMBED_PATH_CHARS_MAX:
        return f"may have at most {limits.EMBED_PATH_CHARS_MAX} characters"
    place = path.partition("?")[0]
    plain = path.isascii() and path.isprintable() and not set(path) & set(' "\\<>#')
    if not plain or not path.startswith("/") or any(part in ("", ".", "..") for part in place[1:].split("/")):
        return "is no path below the account; write /webhooks, or /history?state=failed"
    return None


def clean_email(email: str) -> str:
    """The one spelling under which an address is stored and looked for."""
    return email.strip().lower()


def email_problem(email: str) -> str | None:
    """What is wrong with a cleaned address, ``None`` where nothing is."""
    if len(email) > limits.EMAIL_CHARS_MAX or not _EMAIL.fullmatch(email):
        return "is not a mail address; write name@example.com"
    return None


def password_errors(password: str, email: str, field: str = "password") -> list[FieldError]:
    """What is wrong with a new password. Length is what counts; nothing is asked of its characters."""
    least, most = limits.PASSWORD_CHARS_MIN, limits.PASSWORD_CHARS_MAX
    if len(password) < least:
        return [FieldError(field, f"must have at least {least} characters; a few words in a row are good")]
    if len(password) > most:
        return [FieldError(field, f"may have at most {most} characters")]
    if len(set(password)) < limits.PASSWORD_DIFFERENT_CHARS_MIN or password.lower() in (email, email.partition("@")[0]):
        return [FieldError(field, "is too easy to guess; take a few words in a row")]
    return []
