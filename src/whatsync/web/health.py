"""``/healthz``: the process answers. ``/readyz``: it can accept and deliver, or what is wrong. Only reads."""

import msgspec

from whatsync.engine.services import Services
from whatsync.engine.troubles import oldest_due_seconds
from whatsync.model import limits
from whatsync.model.errors import FieldError, Unavailable
from whatsync.web.api.call import Answer, Call, Route


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Ready(msgspec.Struct, frozen=True):
    """The server can accept and deliver. ``warnings`` are what an operator should look at all the same."""

    status: str
    warnings: list[str]


class NotReady(Unavailable):
    """The server can't do all of its work now; ``errors`` name what is wrong."""

    def __init__(self, errors: list[FieldError]) -> None:
        words = "; ".join(f"{error.field}: {error.message}" for error in errors)
        super().__init__("not_ready", words)
        self.errors = tuple(errors)


async def healthz(call: Call) -> Answer:
    """For a process manager: an answer means that the process is alive and its loop turns."""
    return Answer(200, Alive("ok"))


async def readyz(call: Call) -> Answer:
    """For a load balancer: 200 while events can be accepted and delivered, else 503 saying what is wrong."""
    wrong = faults(call.services)
    if wrong:
        raise NotReady(wrong)
    return Answer(200, Ready("ready", warnings(call.services)))


def faults(services: Services) -> list[FieldError]:
    """What keeps the server from accepting or delivering."""
    found = []
    runner = services.runner
    if not runner.ready:
        found.append(FieldError("server", "is starting or stopping"))
    found += [FieldError(f"loop.{name}", f"died ({why}); the log tells more") for name, why in runner.dead.items()]
    state = services.store.state()
    if not state.writable:
        found.append(FieldError("store", state.reason or "can't be written"))
    trouble = services.standing.trouble()
    if trouble is not None:
        found.append(FieldError("lease", trouble))
    if not services.dispatcher.recorder.gate_open:
        found.append(FieldError("outcomes", "can't be written, so no delivery is attempted"))
    return found


def warnings(services: Services) -> list[str]:
    """What does not keep the server from working yet."""
    age = oldest_due_seconds(services.dispatcher, services.clock.now_ms())
    found = services.standing.warnings()
    if age > limits.OLDEST_DUE_SECONDS_MAX:
        found.append(f"a delivery of a healthy endpoint has been due for {age:.0f} s")
    if services.media.trouble is not None:
        found.append(f"media files can't be kept: {services.media.trouble}")
    return found


ROUTES = (
    Route("GET", "/healthz", None, healthz, "Is the process alive?", gives={200: Alive}),
    Route("GET", "/readyz", None, readyz, "Can it accept and deliver?", gives={200: Ready}),
)
