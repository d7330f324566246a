"""Loaded by ``pytest -p tests.compiled.plugin``: the tests run on the compiled modules."""

from whatsync import compiled

_REASON = compiled.use()
if _REASON is not None:
    raise RuntimeError(f"the hot path can't be tested compiled: {_REASON}")
