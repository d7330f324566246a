"""How long tests wait for what has to come."""

PATIENCE_SECONDS = 60.0
"""How long anything may take on a machine that is busy, or stands still for a while: who waits goes on as soon as it is
there. It says nothing about how quick something is.
"""
