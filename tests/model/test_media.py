"""Names nobody can guess and everybody gets the same, and what a browser may be shown."""

import pytest

from whatsync.model.media import (
    MediaTask,
    bare_type,
    content_type,
    decode_task,
    encode_task,
    extension_of,
    is_media_name,
    is_shown,
    media_name,
    media_type_of,
    type_problem,
)

KEY = bytes(32)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def test_a_name_is_the_same_for_ever() -> None:
    assert media_name(KEY, "media_1", "image/jpeg") == "wezn6hjd3bngsmai4oifh6vakjlt2qgwdfktsrko.jpg"


def test_names_depend_on_key_and_id() -> None:
    names = {media_name(key, id_, None) for key in (KEY, b"\1" * 32) for id_ in ("media_1", "media_2")}
    assert len(names) == 4
    assert all(is_media_name(name) and name.endswith(".bin") for name in names)


@pytest.mark.parametrize(
    "text", ["", "..", "a.jpg", "../" + "a" * 37 + ".jpg", "A" * 40 + ".jpg", "a" * 40, "a" * 40 + ".j/g"]
)
def test_what_is_no_name(text: str) -> None:
    assert not is_media_name(text)


@pytest.mark.parametrize(
    ("given", "bare", "extension"),
    [
        ("audio/ogg; codecs=opus", "audio/ogg", "ogg"),
        ("IMAGE/JPEG", "image/jpeg", "jpg"),
        ("application/x-something", "application/x-something", "bin"),
        ("text/html\r\nSet-Cookie: a=b", "application/octet-stream", "bin"),
        ("nonsense", "application/octet-stream", "bin"),
        (None, "application/octet-stream", "bin"),
    ],
)
def test_types(given: str | None, bare: str, extension: str) -> None:
    assert (bare_type(given), extension_of(given)) == (bare, extension)


def test_what_could_run_is_not_shown() -> None:
    for harmful in (
        "text/html",
        "image/svg+xml",
        "application/xml",
        "text/xml",
        "text/javascript",
        "application/pdf",
        None,
    ):
        assert not is_shown(harmful)
    assert is_shown("image/png")
    assert is_shown("audio/ogg; codecs=opus")
    assert content_type("text/plain") == "text/plain; charset=utf-8"


def test_kinds() -> None:
    kinds = [media_type_of(given) for given in ("image/png", "video/mp4", "audio/ogg", "application/pdf", None)]
    assert kinds == ["image", "video", "audio", "document", "document"]


def test_beginnings() -> None:
    assert type_problem("image/png", PNG) is None
    assert type_problem("application/zip", PNG) is None
    assert type_problem(None, PNG) is None
    assert type_problem("audio/mpeg", b"\xff\xfb" + bytes(14)) is None
    assert type_problem("image/jpeg", PNG) == "is said to be image/jpeg, but begins like image/png"
    assert type_problem("image/jpeg", b"<html>") == "is said to be image/jpeg, but does not begin like one"
    assert type_problem("video/mp4", bytes(4) + b"ftypisom" + bytes(4)) is None


def test_a_task_comes_back() -> None:
    task = MediaTask("msg_1", "111", "m", "image", "https://a.example/media/x.jpg", caption="Hi")
    assert decode_task(encode_task(task)) == task
