"""``whatsync users``: who may sign in to the dashboard. Speaks the API; only ``reset-link`` opens the store itself,
where no server runs.
"""

import asyncio
from typing import Annotated, Any

import typer

from whatsync.cli.client import connect
from whatsync.cli.failure import Failure, wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.local import read_config, running_here
from whatsync.cli.options import AsJson, Cursor, Everything, Limit, Yes, example, given, list_items, quoted, sure
from whatsync.cli.output import Column, moment, remark, say, show_done, show_json
from whatsync.compose.opening import open_server
from whatsync.compose.places import Outside, database_path
from whatsync.config import Config
from whatsync.model.errors import Problem
from whatsync.model.timestamp import format_time
from whatsync.net.system import SystemClock, SystemRandomness
from whatsync.ports.store import StoreRefused

app = new_app(no_args_is_help=True, help="People: who may sign in to the dashboard, with which roles (operators).")

_ACTOR = "command line on this machine"


def _roles(item: Any) -> str:
    """What a person may do, in one line."""
    words = ["operator"] if item.get("operator") else []
    return ", ".join(words + [f"{role} of {account}" for account, role in (item.get("memberships") or {}).items()])


COLUMNS = (
    Column("USER", "id"),
    Column("MAIL", "email"),
    Column("ROLES", _roles),
    Column("SIGNED IN", lambda item: moment(item.get("signedInAt"))),
    Column("STATE", lambda item: "" if item.get("canSignIn") else "invited"),
)
User = Annotated[str, typer.Argument(metavar="USER", help="usr_…", callback=quoted)]
Account = Annotated[str | None, typer.Option("--account", metavar="ACC", help="In which account, acc_….")]
RoleOption = Annotated[str | None, typer.Option("--role", metavar="ROLE", help="viewer, support, developer or owner.")]


@app.command("list", epilog=example("whatsync users list"))
def list_users(limit: Limit = 50, cursor: Cursor = None, every: Everything = False, as_json: AsJson = False) -> None:
    """List everybody who may sign in."""
    query = {"limit": limit, "cursor": cursor}
    list_items(connect(), "/v1/users", query, COLUMNS, "No users.", every=every, as_json=as_json)


@app.command(
    epilog=example(
        "whatsync users add ana@example.com --account acc_… --role developer",
        "whatsync users add ops@example.com --operator",
    )
)
def add(
    email: Annotated[str, typer.Argument(metavar="MAIL", help="name@example.com")],
    account: Account = None,
    role: RoleOption = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="Runs the installation: owner of every account.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a person and print the link by which he chooses a password, this one time."""
    if (account is None) != (role is None):
        raise wrong_use("--account and --role belong together: --account acc_… --role viewer.")
    if account is None and not operator:
        raise wrong_use("say what the person may do: --account acc_… --role viewer, or --operator.")
    form: dict[str, Any] = {"email": email, "operator": operator}
    if account is not None:
        form["memberships"] = {account: role}
    made = connect().post("/v1/users", form)
    if as_json:
        show_json(made)
        return
    say(made["link"]["url"])
    remark(f"{made['user']['id']}. The link works once, until {moment(made['link']['expiresAt'])}.")


@app.command(epilog=example("whatsync users role usr_… --account acc_… --role owner"))
def role(
    user: User,
    *,
    account: Account = None,
    role: RoleOption = None,
    no_role: Annotated[bool, typer.Option("--none", help="Take the role in the account away.")] = False,
    operator: Annotated[bool | None, typer.Option("--operator/--no-operator", help="Runs the installation.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give a person another role, or take it away. It counts at once."""
    if (role is None) == (not no_role) and account is not None:
        raise wrong_use("say which role: --role viewer, support, developer or owner; or --none.")
    if account is None and (role is not None or no_role or operator is None):
        raise wrong_use("say where: --account acc_… --role viewer; or --operator, --no-operator.")
    form = given(operator=operator)
    if account is not None:
        form["memberships"] = {account: role}
    changed = connect().patch(f"/v1/users/{user}", form)
    if as_json:
        show_json(changed)
    else:
        say(f"{changed['email']}: {_roles(changed) or 'no role'}")


@app.command(epilog=example("whatsync users remove usr_… --yes"))
def remove(user: User, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a person; he is signed out everywhere at once."""
    client = connect()
    sure(f"Remove {user} from every account?", yes)
    answer = client.delete(f"/v1/users/{user}")
    show_done(answer, as_json, f"{user} is removed.")


@app.command("reset-link", epilog=example("whatsync users reset-link ana@example.com", "whatsync users reset-link"))
def reset_link(
    email: Annotated[
        str | None, typer.Argument(metavar="MAIL", help="Whose; left out: the first user, while nobody is here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a link to choose a new password, this one time. Works with the server running or not."""
    config = read_config()
    if config.url is not None or running_here(config.data_dir) is not None:
        made = connect().post("/v1/users/reset-link", given(email=email))
    else:
        made = asyncio.run(_from_store(config, email))
    if as_json:
        show_json(made)
        return
    say(made["url"])
    remark(f"It works once, until {moment(made['expiresAt'])}.")


async def _from_store(config: Config, email: str | None) -> dict[str, str]:
    """Make the link without a server; the store lets nobody else in meanwhile."""
    if not database_path(config).exists():
        raise Failure(f"there is no database in {config.data_dir}. WHATSYNC_DATA_DIR names the data folder")
    try:
        server = await open_server(config, Outside(SystemClock(), SystemRandomness()))
    except StoreRefused as refused:
        raise wrong_use(refused.reason) from None
    try:
        made = await server.services.links.make_again(email, _ACTOR)
    except Problem as problem:
        raise Failure(problem.detail) from None
    finally:
        await server.stop(drain_seconds=0)
    return {"url": made.url, "purpose": made.link.purpose.value, "expiresAt": format_time(made.link.expires_ms)}
