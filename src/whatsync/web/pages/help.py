"""Help: everything the public document says, with this installation's own words; whom to ask; the support bundle.

Knows the services, no HTTP.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from whatsync.model import limits, retry
from whatsync.model.catalogue import CATALOGUE, Kind
from whatsync.web.pages.page import Download, Entry, Given, Need, Page, Show, Visit
from whatsync.web.pages.support_bundle import bundle


@dataclass(frozen=True, slots=True)
class Documented:
    """One of the four types."""

    name: str
    sentence: str
    example: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to ask."""

    address: str
    """What the link leads to."""
    words: str
    """As it is shown."""


@dataclass(frozen=True, slots=True)
class HelpPage:
    """What ``help.html`` shows."""

    types: list[Documented]
    example: str
    """The public document's own receiver."""
    contacts: list[Contact]
    schedule: str
    schedule_ms: float
    """All waits together."""
    timeout: float
    retention_days: int
    body_bytes: int = limits.BODY_BYTES_MAX


EXAMPLE = """\
// Example signature verification in Node.js
const crypto = require('crypto');

function verifyWebhookSignature(payload, signature, secret) {
  const hmac = crypto.createHmac('sha256', secret);
  const expectedSignature = hmac.update(payload).digest('hex');
  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expectedSignature)
  );
}

// In your webhook handler
app.post('/webhook', (req, res) => {
  const signature = req.headers['x-whatsync-signature'];
  const payload = JSON.stringify(req.body);

  if (!verifyWebhookSignature(payload, signature, process.env.WEBHOOK_SECRET)) {
    return res.status(401).send('Invalid signature');
  }

  // Process the webhook
  console.log('Received valid webhook:', req.body);
  res.status(200).send('OK');
});
"""


async def in_account(visit: Visit) -> Given:
    """Help, with this account's links."""
    return _page(visit)


async def anywhere(visit: Visit) -> Given:
    """The same for who belongs to no account yet."""
    return _page(visit)


def _page(visit: Visit) -> Show:
    defaults = visit.services.endpoints.defaults
    days = None if visit.running is None else visit.account.account.retention_days
    page = HelpPage(
        types=[
            Documented(one.name, one.description, dict(one.example))
            for one in CATALOGUE.values()
            if one.kind is Kind.DOCUMENTED
        ],
        example=EXAMPLE,
        contacts=contacts(visit),
        schedule=retry.format_schedule(defaults.schedule_seconds).replace(",", ", "),
        schedule_ms=sum(defaults.schedule_seconds) * 1000,
        timeout=defaults.timeout_seconds,
        retention_days=days or visit.facts.retention_days,
    )
    return Show("help.html", page)


def contacts(visit: Visit) -> list[Contact]:
    """The support address that is set, else the operators'."""
    url = visit.facts.support_url
    if url is not None:
        mail = url.startswith("mailto:")
        return [Contact(url, unquote(url.removeprefix("mailto:").partition("?")[0]) if mail else url)]
    operators = [user.email for user in visit.services.users.all() if user.operator]
    return [Contact(f"mailto:{email}", email) for email in operators[:3]]


async def support_bundle(visit: Visit) -> Given:
    """The bundle as a file."""
    body = await bundle(visit)

    async def parts() -> AsyncGenerator[bytes, None]:
        yield body

    return Download("whatsync-support.json", "application/json", parts())


PAGES = (
    Page("GET", "/a/{account}/help", Need.VIEWER, in_account),
    Page("GET", "/help", Need.SIGNED_IN, anywhere),
    Page("GET", "/a/{account}/help/support-bundle", Need.DEVELOPER, support_bundle),
)
ENTRIES = (Entry("Help", "/a/{account}/help", "help", Need.VIEWER, group="Support", order=90),)
