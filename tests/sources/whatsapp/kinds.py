"""One body for every kind of thing Meta sends, by name; the tests of the mapping and of its robustness share them."""

from typing import Any

from tests.sources.whatsapp.cloud import (
    AT,
    PERSON,
    USER,
    Element,
    body,
    card,
    change,
    incoming,
    message,
    status,
    statuses,
    value,
)

FILE = {"id": "1200000000000001", "mime_type": "image/jpeg", "sha256": "c2hhMjU2", "url": "https://media.example/1"}


def _field(field: str, **lists: Any) -> Element:
    return body(change(value(**lists), field))


def _account(field: str, **given: Any) -> Element:
    return body(change(given, field), time=AT)


MESSAGES: dict[str, Element] = {
    "text": message(),
    "image": message(kind="image", image={**FILE, "caption": "Look"}),
    "video": message(kind="video", video={**FILE, "mime_type": "video/mp4"}),
    "document": message(kind="document", document={**FILE, "mime_type": "application/pdf", "filename": "a.pdf"}),
    "audio": message(kind="audio", audio={**FILE, "mime_type": "audio/mpeg"}),
    "voice note": message(kind="audio", audio={**FILE, "mime_type": "audio/ogg; codecs=opus", "voice": True}),
    "sticker": message(kind="sticker", sticker={**FILE, "mime_type": "image/webp", "animated": False}),
    "location": message(
        kind="location",
        location={"latitude": 52.5, "longitude": -13.25, "name": "The shop", "address": "Market 1"},
    ),
    "contacts": message(
        kind="contacts",
        contacts=[
            {"name": {"formatted_name": "Bo Example"}, "phones": [{"phone": "+49 171 5", "wa_id": "491715"}]},
            {"name": {"first_name": "Cy"}, "phones": [{"phone": "0171 6"}, {"wa_id": "491717"}]},
        ],
    ),
    "button reply": message(
        kind="interactive",
        interactive={"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes, please"}},
    ),
    "list reply": message(
        kind="interactive",
        interactive={"type": "list_reply", "list_reply": {"id": "row1", "title": "Tuesday", "description": "at 10"}},
    ),
    "flow reply": message(
        kind="interactive",
        interactive={"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent", "response_json": '{"a":1}'}},
    ),
    "interactive without its object": message(kind="interactive"),
    "template button": message(kind="button", button={"payload": "STOP", "text": "No more"}),
    "order": message(
        kind="order",
        order={
            "catalog_id": "9",
            "product_items": [
                {"product_retailer_id": "tea", "quantity": 2, "item_price": 3.5, "currency": "EUR"},
                {"product_retailer_id": "cup", "quantity": 1},
            ],
        },
    ),
    "order with text": message(kind="order", order={"text": "Quickly, please", "product_items": []}),
    "unsupported": message(
        kind="unsupported",
        errors=[{"code": 131051, "title": "Message type unknown", "error_data": {"details": "Not supported"}}],
    ),
    "a type nobody knows": message(kind="hologram", hologram={"depth": 3}),
    "reply": message(context={"from": "15550100200", "id": "wamid.before"}),
    "from an ad": message(referral={"source_url": "https://ad.example/1", "source_type": "ad", "headline": "Tea"}),
}

BODIES: dict[str, Element] = {name: incoming(element) for name, element in MESSAGES.items()} | {
    "person without a phone": incoming(
        {"from_user_id": USER, "id": "wamid.u", "timestamp": str(AT), "type": "text", "text": {"body": "Hi"}},
        contacts=[card(None, "Uma", USER)],
    ),
    "user id in the phone's place": incoming(message(person=USER), contacts=[card(None, "Uma", USER)]),
    "reaction": incoming(message("wamid.r", "reaction", reaction={"message_id": "wamid.one", "emoji": "👍"})),
    "edit": incoming(message("wamid.e", "edit", edit={"original_message_id": "wamid.one", "message": {}})),
    "revoke": incoming(message("wamid.d", "revoke", revoke={"original_message_id": "wamid.one"})),
    "request welcome": incoming(message(kind="request_welcome")),
    "number changed": incoming(
        message("wamid.s", "system", system={"type": "user_changed_number", "wa_id": "491700000009", "body": "…"}),
        contacts=[],
    ),
    "user id changed": incoming(
        message("wamid.s", "system", system={"type": "user_changed_user_id", "user_id": "DE.9", "body": "…"}),
        contacts=[],
    ),
    "identity changed": incoming(message("wamid.i", "system", system={"type": "customer_identity_changed"})),
    "sent": statuses(status(said="sent", pricing={"billable": True, "category": "utility"})),
    "delivered": statuses(status()),
    "read": statuses(status(said="read")),
    "played": statuses(status(said="played")),
    "failed": statuses(
        status(said="failed", errors=[{"code": 131047, "title": "Re-engagement message", "message": "…"}])
    ),
    "status of a group": statuses(
        status(recipient_type="group", recipient_id="group1", recipient_participant_id=PERSON),
        status(recipient_type="group", recipient_id="group1", recipient_participant_id="491700000002"),
    ),
    "status by user id": statuses(
        {"id": "wamid.out", "status": "sent", "timestamp": str(AT), "recipient_user_id": USER}
    ),
    "errors alone": _field("messages", errors=[{"code": 130429, "title": "Rate limit hit"}]),
    "echo": _field("smb_message_echoes", message_echoes=[message("wamid.echo", to=PERSON), message("wamid.echo2")]),
    "address book": _field(
        "smb_app_state_sync",
        state_sync=[
            {
                "type": "contact",
                "contact": {"full_name": "Bo", "phone_number": "491715"},
                "action": "add",
                "metadata": {"timestamp": str(AT)},
            },
            {"type": "contact", "contact": {"phone_number": "491716"}, "action": "remove"},
        ],
    ),
    "history": _field(
        "history",
        history=[
            {
                "metadata": {"phase": 0, "chunk_order": 1, "progress": 50},
                "threads": [
                    {"id": PERSON, "messages": [message("wamid.h1"), message("wamid.h2")]},
                    {"id": "491715", "messages": [message("wamid.h3", person="491715")]},
                ],
            }
        ],
    ),
    "history refused": _field("history", history=[{"errors": [{"code": 2593109, "title": "Declined"}]}]),
    "history's media": _field("history", messages=[message("wamid.h1", "image", image=FILE)]),
    "preference": _field(
        "user_preferences",
        user_preferences=[{"wa_id": PERSON, "category": "marketing_messages", "value": "stop", "timestamp": AT}],
    ),
    "user id update": _field(
        "user_id_update",
        user_id_update=[{"wa_id": PERSON, "user_id": {"previous": USER, "current": "DE.9"}, "timestamp": AT}],
    ),
    "call": _field("calls", calls=[{"id": "wacid.1", "from": PERSON, "event": "connect", "timestamp": str(AT)}]),
    "group": _field("group_lifecycle_update", groups=[{"group_id": "g1", "type": "group_create"}]),
    "template": _account("message_template_status_update", event="APPROVED", message_template_id=1234),
    "quality": _account("phone_number_quality_update", display_phone_number="15550100200", event="FLAGGED"),
    "a field nobody knows": _account("weather_update", sky="blue"),
}
"""By name. Every one makes at least one event."""

BATCH = body(
    *(
        change(value(contacts=[card()], messages=[{**element, "id": f"wamid.{name}"}]))
        for name, element in MESSAGES.items()
    ),
    *(change(value(statuses=[status(said=said)])) for said in ("sent", "delivered", "read")),
)
"""Many changes in one body."""
