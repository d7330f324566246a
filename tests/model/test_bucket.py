"""A bucket's place is read whole or refused with words; a secret in it is never taken."""

import pytest

from whatsync.model.bucket import BucketPlace, parse_bucket


@pytest.mark.parametrize(
    ("text", "place", "shown"),
    [
        ("s3://media", BucketPlace("media"), "s3://media"),
        ("s3://media/a/b/", BucketPlace("media", "a/b"), "s3://media/a/b"),
        (
            "s3://media?endpoint=https://s3.example.com:9000&region=eu-1&style=virtual",
            BucketPlace("media", "", "https://s3.example.com:9000", "eu-1", virtual_hosted=True),
            "s3://media at https://s3.example.com:9000",
        ),
    ],
)
def test_places(text: str, place: BucketPlace, shown: str) -> None:
    assert parse_bucket(text) == place
    assert place.shown == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3://", "names no bucket"),
        ("s3://UPPER", "names no bucket"),
        ("s3://key:secret@media", "AWS_ACCESS_KEY_ID"),
        ("s3://media/a b", "prefix"),
        ("s3://media/../x", "prefix"),
        ("s3://media?key=1", "option 'key'"),
        ("s3://media?endpoint=s3.example.com", "endpoint"),
        ("s3://media?endpoint=https://a:b@s3.example.com", "endpoint"),
        ("s3://media?style=odd", "style"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        parse_bucket(text)
    assert "secret" not in str(refused.value)
