"""What the doctor asks of a server, with the standard library alone so that health checks stay quick."""

import http.client
from urllib.parse import urlsplit

from whatsync.cli.local import running_here
from whatsync.config import Config

ANSWER_SECONDS = 4.0


def server_url(config: Config) -> str:
    """Where the server of these settings is, or would be."""
    if config.url is not None:
        return config.url
    local = running_here(config.data_dir)
    if local is not None:
        return local.url
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.host, config.host)  # noqa: S104 - for asking only
    return f"http://{host}:{config.port}"


def ask(url: str, path: str) -> tuple[int | None, bytes]:
    """Ask for a path, quickly and without more than the standard library: status and body, None where none came."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", parts.path.rstrip("/") + path)
        answer = connection.getresponse()
        return answer.status, answer.read(65_536)
    except (OSError, http.client.HTTPException):
        return None, b""
    finally:
        connection.close()
