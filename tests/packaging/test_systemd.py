"""The systemd unit, read as text: what it promises about restarts, stopping and confinement."""

import configparser
import tomllib
from pathlib import Path

from whatsync.model.limits import REQUEST_TIMEOUT_SECONDS_MAX

ROOT = Path(__file__).resolve().parents[2]


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(ROOT / "packaging" / "whatsync.service")
    return parser


def test_it_starts_the_command_the_package_installs() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    program, *arguments = unit()["Service"]["ExecStart"].split()
    assert program.rpartition("/")[2] in scripts
    assert arguments == ["serve"]


def test_it_comes_back_after_a_crash_but_not_after_wrong_use() -> None:
    service = unit()["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2"


def test_it_waits_for_the_slowest_request_before_killing() -> None:
    service = unit()["Service"]
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) > REQUEST_TIMEOUT_SECONDS_MAX
    assert int(service["LimitNOFILE"]) >= 65536


def test_it_owns_one_folder_and_no_privilege() -> None:
    service = unit()["Service"]
    assert service["DynamicUser"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert f"WHATSYNC_DATA_DIR=%S/{service['StateDirectory']}" in service["Environment"].split()
