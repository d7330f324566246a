"""Sets up an empty installation: the first account, an operator's key and the account's key, each made once.

Whoever starts the server decides where the keys' texts are shown; here they are only returned.
"""

import msgspec

from whatsync.engine.accounts import Accounts
from whatsync.engine.directory import Directory, RunningAccount
from whatsync.engine.keys import Keys, MadeKey
from whatsync.model.account_form import AccountForm, AlertsForm

BOOTSTRAP = "bootstrap"
"""The actor of what is made here."""


class Chosen(msgspec.Struct, frozen=True):
    """Values chosen before the first start instead of made-up ones."""

    api_key: str | None = None
    email: str | None = None
    """Where the first account's alerts go."""


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
    account = next(iter(directory.accounts.values()), None)
    if account is None:
        alerts = AlertsForm(emails=[] if chosen.email is None else [chosen.email])
        account = (await accounts.create(AccountForm(name="First account", alerts=alerts), BOOTSTRAP)).running
    operators, accounts_key = await keys.create_first(account, BOOTSTRAP, chosen.api_key)
    return FirstKeys(account, accounts_key, operators)
