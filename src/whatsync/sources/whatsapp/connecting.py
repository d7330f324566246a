"""Connects a source by itself through Meta's API, and checks what is missing: each gap with a name and what to do.

Changes nothing at Meta unless asked to. Knows no HTTP library.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from whatsync.engine.connection import Connected, Finding
from whatsync.engine.directory import Directory
from whatsync.engine.numbers import Numbers
from whatsync.engine.source_directory import RunningSource
from whatsync.engine.sources import SourceFacts, Sources
from whatsync.model.arrival import SeenNumber
from whatsync.model.errors import Conflict, FieldError, Invalid, Unavailable
from whatsync.model.timestamp import format_time
from whatsync.ports.clock import Clock
from whatsync.ports.web_client import WebClient
from whatsync.sources.whatsapp.graph import Graph, GraphProblem
from whatsync.sources.whatsapp.values import fields, phone, text

OBJECT = "whatsapp_business_account"
FIELDS = (
    "messages",
    "message_template_status_update",
    "phone_number_quality_update",
    "account_update",
    "smb_message_echoes",
    "history",
)
"""What an app is subscribed to. ``messages`` is the one that matters."""
_PERMISSIONS = ("whatsapp_business_messaging", "whatsapp_business_management")
_SOON_MS = 7 * 86_400_000


class _App(msgspec.Struct):
    """What a source needs for Meta's API."""

    id: str
    as_app: Graph
    as_user: Graph | None


class Connecting:
    """Asks Meta about a source, and sets up what is missing."""

    def __init__(
        self,
        *,
        directory: Directory,
        sources: Sources,
        numbers: Numbers,
        client: WebClient,
        clock: Clock,
        graph_url: str,
        public_url: str | None,
    ) -> None:
        self._directory = directory
        self._sources = sources
        self._numbers = numbers
        self._client = client
        self._clock = clock
        self._graph_url = graph_url
        self._public_url = public_url

    def callback(self, source: RunningSource) -> str | None:
        """The URL Meta has to call."""
        return None if self._public_url is None else f"{self._public_url}/sources/whatsapp/{source.source.id}"

    # Checking

    async def check(self, source: RunningSource) -> list[Finding]:
        """Look at everything that has to be right. Never raises for what Meta answers."""
        findings = [self._public(), self._secret(source)]
        facts = await self._sources.facts(source)
        app = self._app(source)
        if app is None:
            words = "Without app id and app secret, Meta can't be asked what is set up there."
            findings.append(Finding("app_id", False, words, "Store the app's id and secret to have it checked."))
        else:
            accounts = await self._token_and_accounts(source, app)
            led = [one for one in accounts if one.code in ("subscribed", "override")]
            findings.append(await self._callback_set(source, app, bool(led) and all(map(_is_led_here, led))))
            findings += accounts
        return [*findings, *_came(facts)]

    def _public(self) -> Finding:
        if self._public_url is None:
            return Finding("public_url", False, "No public URL is set, so Meta can't reach this server.", _SET_URL)
        if not self._public_url.startswith("https://"):
            words = "The public URL is not https, and Meta calls nothing else."
            return Finding("public_url", False, words, "Put a certificate before the server, and set the URL anew.")
        return Finding("public_url", True, f"Meta is to call {self._public_url}.", "")

    def _secret(self, source: RunningSource) -> Finding:
        if source.secret is None and source.source.auth == "signature":
            words = "There is no app secret, so no request can be checked and all are refused."
            return Finding("app_secret", False, words, "Store it; it stands under App settings, Basic.")
        return Finding("app_secret", True, "Requests can be checked.", "")

    async def _callback_set(self, source: RunningSource, app: _App, led_here: bool) -> Finding:
        """``led_here``: every business account leads what is written to it here, past the app's callback."""
        try:
            known = await self._subscription(app)
        except GraphProblem as problem:
            return Finding("callback", False, f"{problem}.", "Check app id and app secret.")
        ours = self.callback(source)
        url = text(known.get("callback_url"), 2_048)
        if url != ours and led_here:
            words = "The app's callback leads elsewhere, its business accounts lead here; news of templates go there."
            return Finding("callback", True, words, "")
        if url is None:
            return Finding("callback", False, "The app has no callback for WhatsApp.", _CONNECT)
        if url != ours:
            return Finding("callback", False, f"The app's callback leads elsewhere: {url}.", _REPLACE)
        listed = known.get("fields")
        names = {text(fields(one).get("name")) for one in listed} if isinstance(listed, list) else set()
        if "messages" not in names:
            return Finding("callback", False, "The callback is set, but not subscribed to messages.", _CONNECT)
        return Finding("callback", True, "The callback is set and subscribed to messages.", "")

    async def _token_and_accounts(self, source: RunningSource, app: _App) -> list[Finding]:
        if app.as_user is None:
            words = "There is no access token: files can't be fetched, and business accounts not be looked at."
            return [Finding("access_token", False, words, "Make a token of a system user, and store it.")]
        try:
            token = await self._token(source, app)
        except GraphProblem as problem:
            return [Finding("access_token", False, f"{problem}.", "Make a new token of a system user, and store it.")]
        findings = [self._judged(token)]
        if not findings[0].ok and findings[0].code == "access_token":
            return findings
        ours = self.callback(source)
        for business in self._accounts(source, token):
            findings += [await self._subscribed(app, business, ours), *await self._led_away(app, business, ours)]
        return findings

    def _judged(self, token: dict[str, Any]) -> Finding:
        renew = "Make a token of a system user, which does not end."
        if token.get("is_valid") is not True:
            return Finding("access_token", False, "The access token is not valid any more.", renew)
        scopes = token.get("scopes")
        missing = [one for one in _PERMISSIONS if not isinstance(scopes, list) or one not in scopes]
        if missing:
            words = f"The access token lacks {' and '.join(missing)}."
            return Finding("permissions", False, words, "Make a token with these permissions.")
        ends = token.get("expires_at")
        if isinstance(ends, int) and 0 < ends * 1000 < self._clock.now_ms() + _SOON_MS:
            return Finding("token_expiry", False, f"The access token ends at {format_time(ends * 1000)}.", renew)
        return Finding("access_token", True, "The access token is good and has what it needs.", "")

    async def _subscribed(self, app: _App, business: str, ours: str | None) -> Finding:
        assert app.as_user is not None
        try:
            apps = await app.as_user.items(business, "subscribed_apps")
        except GraphProblem as problem:
            return Finding("subscribed", False, f"Business account {business}: {problem}.", "Check the token's assets.")
        own = [one for one in apps if text(fields(one.get("whatsapp_business_api_data")).get("id")) == app.id]
        if own:
            url = text(own[0].get("override_callback_uri"), 2_048)
            if url is None:
                return Finding("subscribed", True, f"Business account {business} is subscribed to the app.", "")
            if url == ours:
                return Finding("override", True, f"Business account {business} is led here.", "")
            words = f"Business account {business} is subscribed, but its messages are led to {url}."
            return Finding("override", False, words, _LEAD_BACK)
        words = f"Business account {business} is not subscribed to the app: tests work, real messages never come."
        return Finding("subscribed", False, words, _CONNECT)

    async def _led_away(self, app: _App, business: str, ours: str | None) -> list[Finding]:
        """Numbers whose messages are led elsewhere, whatever holds for their business account."""
        assert app.as_user is not None
        try:
            listed = await app.as_user.items(business, "phone_numbers", fields="id,webhook_configuration")
        except GraphProblem:
            return []  # The account's own finding tells.
        found = [(text(one.get("id")), text(fields(one.get("webhook_configuration")).get("phone_number"), 2_048))
                 for one in listed]  # fmt: skip
        return [
            Finding("override", False, f"The messages of number {number} are led to {url}.", _NUMBER_BACK)
            for number, url in found
            if url not in (None, ours)
        ]

    # Connecting

    async def connect(
        self, source: RunningSource, businesses: Sequence[str], replace: bool, override: bool = False
    ) -> Connected:
        """Set the app's callback, subscribe business accounts, note their numbers. With ``override`` the app's callback
        stays as it is, and the business accounts lead their messages here, past it.

        Raises Invalid where something is missing here, Conflict where the app has another callback and ``replace`` is
        false, Unavailable with Meta's words where Meta refuses.
        """
        ours, app = self.callback(source), self._app(source)
        if ours is None:
            raise Invalid([FieldError("", "set WHATSYNC_PUBLIC_URL first: Meta has to reach this server")])
        if app is None or app.as_user is None:
            raise Invalid([FieldError("", "store app id, app secret and access token with the source first")])
        try:
            if not override:
                await self._set_callback(source, app, ours, replace)
            accounts = list(businesses) or self._accounts(source, await self._token(source, app))
            numbers: list[SeenNumber] = []
            # Without it, Meta drops an override there was.
            lead = {"override_callback_uri": ours, "verify_token": source.verify_token} if override else {}
            for business in accounts:
                await app.as_user.post(business, "subscribed_apps", **lead)
                numbers += await self._numbers_of(app.as_user, business)
        except GraphProblem as problem:
            raise Unavailable("meta_refused", str(problem), retry_after_seconds=60) from None
        self._numbers.seen(source, numbers)
        await self._numbers.noted()
        return Connected(ours, tuple(accounts), tuple(one.number for one in numbers))

    async def _set_callback(self, source: RunningSource, app: _App, ours: str, replace: bool) -> None:
        known = text((await self._subscription(app)).get("callback_url"), 2_048)
        if known not in (None, ours) and not replace:
            words = (
                f"the app's callback leads to {known}; repeat with replaceCallback to change it, or with "
                "overrideCallback to lead only your business accounts here"
            )
            raise Conflict("other_callback", words)
        form = {"object": OBJECT, "callback_url": ours, "verify_token": source.verify_token}
        await app.as_app.post(app.id, "subscriptions", **form, fields=",".join(FIELDS), include_values="true")

    async def _numbers_of(self, graph: Graph, business: str) -> list[SeenNumber]:
        listed = await graph.items(business, "phone_numbers")
        ids = [(text(one.get("id")), phone(one.get("display_phone_number"))) for one in listed]
        return [SeenNumber(number, shown, business) for number, shown in ids if number is not None]

    # What all of it asks

    def _app(self, source: RunningSource) -> _App | None:
        record = source.source
        if record.app_id is None or source.secret is None:
            return None
        version = record.api_version
        as_app = Graph(self._client, self._graph_url, version, f"{record.app_id}|{source.secret}")
        token = source.access_token
        as_user = None if token is None else Graph(self._client, self._graph_url, version, token)
        return _App(record.app_id, as_app, as_user)

    async def _subscription(self, app: _App) -> dict[str, Any]:
        for one in await app.as_app.items(app.id, "subscriptions"):
            if one.get("object") == OBJECT:
                return dict(one)
        return {}

    async def _token(self, source: RunningSource, app: _App) -> dict[str, Any]:
        answer = await app.as_app.get("debug_token", input_token=source.access_token or "")
        return fields(answer.get("data"))

    def _accounts(self, source: RunningSource, token: dict[str, Any]) -> list[str]:
        """Business accounts: those the token is made for, and those whose numbers are known."""
        known = [one.number.business for one in self._directory.whatsapp.of_source(source.source.id)]
        listed = token.get("granular_scopes")
        for scope in listed if isinstance(listed, list) else []:
            targets = fields(scope).get("target_ids")
            if fields(scope).get("scope") == _PERMISSIONS[1] and isinstance(targets, list):
                known += [text(one) for one in targets]
        return sorted({one for one in known if one})


def _came(facts: SourceFacts) -> list[Finding]:
    """What webhooks say that have come, or were refused, or have not come."""
    findings: list[Finding] = []
    if facts.rejected_since_good:
        words = f"{facts.rejected_since_good:,} requests in a row were refused: not signed with this app secret."
        findings.append(Finding("signature", False, words, _CORRECT))
    came = facts.last_webhook_ms
    if came is None:
        return [*findings, Finding("webhook", False, "No webhook has come in the last 7 days.", _WRITE)]
    if facts.is_only_tested:
        words = f"Meta reaches you, and the signature is right: its own test came at {format_time(came)}."
        return [*findings, Finding("webhook", True, words, "")]
    return [*findings, Finding("webhook", True, f"The last webhook came at {format_time(came)}.", "")]


def _is_led_here(finding: Finding) -> bool:
    return finding.code == "override" and finding.ok


_LEAD_BACK = "Connect the source again: that drops the override. With overrideCallback, it leads here instead."
_NUMBER_BACK = "Set the number's webhook_configuration.override_callback_uri to an empty text through Meta's API."
_CORRECT = "Store the app's secret of App settings, Basic. Meta keeps trying for 7 days, so nothing is lost."
_WRITE = "Write to the number yourself. An app that is not live gets only what its own testers write."
_SET_URL = "Set WHATSYNC_PUBLIC_URL to the https address of this server, and restart it."
_CONNECT = "Connect the source by itself: whatsync sources connect, or POST /v1/sources/{id}/connect."
_REPLACE = (
    "Connect the source with replaceCallback, or with overrideCallback to lead only your business accounts here; "
    "an app has only one callback."
)
