"""How the measuring processes keep out of the way of what they measure."""

import os
from contextlib import suppress


def step_aside() -> None:
    """Have this process work as one of a batch: it gets its share of the processor, and never interrupts the server, as
    a machine elsewhere would not.
    """
    with suppress(OSError, AttributeError):  # Linux alone knows it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
