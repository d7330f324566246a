"""Meta's error codes in words: what each means, and what to do about it. Pure."""

from typing import Any

from whatsync.model import limits
from whatsync.sources.whatsapp.values import Fields, fields, first, text

_RETRY = "Try again in a little while, each time waiting longer."
_PERSON = "Nothing can be done from here; reach the person another way."
_TEMPLATE = "Correct the template or its parameters in WhatsApp Manager, then send anew."
_OPERATOR = "Look at the business account in Meta's Business Manager; nothing can be sent before that is settled."

CODES: dict[int, tuple[str, str]] = {
    0: ("Authentication failed", f"The access token is no longer good. Make a new one of a system user. {_OPERATOR}"),
    1: ("Unknown error at Meta", f"Meta could not say what went wrong. {_RETRY}"),
    2: ("Meta is down for a moment", f"A service at Meta did not answer. {_RETRY}"),
    3: ("Not permitted", f"The app lacks a capability it needs. {_OPERATOR}"),
    4: ("Too many calls by the app", f"The app reached its rate limit. {_RETRY}"),
    10: ("Permission denied", "The access token lacks a permission, or the number was never given to it."),
    33: ("Number deleted", f"The business number no longer exists. {_OPERATOR}"),
    100: ("Parameter wrong", "A field of the request is missing, misspelt or too long. Correct the request."),
    190: ("Access token expired", "Make a new token of a system user, which does not expire."),
    200: ("Permission missing", "Give the token the permission whatsapp_business_messaging."),
    368: ("Blocked for policy violations", _OPERATOR),
    80007: ("Business account's rate limit", f"The business account reached its rate limit. {_RETRY}"),
    130429: ("Number's rate limit", f"The number sends faster than Meta lets it. {_RETRY}"),
    130472: ("Held back by an experiment of Meta", "Meta did not deliver this marketing message; do not repeat it."),
    130497: ("Country restricted", "This business may not write to people in that country."),
    131000: ("Something went wrong at Meta", f"Meta gives no more detail. {_RETRY}"),
    131005: ("Access denied", "A permission was not given or was taken away. Check the token's permissions."),
    131008: ("Parameter missing", "A required field of the request is missing. Correct the request."),
    131009: ("Parameter value wrong", "A value in the request is not valid. Correct the request."),
    131016: ("Service unavailable", f"A service at Meta is down for the moment. {_RETRY}"),
    131021: ("Sender and recipient are the same", "A number can't write to itself."),
    131026: (
        "Message undeliverable",
        f"The person is not on WhatsApp, uses a very old version, or has not accepted the terms. {_PERSON}",
    ),
    131030: (
        "Recipient not on the allowed list",
        "A test number writes only to the numbers on its list; add it.",
    ),
    131031: ("Account locked", _OPERATOR),
    131037: ("Display name needs approval", "Have the number's display name approved in WhatsApp Manager."),
    131042: ("Payment problem", "Something is wrong with the business account's payment method. Settle it at Meta."),
    131045: ("Number not registered", "Register the number for the Cloud API, then send anew."),
    131047: (
        "More than 24 hours since the person wrote",
        "Free text is possible only within 24 hours of the person's last message. Send a template.",
    ),
    131048: (
        "Held back as spam",
        "Too many of this number's messages were blocked or reported. Write less.",
    ),
    131049: (
        "Meta chose not to deliver it",
        "The person gets much marketing already. Do not repeat it within 24 hours.",
    ),
    131050: ("The person stopped marketing messages", "Send this person no marketing messages any more."),
    131051: ("Type of message not supported", "WhatsApp can't show this kind of message here; ask for text instead."),
    131052: ("Media could not be downloaded", "Meta could not get the person's file. Ask for it to be sent again."),
    131053: ("Media could not be uploaded", "The file's type or size is not one WhatsApp takes. Check it, try again."),
    131056: ("Too many messages to this person", "Wait before writing to this person again; others are not concerned."),
    131057: ("Account in maintenance", f"The number is being upgraded, which takes minutes. {_RETRY}"),
    131060: (
        "Message not available",
        "WhatsApp did not hand the message over; it may stand in the WhatsApp Business app on the phone.",
    ),
    131062: ("Not possible by user id", "This message needs the phone number; the user id alone is not enough."),
    131063: ("Not possible by user id", "This message needs the phone number; the user id alone is not enough."),
    131064: ("Messaging limit reached", "The number may begin no more conversations today."),
    132000: ("Template parameters do not match", _TEMPLATE),
    132001: (
        "Template does not exist",
        f"There is none of this name in this language, or it is not approved. {_TEMPLATE}",
    ),
    132005: ("Template text too long", _TEMPLATE),
    132007: ("Template against the rules", _TEMPLATE),
    132012: ("Template parameter's format wrong", _TEMPLATE),
    132015: ("Template paused for its quality", _TEMPLATE),
    132016: ("Template disabled for its quality", "It was paused too often. Make another template."),
    132068: ("Flow is blocked", "Correct the flow in WhatsApp Manager."),
    132069: ("Flow is throttled", "Ten messages with this flow were sent within the hour. Wait, or correct the flow."),
    133000: ("Deregistration incomplete", "Deregister the number again, then register it."),
    133004: ("Server unavailable", f"The registration service is down. {_RETRY}"),
    133005: ("PIN wrong", "The number's two-step PIN is wrong. Change it in WhatsApp Manager."),
    133006: ("Number not verified", "Verify the number, then register it."),
    133010: ("Number not registered", "Register the number for the Cloud API."),
    133016: ("Registered too often", "The number was registered too often. Wait as long as Meta's answer says."),
    135000: ("Message type not accepted", "A field of the request does not fit. Correct the request."),
    137000: ("Person's identity has changed", "Confirm the person's identity key, then send anew."),
    2593109: ("History not shared", "The owner of the number chose not to share old conversations."),
}
"""Code → short name, and what it means with what to do."""


def explained(errors: object) -> dict[str, Any] | None:
    """The first of Meta's errors as ``details.error`` has it: its code, a title, and an explanation in words."""
    error = errors if isinstance(errors, dict) else first(errors)
    if not error:
        return None
    code = error.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 12:
        code = int(code)
    known = CODES.get(code) if isinstance(code, int) and not isinstance(code, bool) else None
    title = _said(error, "title", "message") or (known[0] if known else None)
    meta = _said(fields(error.get("error_data")), "details")
    words = [_sentence(part) for part in (meta if meta != title else None, known[1] if known else None) if part]
    shown = code if isinstance(code, int) and not isinstance(code, bool) else text(code, limits.WORD_CHARS_MAX)
    return {"code": shown, "title": title, "explanation": " ".join(words) or None}


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else words + "."


def _said(error: Fields, *names: str) -> str | None:
    return next((found for name in names if (found := text(error.get(name), 2_000))), None)
