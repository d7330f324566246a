"""WhatsSync takes in WhatsApp events and pushes them to its customers' URLs as signed HTTP POSTs."""

__version__ = "0.1.0"
