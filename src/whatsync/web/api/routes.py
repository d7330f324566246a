"""The table of all routes: every resource's own ``ROUTES``, joined. Application and documents are made from it."""

from whatsync.web import health, metrics
from whatsync.web.api import (
    accepting,
    accounts,
    callbacks,
    connections,
    deliveries,
    endpoints,
    erasures,
    event_types,
    events,
    jobs,
    keys,
    media,
    messages,
    numbers,
    reference,
    sources,
    users,
)
from whatsync.web.api.call import Route

ROUTES: tuple[Route, ...] = (
    *accepting.ROUTES,
    *events.ROUTES,
    *messages.ROUTES,
    *media.ROUTES,
    *endpoints.ROUTES,
    *deliveries.ROUTES,
    *jobs.ROUTES,
    *event_types.ROUTES,
    *erasures.ROUTES,
    *accounts.ROUTES,
    *sources.ROUTES,
    *numbers.ROUTES,
    *callbacks.ROUTES,
    *connections.ROUTES,
    *keys.ROUTES,
    *users.ROUTES,
    *reference.ROUTES,
    *health.ROUTES,
    *metrics.ROUTES,
)
