"""A long-lived Node.js process that answers, line by line, what JavaScript makes of JSON: the judge of our encoder."""

import base64
import subprocess
from types import TracebackType
from typing import Self

from tests.patience import PATIENCE_SECONDS

_PROGRAM = """
const lines = require('readline').createInterface({ input: process.stdin });
lines.on('line', (line) => {
  let answer = '!';
  try {
    const text = Buffer.from(line, 'base64').toString('utf8');
    answer = Buffer.from(JSON.stringify(JSON.parse(text)), 'utf8').toString('base64');
  } catch (problem) { /* not JSON: the line says so */ }
  process.stdout.write(answer + '\\n');
});
"""


class NodeJson:
    """``JSON.stringify(JSON.parse(…))`` by the real thing."""

    def __init__(self, node: str) -> None:
        self._process = subprocess.Popen(
            [node, "-e", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=PATIENCE_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def round_trip(self, raw: bytes) -> bytes | None:
        """What comes back from parsing and writing ``raw``; ``None`` where JavaScript refuses it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(base64.b64encode(raw).decode("ascii") + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer, "Node.js has ended"
        return None if answer == "!" else base64.b64decode(answer)
