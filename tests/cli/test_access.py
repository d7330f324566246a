"""Which server a command speaks to and with which key; and what is said where it does not answer as it should."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from whatsync.cli.child_server import ChildServer


class Api:
    """An API that answers what it is told to; the server itself is irrelevant here."""

    def __init__(self) -> None:
        self.status, self.body = 200, b'{"items": [], "nextCursor": null}'
        self.following: list[bytes] = []
        """Bodies of the answers after the next one."""
        self.seen: list[tuple[str, str]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.seen.append((self.path, self.headers.get("authorization", "")))
                body = api.body
                if api.following:  # before the answer: the next request may come at once, in another thread
                    api.body = api.following.pop(0)
                self.send_response(api.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def problem(self, status: int, detail: str, *errors: tuple[str, str]) -> None:
        self.status = status
        listed = [{"field": field, "message": message} for field, message in errors]
        self.body = json.dumps(
            {"title": "t", "status": status, "detail": detail, "code": "c", "errors": listed}
        ).encode()


@pytest.fixture
def fake() -> Iterator[Api]:
    api = Api()
    yield api
    api.server.shutdown()
    api.server.server_close()


def test_url_and_key_come_from_the_settings(fake: Api) -> None:
    shell = Shell({"WHATSYNC_URL": fake.url, "WHATSYNC_API_KEY": "wsk_mine"})
    shell("jobs", "list")
    assert fake.seen == [("/v1/jobs?limit=50", "Bearer wsk_mine")]


def test_without_settings_the_server_of_the_data_folder_is_found(server: ChildServer, tmp_path: Path) -> None:
    shell = Shell({"WHATSYNC_DATA_DIR": str(server.data_dir)})
    assert shell("accounts", "list", "--json").json["items"]


def test_the_data_folders_token_goes_to_no_other_server(server: ChildServer, fake: Api) -> None:
    shell = Shell({"WHATSYNC_DATA_DIR": str(server.data_dir), "WHATSYNC_URL": fake.url})
    assert "WHATSYNC_API_KEY is not set" in shell("jobs", "list", code=2).err
    assert fake.seen == []


def test_no_server_at_all(bare: Shell) -> None:
    assert "whatsync serve" in bare("jobs", "list", code=1).err


def test_nobody_answers() -> None:
    shell = Shell({"WHATSYNC_URL": "http://127.0.0.1:9", "WHATSYNC_API_KEY": "wsk_x"})
    err = shell("jobs", "list", code=1).err
    assert "no server answers at http://127.0.0.1:9" in err
    assert "whatsync serve" in err


def test_a_wrong_setting_is_named(bare: Shell) -> None:
    shell = Shell({**bare.environment, "WHATSYNC_URLL": "x", "WHATSYNC_PORT": "many"})
    err = shell("jobs", "list", code=2).err
    assert "WHATSYNC_URLL" in err
    assert "WHATSYNC_PORT" in err


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(401, 1, "WHATSYNC_API_KEY"), (403, 1, "no"), (404, 1, "no"), (409, 1, "no"), (422, 2, "no"), (429, 1, "wait")],
)
def test_problems_become_sentences(fake: Api, status: int, code: int, words: str) -> None:
    fake.problem(status, "no, because")
    shell = Shell({"WHATSYNC_URL": fake.url, "WHATSYNC_API_KEY": "wsk_x"})
    err = shell("jobs", "get", "job_x", code=code).err
    assert "no, because" in err
    assert words in err


def test_every_wrong_field_is_named(fake: Api) -> None:
    fake.problem(422, "x", ("url", "is bad"), ("events", "is empty"))
    shell = Shell({"WHATSYNC_URL": fake.url, "WHATSYNC_API_KEY": "wsk_x"})
    err = shell("jobs", "list", code=2).err
    assert "url: is bad" in err
    assert "events: is empty" in err


def test_something_else_answers(fake: Api) -> None:
    shell = Shell({"WHATSYNC_URL": fake.url, "WHATSYNC_API_KEY": "wsk_x"})
    for status, body in ((200, b"<html>"), (502, b"<html>"), (404, b'{"error": 1}'), (302, b"")):
        fake.status, fake.body = status, body
        assert "Check WHATSYNC_URL" in shell("jobs", "list", code=1).err


def test_all_pages_are_joined(fake: Api) -> None:
    pages = [b'{"items": [{"id": "job_1"}], "nextCursor": "c"}', b'{"items": [{"id": "job_2"}], "nextCursor": null}']
    shell = Shell({"WHATSYNC_URL": fake.url, "WHATSYNC_API_KEY": "wsk_x"})
    fake.body = pages[0]
    page = shell("jobs", "list")
    assert "--cursor c" in page.err
    assert "job_1" in page.out
    fake.following = [pages[1]]
    assert shell("jobs", "list", "--all", "--json").json == {
        "items": [{"id": "job_1"}, {"id": "job_2"}],
        "nextCursor": None,
    }
    assert fake.seen[-1][0] == "/v1/jobs?limit=50&cursor=c"
