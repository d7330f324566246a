"""The table of all pages and the navigation: each module's own, joined. A new module is a line here."""

from whatsync.web.pages import (
    bulk,
    delivery,
    endpoint,
    endpoint_edit,
    export,
    history,
    home,
    jobs,
    messages,
    numbers,
    profile,
    secret,
    sign_in,
    source,
    sources,
    webhooks,
)
from whatsync.web.pages.page import Entry, Page

MODULES = (
    bulk,
    delivery,
    endpoint,
    endpoint_edit,
    export,
    history,
    home,
    jobs,
    messages,
    numbers,
    profile,
    secret,
    sign_in,
    source,
    sources,
    webhooks,
)

PAGES: tuple[Page, ...] = tuple(page for module in MODULES for page in module.PAGES)
ENTRIES: tuple[Entry, ...] = tuple(entry for module in MODULES for entry in module.ENTRIES)
