"""The store on SQLite, through apsw: one writing connection in one thread, readers beside it."""
