"""What the engine asks of the outside: protocols and the frozen data that crosses them. No behaviour lives here."""
