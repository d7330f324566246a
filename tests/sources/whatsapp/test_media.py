"""Fetching one file in two steps from a stand-in for Meta: what comes is what was meant, or a value says why not."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.graph.server import TOKEN, GraphServer
from whatsync.engine.media_work import Fetched, NotFetched
from whatsync.media.folder import FolderStore
from whatsync.model import limits
from whatsync.model.media import MediaTask
from whatsync.net.address_guard import AddressGuard
from whatsync.net.system import SystemClock, SystemRandomness
from whatsync.net.web_client import GuardedWebClient
from whatsync.ports.media_store import UnfinishedFile
from whatsync.sources.whatsapp.media import GraphMedia, decode_sha256

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 1_000


@dataclass
class Bench:
    """A fetcher, the stand-in, and a place for files."""

    graph: GraphServer
    media: GraphMedia
    files: FolderStore
    tokens: dict[str, str]

    async def fetch(self, **fields: Any) -> tuple[Fetched | NotFetched, UnfinishedFile]:
        task = MediaTask("msg_1", "111", "m1", "image", "https://a.example/x.jpg", **fields)
        unfinished = await self.files.begin()
        result = await self.media.fetch(task, unfinished)
        await unfinished.discard()
        return result, unfinished

    async def code(self, **fields: Any) -> str:
        """The code of a fetch that fails, and is not final."""
        result, _ = await self.fetch(**fields)
        assert isinstance(result, NotFetched)
        assert not result.final
        assert TOKEN not in result.sentence
        return result.code


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    client = GuardedWebClient(guard=AddressGuard(allow_loopback=lambda: True), clock=SystemClock())
    files = FolderStore(tmp_path, SystemRandomness())
    tokens = {"111": TOKEN}
    async with GraphServer() as graph:
        media = GraphMedia(
            client=client,
            clock=SystemClock(),
            token_of=tokens.get,
            version_of=lambda _: "v25.0",
            base_url=graph.url,
        )
        yield Bench(graph, media, files, tokens)
    await client.close()
    await files.close()


async def test_two_steps_with_the_token(bench: Bench) -> None:
    file = bench.graph.put("m1", JPEG)
    result, unfinished = await bench.fetch(sha256=file.base64)
    assert result == Fetched("image/jpeg")
    assert unfinished.size == len(JPEG)
    assert bench.graph.asked == [("GET", "/v25.0/m1", TOKEN), ("GET", "/files/0", TOKEN)]


@pytest.mark.parametrize("said", ["hex", "base64", "url-safe", "nonsense", "none"])
async def test_hashes_in_every_spelling(bench: Bench, said: str) -> None:
    file = bench.graph.put("m1", JPEG)
    digest = decode_sha256(file.base64)
    assert digest is not None
    spellings = {
        "hex": digest.hex(),
        "base64": file.base64,
        "url-safe": file.base64.replace("+", "-").replace("/", "_").rstrip("="),
        "nonsense": "???",
        "none": None,
    }
    result, _ = await bench.fetch(sha256=spellings[said])
    assert isinstance(result, Fetched)


async def test_other_bytes_are_refused(bench: Bench) -> None:
    file = bench.graph.put("m1", JPEG)
    file.getting.append("other")
    assert await bench.code(sha256=file.base64) == "wrong_hash"
    bench.graph.put("m1", JPEG, sha256="0" * 64)
    assert await bench.code() == "wrong_hash"


async def test_without_any_hash_size_and_type_are_looked_at(bench: Bench) -> None:
    bench.graph.put("m1", JPEG, sha256="", file_size=7)
    assert await bench.code() == "wrong_size"
    bench.graph.put("m1", JPEG, sha256="", file_size=[]).getting.append("html")
    assert await bench.code() == "wrong_type"
    bench.graph.put("m1", b"%PDF-1.7 and more", sha256="", file_size=[])
    assert await bench.code() == "wrong_type"
    bench.graph.put("m1", JPEG, sha256="", file_size=len(JPEG))
    result, _ = await bench.fetch()
    assert isinstance(result, Fetched)


async def test_each_try_asks_for_a_new_url(bench: Bench) -> None:
    file = bench.graph.put("m1", JPEG, url_uses=0)
    assert await bench.code() == "url_expired"
    file.url_uses = 1
    result, _ = await bench.fetch()
    assert isinstance(result, Fetched)
    assert bench.graph.steps() == ["ask", "get", "ask", "get"]


@pytest.mark.parametrize(
    ("step", "how", "code"),
    [
        ("asking", 500, "http_500"),
        ("asking", 429, "rate_limited"),
        ("asking", "rate", "rate_limited"),
        ("asking", "nonsense", "bad_response"),
        ("getting", 503, "http_503"),
        ("getting", 401, "url_expired"),
        ("getting", 429, "rate_limited"),
        ("getting", "broken", "bad_response"),
        ("getting", "html", "wrong_hash"),
    ],
)
async def test_what_can_be_tried_again(bench: Bench, step: str, how: int | str, code: str) -> None:
    file = bench.graph.put("m1", JPEG)
    getattr(file, step).append(how)
    assert await bench.code(sha256=file.base64) == code
    result, _ = await bench.fetch(sha256=file.base64)
    assert isinstance(result, Fetched)


async def test_how_long_to_wait_is_heard(bench: Bench) -> None:
    bench.graph.put("m1", JPEG).asking.append("rate")
    result, _ = await bench.fetch()
    assert isinstance(result, NotFetched)
    assert result.retry_after_seconds == 7200


async def test_tokens(bench: Bench) -> None:
    assert await bench.code() == "not_found"
    bench.graph.put("m1", JPEG)
    bench.tokens["111"] = "old"
    assert await bench.code() == "token_rejected"
    bench.tokens.clear()
    assert await bench.code() == "no_token"


async def test_nobody_there(bench: Bench) -> None:
    bench.graph.put("m1", JPEG)
    await bench.graph.__aexit__()
    assert await bench.code() == "connection_refused"


async def test_a_file_that_is_too_large_is_not_begun(bench: Bench) -> None:
    bench.graph.put("m1", JPEG, file_size=str(limits.MEDIA_BYTES_MAX + 1))
    result, _ = await bench.fetch()
    assert isinstance(result, NotFetched)
    assert (result.code, result.final) == ("too_large", True)
    assert bench.graph.steps() == ["ask"]


async def test_a_file_that_lies_about_its_size_ends_in_the_middle(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MEDIA_BYTES_MAX", 100_000)
    bench.graph.put("m1", JPEG, file_size=5)
    result, unfinished = await bench.fetch()
    assert isinstance(result, NotFetched)
    assert (result.code, result.final) == ("too_large", True)
    assert unfinished.size <= 100_000


async def test_the_token_goes_to_no_other_host_and_along_no_redirect(bench: Bench) -> None:
    async with GraphServer() as other:
        other.tokens = {""}
        other.put("m1", JPEG)
        other_url = f"{other.url}/files/0"
        bench.graph.elsewhere = other_url
        bench.graph.put("m1", JPEG).getting.append("redirect")
        result, _ = await bench.fetch()
        assert isinstance(result, NotFetched)
        assert [token for _, _, token in other.asked] == [None]


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1", True),
        ("https://graph.facebook.com/x", True),
        ("http://lookaside.fbsbx.com/", False),
        ("https://lookaside.fbsbx.com.evil.example/", False),
        ("https://evilfbsbx.com/", False),
        ("https://evil.example/?.fbsbx.com", False),
        ("https://me@evil.example/", False),
        ("https://[", False),
    ],
)
def test_who_may_see_the_token(url: str, may: bool) -> None:
    media = GraphMedia(
        client=None,  # type: ignore[arg-type]  # nothing is asked
        clock=SystemClock(),
        token_of=lambda _: None,
        version_of=lambda _: "v25.0",
    )
    assert media._may_see_token(url) is may


async def test_ids_from_outside_stay_one_part_of_the_path(bench: Bench) -> None:
    task = MediaTask("msg_1", "111", "../../me?x=", "image", "https://a.example/x.jpg")
    unfinished = await bench.files.begin()
    result = await bench.media.fetch(task, unfinished)
    await unfinished.discard()
    assert isinstance(result, NotFetched)
    assert [path for _, path, _ in bench.graph.asked] == ["/v25.0/..%2F..%2Fme%3Fx%3D"]
