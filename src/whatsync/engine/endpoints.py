"""Endpoints as their owners handle them: make, read, change, enable, delete, rotate; and as the engine disables them.

A form's rules are in ``model/endpoint_form.py``, what a change means for deliveries in ``sweep.py``. Knows no HTTP.
"""

import asyncio
import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import msgspec

from whatsync.engine import audit
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import ENDPOINT, Directory, RunningAccount, RunningEndpoint, seal_secrets
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.outcome import Defaults
from whatsync.engine.rotation import RotationForm, SecretFacts, facts_of, made_secret, rotated
from whatsync.engine.successes import Successes
from whatsync.engine.watch import Notice, disabled_notice
from whatsync.model import health as health_rules
from whatsync.model import limits
from whatsync.model.account import SealedSecrets
from whatsync.model.endpoint import DisabledBy, Endpoint, Release
from whatsync.model.endpoint_form import GENERATE, EndpointForm, Facts, read_form
from whatsync.model.errors import Conflict, FieldError, Invalid, LimitExceeded, NotFound, Unavailable
from whatsync.model.health import Health
from whatsync.model.ids import TOKEN_BYTES, Sequence, random_id
from whatsync.model.request import MASK
from whatsync.model.secret import SecretSet, switch
from whatsync.model.url import Target
from whatsync.ports.clock import Clock
from whatsync.ports.guard import Guard
from whatsync.ports.history import Counts, History
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import AuditEntry, Change, Delete, Put
from whatsync.ports.vault import Vault

logger = logging.getLogger(__name__)

ENGINE = "engine"
"""The actor of changes that nobody asked for."""

DISABLE_RULE = (
    f"An endpoint is disabled when nothing has succeeded for {limits.DISABLE_AFTER_SECONDS // 86_400} days since the "
    f"first failure, with at least {limits.DISABLE_ATTEMPTS_MIN} failed attempts of {limits.DISABLE_DELIVERIES_MIN} "
    f"deliveries, one of them in the last {limits.DISABLE_RECENT_SECONDS // 3_600} hours. It is announced a day "
    "before; any success clears it, tests do not count."
)

_TRIES = 5
_PAUSE_SECONDS = 1.0


class EndpointFacts(msgspec.Struct, frozen=True):
    """An endpoint and how it stands. ``counts`` only where one endpoint is asked for."""

    running: RunningEndpoint
    health: Health
    disable_at_ms: int | None
    counts: Counts | None = None
    succeeded_lately: bool = False
    """Within the last ``limits.SUCCESS_DAYS`` days, also where this process has not seen it."""


class HeldPlan(msgspec.Struct, frozen=True):
    """What becomes of held deliveries now."""

    action: Release
    count: int
    at_least: bool
    """Counting stopped at its ceiling: there may be more."""
    sentence: str


class Altered(msgspec.Struct, frozen=True):
    """An endpoint after a change; ``held`` where the change decided about held deliveries."""

    facts: EndpointFacts
    held: HeldPlan | None = None


class Endpoints:
    """The endpoints of all accounts; each method looks inside one account only."""

    def __init__(
        self,
        *,
        directory: Directory,
        configuration: Configuration,
        history: History,
        dispatcher: Dispatcher,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        sequence: Sequence,
        guard: Guard,
        defaults: Defaults,
        tell: Callable[[Notice], None],
    ) -> None:
        self._directory = directory
        self._configuration = configuration
        self._history = history
        self._dispatcher = dispatcher
        self._vault = vault
        self._clock = clock
        self._randomness = randomness
        self._sequence = sequence
        self._guard = guard
        self._tell = tell
        self.defaults = defaults
        """The installation's policy where an endpoint has none of its own."""
        self.successes = Successes(directory, dispatcher, history, clock)
        self._disabling: dict[int, asyncio.Task[None]] = {}

    # Reading

    def page(
        self, account: RunningAccount, before: int | None = None, limit: int = limits.PAGE_ITEMS_DEFAULT
    ) -> tuple[list[EndpointFacts], int | None]:
        """List endpoints, newest first; and where the next page begins."""
        rows = sorted((row for row in account.endpoints if before is None or row < before), reverse=True)
        page = [self.facts(account.endpoints[row]) for row in rows[:limit]]
        return page, rows[limit - 1] if len(rows) > limit else None

    async def read(self, account: RunningAccount, endpoint_id: str) -> EndpointFacts:
        """Read one endpoint with what waits for it. Raises NotFound."""
        running = self.find(account, endpoint_id)
        return self.facts(running, await self._history.counts(running.row))

    def find(self, account: RunningAccount, endpoint_id: str) -> RunningEndpoint:
        """The endpoint of this account. Raises NotFound, the same whether it is another account's or nobody's."""
        running = self._directory.endpoints_by_id.get(endpoint_id)
        if running is None or running.account.row != account.row:
            raise NotFound("endpoint_not_found", f"there is no endpoint {endpoint_id[:40]!r}")
        return running

    def facts(self, running: RunningEndpoint, counts: Counts | None = None) -> EndpointFacts:
        """How an endpoint stands, from what is in memory."""
        health = self._dispatcher.health(running.row)
        lane = self._dispatcher.lanes.get(running.row)
        if lane is not None:
            health = msgspec.structs.replace(health, last_success_ms=lane.last_success_ms)
        disable_at = health_rules.disable_at_ms(health, self._clock.now_ms()) if running.endpoint.enabled else None
        lately = health.last_success_ms is not None or running.row in self.successes.lately
        return EndpointFacts(running, health, disable_at, counts, lately)

    # Making and changing

    async def create(self, account: RunningAccount, form: EndpointForm, actor: str) -> EndpointFacts:
        """Make an endpoint. Raises Invalid, or LimitExceeded where the account has as many as it may."""
        if form.held is not msgspec.UNSET:
            raise Invalid([FieldError("held", "is for enabling an endpoint; a new one has nothing held")])
        read = read_form(form, self._form_facts(account))
        most = account.account.limits.endpoints or limits.ACCOUNT_ENDPOINTS
        if len(account.endpoints) >= most:
            raise LimitExceeded("endpoints", f"the account has {most:,} endpoints already; delete some first", 60)
        now_ms = self._clock.now_ms()
        read["headers"] = {name: self._vault.seal(value) for name, value in read.get("headers", {}).items()}
        off = form.enabled is False
        endpoint = Endpoint(
            id=random_id("ep_", self._randomness.token(TOKEN_BYTES)),
            created_ms=now_ms,
            updated_ms=now_ms,
            enabled=not off,
            disabled_by=DisabledBy.USER if off else None,
            disabled_ms=now_ms if off else None,
            secrets=self._first_secret(form.secret),
            **read,
        )
        put = Put(ENDPOINT, endpoint.id, account.row, msgspec.json.encode(endpoint), 0)
        entry = audit.entry(account.row, now_ms, actor, "endpoint.created", subject=endpoint.id, after=endpoint)
        await self._configuration.change(Change(account.row, (put,), audit=(entry,)))
        return await self.read(account, endpoint.id)

    def _first_secret(self, asked: object) -> SealedSecrets | None:
        if not isinstance(asked, str):
            return None
        secret = made_secret(self._randomness) if asked == GENERATE else asked
        return seal_secrets(SecretSet(secret), self._vault, None)

    async def patch(
        self, account: RunningAccount, endpoint_id: str, form: EndpointForm, actor: str, version: int | None = None
    ) -> Altered:
        """Change the fields that the form sets. ``version``: only if the endpoint still has it.

        Raises NotFound, Invalid, Conflict.
        """
        running = self.find(account, endpoint_id)
        was_enabled = running.endpoint.enabled
        counts = await self._history.counts(running.row)
        altered = await self._alter(
            account,
            endpoint_id,
            lambda current: self._patched(account, current, form),
            actor,
            "endpoint.changed",
            version,
        )
        if altered.endpoint.enabled and not was_enabled:
            self._dispatcher.clear_health(altered.row)
        plan = None
        if form.held is not msgspec.UNSET or (altered.endpoint.enabled and not was_enabled):
            plan = _held_plan(Release.KEEP if form.held is msgspec.UNSET else form.held, counts)
        return Altered(self.facts(altered, counts), plan)

    def _patched(self, account: RunningAccount, running: RunningEndpoint, form: EndpointForm) -> Endpoint:
        current = running.endpoint
        read = read_form(form, self._form_facts(account), current)
        if "headers" in read:
            read["headers"] = self._sealed_headers(running, read["headers"])
        if form.secret is None:
            read["secrets"] = None
        enabled = current.enabled if form.enabled is msgspec.UNSET else form.enabled
        if enabled != current.enabled:
            read |= self._switched(enabled)
        if form.held is not msgspec.UNSET:
            if not enabled:
                raise Invalid([FieldError("held", 'needs an endpoint that is enabled; send {"enabled": true} with it')])
            keep = form.held is Release.KEEP
            until = None if keep else self._sequence.next(self._clock.now_ms())
            read |= {"release": None if keep else form.held, "release_until": until}
        return msgspec.structs.replace(current, **read)

    def _switched(self, enabled: bool) -> dict[str, Any]:
        if enabled:
            return {
                "enabled": True,
                "disabled_by": None,
                "disabled_ms": None,
                "enabled_ms": self._clock.now_ms(),
            }
        return {
            "enabled": False,
            "disabled_by": DisabledBy.USER,
            "disabled_ms": self._clock.now_ms(),
            "release": None,
            "release_until": None,
        }

    def _sealed_headers(self, running: RunningEndpoint, plain: dict[str, str]) -> dict[str, str]:
        """Seal what is new; the mask, and a value that is stored already, keep what is stored."""
        stored = {name.lower(): name for name in running.headers}
        sealed = {}
        for name, value in plain.items():
            old = stored.get(name.lower())
            if old is not None and value in (MASK, running.headers[old]):
                sealed[name] = running.endpoint.headers[old]
            else:
                sealed[name] = self._vault.seal(value)
        return sealed

    async def delete(self, account: RunningAccount, endpoint_id: str, actor: str, version: int | None = None) -> None:
        """Delete an endpoint; its open deliveries are cancelled in the background. Raises NotFound, Conflict."""
        running = self.find(account, endpoint_id)
        _check_version(running, version)
        entry = self._entry(account, actor, "endpoint.deleted", running.endpoint.id, before=running.endpoint)
        await self._configuration.change(Change(account.row, deletes=(Delete(ENDPOINT, endpoint_id),), audit=(entry,)))

    # Secrets

    async def secret(self, account: RunningAccount, endpoint_id: str, actor: str) -> SecretFacts:
        """Show the secret that requests to this endpoint are signed with; looking is written down."""
        running = self.find(account, endpoint_id)
        entry = self._entry(account, actor, "endpoint.secret_shown", endpoint_id)
        await self._configuration.change(Change(account.row, audit=(entry,), routing=False))
        return self._secret_facts(running)

    async def rotate_secret(
        self, account: RunningAccount, endpoint_id: str, form: RotationForm, actor: str
    ) -> SecretFacts:
        """Begin a rotation. Where the account's secret was used, the endpoint gets its own. Raises Problems."""
        now_ms = self._clock.now_ms()

        def turned(running: RunningEndpoint) -> Endpoint:
            secrets = self._secrets(running)
            if running.endpoint.secrets is None:
                secrets = SecretSet(secrets.signing_secrets(now_ms)[0])
            new = rotated(secrets, form, self._randomness, now_ms)
            return msgspec.structs.replace(running.endpoint, secrets=seal_secrets(new, self._vault, now_ms))

        return self._secret_facts(
            await self._alter(account, endpoint_id, turned, actor, "endpoint.secret_rotated", None)
        )

    async def switch_secret(self, account: RunningAccount, endpoint_id: str, actor: str) -> SecretFacts:
        """Sign ``X-WhatsSync-Signature`` with the new secret from now on. Raises Conflict where nothing rotates."""
        now_ms = self._clock.now_ms()

        def switched(running: RunningEndpoint) -> Endpoint:
            own = running.endpoint.secrets
            if own is None or not self._secrets(running).is_rotating(now_ms):
                raise Conflict("no_rotation", "no rotation of this endpoint's own secret is running; rotate it first")
            if self._secrets(running).is_switched(now_ms):
                return running.endpoint
            secrets = switch(self._secrets(running), now_ms)
            return msgspec.structs.replace(running.endpoint, secrets=seal_secrets(secrets, self._vault, own.rotated_ms))

        return self._secret_facts(
            await self._alter(account, endpoint_id, switched, actor, "endpoint.secret_switched", None)
        )

    def _secrets(self, running: RunningEndpoint) -> SecretSet:
        return (running.keyring or running.account.keyring).secrets

    def _secret_facts(self, running: RunningEndpoint) -> SecretFacts:
        sealed = running.endpoint.secrets
        own = sealed is not None
        return facts_of(self._secrets(running), sealed or running.account.account.secrets, own, self._clock.now_ms())

    # Disabled by the engine

    async def disable(self, row: int, by: DisabledBy) -> bool:
        """Disable an endpoint because of how it fares and tell its owner; false where that is so already."""
        running = self._directory.endpoints.get(row)
        if running is None or not running.endpoint.enabled:
            return False
        now_ms = self._clock.now_ms()
        health = self._dispatcher.health(row)
        done = False

        def disabled(current: RunningEndpoint) -> Endpoint:
            nonlocal done
            done = current.endpoint.enabled
            if not done:
                return current.endpoint
            return msgspec.structs.replace(current.endpoint, **(self._switched(False) | {"disabled_by": by}))

        after = await self._alter(running.account, running.endpoint.id, disabled, ENGINE, "endpoint.disabled", None)
        if done:
            self._tell(disabled_notice(after, by, health, now_ms))
        return done

    def disable_soon(self, endpoint: RunningEndpoint, by: DisabledBy) -> None:
        """The same in the background, tried until it is on disk; asking again meanwhile changes nothing."""
        row = endpoint.row
        if row not in self._disabling:
            self._disabling[row] = asyncio.get_running_loop().create_task(self._disable_until_done(row, by))

    async def disabled(self) -> None:
        """Return when nothing that ``disable_soon`` was asked for is left."""
        while self._disabling:
            await asyncio.gather(*self._disabling.values(), return_exceptions=True)

    async def _disable_until_done(self, row: int, by: DisabledBy) -> None:
        try:
            while True:
                try:
                    await self.disable(row, by)
                    return
                except NotFound:
                    return
                except (Conflict, Unavailable) as problem:
                    logger.warning("disabling an endpoint will be tried again: %s", problem)
                    await self._clock.sleep(_PAUSE_SECONDS)
        finally:
            self._disabling.pop(row, None)

    # What all of it shares

    async def _alter(
        self,
        account: RunningAccount,
        endpoint_id: str,
        alter: Callable[[RunningEndpoint], Endpoint],
        actor: str,
        action: str,
        version: int | None,
    ) -> RunningEndpoint:
        """Write what ``alter`` makes of the endpoint; where somebody else was quicker, make it anew from theirs."""
        for tries_left in reversed(range(_TRIES)):
            running = self.find(account, endpoint_id)
            _check_version(running, version)
            before = running.endpoint
            after = alter(running)
            if after == before:
                return running
            after = msgspec.structs.replace(after, updated_ms=self._clock.now_ms())
            put = Put(ENDPOINT, endpoint_id, account.row, msgspec.json.encode(after), running.version)
            entry = self._entry(account, actor, action, endpoint_id, before, after)
            try:
                await self._configuration.change(Change(account.row, (put,), audit=(entry,)))
            except Conflict:
                if version is not None or not tries_left:
                    raise
            else:
                return self.find(account, endpoint_id)
        raise AssertionError("the last try returns or raises")

    def _entry(
        self,
        account: RunningAccount,
        actor: str,
        action: str,
        subject: str,
        before: Endpoint | None = None,
        after: Endpoint | None = None,
    ) -> AuditEntry:
        return audit.entry(
            account.row, self._clock.now_ms(), actor, action, subject=subject, before=before, after=after
        )

    def _form_facts(self, account: RunningAccount) -> Facts:
        return Facts(account.own_types, self._refusal)

    def _refusal(self, target: Target) -> str | None:
        return refusal_by_form(target, self._guard)


def refusal_by_form(target: Target, guard: Guard) -> str | None:
    """Why a URL can't be reached, as far as it can be told without looking its name up."""
    if target.host == "localhost" or target.host.endswith(".localhost"):
        ip = "127.0.0.1"
    else:
        try:
            ip = str(ip_address(target.host))
        except ValueError:
            return None
    refused = guard.check(ip, target.port)
    return None if refused is None else refused.sentence


def _check_version(running: RunningEndpoint, version: int | None) -> None:
    if version is not None and running.version != version:
        raise Conflict(
            "changed_meanwhile",
            f"the endpoint {running.endpoint.id} has version {running.version} now, not {version}; read it again",
        )


def _held_plan(action: Release, counts: Counts) -> HeldPlan:
    count = counts.held
    at_least = count >= counts.ceiling
    number = f"{count:,} or more" if at_least else f"{count:,}"
    what = "1 held delivery" if count == 1 else f"{number} held deliveries"
    if not count:
        sentence = "Nothing is held."
    elif action is Release.SEND:
        sentence = f"{what} will be sent now, oldest first."
    elif action is Release.DROP:
        sentence = f"{what} will be cancelled."
    else:
        stay = "stays" if count == 1 else "stay"
        sentence = f'{what} {stay} held; PATCH this endpoint with {{"held": "send"}} or {{"held": "drop"}} to decide.'
    return HeldPlan(action, count, at_least, sentence)
