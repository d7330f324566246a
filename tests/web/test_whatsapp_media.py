"""From a signed webhook with a picture to the receiver who fetches it: over real HTTP, against a stand-in for Meta."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.graph.server import TOKEN, GraphServer, MediaFile
from tests.net.receivers import until
from tests.sources.whatsapp.cloud import NUMBER, SECRET, escaped, incoming, message, signed
from tests.web.following import read, read_until
from tests.web.running import Running, running

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 500


@dataclass
class Shop:
    """A server with a source and a number, and Meta beside it."""

    web: Running
    graph: GraphServer
    source: str
    folder: Path

    async def photo(self, file: MediaFile, wamid: str = "wamid.photo") -> Any:
        """Post Meta's webhook about a picture; the message that was made of it."""
        image = {"id": "m1", "mime_type": file.mime_type, "sha256": file.base64, "caption": "Look"}
        raw = escaped(incoming(message(wamid, "image", image=image)))
        answer = await self.web.client.post(f"/sources/whatsapp/{self.source}", content=raw, headers=signed(raw))
        assert answer.status_code == 200, answer.text
        events = (await read(self.web, "/v1/events?event=message.incoming"))["items"]
        return events[0]

    async def events(self, kind: str, count: int = 1) -> Any:
        """Wait for so many events of a type."""
        page = await read_until(self.web, f"/v1/events?event={kind}", lambda page: len(page["items"]) >= count)
        return page["items"]

    async def get(self, url: str) -> Any:
        return await self.web.client.get("/media/" + url.rpartition("/")[2])


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with GraphServer() as graph, running(tmp_path, in_memory=False, graph_url=graph.url) as web:
        form = {
            "name": "App",
            "appSecret": SECRET,
            "accessToken": TOKEN,
            "account": web.first.account.account.id,
        }
        made = await web.call("POST", "/v1/sources", key=web.operator_key, json=form)
        assert made.status_code == 201, made.text
        number = {"phoneNumberId": NUMBER, "source": made.json()["id"], "account": web.first.account.account.id}
        known = await web.call("POST", "/v1/numbers", key=web.operator_key, json=number)
        assert known.status_code == 201, known.text
        yield Shop(web, graph, made.json()["id"], tmp_path)


async def test_the_url_is_right_from_the_first_second(shop: Shop) -> None:
    file = shop.graph.put("m1", JPEG)
    file.getting.append("slow")
    event = await shop.photo(file)
    media = event["data"]["media"]
    assert (media["mediaType"], media["mimeType"], media["caption"]) == ("image", "image/jpeg", "Look")
    asking = asyncio.ensure_future(shop.get(media["mediaUrl"]))
    await until(lambda: shop.web.server.services.media.tally.waiting == 1)
    shop.graph.let_go.set()
    answer = await asking
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, JPEG, "image/jpeg")
    (told,) = await shop.events("media.upload")
    assert told["data"] == {
        "messageId": event["id"],
        "mediaType": "image",
        "mediaUrl": media["mediaUrl"],
        "mimeType": "image/jpeg",
        "caption": "Look",
    }
    assert (told["number"], told["wamid"]) == (NUMBER, "wamid.photo")


async def test_the_same_webhook_again_changes_nothing(shop: Shop) -> None:
    file = shop.graph.put("m1", JPEG)
    first = await shop.photo(file)
    (told,) = await shop.events("media.upload")
    assert await shop.photo(file) == first
    assert (await shop.events("media.upload")) == [told]
    assert shop.graph.steps() == ["ask", "get"]


async def test_a_file_that_will_never_come(shop: Shop) -> None:
    file = shop.graph.put("m1", JPEG, file_size=str(1 << 40))
    event = await shop.photo(file)
    (told,) = await shop.events("media.failed")
    assert (told["data"]["code"], told["data"]["messageId"]) == ("too_large", event["id"])
    answer = await shop.get(event["data"]["media"]["mediaUrl"])
    assert (answer.status_code, answer.json()["code"]) == (410, "media_too_large")


async def test_without_a_token_there_is_no_url(shop: Shop) -> None:
    web = shop.web
    await web.call("PATCH", f"/v1/sources/{shop.source}", key=web.operator_key, json={"accessToken": None})
    event = await shop.photo(shop.graph.put("m1", JPEG))
    assert event["data"]["media"]["mediaUrl"] is None
    assert event["data"]["media"]["mediaType"] == "image"
    assert shop.graph.asked == []


async def test_erasing_the_sender_takes_a_file_on_its_way(shop: Shop) -> None:
    file = shop.graph.put("m1", JPEG)
    file.getting.append("slow")
    event = await shop.photo(file)
    await until(lambda: "get" in shop.graph.steps())
    job = (await shop.web.call("POST", "/v1/erasures", json={"phone": event["data"]["from"]})).json()
    await read_until(shop.web, f"/v1/jobs/{job['id']}", lambda job: job["state"] != "running")
    shop.graph.let_go.set()
    await until(lambda: shop.web.server.services.media.tally.fetching == 0)
    answer = await shop.get(event["data"]["media"]["mediaUrl"])
    assert (answer.status_code, answer.json()["code"]) == (410, "media_erased")
    assert list(shop.folder.rglob("*.jpg")) == []
    assert (await read(shop.web, "/v1/events?event=media.upload"))["items"] == []


async def test_downloads_never_slow_messages(shop: Shop) -> None:
    """All places for downloads are taken by silent ones: messages are accepted and told as ever."""
    for number in range(12):
        file = shop.graph.put(f"m{number}", JPEG)
        file.getting.append("silence")
        image = {"id": f"m{number}", "mime_type": "image/jpeg", "sha256": file.base64}
        raw = escaped(incoming(message(f"wamid.{number}", "image", image=image)))
        await shop.web.client.post(f"/sources/whatsapp/{shop.source}", content=raw, headers=signed(raw))
    tally = shop.web.server.services.media.tally
    await until(lambda: shop.graph.steps().count("get") == 8)
    begun = shop.graph.steps()
    raw = escaped(incoming(message("wamid.text")))
    answer = await shop.web.client.post(f"/sources/whatsapp/{shop.source}", content=raw, headers=signed(raw))
    assert answer.status_code == 200
    assert len(await shop.events("message.incoming", 13)) == 13
    assert (tally.fetching, shop.graph.steps()) == (8, begun), "no download has ended meanwhile"
    shop.graph.let_go.set()
    assert len(await shop.events("media.upload", 12)) == 12
