"""Moves an installation from a SQLite file to a PostgreSQL database."""
