"""Sets up an empty installation: the first account, an operator's key, the account's key, and a way to sign in.

Whoever starts the server decides where the keys' texts are shown; here they are only returned.
"""

import msgspec

from whatsync.engine.accounts import Accounts
from whatsync.engine.directory import Directory, RunningAccount
from whatsync.engine.keys import Keys, MadeKey
from whatsync.engine.links import Links, MadeLink
from whatsync.engine.users import Users
from whatsync.model.account_form import AccountForm, AlertsForm
from whatsync.model.errors import FieldError, Invalid
from whatsync.model.user import clean_email, password_errors

BOOTSTRAP = "bootstrap"
"""The actor of what is made here."""


class Chosen(msgspec.Struct, frozen=True):
    """Values chosen before the first start instead of made-up ones."""

    api_key: str | None = None
    email: str | None = None
    """Where the first account's alerts go, and who signs in first where a password is chosen, too."""
    password: str | None = None


class FirstKeys(msgspec.Struct, frozen=True):
    """What was made; the texts of the keys can't be read again."""

    account: RunningAccount
    account_key: MadeKey
    operator_key: MadeKey


async def bootstrap(
    directory: Directory, accounts: Accounts, keys: Keys, chosen: Chosen | None = None
) -> FirstKeys | None:
    """Make the first account and keys where no key was ever made; ``None`` where one was.

    A crash between the two is made good at the next start: the account is used again. Raises Invalid where a chosen
    value is wrong.
    """
    if directory.keys:
        return None
    chosen = chosen or Chosen()
    _check(chosen)
    account = next(iter(directory.accounts.values()), None)
    if account is None:
        alerts = AlertsForm(emails=[] if chosen.email is None else [chosen.email])
        account = (await accounts.create(AccountForm(name="First account", alerts=alerts), BOOTSTRAP)).running
    operators, accounts_key = await keys.create_first(account, BOOTSTRAP, chosen.api_key)
    return FirstKeys(account, accounts_key, operators)


def _check(chosen: Chosen) -> None:
    """Refuse what is wrong before anything is made: keys made now would be shown to nobody. Raises Invalid."""
    if chosen.password is None:
        return
    if chosen.email is None:
        raise Invalid([FieldError("email", "is missing; a chosen password needs it, since it is who signs in")])
    errors = password_errors(chosen.password, clean_email(chosen.email))
    if errors:
        raise Invalid(errors)


async def way_in(directory: Directory, users: Users, links: Links, chosen: Chosen | None = None) -> MadeLink | None:
    """See to it that somebody can sign in: while there is no user, make the chosen one or a one-time link.

    ``None`` where there is nothing to show: a user is there, or an earlier link can still be used. Raises Invalid where
    a chosen value is wrong.
    """
    account = next(iter(directory.accounts.values()), None)
    if directory.users or account is None:
        return None
    if chosen is not None and chosen.email is not None and chosen.password is not None:
        await users.add_first(chosen.email, chosen.password, account, BOOTSTRAP)
        return None
    return None if links.live_first() else await links.make_first(BOOTSTRAP)
