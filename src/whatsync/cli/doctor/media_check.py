"""What the doctor looks at about media files: the folder, or the bucket with a small file put, read and removed."""

import asyncio
import os
import shutil
from pathlib import Path

from whatsync.cli.doctor.check import Check
from whatsync.compose.media import base_url, bucket_problem, folder_of
from whatsync.config import Config
from whatsync.model.bucket import BucketPlace

_NAME = "Media"
_MIB = 2**20


def check_media(config: Config) -> Check:
    """Where media files lie, and whether receivers can reach them."""
    if isinstance(config.media_store, BucketPlace):
        problem = asyncio.run(bucket_problem(config.media_store))
        if problem is not None:
            return Check(_NAME, "problem", f"{problem}.")
        return _reachable(config, f"{config.media_store.shown} takes, gives back and removes a file")
    folder = folder_of(config)
    there = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists())
    if not there.is_dir():
        return Check(_NAME, "problem", f"{there} is not a folder. Set WHATSYNC_MEDIA_STORE to one.")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        return Check(_NAME, "problem", f"this user may not write to {there}. Run as its owner, or chown it.")
    return _room(config, folder, there)


def _room(config: Config, folder: Path, there: Path) -> Check:
    free, least = shutil.disk_usage(there).free, config.min_free_disk
    if free < least:
        sentence = (
            f"{free / _MIB:,.0f} MiB free under {folder}: files are refused below {least / _MIB:,.0f}. Make room."
        )
        return Check(_NAME, "problem", sentence)
    return _reachable(config, f"{folder}, {free / _MIB:,.0f} MiB free")


def _reachable(config: Config, well: str) -> Check:
    if config.media_public_url is None and config.public_url is None and not config.loopback_only:
        words = (
            f"{well}; but their URLs begin with {base_url(config)}, which others can't reach. Set WHATSYNC_PUBLIC_URL."
        )
        return Check(_NAME, "warning", words)
    return Check(_NAME, "ok", f"{well}. URLs begin with {base_url(config)}.")
