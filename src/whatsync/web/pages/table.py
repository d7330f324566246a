"""The table of all pages and the navigation: each module's own, joined. A new module is a line here."""

from whatsync.web.pages import home, profile, sign_in
from whatsync.web.pages.page import Entry, Page

MODULES = (
    home,
    profile,
    sign_in,
)

PAGES: tuple[Page, ...] = tuple(page for module in MODULES for page in module.PAGES)
ENTRIES: tuple[Entry, ...] = tuple(entry for module in MODULES for entry in module.ENTRIES)
