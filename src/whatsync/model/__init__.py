"""What is true about events, endpoints and deliveries. Pure: no async, no clock, no randomness, no input or output."""
