"""Single keys from a terminal, as they are pressed. Without a terminal there are none."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def is_there() -> bool:
    """Whether somebody can press keys."""
    return sys.stdin.isatty()


@contextmanager
def keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """Call ``pressed`` with each key while the block runs; the terminal is as before afterwards, whatever happens."""
    if not is_there():
        yield
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    loop = asyncio.get_running_loop()

    def read() -> None:
        for key in os.read(handle, 64).decode("utf-8", "replace"):
            pressed(key)

    tty.setcbreak(handle)
    loop.add_reader(handle, read)
    try:
        yield
    finally:
        loop.remove_reader(handle)
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
