"""One suite for every place media files can lie in: whole or not there, parts of them, nothing of others."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.media.bucket_server import ACCESS_KEY, SECRET_KEY, BucketServer
from tests.net.receivers import until
from tests.web.running import running
from whatsync.compose.media import bucket_problem
from whatsync.media.bucket import BucketStore
from whatsync.media.folder import FolderStore
from whatsync.model import limits
from whatsync.model.bucket import parse_bucket
from whatsync.net.system import SystemClock, SystemRandomness
from whatsync.ports.media_store import MediaMissing, MediaStore, MediaUnavailable

NAME, OTHER = "a" * 40 + ".jpg", "b" * 40 + ".bin"
RANDOMNESS = SystemRandomness()


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MediaStore]:
    made: MediaStore
    if request.param == "folder":
        made = FolderStore(tmp_path / "media", RANDOMNESS)
    else:
        server: BucketServer = request.getfixturevalue("bucket_server")
        made = bucket_at(server, tmp_path, monkeypatch)
    yield made
    await made.close()


def bucket_at(server: BucketServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> BucketStore:
    """A bucket of its own, by the environment's credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return BucketStore(parse_bucket(server.url), RANDOMNESS.token(8).hex(), folder / "spool", RANDOMNESS)


async def put(store: MediaStore, data: bytes, name: str = NAME) -> None:
    unfinished = await store.begin()
    await unfinished.write(data)
    await store.keep(unfinished, name, "image/jpeg")


async def read(store: MediaStore, start: int = 0, length: int = 1 << 40, name: str = NAME) -> bytes:
    return b"".join([piece async for piece in store.read(name, start, length)])


def incoming(folder: Path) -> list[Path]:
    return list(folder.rglob("incoming/*"))


async def names(store: MediaStore) -> list[str]:
    return sorted([kept.name async for kept in store.files()])


async def test_what_was_kept_comes_back(store: MediaStore) -> None:
    assert await store.size(NAME) is None
    await put(store, b"hello")
    assert await store.size(NAME) == 5
    assert await read(store, 0, 5) == b"hello"
    assert await read(store, 1, 3) == b"ell"
    assert await read(store, 0, 0) == b""


async def test_an_empty_file(store: MediaStore) -> None:
    await put(store, b"")
    assert await store.size(NAME) == 0
    assert await read(store, 0, 0) == b""


async def test_a_large_file_is_counted_and_hashed_on_its_way(store: MediaStore) -> None:
    data = RANDOMNESS.token(1_000_003) * 20
    unfinished = await store.begin()
    for at in range(0, len(data), 70_001):
        await unfinished.write(data[at : at + 70_001])
    assert (unfinished.size, unfinished.beginning) == (len(data), data[:16])
    assert unfinished.sha256() == hashlib.sha256(data).digest()
    await store.keep(unfinished, NAME, "application/pdf")
    assert await store.size(NAME) == len(data)
    assert await read(store, 0, len(data)) == data
    assert await read(store, 15_000_000, 300_000) == data[15_000_000:15_300_000]


async def test_nothing_is_seen_of_an_unfinished_file(store: MediaStore) -> None:
    unfinished = await store.begin()
    await unfinished.write(bytes(1_000_000))
    assert await store.size(NAME) is None
    assert await names(store) == []
    await unfinished.discard()
    await unfinished.discard()
    assert await names(store) == []


async def test_keeping_again_replaces(store: MediaStore) -> None:
    await put(store, b"one")
    await put(store, b"other")
    assert await read(store, 0, 5) == b"other"


async def test_removing(store: MediaStore) -> None:
    await put(store, b"hello")
    await put(store, b"world", OTHER)
    await store.remove(NAME)
    await store.remove(NAME)
    assert await store.size(NAME) is None
    with pytest.raises(MediaMissing):
        await read(store, 0, 5)
    with pytest.raises(MediaMissing):
        await read(store, 0, 0)
    assert await names(store) == [OTHER]


async def test_the_list_tells_when(store: MediaStore) -> None:
    now_ms = SystemClock().now_ms()
    await put(store, b"hello")
    (kept,) = [kept async for kept in store.files()]
    assert kept.name == NAME
    assert abs(kept.modified_ms - now_ms) < 60_000


@pytest.mark.parametrize("name", ["", "..", "../" + "a" * 37 + ".jpg", "/etc/passwd", "A" * 40 + ".jpg"])
async def test_a_name_that_is_none_leads_nowhere(store: MediaStore, name: str) -> None:
    assert await store.size(name) is None
    await store.remove(name)
    with pytest.raises(MediaMissing):
        await read(store, 0, 5, name)


async def test_it_says_that_all_is_well(store: MediaStore) -> None:
    assert await store.problem() is None
    assert await names(store) == []


async def test_what_a_crash_left_is_swept_when_it_is_old(store: MediaStore, tmp_path: Path) -> None:
    unfinished = await store.begin()
    await unfinished.write(b"left")
    now_ms = SystemClock().now_ms()
    await store.sweep(now_ms)
    assert len(incoming(tmp_path)) == 1
    await store.sweep(now_ms + limits.MEDIA_UNFINISHED_SECONDS * 1000 + 60_000)
    assert incoming(tmp_path) == []
    await unfinished.discard()


async def test_many_at_once(store: MediaStore) -> None:
    wanted = {f"{letter * 40}.bin": letter.encode() * 100_000 for letter in "abcdefghij"}
    await asyncio.gather(*(put(store, data, name) for name, data in wanted.items()))
    found = await asyncio.gather(*(read(store, 0, 100_000, name) for name in wanted))
    assert dict(zip(wanted, found, strict=True)) == wanted
    assert await names(store) == sorted(wanted)


# The folder's own


async def test_only_the_owner_may_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "media", RANDOMNESS)
    await put(store, b"hello")
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "media").rglob("*")}
    assert modes == {0}
    await store.close()


async def test_a_nearly_full_disk_takes_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "media", RANDOMNESS, free_bytes_min=1 << 60)
    with pytest.raises(MediaUnavailable, match="WHATSYNC_MIN_FREE_DISK; make room"):
        await store.begin()
    problem = await store.problem()
    assert problem is not None
    assert "make room" in problem
    await store.close()


async def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("a file")
    store = FolderStore(tmp_path / "media", RANDOMNESS)
    with pytest.raises(MediaUnavailable, match="can't be written"):
        await store.begin()
    assert await store.problem() is not None
    await store.close()


# The bucket's own


@pytest.mark.slow
async def test_two_installations_in_one_bucket(
    bucket_server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (bucket_at(bucket_server, tmp_path, monkeypatch) for _ in range(2))
    await put(one, b"one")
    assert await names(other) == []
    assert await other.size(NAME) is None
    await other.remove(NAME)
    assert await read(one, 0, 3) == b"one"


@pytest.mark.slow
async def test_wrong_credentials_are_told(
    bucket_server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = BucketStore(parse_bucket(bucket_server.url), "own", tmp_path, RANDOMNESS)
    problem = await store.problem()
    assert problem is not None
    assert "the bucket media can't be used" in problem
    assert "AWS_" in problem
    assert "wrong" not in problem
    with pytest.raises(MediaUnavailable):
        await put(store, b"hello")
    with pytest.raises(MediaUnavailable):
        await store.size(NAME)


async def test_a_bucket_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    place = parse_bucket("s3://media?endpoint=http://127.0.0.1:9&region=us-east-1")
    store = BucketStore(place, "own", tmp_path, RANDOMNESS, retries=0)
    with pytest.raises(MediaUnavailable, match="the bucket media can't be used"):
        await store.size(NAME)


@pytest.mark.slow
async def test_a_whole_server_over_a_bucket(
    bucket_server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)
    data = RANDOMNESS.token(20_000_000)
    async with running(tmp_path, WHATSYNC_MEDIA_STORE=bucket_server.url) as web:
        made = await web.call("POST", "/v1/media", files={"file": ("a.bin", data)})
        assert made.status_code == 201, made.text
        path = "/media/" + made.json()["mediaUrl"].rpartition("/")[2]
        assert (await web.client.get(path)).content == data
        part = await web.client.get(path, headers={"range": "bytes=15000000-15000009"})
        assert part.content == data[15_000_000:15_000_010]
        assert incoming(tmp_path) == []
        await web.server.services.media.remove(web.first.account.row, path)
        await until(lambda: web.server.services.media.tally.removed == 1)
        assert (await web.client.get(path)).status_code == 410


@pytest.mark.slow
async def test_the_doctor_tries_the_bucket(bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)
    assert await bucket_problem(parse_bucket(bucket_server.url)) is None
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert "the bucket media can't be used" in str(await bucket_problem(parse_bucket(bucket_server.url)))
