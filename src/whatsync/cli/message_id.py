"""``whatsync id``: the public id that a WhatsApp message has here, computed from Meta's. Needs no server."""

from typing import Annotated

import typer

from whatsync.cli.failure import wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.options import example
from whatsync.cli.output import show_json
from whatsync.model.ids import message_id

app = new_app()


@app.command("id", epilog=example("whatsync id 106540352242922 wamid.HBgLMTIzNDU2Nzg5MBUCABEYEjA="))
def show_id(
    number: Annotated[str, typer.Argument(metavar="PHONE_NUMBER_ID", help="Meta's id of your number, digits.")],
    wamid: Annotated[str, typer.Argument(metavar="WAMID", help="Meta's id of the message, as its API answers it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Compute the id of a WhatsApp message: what `messageId` of its statuses will be.

    It is msg_ and the first 26 characters of lower-case base32(SHA-256(PHONE_NUMBER_ID, a zero byte, WAMID)), for ever.
    """
    if not number.isdecimal() or not number.isascii():
        raise wrong_use(f"{number!r} is no phone number id: Meta's are digits. The wamid comes second.")
    if not wamid.strip() or wamid != wamid.strip():
        raise wrong_use("the wamid is empty or has spaces around it; give it exactly as Meta's API answered it.")
    made = message_id(number, wamid)
    if as_json:
        show_json({"messageId": made, "phoneNumberId": number, "wamid": wamid})
    else:
        print(made)
