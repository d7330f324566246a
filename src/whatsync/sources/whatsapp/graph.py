"""Meta's Graph API, as far as connecting needs it: each call a question and its answer, or why there is none.

The token it is asked with goes in a header, never into the URL. Knows no source.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from whatsync.ports.web_client import WebClient, WebRequest, WebTrouble
from whatsync.sources.whatsapp.values import fields, text

_PAGES_MAX = 20
_SECONDS = 15.0


class GraphProblem(Exception):  # noqa: N818 - an answer, not a mistake
    """Meta answered with an error, or not at all. The message is a sentence for operators."""


class Graph:
    """One version of the API, asked with one token."""

    def __init__(self, client: WebClient, base_url: str, version: str, token: str) -> None:
        self._client = client
        self._base = f"{base_url}/{version}"
        self._token = token

    async def get(self, *path: str, **query: str) -> Mapping[str, Any]:
        """Ask. Raises GraphProblem."""
        return await self._ask("GET", self._url(path, query), b"")

    async def post(self, *path: str, **form: str) -> Mapping[str, Any]:
        """Change something. Raises GraphProblem."""
        return await self._ask("POST", self._url(path, {}), urlencode(form).encode())

    async def items(self, *path: str, **query: str) -> list[Mapping[str, Any]]:
        """All items of a list, over its pages. Raises GraphProblem."""
        found: list[Mapping[str, Any]] = []
        after: str | None = None
        for _ in range(_PAGES_MAX):
            answer = await self.get(*path, **query, limit="100", **({} if after is None else {"after": after}))
            listed = answer.get("data")
            found += [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
            paging = fields(answer.get("paging"))
            after = text(fields(paging.get("cursors")).get("after"))
            if after is None or "next" not in paging:
                break
        return found

    def _url(self, path: tuple[str, ...], query: Mapping[str, str]) -> str:
        words = "/".join(quote(word, safe="") for word in path)
        return f"{self._base}/{words}" + (f"?{urlencode(query)}" if query else "")

    async def _ask(self, method: str, url: str, body: bytes) -> Mapping[str, Any]:
        headers = {"authorization": f"Bearer {self._token}"}
        if body:
            headers["content-type"] = "application/x-www-form-urlencoded"
        answer = await self._client.ask(WebRequest(url, method, headers, body, timeout_seconds=_SECONDS))
        if isinstance(answer, WebTrouble):
            raise GraphProblem(f"Meta's API could not be reached ({answer.code})")
        try:
            given = fields(msgspec.json.decode(answer.body))
        except (msgspec.DecodeError, UnicodeDecodeError):
            given = {}
        if answer.status != 200:
            error = fields(given.get("error"))
            said = text(error.get("message"), 300) or f"status {answer.status}"
            code = text(error.get("code"), 20)
            raise GraphProblem(f"Meta answered: {said}" + ("" if code is None else f" (code {code})"))
        return given
