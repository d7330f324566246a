"""A command on a pseudo-terminal, as a person runs it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios

from tests.cli.conftest import SECONDS, Shell
from whatsync.net.system import SystemClock


class Terminal:
    """A command on a terminal, with what it shows and the keys one presses."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self.seen = ""
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WHATSYNC_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "whatsync", *words],
            env={**kept, **shell.environment, "TERM": "xterm", "COLUMNS": "140"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs

    def until(self, text: str, times: int = 1) -> None:
        clock = SystemClock()
        end = clock.monotonic() + SECONDS
        while self.seen.count(text) < times:
            assert clock.monotonic() < end, self.seen
            if select.select([self.ours], [], [], 0.2)[0]:
                self.seen += os.read(self.ours, 65_536).decode("utf-8", "replace")

    def press(self, key: str) -> None:
        os.write(self.ours, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)
