"""The verification code that is offered to paste, run as offered: the real server's deliveries are verified and handled
once at the customer's own path, everything else is refused."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.crash.server import serving, until
from tests.end_to_end.documented import EVENTS, compact
from tests.receivers.snippet_program import PATIENCE_SECONDS, SnippetProgram, place, running
from whatsync.model.signature import hex_signature, standard_signature
from whatsync.web.snippets.snippet import SNIPPETS, Snippet, program, snippet_named

PLAIN = "/webhook"
UNUSUAL = "/wh@me:a+b*(c)$1/d.e;f=g!'h&i,j~k-3000/caf%C3%A9/%c3%b6/日本/"
MESSAGE, LONG = EVENTS[0], {**EVENTS[0], "id": "msg_long", "data": {**EVENTS[0]["data"], "text": "é" * 48_000}}

each_snippet = pytest.mark.parametrize("snippet", SNIPPETS, ids=[snippet.name for snippet in SNIPPETS])


async def printed(programs: list[SnippetProgram], words: str) -> None:
    """Wait until each program has handled the event with this id."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for one in programs:
            while True:
                if one.count(words):
                    break
                # A file tells nobody that it has grown; asking is the only way.
                await asyncio.sleep(0.05)


Headers = list[tuple[bytes, bytes]]


def signed(snippet: Snippet, secret: str, body: bytes, at_s: int) -> Headers:
    """The header this snippet checks, and those it needs besides, the signature first."""
    if not snippet.standard:
        return [(b"X-WhatsSync-Signature", hex_signature(secret, body).encode())]
    signature = standard_signature(secret, "msg_forged", at_s, body).encode()
    return [
        (b"webhook-signature", signature),
        (b"webhook-id", b"msg_forged"),
        (b"webhook-timestamp", str(at_s).encode()),
    ]


def forgeries(snippet: Snippet, secret: str, body: bytes) -> dict[str, Headers]:
    """What somebody without the secret could send with ``body``."""
    now = int(time.time())
    (name, right), *others = signed(snippet, secret, body, now)
    values = {
        "zeros": b"v1," + b"A" * 43 + b"=" if snippet.standard else b"0" * 64,
        "a part": right[:-2],
        "too long": right[:3] + b"00" + right[3:],
        "no ascii": b"\xe9" * len(right),
        "no base64": b"v1,===,",
        "a scheme alone": b"v1",
        "empty": b"",
    }
    forged = {what: [(name, value), *others] for what, value in values.items()}
    forged |= {"none": others, "no header at all": [], "another body's": signed(snippet, secret, body + b" ", now)}
    if snippet.standard:
        return forged | {"an old one": signed(snippet, secret, body, now - 3600)}
    return forged | {"the empty secret's": signed(snippet, "", body, now)}


async def refuses(program: SnippetProgram, client: httpx.AsyncClient, secret: str) -> None:
    """Send what is not genuine, and what is genuine but goes somewhere else."""
    body, snippet, url = compact({**MESSAGE, "id": "msg_forged"}), program.snippet, program.url
    for what, headers in forgeries(snippet, secret, body).items():
        answer = await client.post(url, content=body, headers=[(b"Content-Type", b"application/json"), *headers])
        assert answer.status_code == 401, (snippet.name, what, answer.status_code, program.printed())
    assert (await client.post(url)).status_code == 401, snippet.name
    genuine = [(b"Content-Type", b"application/json"), *signed(snippet, secret, body, int(time.time()))]
    elsewhere = f"http://127.0.0.1:{program.port}/elsewhere"
    if (snippet.name, url) != ("go", f"http://127.0.0.1:{program.port}/"):  # Go's "/" means every path.
        assert (await client.post(elsewhere, content=body, headers=genuine)).status_code == 404, snippet.name
    assert (await client.get(url, headers=genuine)).status_code in {401, 404, 405}, snippet.name
    assert not program.count("msg_forged"), snippet.name
    assert (await client.post(url, content=body, headers=genuine)).status_code == 200, snippet.name


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE_SECONDS)
async def test_the_servers_deliveries_are_verified_and_handled_once_and_forged_ones_refused(
    tmp_path: Path, node: str
) -> None:
    async with AsyncExitStack() as stack:
        places = [(snippet, path, "express") for snippet in SNIPPETS for path in (PLAIN, UNUSUAL, "/")]
        places = [one for one in places if not one[0].standard or one[1] == UNUSUAL]
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
