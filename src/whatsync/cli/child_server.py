"""A server of our own for a little while: started as a process on a temporary folder and a free port, and ended again.

Used by ``whatsync demo`` and tests. Knows the server by its command and the files by which it lets itself be found.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from whatsync.cli import presence
from whatsync.cli.client import Access
from whatsync.cli.failure import Failure
from whatsync.cli.patience import pause
from whatsync.config import PREFIX

START_SECONDS = 30
STOP_SECONDS = 20
_LOOK_SECONDS = 0.05
_LOG_BYTES_SHOWN = 2_000


class ChildServer:
    """A running server; a context manager that leaves nothing behind. Raises Failure where it does not start."""

    def __init__(self, settings: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
        self._own = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="whatsync-")) if folder is None else folder
        self.data_dir = self.folder / "data"
        self.log = self.folder / "server.log"
        self._settings = dict(settings or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.access = Access("", "")

    def __enter__(self) -> Self:
        """Start it and wait until it can be spoken to."""
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it and remove its folder."""
        try:
            self.stop()
        finally:
            self._clean()

    def start(self) -> None:
        """Start the process, with the settings given and no other of the environment's."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment |= {f"{PREFIX}HOST": "127.0.0.1", f"{PREFIX}PORT": "0", f"{PREFIX}DATA_DIR": str(self.data_dir)}
        environment |= {f"{PREFIX}{name}": value for name, value in self._settings.items()}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "whatsync", "serve"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.access = self._wait_until_found()

    def _wait_until_found(self) -> Access:
        assert self.process is not None
        for _ in range(int(START_SECONDS / _LOOK_SECONDS)):
            found = presence.find(self.data_dir)
            if found is not None and found[1] is not None:
                return Access(found[0], found[1])
            if self.process.poll() is not None:
                raise Failure(f"the server did not start:\n{self.last_words()}")
            pause(_LOOK_SECONDS)
        self.stop()
        raise Failure(f"the server did not start within {START_SECONDS} s:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of what the server wrote."""
        return self.log.read_bytes()[-_LOG_BYTES_SHOWN:].decode("utf-8", "replace").strip()

    def stop(self) -> int | None:
        """End it as an operator would, by force if it takes too long; returns its exit status."""
        process = self.process
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            except BaseException:
                process.kill()
                raise
        return process.wait()

    def _clean(self) -> None:
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)
