"""Verification code to paste, one program a framework, with the path and port of somebody's own endpoint written in.

The programs lie beside this file and run as they stand; writing a place in replaces their ``/webhook`` and ``3000``.
The tests run each of them before the real server: what is not run is not listed here.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

import msgspec

from whatsync.web.snippets.place import DEFAULT_PORT, Place

_SHOWN_PORT = str(DEFAULT_PORT)


class Snippet(msgspec.Struct, frozen=True):
    """One program: what it is for, how it is run, and how it comes to somebody's own path."""

    name: str
    """For addresses and ids of pages, such as ``fastapi``."""
    title: str
    """The framework as its makers write it."""
    language: str
    """The language's name; snippets of one language stand beside each other."""
    file: str
    """What to save it as; its ending tells the language to a highlighter."""
    install: str
    """The command that installs what it needs; empty where the language alone is enough."""
    command: str
    """The command that runs it on the usual port."""
    route: str
    """The place in the program that is replaced by ``write``."""
    write: Callable[[Place], str]
    standard: bool = False
    """Whether it leaves verifying to the official Standard Webhooks library, which reads ``webhook-signature``."""

    def code(self, place: Place, port: int = DEFAULT_PORT) -> str:
        """The program with the place and the port written in."""
        return with_port(program(self.file), port).replace(self.route, self.write(place), 1)

    def run(self, port: int = DEFAULT_PORT) -> str:
        """The command that runs it, once ``WEBHOOK_SECRET`` is set."""
        return with_port(self.command, port)


@cache
def program(file: str) -> str:
    """A program as it lies here."""
    return files(__package__).joinpath(file).read_text("utf-8")


def with_port(text: str, port: int) -> str:
    """Text with another port than the usual one."""
    return text.replace(_SHOWN_PORT, str(port))


def _javascript(place: Place) -> str:
    """A string; for unusual letters a pattern, since what escapes them in a string differs between Express 4 and 5."""
    if place.plain:
        return f"'{place.raw}'"
    return "/^" + re.sub(r"[/.$()*+]", r"\\\g<0>", place.raw) + "$/"


def _ruby(place: Place) -> str:
    """A string; for unusual letters a pattern, which Sinatra holds against the whole path by itself."""
    if place.plain:
        return f"'{place.raw}'"
    return "%r{" + re.sub(r"[.$()*+]", r"\\\g<0>", place.raw) + "}"


def _php(place: Place) -> str:
    return "'" + place.raw.replace("'", "\\'") + "'"


def _double_quoted(place: Place) -> str:
    """For Python and Go, whose frameworks compare the decoded path. Quotes and backslashes never get this far."""
    return json.dumps(place.decoded, ensure_ascii=False)


def _django(place: Place) -> str:
    """Django's paths begin behind the first slash."""
    return f"path({json.dumps(place.decoded[1:], ensure_ascii=False)},"


SNIPPETS = (
    Snippet(
        name="express", title="Express", language="Node.js", file="express_webhook.js",
        install="npm install express", command="node express_webhook.js",
        route="'/webhook'", write=_javascript,
    ),
    Snippet(
        name="express-standard", title="Express, Standard Webhooks", language="Node.js",
        file="express_standard_webhook.js",
        install="npm install express standardwebhooks", command="node express_standard_webhook.js",
        route="'/webhook'", write=_javascript, standard=True,
    ),
    Snippet(
        name="fastapi", title="FastAPI", language="Python", file="fastapi_webhook.py",
        install="pip install fastapi uvicorn", command="uvicorn fastapi_webhook:app --port 3000",
        route='"/webhook"', write=_double_quoted,
    ),
    Snippet(
        name="fastapi-standard", title="FastAPI, Standard Webhooks", language="Python",
        file="fastapi_standard_webhook.py", install="pip install fastapi uvicorn standardwebhooks",
        command="uvicorn fastapi_standard_webhook:app --port 3000",
        route='"/webhook"', write=_double_quoted, standard=True,
    ),
    Snippet(
        name="flask", title="Flask", language="Python", file="flask_webhook.py",
        install="pip install flask", command="flask --app flask_webhook run --port 3000",
        route='"/webhook"', write=_double_quoted,
    ),
    Snippet(
        name="django", title="Django", language="Python", file="django_webhook.py",
        install="pip install django", command="python django_webhook.py",
        route='path("webhook",', write=_django,
    ),
    Snippet(
        name="php", title="PHP", language="PHP", file="webhook.php",
        install="", command="php -S 127.0.0.1:3000 webhook.php",
        route="'/webhook'", write=_php,
    ),
    Snippet(
        name="sinatra", title="Sinatra", language="Ruby", file="sinatra_webhook.rb",
        install="gem install sinatra rackup puma", command="ruby sinatra_webhook.rb",
        route="'/webhook'", write=_ruby,
    ),
    Snippet(
        name="go", title="Go", language="Go", file="webhook.go",
        install="", command="go run webhook.go",
        route='"/webhook"', write=_double_quoted,
    ),
)  # fmt: skip
"""Every snippet, in the order in which they are offered."""


def snippet_named(name: str) -> Snippet | None:
    """The snippet with this name, or nothing."""
    return next((snippet for snippet in SNIPPETS if snippet.name == name), None)
