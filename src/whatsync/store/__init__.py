"""Adapters to disk. All of them pass the same conformance suite."""
