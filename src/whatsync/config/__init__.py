"""The settings, read once into a frozen ``Config``: the table, how values are read, and where they come from."""

from whatsync.config.reading import ConfigError, is_postgres, load, read, shown, without_password
from whatsync.config.settings import COMMAND_SETTINGS, PREFIX, SETTINGS, Config
from whatsync.config.values import is_loopback

__all__ = [
    "COMMAND_SETTINGS",
    "PREFIX",
    "SETTINGS",
    "Config",
    "ConfigError",
    "is_loopback",
    "is_postgres",
    "load",
    "read",
    "shown",
    "without_password",
]
