"""The command `whatsync`: one file per command or noun. Commands speak the HTTP API; few open the store themselves."""
