"""The API's hints in the words of the command line: who types commands is told which one, not which call. Pure."""

import re

_ENABLE = "whatsync endpoints enable"
_RULES = tuple(
    (re.compile(pattern), command)
    for pattern, command in (
        (r'PATCH /v1/endpoints/(\S+) with \{"enabled": true, "held": "(\w+)"\}', rf"{_ENABLE} \1 --held \2"),
        (r'PATCH /v1/endpoints/(\S+) with \{"enabled": true\}', rf"{_ENABLE} \1"),
        (r'PATCH it with \{"enabled": true, "held": "(\w+)"\}', rf"{_ENABLE} ENDPOINT --held \1"),
        (r'PATCH this endpoint with \{"held": "(\w+)"\}', rf"{_ENABLE} ENDPOINT --held \1"),
        (r'or \{"held": "(\w+)"\}', r"or --held \1"),
        (r"POST /v1/events/\{id\}/resend", "whatsync events resend EVENT"),
        (r"POST /v1/events/([\w-]+)/resend", r"whatsync events resend \1"),
        (r"POST /v1/deliveries/(\w+)/retry", r"whatsync deliveries retry \1"),
        (r"POST /v1/endpoints/\{id\}/test", "whatsync endpoints test ENDPOINT"),
        (
            r"add \?account=acc_… or the header X-WhatsSync-Account",
            "add --account acc_… (`whatsync accounts list` shows them)",
        ),
        (r"GET /v1/([a-z-]+) lists them", r"whatsync \1 list shows them"),
        (r"GET /v1/([a-z-]+)", r"whatsync \1 list"),
        (r"POST /v1/event-types", "whatsync event-types create"),
    )
)


def as_commands(text: str) -> str:
    """A sentence of the API with the calls it names replaced by commands."""
    for pattern, command in _RULES:
        text = pattern.sub(command, text)
    return text
