"""Changing only what one has read: ``ETag`` on answers, ``If-Match`` on changes, both a document's version."""

import re

from whatsync.model.errors import FieldError, Invalid
from whatsync.web.api.call import Call

IF_MATCH = {"If-Match": "Change it only if it still has this version (the `ETag` of the answer it was read from)"}

_TAG = re.compile(r'"?(\d{1,18})"?')


def tag(version: int) -> dict[str, str]:
    """The header that names a version."""
    return {"etag": f'"{version}"'}


def expected_version(call: Call) -> int | None:
    """The version that the caller insists on, ``None`` where any will do. Raises Invalid."""
    text = call.headers.get("if-match", "*").strip()
    if text == "*":
        return None
    found = _TAG.fullmatch(text)
    if found is None:
        raise Invalid([FieldError("If-Match", 'must be the ETag of an earlier answer, such as "3", or *')])
    return int(found[1])
