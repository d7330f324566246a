"""The verification code that is offered to paste, run as offered: the real server's deliveries are verified and handled
once at the customer's own path, everything else is refused."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.crash.server import serving, until
from tests.end_to_end.documented import EVENTS, compact
from tests.receivers.snippet_program import PATIENCE_SECONDS, SnippetProgram, place, running
from whatsync.model.signature import hex_signature
from whatsync.web.snippets.snippet import SNIPPETS, Snippet, program, snippet_named

PLAIN = "/webhook"
UNUSUAL = "/wh@me:a+b*(c)$1/d.e;f=g!'h&i,j~k-3000/caf%C3%A9/%c3%b6/日本/"
MESSAGE, LONG = EVENTS[0], {**EVENTS[0], "id": "msg_long", "data": {**EVENTS[0]["data"], "text": "é" * 48_000}}

each_snippet = pytest.mark.parametrize("snippet", SNIPPETS, ids=[snippet.name for snippet in SNIPPETS])


async def printed(programs: list[SnippetProgram], words: str) -> None:
    """Wait until each program has handled the event with this id."""
    async with asyncio.timeout(30):
        for one in programs:
            while True:
                if one.count(words):
                    break
                # A file tells nobody that it has grown; asking is the only way.
                await asyncio.sleep(0.05)


async def refuses(program: SnippetProgram, client: httpx.AsyncClient, secret: str) -> None:
    """Send what is not genuine, and what is genuine but goes somewhere else."""
    body = compact({**MESSAGE, "id": "msg_forged"})
    right = hex_signature(secret, body)
    name, url = program.snippet.name, program.url
    forged: dict[str, list[tuple[bytes, bytes]]] = {
        "another": [(b"X-WhatsSync-Signature", b"0" * 64)],
        "part": [(b"X-WhatsSync-Signature", right[:62].encode())],
        "too long": [(b"X-WhatsSync-Signature", right.encode() + b"00")],
        "no ascii": [(b"X-WhatsSync-Signature", b"\xe9" * 64)],
        "empty": [(b"X-WhatsSync-Signature", b"")],
        "none": [],
        "empty secret": [(b"X-WhatsSync-Signature", hex_signature("", body).encode())],
    }
    for what, headers in forged.items():
        answer = await client.post(url, content=body, headers=[(b"Content-Type", b"application/json"), *headers])
        assert answer.status_code == 401, (name, what, answer.status_code, program.printed())
    signed = {"Content-Type": "application/json", "X-WhatsSync-Signature": right}
    assert (await client.post(url, content=body + b" ", headers=signed)).status_code == 401, name
    elsewhere = f"http://127.0.0.1:{program.port}/elsewhere"
    if (name, url) != ("go", f"http://127.0.0.1:{program.port}/"):  # Go's "/" means every path.
        assert (await client.post(elsewhere, content=body, headers=signed)).status_code == 404, name
    assert (await client.get(url)).status_code in {401, 404, 405}, name
    assert not program.count("msg_forged"), name


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE_SECONDS)
async def test_the_servers_deliveries_are_verified_and_handled_once_and_forged_ones_refused(
    tmp_path: Path, node: str
) -> None:
    async with AsyncExitStack() as stack:
        places = [(snippet, path, "express") for snippet in SNIPPETS for path in (PLAIN, UNUSUAL, "/")]
        places += [(SNIPPETS[0], path, "express-4") for path in (PLAIN, UNUSUAL, "/")]
        enter = stack.enter_async_context
        _, client = await enter(serving(tmp_path / "data"))
        secret = (await client.get("/v1/account/secret")).json()["secret"]
        programs = [
            await enter(running(SnippetProgram(snippet, path, tmp_path / f"{number}", express), node, secret))
            for number, (snippet, path, express) in enumerate(places)
        ]
        for number, one in enumerate(programs):
            url = one.url + ("?tenant=1" if number % 2 else "")
            (await client.post("/v1/endpoints", json={"url": url, "events": ["*"]})).raise_for_status()

        async def delivered(count: int) -> None:
            await until(client, "/v1/deliveries?limit=100&state=succeeded", lambda page: len(page["items"]) == count)

        (await client.post("/v1/events", json=MESSAGE)).raise_for_status()
        await delivered(len(programs))
        (await client.post(f"/v1/events/{MESSAGE['id']}/resend")).raise_for_status()
        await delivered(2 * len(programs))
        (await client.post("/v1/events", json=LONG)).raise_for_status()
        await delivered(3 * len(programs))
        await printed(programs, LONG["id"])
        everything = (await client.get("/v1/deliveries?limit=100")).json()["items"]
        assert {item["attempts"] for item in everything} == {1}
        assert {(one.snippet.name, one.count(MESSAGE["id"])) for one in programs} == {(one.name, 1) for one in SNIPPETS}

        async with httpx.AsyncClient() as stranger:
            await asyncio.gather(*(refuses(one, stranger, secret) for one in programs))
        assert all(one.process is not None and one.process.returncode is None for one in programs)


@each_snippet
@pytest.mark.timeout(2 * PATIENCE_SECONDS)
async def test_without_a_secret_nothing_is_accepted(snippet: Snippet, tmp_path: Path, node: str) -> None:
    """An empty secret is a key that everybody knows: a setting that is missing must not turn checking off."""
    one = SnippetProgram(snippet, PLAIN, tmp_path / "program")
    try:
        said = ""
        if await one.start(node, ""):
            body = compact(MESSAGE)
            headers = {"Content-Type": "application/json", "X-WhatsSync-Signature": hex_signature("", body)}
            async with httpx.AsyncClient() as client:
                answer = await client.post(one.url, content=body, headers=headers)
            assert answer.status_code == 500
            said = answer.text
        assert "Set WEBHOOK_SECRET" in said + one.printed()
        assert not one.count(MESSAGE["id"])
    finally:
        await one.end()


@each_snippet
def test_a_program_has_one_place_to_write_the_path_to_and_is_short(snippet: Snippet) -> None:
    text = program(snippet.file)
    assert text.count(snippet.route) == 1
    assert snippet.route == snippet.write(place(PLAIN))
    assert snippet.code(place(PLAIN)) == text
    assert snippet.code(place(PLAIN), 8080) == text.replace("3000", "8080")
    assert len(text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) <= 120
    assert snippet_named(snippet.name) is snippet
    assert snippet.file in snippet.run() or snippet.file.removesuffix(".py") in snippet.run()


def test_names_and_files_are_each_their_own() -> None:
    assert len({snippet.name for snippet in SNIPPETS}) == len({snippet.file for snippet in SNIPPETS}) == len(SNIPPETS)
    assert snippet_named("cobol") is None
