"""The data of the four event types of the public document: fields in its order, limits, and its own examples.

Frozen; ``about`` tells whom and which message an event concerns. Knows no envelope and no origin.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from whatsync.model import limits
from whatsync.model.phone import phone_word

Time = Annotated[
    str,
    Meta(max_length=limits.TIME_CHARS_MAX, description="UTC, 2023-06-15T14:22:33Z", extra={"kind": "time"}),
]
Address = Annotated[str, Meta(min_length=1, max_length=limits.ADDRESS_CHARS_MAX)]
Reference = Annotated[str, Meta(min_length=1, max_length=limits.REFERENCE_CHARS_MAX)]
Word = Annotated[str, Meta(min_length=1, max_length=limits.WORD_CHARS_MAX)]
Text = Annotated[str, Meta(max_length=limits.TEXT_CHARS_MAX)]
Name = Annotated[str, Meta(max_length=limits.NAME_CHARS_MAX)]
Url = Annotated[str, Meta(min_length=1, max_length=limits.MEDIA_URL_CHARS_MAX)]


class About(msgspec.Struct, frozen=True, gc=False):
    """What an event concerns, as far as its own data tells."""

    contact: str | None = None
    """Ordering key: events about one contact keep their order."""
    message_id: str | None = None
    """The ``msg_…`` it is or is about."""
    phone: str | None = None
    keys: tuple[str, ...] = ()
    """Words it can be found by, each ``kind:value``."""


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, rename="camel"):
    """Data of a documented event type. Field order is the order in the body, keys are the public document's."""

    def about(self, event_id: str) -> About:
        """Tell what the event with this data and id concerns."""
        raise NotImplementedError


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, rename="camel"):
    """A file that came with a message."""

    media_type: Annotated[Word, Meta(description="`image`, `video`, `audio`, `voice`, `document` or `sticker`")]
    media_url: Annotated[Url | None, Meta(description="Where to get the file")] = None
    mime_type: Annotated[Word | None, Meta(description="Its media type, such as `image/jpeg`")] = None
    caption: Annotated[Text | None, Meta(description="The text that came with it")] = None


class MessageIncoming(Data, frozen=True, gc=False):
    """Data of ``message.incoming``."""

    from_: Annotated[Address, Meta(description="Who wrote: the phone number, or WhatsApp's id where it is hidden")] = (
        msgspec.field(name="from")
    )
    to: Annotated[Address, Meta(description="The business number that received it")]
    text: Annotated[Text | None, Meta(description="What was written")] = None
    media: Annotated[Media | None, Meta(description="The file that came with it")] = None
    timestamp: Annotated[Time | None, Meta(description="When it was sent")] = None

    def about(self, event_id: str) -> About:
        """The sender's message with the event's own id."""
        sender = self.from_
        return About(sender, event_id, sender, ("phone:" + phone_word(sender),))


class MessageStatus(Data, frozen=True, gc=False):
    """Data of ``message.status``."""

    message_id: Annotated[Reference, Meta(description="The message, `msg_…`")]
    status: Annotated[Word, Meta(description="`sent`, `delivered`, `read`, `failed`, …; new words may come")]
    timestamp: Annotated[Time | None, Meta(description="When it changed")] = None

    def about(self, event_id: str) -> About:
        """The message; whom it was for stands with the message."""
        return About(None, self.message_id, None, ("message:" + self.message_id,))


class ContactUpdate(Data, frozen=True, gc=False):
    """Data of ``contact.update``."""

    contact_id: Annotated[Reference, Meta(description="The contact, `contact_…`")]
    phone: Annotated[Address | None, Meta(description="The phone number")] = None
    name: Annotated[Name | None, Meta(description="The name")] = None
    profile_image: Annotated[Url | None, Meta(description="Where to get the picture")] = None

    def about(self, event_id: str) -> About:
        """The contact: by phone where there is one, as its messages are, else by its id."""
        contact = "contact:" + self.contact_id
        if self.phone is None:
            return About(self.contact_id, None, None, (contact,))
        return About(self.phone, None, self.phone, (contact, "phone:" + phone_word(self.phone)))


class MediaUpload(Data, frozen=True, gc=False):
    """Data of ``media.upload``."""

    message_id: Annotated[Reference | None, Meta(description="The message it came with, `msg_…`")] = None
    media_type: Annotated[
        Word | None, Meta(description="`image`, `video`, `audio`, `voice`, `document` or `sticker`")
    ] = None
    media_url: Annotated[Url | None, Meta(description="Where to get the file")] = None
    mime_type: Annotated[Word | None, Meta(description="Its media type, such as `image/jpeg`")] = None
    caption: Annotated[Text | None, Meta(description="The text that came with it")] = None

    def about(self, event_id: str) -> About:
        """The message it came with, where it came with one."""
        if self.message_id is None:
            return About()
        return About(None, self.message_id, None, ("message:" + self.message_id,))


TIMED = (MessageIncoming, MessageStatus)
"""The types whose data has a time of its own, as its last field; it defaults to the envelope's."""

Example = dict[str, Any]

MESSAGE_INCOMING_EXAMPLE: Example = {
    "event": "message.incoming",
    "id": "msg_123456789",
    "timestamp": "2023-06-15T14:22:33Z",
    "data": {
        "from": "+1234567890",
        "to": "+0987654321",
        "text": "Hello, how are you?",
        "media": None,
        "timestamp": "2023-06-15T14:22:30Z",
    },
}
MESSAGE_STATUS_EXAMPLE: Example = {
    "event": "message.status",
    "id": "status_123456789",
    "timestamp": "2023-06-15T14:23:45Z",
    "data": {"messageId": "msg_987654321", "status": "read", "timestamp": "2023-06-15T14:23:40Z"},
}
CONTACT_UPDATE_EXAMPLE: Example = {
    "event": "contact.update",
    "id": "contact_update_123456789",
    "timestamp": "2023-06-15T15:30:00Z",
    "data": {
        "contactId": "contact_123456",
        "phone": "+1234567890",
        "name": "John Doe",
        "profileImage": "https://example.com/profile.jpg",
    },
}
MEDIA_UPLOAD_EXAMPLE: Example = {
    "event": "media.upload",
    "id": "media_123456789",
    "timestamp": "2023-06-15T16:45:20Z",
    "data": {
        "messageId": "msg_123456",
        "mediaType": "image",
        "mediaUrl": "https://media.whatsync.io/123456.jpg",
        "mimeType": "image/jpeg",
        "caption": "Check out this photo",
    },
}
