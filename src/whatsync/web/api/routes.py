"""The table of all routes: every resource's own ``ROUTES``, joined. Application and documents are made from it."""

from whatsync.web import health, metrics
from whatsync.web.api import accepting, accounts, endpoints, event_types, keys, reference
from whatsync.web.api.call import Route

ROUTES: tuple[Route, ...] = (
    *accepting.ROUTES,
    *endpoints.ROUTES,
    *event_types.ROUTES,
    *accounts.ROUTES,
    *keys.ROUTES,
    *reference.ROUTES,
    *health.ROUTES,
    *metrics.ROUTES,
)
