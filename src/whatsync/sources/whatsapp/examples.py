"""Examples of what Meta sends beside messages and statuses, for test sends of ``whatsapp.…`` types. What is in them is
invented; each is read as a real body is, so that its event has the shape of a real one. Pure.
"""

from typing import Any

from whatsync.model.arrival import Arrival
from whatsync.sources.whatsapp.payloads import read
from whatsync.sources.whatsapp.samples import escaped

Element = dict[str, Any]

BUSINESS = "102290129340398"
DISPLAY = "15550100200"
PERSON = "1234567890"
_USER = "US.13491208655302741918"
_EARLIER = "wamid.HBgKMTIzNDU2Nzg5MBUCABEYEjA="


def _messages(at: str) -> dict[str, Element]:
    """Types of message that are events of their own."""
    return {
        "reaction": {"reaction": {"message_id": _EARLIER, "emoji": "👍"}},
        "edit": {
            "edit": {
                "original_message_id": _EARLIER,
                "message": {"type": "text", "text": {"body": "Hello, I need some help"}, "timestamp": at},
            }
        },
        "revoke": {"revoke": {"original_message_id": _EARLIER}},
        "request_welcome": {},
        "system": {
            "system": {
                "type": "user_changed_number",
                "body": "User John Doe changed from 1234567890 to 1987654321",
                "wa_id": "1987654321",
            }
        },
    }


def _of_number(at: str, wamid: str) -> dict[str, Element]:
    """Fields about one number."""
    return {
        "smb_message_echoes": {
            "message_echoes": [
                {
                    "from": DISPLAY,
                    "to": PERSON,
                    "id": wamid,
                    "timestamp": at,
                    "type": "text",
                    "text": {"body": "We are on it"},
                }
            ]
        },
        "smb_app_state_sync": {
            "state_sync": [
                {
                    "type": "contact",
                    "contact": {"full_name": "John Doe", "first_name": "John", "phone_number": PERSON},
                    "action": "add",
                    "metadata": {"timestamp": at},
                }
            ]
        },
        "history": {
            "history": [
                {
                    "metadata": {"phase": 0, "chunk_order": 1, "progress": 100},
                    "threads": [
                        {
                            "id": PERSON,
                            "messages": [
                                {
                                    "from": PERSON,
                                    "id": wamid,
                                    "timestamp": at,
                                    "type": "text",
                                    "text": {"body": "Do you have this in blue?"},
                                    "history_context": {"status": "READ"},
                                }
                            ],
                        }
                    ],
                }
            ]
        },
    }


def _of_people(at: str) -> dict[str, Element]:
    """Fields about somebody who calls, asks for something or is known otherwise."""
    return {
        "calls": {
            "calls": [{"id": "wacid.HBgKMTIz", "from": PERSON, "to": DISPLAY, "event": "connect", "timestamp": at}]
        },
        "user_preferences": {
            "user_preferences": [
                {
                    "wa_id": PERSON,
                    "category": "marketing_messages",
                    "value": "stop",
                    "detail": "The person asked for no more marketing messages",
                    "timestamp": int(at),
                }
            ]
        },
        "user_id_update": {
            "user_id_update": [
                {
                    "wa_id": PERSON,
                    "detail": "The person's id has changed",
                    "user_id": {"previous": _USER, "current": "US.20541208655302741999"},
                    "timestamp": at,
                }
            ]
        },
    }


def _of_groups(at: str) -> dict[str, Element]:
    """Fields about groups of a number."""
    group = {"group_id": "Y2FwaV9ncm91cDox", "timestamp": at}
    return {
        "group_lifecycle_update": {"groups": [{**group, "type": "group_create", "subject": "Orders"}]},
        "group_participants_update": {
            "groups": [{**group, "type": "group_participants_add", "added_participants": [{"wa_id": PERSON}]}]
        },
        "group_settings_update": {
            "groups": [{**group, "type": "group_settings_update", "group_subject": {"text": "Orders"}}]
        },
        "group_status_update": {"groups": [{**group, "type": "group_suspend"}]},
    }


def _of_account() -> dict[str, Element]:
    """Fields about a business account as a whole."""
    template: Element = {
        "message_template_id": 1689556908129832,
        "message_template_name": "order_shipped",
        "message_template_language": "en_US",
    }
    return {
        "message_template_status_update": {"event": "APPROVED", **template, "reason": "NONE"},
        "message_template_quality_update": {
            "previous_quality_score": "GREEN",
            "new_quality_score": "YELLOW",
            **template,
        },
        "message_template_components_update": {
            **template,
            "message_template_element": "Your order {{1}} is on its way.",
        },
        "template_category_update": {**template, "previous_category": "UTILITY", "new_category": "MARKETING"},
        "phone_number_quality_update": {
            "display_phone_number": DISPLAY,
            "event": "FLAGGED",
            "current_limit": "TIER_10K",
        },
        "phone_number_name_update": {
            "display_phone_number": DISPLAY,
            "decision": "APPROVED",
            "requested_verified_name": "Shop",
            "rejection_reason": None,
        },
        "account_update": {
            "event": "ACCOUNT_VIOLATION",
            "violation_info": {"violation_type": "EXAMPLE_FOR_A_TEST"},
        },
        "account_review_update": {"decision": "APPROVED"},
        "account_alerts": {
            "entity_type": "PHONE_NUMBER",
            "entity_id": 106540352242922,
            "alert_severity": "INFORMATIONAL",
            "alert_status": "NONE",
            "alert_type": "OBA_APPROVED",
            "alert_description": "An example for a test",
        },
        "business_capability_update": {
            "max_daily_conversation_per_phone": 10_000,
            "max_phone_numbers_per_business": 25,
        },
        "security": {
            "display_phone_number": DISPLAY,
            "event": "PIN_CHANGED",
            "requester": "61555822107539",
        },
    }


def arrival_of(event_type: str, number: str, wamid: str, now_ms: int) -> Arrival | None:
    """The example of one ``whatsapp.…`` type, about a number; ``None`` where no example of it is known."""
    name, at = event_type.removeprefix("whatsapp."), str(now_ms // 1000)
    about_number: Element = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": DISPLAY, "phone_number_id": number},
    }
    messages, numbers, accounts = _messages(at), _of_number(at, wamid) | _of_people(at) | _of_groups(at), _of_account()
    entry: Element = {"id": BUSINESS}
    if name in messages:
        head = {"from": PERSON, "id": wamid, "timestamp": at}
        card = {"profile": {"name": "John Doe"}, "wa_id": PERSON}
        element = {**head, **messages[name], "type": name}
        change = {"value": {**about_number, "contacts": [card], "messages": [element]}, "field": "messages"}
    elif name in numbers:
        change = {"value": {**about_number, **numbers[name]}, "field": name}
    elif name in accounts:
        entry["time"] = now_ms // 1000
        change = {"value": accounts[name], "field": name}
    else:
        return None
    body = {"object": "whatsapp_business_account", "entry": [{**entry, "changes": [change]}]}
    found = [one for one in read(escaped(body), now_ms).arrivals if one.event_type == event_type]
    return found[0] if found else None


NAMES = tuple(sorted({*_messages("0"), *_of_number("0", ""), *_of_people("0"), *_of_groups("0"), *_of_account()}))
"""What stands behind ``whatsapp.`` in the types that have an example."""
