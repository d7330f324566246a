"""What WhatsSync does: accept, schedule, send, record. Knows the model and the ports, never an adapter."""
