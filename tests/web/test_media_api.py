"""Uploading and fetching media over real HTTP: files come back whole or in parts, and harm nobody."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.net.receivers import until
from tests.web.following import read, read_until
from tests.web.running import Running, running
from whatsync.model import limits
from whatsync.ports.media import MediaOutcome, MediaRow, MediaState
from whatsync.ports.store import Accepted, Admission, EventRow

ON_DISK = True
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 2_000


async def upload(web: Running, data: bytes = JPEG, kind: str = "image/jpeg", **more: Any) -> Any:
    """Upload a file that has to be taken."""
    answer = await web.call("POST", "/v1/media", files={"file": ("holiday.jpg", data, kind)}, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def path_of(url: str) -> str:
    return "/media/" + url.rpartition("/")[2]


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "media").rglob("*") if path.is_file()]


async def test_an_upload_is_kept_and_told(web: Running) -> None:
    form = {"messageId": "msg_1", "caption": 'Hällo "you"', "mediaType": "sticker"}
    made = await send(web, form)
    assert (made["event"], made["mediaType"], made["mimeType"], made["size"]) == (
        "media.upload",
        "sticker",
        "image/jpeg",
        len(JPEG),
    )
    assert made["sha256"] == hashlib.sha256(JPEG).hexdigest()
    event = await read(web, f"/v1/events/{made['id']}")
    assert event["data"] == {
        "messageId": "msg_1",
        "mediaType": "sticker",
        "mediaUrl": made["mediaUrl"],
        "mimeType": "image/jpeg",
        "caption": 'Hällo "you"',
    }
    answer = await web.client.get(path_of(made["mediaUrl"]))
    assert (answer.status_code, answer.content) == (200, JPEG)


async def send(web: Running, form: dict[str, str], **more: Any) -> Any:
    answer = await web.call("POST", "/v1/media", files={"file": ("a.jpg", JPEG, "image/jpeg")}, data=form, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_what_is_not_said_follows_from_the_type(web: Running) -> None:
    for kind, media_type, extension in (
        ("video/mp4", "video", ".mp4"),
        ("audio/ogg; codecs=opus", "audio", ".ogg"),
        ("application/vnd.ms-excel", "document", ".xls"),
        ("nonsense", "document", ".bin"),
    ):
        data = b"\0\0\0\x20ftypisom" + bytes(20) if kind == "video/mp4" else b"OggS" + bytes(20)
        made = await upload(web, data if kind[0] in "va" else b"words", kind)
        assert (made["mediaType"], made["mediaUrl"].endswith(extension)) == (media_type, True), kind


async def test_headers_keep_who_fetches_it_safe(web: Running) -> None:
    harmless = await web.client.get(path_of((await upload(web))["mediaUrl"]))
    assert harmless.headers["content-type"] == "image/jpeg"
    assert harmless.headers["content-disposition"].startswith("inline; ")
    for kind in ("text/html", "image/svg+xml", "application/pdf", "text/javascript", "application/xml", "a/b"):
        data = b"%PDF-1.7" if kind == "application/pdf" else b"<script>alert(1)</script>"
        answer = await web.client.get(path_of((await upload(web, data, kind))["mediaUrl"]))
        assert answer.headers["content-disposition"].startswith("attachment; "), kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.content == data


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-99", 0, 100), ("bytes=100-", 100, None), ("bytes=-7", -7, None), ("bytes=5-99999999", 5, None)],
)
async def test_parts(web: Running, asked: str, start: int, end: int | None) -> None:
    path = path_of((await upload(web))["mediaUrl"])
    answer = await web.client.get(path, headers={"range": asked})
    wanted = JPEG[start:end]
    first = start if start >= 0 else len(JPEG) + start
    assert (answer.status_code, answer.content) == (206, wanted)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(wanted) - 1}/{len(JPEG)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-2", "bytes=-", "lines=1-2", "bytes=x-y"])
async def test_what_is_no_single_range_gives_the_whole(web: Running, asked: str) -> None:
    path = path_of((await upload(web))["mediaUrl"])
    answer = await web.client.get(path, headers={"range": asked})
    assert (answer.status_code, len(answer.content)) == (200, len(JPEG))


@pytest.mark.parametrize("asked", [f"bytes={len(JPEG)}-", "bytes=-0"])
async def test_a_part_outside(web: Running, asked: str) -> None:
    path = path_of((await upload(web))["mediaUrl"])
    answer = await web.client.get(path, headers={"range": asked})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(JPEG)}")


async def test_asking_whether_it_changed(web: Running) -> None:
    path = path_of((await upload(web))["mediaUrl"])
    etag = (await web.client.get(path)).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await web.client.get(path, headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await web.client.get(path, headers={"if-none-match": '"other"'})).status_code == 200
    stale = await web.client.get(path, headers={"range": "bytes=0-1", "if-range": '"other"'})
    assert (stale.status_code, len(stale.content)) == (200, len(JPEG))
    fresh = await web.client.get(path, headers={"range": "bytes=0-1", "if-range": etag})
    assert fresh.status_code == 206


async def test_head_and_the_connection_goes_on(web: Running) -> None:
    path = path_of((await upload(web))["mediaUrl"])
    answer = await web.raw(
        f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\nHEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"content-length: %d\r\n" % len(JPEG)) == 2
    assert len(answer) < 3_000


async def test_the_same_upload_again_is_one(web: Running, tmp_path: Path) -> None:
    first = await send(web, {}, headers={"idempotency-key": "k"})
    again = await web.call(
        "POST", "/v1/media", files={"file": ("b.jpg", JPEG, "image/jpeg")}, headers={"idempotency-key": "k"}
    )
    assert (again.status_code, again.json()) == (200, first)
    assert again.headers["idempotent-replayed"] == "true"
    for changed in ({"data": {"caption": "new"}}, {"files": {"file": ("a.jpg", JPEG + b"x", "image/jpeg")}}):
        request: dict[str, Any] = {"files": {"file": ("a.jpg", JPEG, "image/jpeg")}, **changed}
        answer = await web.call("POST", "/v1/media", headers={"idempotency-key": "k"}, **request)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert (await web.client.get(path_of(first["mediaUrl"]))).content == JPEG


@pytest.mark.parametrize(
    ("request_", "status", "field"),
    [
        ({"files": {"file": ("a", b"", "text/plain")}}, 422, "file"),
        ({"files": {"other": ("a", b"x", "text/plain")}}, 422, "other"),
        ({"files": [("file", ("a", b"x", "text/plain")), ("file", ("b", b"y", "text/plain"))]}, 422, "file"),
        ({"files": {"file": ("a", b"<html>", "image/png")}}, 422, "file"),
        ({"files": {"file": ("a", b"x", "text/plain")}, "data": {"mediaType": "film"}}, 422, "mediaType"),
        ({"files": {"file": ("a", b"x", "text/plain")}, "data": {"messageId": "m" * 513}}, 422, "messageId"),
        ({"files": {"file": ("a", b"x", "text/plain")}, "data": {"caption": "c" * 70_000}}, 422, "caption"),
        ({"files": {"file": ("a", b"x", "t" * 300 + "/x")}}, 422, "file"),
        ({"data": {"caption": "c"}}, 400, ""),
        ({"files": {"caption": (None, "c")}}, 422, "file"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, ""),
        ({"content": b"", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, ""),
        ({"json": {"file": "x"}}, 400, ""),
    ],
)
async def test_wrong_uploads(web: Running, tmp_path: Path, request_: dict[str, Any], status: int, field: str) -> None:
    answer = await web.call("POST", "/v1/media", **request_)
    assert answer.status_code == status, answer.text
    if field:
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert files(tmp_path) == []


async def test_a_caption_that_makes_too_large_an_event(web: Running, tmp_path: Path) -> None:
    answer = await web.call("POST", "/v1/media", files={"file": ("a", b"x")}, data={"caption": "ä" * 60_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "event_too_large")
    assert files(tmp_path) == []


async def pieces(count: int, end: bytes = b"") -> AsyncIterator[bytes]:
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for _ in range(count):
        yield bytes(500_000)
    yield end


MULTIPART = {"content-type": "multipart/form-data; boundary=b"}


async def test_large_uploads_are_cut_off_and_leave_nothing(
    web: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MEDIA_BYTES_MAX", 5_000_000)
    whole = await web.call("POST", "/v1/media", content=pieces(10, b"\r\n--b--\r\n"), headers=MULTIPART)
    assert whole.status_code == 201, whole.text
    assert whole.json()["size"] == 5_000_000
    answer = await web.call("POST", "/v1/media", content=pieces(11), headers=MULTIPART)
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")
    declared = (
        f"POST /v1/media HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {web.account_key}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000000\r\nConnection: close\r\n\r\n"
    )
    assert (await web.raw(declared.encode())).startswith(b"HTTP/1.1 413")
    assert len(files(tmp_path)) == 1


async def test_a_client_that_goes_away_leaves_nothing(web: Running, tmp_path: Path) -> None:
    head = (
        f"POST /v1/media HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {web.account_key}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(head.encode())
    async for piece in pieces(4):
        writer.write(piece)
    await writer.drain()
    await until(lambda: bool(files(tmp_path)))
    writer.close()
    await until(lambda: not files(tmp_path))
    assert (await read(web, "/v1/events"))["items"] == []


async def test_a_client_that_stops_reading_costs_nobody_anything(web: Running) -> None:
    path = path_of((await upload(web, bytes(20_000_000), "a/b"))["mediaUrl"])
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port, limit=1_000)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    part = await web.client.get(path, headers={"range": "bytes=19999990-"})
    assert part.content == bytes(10)
    writer.close()


# What stands behind a name


async def waiting(web: Running, name: str, **fields: Any) -> None:
    """An event that came with a file which is not here."""
    services, account = web.server.services, web.first.account
    seq = (services.clock.now_ms() + 1_000) << 21
    event = EventRow(seq, account.row, f"evt_{name}", "message.incoming", b'{"timestamp":"","data":{}}')
    values: dict[str, Any] = {"state": MediaState.WAITING, "due_ms": None, "mime_type": "image/jpeg"} | fields
    row = MediaRow(name, account.row, seq, "media_x", services.clock.now_ms(), **values)
    admission = Admission(account.row, services.directory.accounts[account.row].version, (event,), (), media=(row,))
    assert await services.store.accept(admission) == Accepted()


NAME = "a" * 40 + ".jpg"


async def test_bytes_on_their_way_are_waited_for(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await waiting(web, NAME, due_ms=1 << 60)
    asking = asyncio.ensure_future(web.client.get(f"/media/{NAME}"))
    media = web.server.services.media
    await until(lambda: media.tally.waiting == 1)
    unfinished = await media.files.begin()
    await unfinished.write(JPEG)
    await media.files.keep(unfinished, NAME, "image/jpeg")
    await store_outcome(web, MediaState.STORED, size=len(JPEG))
    media.settled(NAME)
    answer = await asking
    assert (answer.status_code, answer.content) == (200, JPEG)


async def store_outcome(web: Running, state: MediaState, **fields: Any) -> None:
    store = web.server.services.store
    (row,) = (await store.claim_media(1 << 61, 1 << 62, 1, {})).rows
    assert await store.record_media([MediaOutcome(row.name, row.claim, state, 0, **fields)]) == ()


async def test_bytes_that_take_longer(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEDIA_WAIT_SECONDS", 0.05)
    await waiting(web, NAME)
    answer = await web.client.get(f"/media/{NAME}")
    assert (answer.status_code, answer.json()["code"]) == (425, "media_on_its_way")
    assert int(answer.headers["retry-after"]) > 0


async def test_bytes_that_will_never_come(web: Running) -> None:
    await waiting(web, NAME, due_ms=1 << 60)
    await store_outcome(web, MediaState.FAILED, reason="too_large")
    answer = await web.client.get(f"/media/{NAME}")
    assert (answer.status_code, answer.json()["code"]) == (410, "media_too_large")


async def test_a_file_that_was_lost_is_told(web: Running, tmp_path: Path) -> None:
    path = path_of((await upload(web))["mediaUrl"])
    (file,) = files(tmp_path)
    file.unlink()
    answer = await web.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "media_lost")


@pytest.mark.parametrize("name", [NAME, "a.jpg", "..%2F..%2Fwhatsync.db", "%00", "a" * 40])
async def test_names_that_lead_nowhere(web: Running, name: str) -> None:
    assert (await web.client.get(f"/media/{name}")).status_code == 404


async def test_erasing_a_person_takes_the_files_too(web: Running, tmp_path: Path) -> None:
    data = {"from": "+1234567890", "to": "+1", "text": "t", "media": None}
    message = await web.call("POST", "/v1/events", json={"event": "message.incoming", "data": data})
    made = await send(web, {"messageId": message.json()["id"]})
    other = await upload(web, b"another's", "text/plain")
    job = (await web.call("POST", "/v1/erasures", json={"phone": "+1234567890"})).json()
    await read_until(web, f"/v1/jobs/{job['id']}", lambda job: job["state"] != "running")
    answer = await web.client.get(path_of(made["mediaUrl"]))
    assert (answer.status_code, answer.json()["code"]) == (410, "media_erased")
    await until(lambda: len(files(tmp_path)) == 1)
    assert (await web.client.get(path_of(other["mediaUrl"]))).status_code == 200


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({"WHATSYNC_PUBLIC_URL": "https://a.example/w/"}, "https://a.example/w/media/"),
        ({"WHATSYNC_MEDIA_PUBLIC_URL": "https://media.example/", "WHATSYNC_PUBLIC_URL": "https://a.example"},
         "https://media.example/"),
    ],
)  # fmt: skip
async def test_urls_by_the_settings(tmp_path: Path, settings: dict[str, Any], begins: str) -> None:
    async with running(tmp_path, **settings) as web:
        made = await upload(web)
        assert made["mediaUrl"].rpartition("/")[0] + "/" == begins
        assert (await web.client.get(path_of(made["mediaUrl"]))).content == JPEG


async def test_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    async with running(tmp_path / "data", WHATSYNC_MEDIA_STORE=str(tmp_path / "elsewhere")) as web:
        await upload(web)
    assert len(list((tmp_path / "elsewhere").rglob("*.jpg"))) == 1


async def test_a_full_disk_is_told_and_uploads_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as web:
        media = web.server.services.media
        media.files._spool._free_bytes_min = 1 << 60  # type: ignore[attr-defined]
        refused = await web.call("POST", "/v1/media", files={"file": ("a", b"x")})
        assert (refused.status_code, refused.json()["code"]) == (503, "media_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert "media files can't be kept" in (await web.client.get("/readyz")).json()["warnings"][0]
        media.files._spool._free_bytes_min = 0  # type: ignore[attr-defined]
        assert (await web.call("POST", "/v1/media", files={"file": ("a", b"x")})).status_code == 201
        assert (await web.client.get("/readyz")).json()["warnings"] == []
