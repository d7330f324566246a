"""HTTP: the API, its reference page, health and metrics. Knows the engine's services, never a store."""
