"""``whatsync media``: files to send along. Speaks the API alone."""

import mimetypes
from pathlib import Path
from typing import Annotated

import typer

from whatsync.cli.client import connect
from whatsync.cli.failure import wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.options import AsJson, OfAccount, example
from whatsync.cli.output import show_one

app = new_app(no_args_is_help=True, help="Media files: upload one, and its URL goes out in a media.upload event.")

FIRST = ("id", "mediaUrl", "mediaType", "mimeType", "size", "deliveries")


@app.callback()
def media() -> None:
    """Media files: upload one, and its URL goes out in a media.upload event."""


@app.command(epilog=example("whatsync media upload photo.jpg --message msg_123 --caption 'Look'"))
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file, of up to 128 MiB.")],
    *,
    message: Annotated[str | None, typer.Option("--message", help="The message it belongs to, msg_….")] = None,
    caption: Annotated[str | None, typer.Option("--caption", help="A text with it.")] = None,
    media_type: Annotated[
        str | None, typer.Option("--media-type", help="image, video, audio, voice, document or sticker.")
    ] = None,
    mime_type: Annotated[
        str | None, typer.Option("--type", help="Its media type; left out: by the file's ending.")
    ] = None,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Upload a file: it is kept, and a media.upload event with its URL goes to everyone who wants those."""
    kind = mime_type or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    given = {"messageId": message, "caption": caption, "mediaType": media_type}
    fields = {name: text for name, text in given.items() if text is not None}
    try:
        opened = file.open("rb")
    except OSError as problem:
        raise wrong_use(f"{file} can't be read: {problem.strerror}.") from None
    with opened:
        made = connect(account).upload("/v1/media", (file.name, opened, kind), fields)
    show_one(made, as_json, FIRST)
