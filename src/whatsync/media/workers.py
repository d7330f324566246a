"""Work on files in threads of its own: a slow disk delays neither the event loop nor anybody else's threads."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

THREADS = 4


class Handle:
    """An open file. Closed when nobody refers to it any more: a thread that still works on it keeps it open, even
    where whoever asked for the work was cancelled.
    """

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


class Workers:
    """A few threads. ``close`` when nothing is asked any more."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="media")

    async def run(self, work: Callable[[], Result]) -> Result:
        """Have one of them do it. Raises what the work raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Wait for what is under way."""
        self._threads.shutdown(cancel_futures=True)
