"""The table of settings: every row has a field, values are read, wrong ones are told with what to do."""

import ipaddress
from pathlib import Path

import pytest

from whatsync.config import COMMAND_SETTINGS, SETTINGS, Config, ConfigError, load, read, shown
from whatsync.model.bucket import BucketPlace

ALL = SETTINGS + COMMAND_SETTINGS


def problems_of(environ: dict[str, str], toml: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(environ, toml)
    return caught.value.problems


@pytest.mark.parametrize("text", ["512MiB", "2GiB", "3GB", "1500B", "0B"])
def test_a_size_is_shown_as_it_is_written(text: str) -> None:
    rows = {name: value for name, value, _ in shown(read({"WHATSYNC_MIN_FREE_DISK": text}))}
    assert rows["MIN_FREE_DISK"] == text


def test_every_setting_has_a_field_and_words() -> None:
    assert {setting.key for setting in ALL} | {"sources"} == set(Config.__struct_fields__)
    for setting in ALL:
        assert setting.description.endswith("."), setting.name
        assert len(setting.kind) > 2


def test_the_defaults_are_those_of_the_contract() -> None:
    config = read({})
    assert (config.host, config.port, config.data_dir) == ("127.0.0.1", 8600, Path("whatsync-data"))
    assert list(config.retry_schedule) == [5, 30, 120, 600, 1800, 3600, 10800, 21600, 43200, 86400, 86400]
    assert (config.request_timeout, config.retention_days, config.min_free_disk) == (15.0, 30, 512 * 2**20)
    assert config.sources == {}


def test_every_default_can_be_parsed() -> None:
    for setting in ALL:
        if setting.default is not None:
            setting.parse(setting.default)


def test_command_line_wins_over_environment_and_that_over_the_file() -> None:
    toml = (
        'port = 1\nhost = "10.0.0.1"\nlog_level = "error"\nallow_addresses = ["10.0.0.0/8", "fd00::/8"]\ntracing = true'
    )
    config = read({"WHATSYNC_PORT": "2", "WHATSYNC_HOST": "10.0.0.2"}, toml, {"PORT": "3", "ROLE": None})
    assert (config.port, config.host, config.log_level, config.tracing) == (3, "10.0.0.2", "error", True)
    assert config.allow_addresses == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    assert config.sources["PORT"] == "command line"
    assert config.sources["HOST"] == "environment"
    assert config.sources["LOG_LEVEL"] == "whatsync.toml"


def test_an_empty_value_is_unset_but_an_empty_schedule_is_one_try() -> None:
    config = read({"WHATSYNC_PORT": "", "WHATSYNC_ENCRYPTION_KEY": " ", "WHATSYNC_RETRY_SCHEDULE": ""})
    assert (config.port, config.encryption_key, config.retry_schedule) == (8600, None, ())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "x", "not a whole number from 0 to 65535"),
        ("ENCRYPTION_KEY", "abc", "has less than 16 characters"),
        ("PORT", "70000", "not a whole number from 0 to 65535"),
        ("RETRY_SCHEDULE", "5s,soon", "'soon' is not a wait"),
        ("REQUEST_TIMEOUT", "31s", "not a time from 1s to 30s"),
        ("ALLOW_ADDRESSES", "10.0.0.1/8", "write 10.0.0.0/8"),
        ("MIN_FREE_DISK", "much", "write it as 512MiB or 2GB"),
        ("DATABASE_URL", "postgresql://x", "names no database"),
        ("DATABASE_URL", "mysql://x", "write it as sqlite:///path/to/file.db"),
        ("PUBLIC_URL", "example.com", "write it as https://example.com"),
        ("PUBLIC_URL", "https://example.com/hooks?x=1", "without user name"),
        ("PUBLIC_URL", "https://example.com/#top", "without user name"),
        ("PUBLIC_URL", "https://me@example.com", "without user name"),
        ("PUBLIC_URL", "https://example.com:99999", "write it as https://example.com"),
        ("PUBLIC_URL", "https://[::1", "write it as https://example.com"),
        ("PUBLIC_URL", "https://example.com/a b", "write it as https://example.com"),
        ("MEDIA_PUBLIC_URL", "https://example.com/media?x", "without user name"),
        ("SMTP_URL", "mail.example.com", "smtps://user:password@mail.example.com:465"),
        ("MAIL_FROM", "nobody", "write it as whatsync@example.com"),
        ("SUPPORT_URL", "ask our team", "neither a web page nor a mail address"),
        ("SUPPORT_URL", "support.example.com/help", "write it as https://example.com/help or help@example.com"),
        ("SUPPORT_URL", "https://", "neither a web page nor a mail address"),
        ("SUPPORT_URL", "https://[", "neither a web page nor a mail address"),
        ("SUPPORT_URL", "https://support.example/a b", "neither a web page nor a mail address"),
        ("SUPPORT_URL", "mailto:", "neither a web page nor a mail address"),
        ("SUPPORT_URL", "mailto:help", "neither a web page nor a mail address"),
        ("SUPPORT_URL", "javascript:alert(1)", "neither a web page nor a mail address"),
        ("SUPPORT_URL", "tel:+4930123456", "neither a web page nor a mail address"),
        ("METRICS_ADDRESS", "9600", "write it as 127.0.0.1:9600"),
        ("LOG_FORMAT", "xml", "none of json, console"),
        ("TRACING", "maybe", "neither true nor false"),
        ("BOOTSTRAP_API_KEY", "wsk_short", "43 characters"),
        ("RETENTION_DAYS", "0", "not a whole number from 1 to 3650"),
        ("ROLE", "boss", "none of all, api, deliver"),
        (
            "EMBED_ORIGINS",
            "https://a.example, app.example.com",
            "holds 'app.example.com', which is no web page's origin",
        ),
        ("EMBED_ORIGINS", "https://*.example.com", "with no stars"),
        ("EMBED_ORIGINS", "*", "holds '*', which is no web page's origin"),
        ("EMBED_ORIGINS", "https://a.example/app", "write https://a.example with nothing behind it"),
        ("EMBED_ORIGINS", "https://me@a.example", "which is more than an origin"),
        ("EMBED_ORIGINS", "http://a.example", "http is only for trying it on this machine"),
        ("EMBED_ORIGINS", "https://a.example;script-src", "which is no web page's origin"),
        ("EMBED_ORIGINS", "https://a.example:99999", "which is no web page's origin"),
        ("EMBED_ORIGINS", "data:text/html", "which is no web page's origin"),
    ],
)
def test_a_wrong_value_is_told_with_what_to_do(name: str, value: str, words: str) -> None:
    (problem,) = problems_of({f"WHATSYNC_{name}": value})
    assert problem.startswith(f"WHATSYNC_{name} (environment): ")
    assert words in problem


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ("help@example.com", "mailto:help@example.com"),
        ("Help.Desk@Example.com", "mailto:Help.Desk@Example.com"),
        ("a?b%c@example.com", "mailto:a%3Fb%25c@example.com"),
        ("mailto:help@example.com", "mailto:help@example.com"),
        (
            "MailTo:one@example.com,a%3Fb@example.com?subject=Webhooks",
            "mailto:one@example.com,a%3Fb@example.com?subject=Webhooks",
        ),
        ("https://support.example/webhooks/?from=a@b.example", "https://support.example/webhooks/?from=a@b.example"),
        ("HTTP://support.example:8080", "HTTP://support.example:8080"),
    ],
)
def test_a_link_to_help_can_be_followed(value: str, link: str) -> None:
    assert read({"WHATSYNC_SUPPORT_URL": value}).support_url == link


def test_all_problems_are_told_at_once_and_secrets_are_not_repeated() -> None:
    problems = problems_of({"WHATSYNC_PORT": "x", "WHATSYNC_BOOTSTRAP_API_KEY": "hunter2"}, 'prot = 1\nsmtp_url = "pw"')
    assert len(problems) == 4
    assert "hunter2" not in "".join(problems)
    assert "'pw'" not in "".join(problems)


def test_a_wrong_url_does_not_repeat_its_password() -> None:
    [told] = problems_of({"WHATSYNC_DATABASE_URL": "postgresql://someone:hidden@host"})
    assert "hidden" not in told
    assert "names no database" in told


def test_a_right_url_is_shown_without_its_password() -> None:
    url = "postgresql://someone:hidden@db.example.com:5432/whatsync"
    rows = {name: value for name, value, _ in shown(read({"WHATSYNC_DATABASE_URL": url}))}
    assert rows["DATABASE_URL"] == "postgresql://someone:***@db.example.com:5432/whatsync"


def test_an_unknown_setting_names_the_nearest() -> None:
    assert "Did you mean WHATSYNC_PORT?" in problems_of({"WHATSYNC_PROT": "1"})[0]
    assert "Did you mean retention_days?" in problems_of({}, "retention_day = 3")[0]
    assert "Did you mean port?" in problems_of({}, "PORT = 3")[0]


def test_a_broken_file_is_told() -> None:
    assert "whatsync.toml is not TOML" in problems_of({}, "port = ")[0]
    assert "a dict is no value here" in problems_of({}, "[port]\nx = 1")[0]


def test_mail_needs_a_sender() -> None:
    assert "WHATSYNC_MAIL_FROM" in problems_of({"WHATSYNC_SMTP_URL": "smtp://mail.example.com"})[0]


def test_frames_need_https() -> None:
    frames = {"WHATSYNC_EMBED_ORIGINS": "https://app.example.com"}
    assert "over https only" in problems_of(frames | {"WHATSYNC_PUBLIC_URL": "http://hooks.example.com"})[0]
    for url in ("https://hooks.example.com", "http://localhost:8600"):
        assert read(frames | {"WHATSYNC_PUBLIC_URL": url}).embed_origins == ("https://app.example.com",)


def test_half_of_the_work_needs_a_shared_database() -> None:
    assert "on SQLite the role is all" in problems_of({"WHATSYNC_ROLE": "api"})[0]
    shared = {"WHATSYNC_ROLE": "api", "WHATSYNC_DATABASE_URL": "postgresql://db/whatsync"}
    assert read(shared).role == "api"


def test_the_file_of_the_folder_is_read(tmp_path: Path) -> None:
    assert load({}, tmp_path).port == 8600
    (tmp_path / "whatsync.toml").write_text("port = 9000")
    assert load({}, tmp_path).port == 9000
    (tmp_path / "whatsync.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="can't be read"):
        load({}, tmp_path)


def test_secrets_show_as_set_or_unset() -> None:
    given = {
        setting.variable: value
        for setting in ALL
        for value in [
            {"SMTP_URL": "smtp://u:hunter2@m", "ALERT_URL": "https://hunter2"}.get(
                setting.name, "hunter2 and more words"
            )
        ]
        if setting.secret and setting.name != "BOOTSTRAP_API_KEY"
    }
    rows = {name: (value, source) for name, value, source in shown(read({**given, "WHATSYNC_MAIL_FROM": "a@b.c"}))}
    assert rows["ENCRYPTION_KEY"] == ("set", "environment")
    assert rows["BOOTSTRAP_API_KEY"] == ("unset", "default")
    assert rows["RETRY_SCHEDULE"][0].startswith("5s,30s,2m")
    assert "hunter2" not in str(rows)


@pytest.mark.parametrize(
    ("given", "first_try"),
    [
        ({}, True),
        ({"HOST": "localhost"}, True),
        ({"HOST": "::1"}, True),
        ({"HOST": "0.0.0.0"}, False),
        ({"HOST": "box.example"}, False),
        ({"PUBLIC_URL": "https://example.com"}, False),
        ({"TRUSTED_PROXIES": "127.0.0.1"}, False),
    ],
)
def test_loopback_is_for_a_first_try_only(given: dict[str, str], first_try: bool) -> None:
    assert read({f"WHATSYNC_{name}": value for name, value in given.items()}).first_try is first_try


def test_where_media_lie() -> None:
    assert read({}).media_store is None
    assert read({"WHATSYNC_MEDIA_STORE": "elsewhere/media"}).media_store == Path("elsewhere/media")
    config = read({"WHATSYNC_MEDIA_STORE": "s3://media/a?endpoint=https://s3.example.com"})
    assert config.media_store == BucketPlace("media", "a", "https://s3.example.com")
    assert ("MEDIA_STORE", "s3://media/a at https://s3.example.com", "environment") in shown(config)
    for wrong in ("ftp://media", "s3://", "s3://key:secret@media"):
        (problem,) = problems_of({"WHATSYNC_MEDIA_STORE": wrong})
        assert "WHATSYNC_MEDIA_STORE" in problem
        assert "secret" not in problem.replace("AWS_SECRET_ACCESS_KEY", "")
