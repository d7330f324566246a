"""What operators and account owners may set on an account: the forms' shapes and rules. Seals nothing."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from whatsync.model import limits
from whatsync.model.account import Account, AccountLimits
from whatsync.model.errors import FieldError, Invalid
from whatsync.model.request import MASK
from whatsync.model.url import Target, UrlProblem, parse_url

NAME_CHARS_MAX = 100
ALERT_EMAILS_MAX = 20
_EMAIL_CHARS_MAX = 254
_LIMIT_MAX = 1_000_000_000
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


class AlertsForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Whom to tell of changes of state, besides the operational events: mail addresses, a chat webhook."""

    emails: list[str] | UnsetType = UNSET
    url: str | UnsetType | None = UNSET


class SettingsForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What an account's own administrator may set."""

    name: str | UnsetType = UNSET
    alerts: AlertsForm | UnsetType = UNSET


class LimitsForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Limits of one account; ``null`` goes back to the installation's default."""

    events_per_second: int | UnsetType | None = UNSET
    bytes_per_second: int | UnsetType | None = UNSET
    open_deliveries: int | UnsetType | None = UNSET
    endpoints: int | UnsetType | None = UNSET


class AccountForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What an operator may set. Creating needs ``name``."""

    name: str | UnsetType = UNSET
    alerts: AlertsForm | UnsetType = UNSET
    limits: LimitsForm | UnsetType = UNSET
    retention_days: int | UnsetType | None = UNSET
    suspended: bool | UnsetType = UNSET


Refusal = Callable[[Target], str | None]


def read_account(form: AccountForm | SettingsForm, refusal: Refusal, current: Account | None = None) -> dict[str, Any]:
    """Return the fields of ``Account`` that the form sets, checked; ``alert_url`` plain, absent if the mask keeps it.

    Raises Invalid with every wrong field.
    """
    errors: list[FieldError] = []
    read: dict[str, Any] = {}
    if form.name is not UNSET or current is None:
        read["name"] = _name(form.name, errors)
    if form.alerts is not UNSET:
        _alerts(form.alerts, refusal, read, errors)
    if isinstance(form, AccountForm):
        _operators(form, AccountLimits() if current is None else current.limits, read, errors)
    if errors:
        raise Invalid(errors)
    return read


def masked_url(url: str) -> str:
    """A chat webhook's URL as it is shown: whoever knows the path can write into the chat."""
    target = parse_url(url)
    return f"{target.scheme}://{target.host_header}/{MASK}" if isinstance(target, Target) else MASK


def _name(name: str | UnsetType, errors: list[FieldError]) -> str:
    text = "" if name is UNSET else name.strip()
    if not 0 < len(text) <= NAME_CHARS_MAX or not text.isprintable():
        errors.append(FieldError("name", f"must have 1 to {NAME_CHARS_MAX} printable characters"))
    return text


def _alerts(form: AlertsForm, refusal: Refusal, read: dict[str, Any], errors: list[FieldError]) -> None:
    if form.emails is not UNSET:
        if len(form.emails) > ALERT_EMAILS_MAX:
            errors.append(FieldError("alerts.emails", f"may hold at most {ALERT_EMAILS_MAX} addresses"))
        for at, email in enumerate(form.emails):
            if len(email) > _EMAIL_CHARS_MAX or not _EMAIL.fullmatch(email):
                errors.append(FieldError(f"alerts.emails[{at}]", "is not a mail address; write name@example.com"))
        read["alert_emails"] = tuple(dict.fromkeys(form.emails))
    if form.url is None:
        read["alert_url"] = None
    elif form.url is not UNSET and not form.url.endswith(MASK):
        target = parse_url(form.url)
        refused = target.message if isinstance(target, UrlProblem) else refusal(target)
        if refused is not None:
            errors.append(FieldError("alerts.url", refused))
        read["alert_url"] = form.url


def _operators(form: AccountForm, current: AccountLimits, read: dict[str, Any], errors: list[FieldError]) -> None:
    if form.limits is not UNSET:
        given = ((name, getattr(form.limits, name)) for name in LimitsForm.__struct_fields__)
        changes = {name: value for name, value in given if value is not UNSET}
        for name, field in zip(LimitsForm.__struct_fields__, LimitsForm.__struct_encode_fields__, strict=True):
            value = changes.get(name)
            if value is not None and not 1 <= value <= _LIMIT_MAX:
                errors.append(FieldError(f"limits.{field}", f"must be 1 to {_LIMIT_MAX:,}; null means the default"))
        read["limits"] = msgspec.structs.replace(current, **changes)
    if form.retention_days is not UNSET:
        days = form.retention_days
        if days is not None and not 1 <= days <= limits.RETENTION_DAYS_MAX:
            message = f"must be 1 to {limits.RETENTION_DAYS_MAX:,} days; null means the installation's setting"
            errors.append(FieldError("retentionDays", message))
        read["retention_days"] = days
    if form.suspended is not UNSET:
        read["suspended"] = form.suspended
