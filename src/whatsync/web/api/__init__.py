"""The API's routes, one file per resource; each declares a ``ROUTES`` tuple that ``routes.py`` joins."""
