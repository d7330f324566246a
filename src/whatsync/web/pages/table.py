"""The table of all pages and the navigation: each module's own, joined. A new module is a line here."""

from whatsync.web.pages import (
    accounts,
    audit_log,
    bulk,
    delivery,
    endpoint,
    endpoint_edit,
    event_types,
    export,
    help,
    history,
    home,
    jobs,
    keys,
    messages,
    numbers,
    overview,
    profile,
    secret,
    settings,
    sign_in,
    source,
    sources,
    team,
    webhooks,
)
from whatsync.web.pages.page import Entry, Page

MODULES = (
    accounts,
    audit_log,
    bulk,
    delivery,
    endpoint,
    endpoint_edit,
    event_types,
    export,
    help,
    history,
    home,
    jobs,
    keys,
    messages,
    numbers,
    overview,
    profile,
    secret,
    settings,
    sign_in,
    source,
    sources,
    team,
    webhooks,
)

PAGES: tuple[Page, ...] = tuple(page for module in MODULES for page in module.PAGES)
ENTRIES: tuple[Entry, ...] = tuple(entry for module in MODULES for entry in module.ENTRIES)
