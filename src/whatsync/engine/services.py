"""Everything the doors (API, dashboard) may call, in one frozen bundle that ``compose`` fills. Holds no rule of its
own.

Holds no rule of its own. A new service gets a field here and a line in ``compose``; there is no second way
to write data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import Directory
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.ingest import Ingest
from whatsync.engine.journal import Journal
from whatsync.engine.quota import Quota
from whatsync.engine.runner import Runner
from whatsync.engine.standing import Standing
from whatsync.engine.sweep import Sweep
from whatsync.engine.tally import Tally
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import Store
from whatsync.ports.vault import Vault

if TYPE_CHECKING:
    from whatsync.engine.accounts import Accounts
    from whatsync.engine.bulk_resend import BulkResend
    from whatsync.engine.connection import Connector
    from whatsync.engine.deliveries import Deliveries
    from whatsync.engine.endpoints import Endpoints
    from whatsync.engine.erasure import Erasure
    from whatsync.engine.event_types import EventTypes
    from whatsync.engine.feed import Feed
    from whatsync.engine.inspection import Inspection
    from whatsync.engine.intake import Callback
    from whatsync.engine.jobs import Jobs
    from whatsync.engine.keys import Keys
    from whatsync.engine.link_mails import LinkMails
    from whatsync.engine.links import Links
    from whatsync.engine.media import Media
    from whatsync.engine.messages import Messages
    from whatsync.engine.numbers import Numbers
    from whatsync.engine.quiet import Quiet
    from whatsync.engine.recover import Recover
    from whatsync.engine.reprocess_span import ReprocessSpan
    from whatsync.engine.reprocessing import Reprocessing
    from whatsync.engine.sessions import Sessions
    from whatsync.engine.sign_in import SignIn
    from whatsync.engine.sources import Sources
    from whatsync.engine.test_sends import TestSends
    from whatsync.engine.uploads import Uploads
    from whatsync.engine.url_check import UrlCheck
    from whatsync.engine.users import Users


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The composed services of one running server."""

    clock: Clock
    randomness: Randomness
    vault: Vault
    store: Store
    history: History
    directory: Directory
    configuration: Configuration
    dispatcher: Dispatcher
    standing: Standing
    sweep: Sweep
    quota: Quota
    ingest: Ingest
    tally: Tally
    journal: Journal
    runner: Runner
    sender_statistics: Callable[[], Mapping[str, object]]
    """The sender's counters by name; those that are whole numbers show as metrics."""
    accounts: "Accounts"
    keys: "Keys"
    endpoints: "Endpoints"
    event_types: "EventTypes"
    deliveries: "Deliveries"
    jobs: "Jobs"
    recover: "Recover"
    bulk_resend: "BulkResend"
    erasure: "Erasure"
    messages: "Messages"
    media: "Media"
    uploads: "Uploads"
    feed: "Feed"
    inspection: "Inspection"
    test_sends: "TestSends"
    users: "Users"
    sessions: "Sessions"
    links: "Links"
    link_mails: "LinkMails"
    sign_in: "SignIn"
    sources: "Sources"
    numbers: "Numbers"
    quiet: "Quiet"
    reprocessing: "Reprocessing"
    reprocess_span: "ReprocessSpan"
    connector: "Connector"
    inbound: "Callback"
    """What Meta calls."""
    public_url: str | None
    """Where this installation is reached from outside, without a slash at the end."""
    url_check: "UrlCheck"
