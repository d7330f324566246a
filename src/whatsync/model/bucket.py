"""Where a bucket is, as ``WHATSYNC_MEDIA_STORE`` tells: ``s3://bucket/prefix?endpoint=https://…&region=…``. Pure."""

import re
from urllib.parse import parse_qsl, urlsplit

import msgspec

SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_OPTIONS = ("endpoint", "region", "style")


class BucketPlace(msgspec.Struct, frozen=True):
    """A bucket of an S3-compatible store."""

    bucket: str
    prefix: str = ""
    """What all names begin with, without slashes at its ends."""
    endpoint: str | None = None
    """URL of the store; unset: Amazon's, or the environment's ``AWS_ENDPOINT_URL``."""
    region: str | None = None
    virtual_hosted: bool = False
    """The bucket's name is part of the host instead of the path."""

    @property
    def shown(self) -> str:
        """For people."""
        where = "/".join(filter(None, (self.bucket, self.prefix)))
        return f"{SCHEME}{where}" + (f" at {self.endpoint}" if self.endpoint is not None else "")


def parse_bucket(text: str) -> BucketPlace:
    """Read the URL of a bucket. Raises ValueError with the rest of a sentence about it."""
    parts = urlsplit(text)
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials; give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError("names no bucket; write it as s3://bucket/prefix?endpoint=https://s3.example.com")
    prefix = parts.path.strip("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or ".." in prefix.split("/")):
        raise ValueError("has a prefix with characters other than letters, digits, dots, dashes and slashes")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            raise ValueError(f"has the option {name!r}; there are {', '.join(_OPTIONS)}")
    endpoint = options.get("endpoint")
    if endpoint is not None:
        server = urlsplit(endpoint)
        if server.scheme not in ("http", "https") or not server.hostname or "@" in server.netloc:
            raise ValueError("has an endpoint that is no URL such as https://s3.example.com")
    if options.get("style", "path") not in ("path", "virtual"):
        raise ValueError("has a style that is neither path nor virtual")
    return BucketPlace(parts.netloc, prefix, endpoint, options.get("region"), options.get("style") == "virtual")
