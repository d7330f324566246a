"""The curl command that is shown for an attempt, really run by shells: the same request arrives, byte for byte."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from whatsync.model.curl import curl_command
from whatsync.model.limits import BODY_BYTES_MAX, COMMAND_ARGUMENT_BYTES_MAX
from whatsync.model.request import attempt_head, fixed_head, masked
from whatsync.model.signature import Signer
from whatsync.model.url import Target, parse_url

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
PATHS = ("/webhook", "/a'b\"c`d$(e)&f;g|h", "/[1-3]{a,b}?q=%20&r=[x]", "/a/../b/./c", "/日本?x='")
ARGUMENTS = {
    "plain": b'{"event":"message.incoming"}',
    "quotes": b"""{"text":"it's \\"quoted\\" `id` $(id) $HOME ${x} !! \\\\ \\n %s %% &;|<>*?#~"}""",
    "unicode": '{"text":"grüße 👋🏽 👩‍👩‍👧 日本 \u0301"}'.encode(),
    "dash": b"--help",
    "empty": b"",
    "lines": b"one\ntwo\n\n",
    "as long as a body may be": b"x" * BODY_BYTES_MAX,
}
PIPED = {
    "every byte": bytes(range(256)) * 2,
    "zero bytes": b"\0\0001\0007\0a\0",
    "not UTF-8": b"\xff\xfe\xe9%s%b\\c\\0101'",
    "a file's name": b"@/etc/hostname",
    "a bidi override": '{"text":"\u202e"}'.encode(),
    "escape sequences": b"\x1b[31mred\x07\r\n\t\x7f",
    "too long": b"\\'" * COMMAND_ARGUMENT_BYTES_MAX,
}


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[int, asyncio.Queue[tuple[bytes, bytes]]]]:
    """A port, and the heads and bodies that come to it."""
    came: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(int(length.partition(b":")[2]))
        came.put_nowait((head, body))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], came


def request(port: int, path: str, body: bytes) -> tuple[Target, bytes]:
    """An attempt's target and head, as the server makes them."""
    target = parse_url(f"http://127.0.0.1:{port}{path}")
    assert isinstance(target, Target)
    signatures = Signer(SECRET, [SECRET]).sign("msg_1", 1_700_000_000, body)
    own = {"X-Shop": 'it\'s "5" $HOME `id` \\ @x', "X-Empty": ""}
    return target, fixed_head(target, own) + attempt_head(
        "message.incoming", "msg_1", "dlv_1", 1, 1_700_000_000, signatures, len(body), number="+1", test=True
    )


async def run(shell: str, command: str, folder: Path) -> None:
    """Have a shell run the command as a script, as long as it may be."""
    script = folder / "script"
    script.write_text(command + "\n", encoding="utf-8")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(
        shell, str(script), env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out == b""


def lines(head: bytes) -> tuple[str, list[str]]:
    """The request line, and the headers in whatever order."""
    first, *headers = head.decode("latin-1").rstrip().split("\r\n")
    return first, sorted(line.rstrip() for line in headers)


@pytest.mark.parametrize("shell", ["bash", "sh"])
async def test_what_arrives_is_the_request_that_was_sent(shell: str, tmp_path: Path) -> None:
    bodies = [*ARGUMENTS.values(), *PIPED.values()]
    cases = [(PATHS[0], body) for body in bodies] + [(path, ARGUMENTS["quotes"]) for path in PATHS[1:]]
    async with recording() as (port, came):
        for path, body in cases:
            target, head = request(port, path, body)
            await run(shell, curl_command(target, masked(head, ()), body), tmp_path)
            got_head, got_body = await asyncio.wait_for(came.get(), 20)
            assert got_body == body, (path, body[:100])
            assert lines(got_head) == lines(head), path


@pytest.mark.parametrize("body", ARGUMENTS.values(), ids=ARGUMENTS)
def test_an_ordinary_body_stands_in_the_command(body: bytes) -> None:
    target, head = request(80, "/webhook", body)
    words = shlex.split(curl_command(target, masked(head, ()), body))
    assert words[:4] == ["curl", "-X", "POST", "http://127.0.0.1/webhook"]
    assert words[-2:] == ["--data-binary", body.decode()]


@pytest.mark.parametrize("body", PIPED.values(), ids=PIPED)
def test_every_other_body_comes_through_a_pipe_and_can_be_pasted(body: bytes) -> None:
    target, head = request(80, "/webhook", body)
    command = curl_command(target, masked(head, ()), body)
    assert command.startswith("printf %b '")
    assert command.endswith(" --data-binary @-")
    assert command.isprintable()
    assert command.isascii()


def test_masked_values_stay_masked() -> None:
    target, head = request(80, "/webhook", b"{}")
    command = curl_command(target, masked(head, ("x-shop",)), b"{}")
    assert "-H 'X-Shop: ••••••'" in command
    assert "HOME" not in command
