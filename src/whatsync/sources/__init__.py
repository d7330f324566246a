"""Where events come from besides the API: each source has a folder of its own."""
