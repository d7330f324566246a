"""``whatsync erase``: removes one person's texts, media and contact, as a job. Speaks the API alone."""

from typing import Annotated

import typer

from whatsync.cli.client import connect
from whatsync.cli.failure import wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.job_progress import show_job
from whatsync.cli.options import AsJson, OfAccount, Yes, example, given, sure

app = new_app()


@app.command(epilog=example("whatsync erase --phone +491701234567 --wait", "whatsync erase --contact contact_… --yes"))
def erase(
    *,
    phone: Annotated[str | None, typer.Option(metavar="PHONE", help="The person's phone number.")] = None,
    contact: Annotated[str | None, typer.Option(metavar="CONTACT", help="Or the person's contact_… id.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it ends.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Remove one person's texts, media files and contact, for ever. Ids and times stay.

    Deliveries about the person that are still open are cancelled. Backups made before keep what they had.
    """
    if (phone is None) == (contact is None):
        raise wrong_use("say who: --phone +491701234567, or --contact contact_….")
    client = connect(account)
    sure(f"Erase {phone or contact} for ever?", yes)
    show_job(client, client.post("/v1/erasures", given(phone=phone, contactId=contact)), wait, as_json)
