"""A real S3 server (SeaweedFS) on free ports of the loopback, started once for all tests of a worker."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import obstore
from obstore.store import S3Store

from tests.ports import free_port

ACCESS_KEY, SECRET_KEY = "key-of-tests", "secret-of-tests"
BUCKET = "media"
READY_SECONDS = 60.0


class BucketServer:
    """The server's process. ``url`` is what goes into ``WHATSYNC_MEDIA_STORE``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.endpoint = ""
        self._ports: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/files?endpoint={self.endpoint}&region=us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        config = self._folder / "s3.json"
        actions = ["Admin", "Read", "Write", "List"]
        credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        config.write_text(json.dumps({"identities": [{"name": "a", "credentials": credentials, "actions": actions}]}))
        free = [free_port() for _ in range(8)]
        ports = dict(zip(("master", "volume", "filer", "s3"), free[:4], strict=True))
        grpc = dict(zip(ports, free[4:], strict=True))
        command = [
            str(Path(sys.executable).parent / "weed"), "-logtostderr=true", "server", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", f"-dir={self._folder}", "-filer", "-s3", f"-s3.config={config}", "-volume.max=20",
            "-master.volumeSizeLimitMB=256", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-master.telemetry=false",
            *(f"-{name}.port={port}" for name, port in ports.items()),
            *(f"-{name}.port.grpc={port}" for name, port in grpc.items()),
        ]  # fmt: skip
        self._ports = free
        self.endpoint = f"http://127.0.0.1:{ports['s3']}"
        with (self._folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for port in self._ports:
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()

    def _wait(self) -> None:
        """Until it takes a file, which needs more than its port."""
        store = S3Store(
            BUCKET, endpoint=self.endpoint, access_key_id=ACCESS_KEY, secret_access_key=SECRET_KEY, region="us-east-1",
            client_options={"allow_http": True, "timeout": "5s"}, retry_config={"max_retries": 0},
        )  # fmt: skip
        until = time.monotonic() + READY_SECONDS
        while True:
            try:
                obstore.put(store, "ready", b"ready")
                return
            except Exception as problem:
                assert self._process is not None
                if time.monotonic() > until or self._process.poll() is not None:
                    raise AssertionError((self._folder / "server.log").read_text()[-2000:]) from problem
                time.sleep(0.2)
