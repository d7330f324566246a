"""Wires everything: the only room that knows every other. What a part does stands in its own file."""
