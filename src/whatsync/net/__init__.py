"""Adapters to the network and the operating system: sender, address guard, resolver, clock, randomness."""
