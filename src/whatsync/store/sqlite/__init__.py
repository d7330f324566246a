"""The store on SQLite, through apsw: one writing connection in one thread, readers beside it.

The schema and the two ideas behind it are told in ``schema/0001_core.sql``.
"""
