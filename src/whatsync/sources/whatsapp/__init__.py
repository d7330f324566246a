"""WhatsApp as a source: Meta's Cloud API posts its webhooks here, and they become events."""
