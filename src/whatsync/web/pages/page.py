"""What a page is, what its view gets and what it gives back.

Knows no HTTP library: ``site.py`` turns requests into visits, and what views give back into bytes.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from whatsync.engine.directory import RunningAccount
from whatsync.engine.services import Services
from whatsync.engine.sessions import Visitor
from whatsync.model.errors import Forbidden, NotFound, Problem
from whatsync.model.user import Role, Session, User
from whatsync.web.decoding import decode_query

Struct = TypeVar("Struct")

ACCOUNT_PATH = "/a/{account}"


class Need(StrEnum):
    """Who may open a page. The roles are those of the account in the page's path."""

    EVERYONE = "everyone"
    SIGNED_IN = "signed in"
    """A user, whatever his roles; never an embedded session."""
    VIEWER = "viewer"
    SUPPORT = "support"
    DEVELOPER = "developer"
    OWNER = "owner"
    OPERATOR = "operator"

    @property
    def role(self) -> Role | None:
        """The role it asks for in the path's account."""
        return Role(self.value) if self.value in tuple(Role) else None


class Tone(StrEnum):
    """How a message to the user is meant."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Flash:
    """One sentence that is shown once, on the next page."""

    text: str
    tone: Tone = Tone.GOOD


@dataclass(frozen=True, slots=True)
class Show:
    """A page made from a template and its context, a frozen dataclass that the template knows as ``page``.

    Where htmx asks, only the template's block ``fragment`` is sent, if one is named.
    """

    template: str
    page: Any
    status: int = 200
    fragment: str | None = None
    flash: Flash | None = None
    """Said on this very page."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go to another page of ours; after every form that was carried out."""

    path: str
    flash: Flash | None = None
    session: str | None = None
    """The token of a new session; empty: forget the present one."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Small choices to remember for a year, by name; empty: forget."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file, streamed as it is made. Its name is plain ASCII."""

    name: str
    content_type: str
    parts: AsyncGenerator[bytes]


Given = Show | Redirect | Download


class Form:
    """The fields of a posted form."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value.replace("\r\n", "\n"))

    def text(self, name: str) -> str:
        """A field without the space around it; empty where it is missing."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """A field exactly as it was typed: for passwords."""
        values = self._values.get(name)
        return values[-1] if values else ""

    def many(self, name: str) -> list[str]:
        """All values of a field that may stand several times, empty ones left out."""
        return [value.strip() for value in self._values.get(name, ()) if value.strip()]

    def flag(self, name: str) -> bool:
        """Whether a box is ticked."""
        return name in self._values

    def names(self) -> list[str]:
        """The fields there are."""
        return list(self._values)


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it is to be shown: what stands in the fields, and what is wrong with them, by field name."""

    values: Mapping[str, str | Sequence[str] | bool] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    """What is wrong with none of the fields in particular."""

    @classmethod
    def again(cls, form: Form, problem: Problem, *fields: str) -> "Filled":
        """The same form again, with a problem at ``fields`` where it names them, above all of them elsewhere.

        Fields whose name says that they are secret are left empty.
        """
        values: dict[str, str | Sequence[str]] = {}
        for name in form.names():
            many = form.many(name)
            values[name] = many if len(many) > 1 else form.text(name)
        for secret in ("password", "old", "secret", "csrf"):
            values.pop(secret, None)
        errors: dict[str, str] = {}
        others = []
        for error in problem.errors:
            at = next((name for name in fields if _concerns(error.field, name)), None)
            if at is None:
                others.append(f"{error.field} {error.message}".strip())
            else:
                errors.setdefault(at, error.message)
        if not problem.errors:
            others.append(problem.detail)
        return cls(values, errors, "; ".join(others) or None)

    def text(self, name: str) -> str:
        """What stands in a field."""
        value = self.values.get(name, "")
        return value if isinstance(value, str) else ""

    def holds(self, name: str, choice: str) -> bool:
        """Whether a choice among several is taken."""
        value = self.values.get(name, ())
        return choice == value if isinstance(value, str) else not isinstance(value, bool) and choice in value

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return bool(self.values.get(name, False))


@dataclass(frozen=True, slots=True)
class Facts:
    """What pages say about the installation."""

    version: str
    base_url: str
    """Where it is reached, without a slash at the end."""
    public: bool
    """``PUBLIC_URL`` is set."""
    support_url: str | None
    mail: bool
    """Alerts and links can be mailed."""
    retention_days: int
    """For accounts without their own."""
    embed_origins: Sequence[str]
    """Pages that may show us in a frame."""
    settings: Sequence[tuple[str, str, str]]
    """Each setting's name, value and source; secrets as set or unset."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page: who comes, for which account, asking what."""

    services: Services
    facts: Facts
    page: "Page"
    method: str
    path: str
    """As it was asked for, without the query."""
    parameters: Mapping[str, str]
    """The path's own."""
    query: Sequence[tuple[str, str]]
    form: Form
    visitor: Visitor
    csrf: str
    session: Session | None = None
    user: User | None = None
    running: RunningAccount | None = None
    role: Role | None = None
    """In the path's account."""
    htmx: bool = False
    """Only a part of the page is wanted."""
    theme: str | None = None
    framed: bool = False
    """It comes from inside a frame of another product's page."""
    flash: Flash | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    """Small choices the browser remembers, by name."""

    @property
    def account(self) -> RunningAccount:
        """The account the page is about; nothing outside it may be read or written."""
        if self.running is None:
            raise NotFound("account_not_found", "there is no such account")
        return self.running

    @property
    def person(self) -> User:
        """Who is signed in; on pages that ask for a user."""
        if self.user is None:
            raise Forbidden("no_user", "sign in to do this")
        return self.user

    @property
    def operator(self) -> bool:
        """Whether the visitor runs the installation."""
        return self.user is not None and self.user.operator

    @property
    def embedded(self) -> bool:
        """Configuration and history only, inside another product."""
        return self.session is not None and self.session.embedded

    @property
    def actor(self) -> str:
        """The word for the audit log."""
        if self.user is not None:
            return f"user:{self.user.id}"
        return "visitor" if self.session is None else f"embedded:{self.session.id}"

    def may(self, need: str) -> bool:
        """Whether the visitor may do what asks for this role in the path's account, or for an operator."""
        if need == Need.OPERATOR:
            return self.operator
        return self.role is not None and self.role.includes(Role(need))

    def here(self, path: str = "", **query: object) -> str:
        """A path inside the present account: ``visit.here("/endpoints", state="failed")``."""
        return self.to(f"/a/{quote(self.account.account.id)}{path}", **query)

    def to(self, path: str, **query: object) -> str:
        """A path of ours with a query; what is ``None`` or empty is left out, lists repeat their name."""
        pairs: list[tuple[str, str]] = []
        for name, value in query.items():
            values = value if isinstance(value, list | tuple) else [value]
            pairs += [(name, str(one)) for one in values if one is not None and one != ""]
        return f"{path}?{urlencode(pairs)}" if pairs else path

    def asked(self, name: str) -> str:
        """One value of the query, empty where it is missing."""
        return next((value.strip() for key, value in reversed(self.query) if key == name), "")

    def query_as(self, takes: type[Struct]) -> Struct:
        """The query as the struct an API route takes. Empty values are left out. Raises Invalid."""
        read: Struct = decode_query(takes, [(name, value) for name, value in self.query if value != ""])
        return read


def whole(text: str) -> int | None:
    """A whole number as addresses and hidden fields have them; ``None`` for anything else."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS_MAX else None


_DIGITS_MAX = 18
"""More could be beyond what the store counts to."""


def _concerns(field_name: str, name: str) -> bool:
    return field_name == name or field_name.startswith((f"{name}[", f"{name}."))


View = Callable[[Visit], Awaitable[Given]]


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One row of the table of pages: a method and path, who may open it, and its view.

    Pages about an account have paths that begin with ``/a/{account}`` and ask for one of its roles.
    """

    method: str
    path: str
    needs: Need
    view: View
    embedded: bool = False
    """Also open to another product's users, as far as their role goes; of the pages for everyone, those that show in a
    frame.
    """

    def __post_init__(self) -> None:
        if self.method not in ("GET", "POST"):
            raise ValueError(f"{self.path}: forms know GET and POST only")
        in_account = self.path == ACCOUNT_PATH or self.path.startswith(ACCOUNT_PATH + "/")
        if in_account != (self.needs.role is not None):
            raise ValueError(f"{self.path}: account pages ask for a role, and only they")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the navigation, declared by its page's own module."""

    label: str
    path: str
    """Of a page in the table, without parameters besides the account."""
    icon: str
    needs: Need
    group: str = ""
    """Entries of one group stand together under its name."""
    order: int = 50
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as the navigation shows it."""

    label: str
    url: str
    icon: str
    current: bool
