"""The route that erases one person. Starts a job; what is erased is decided in ``engine/erasure.py``."""

from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine import erasure
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.web.api.call import Answer, Call, Route
from whatsync.web.api.jobs import JobView, job_view


class ErasureForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Whom to erase: one of the two."""

    phone: Annotated[str, Meta(max_length=limits.ADDRESS_CHARS_MAX, description="The person's phone number")] | None = (
        None
    )
    contact_id: Annotated[str, Meta(max_length=limits.REFERENCE_CHARS_MAX)] | None = None


async def erase_person(call: Call) -> Answer:
    """Removes the person's texts, media references, contact, details and kept answers, as a job; ids and times stay.

    Bodies stay valid: what is removed becomes `null`. Deliveries still open end as `cancelled`, reason `erased`. The
    phone leads to the contact's id and the other way round, and messages to their statuses and media. When the job has
    ended, it no longer knows whom it was about.
    """
    form: ErasureForm = call.body
    services = call.services
    parameters = services.erasure.parameters(form.phone, form.contact_id)
    job = await services.jobs.start(call.account, erasure.KIND, parameters, call.principal.actor)
    return Answer(202, job_view(job))


ROUTES = (
    Route(
        "POST", "/v1/erasures", Scope.ADMIN, erase_person, "Erase a person",
        takes=ErasureForm, gives={202: JobView},
    ),
)  # fmt: skip
