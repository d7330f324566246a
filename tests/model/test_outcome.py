"""What each answer and each failure means, and that every code has words."""

import pytest

from whatsync.model.outcome import NETWORK_CODES, Kind, explain, judge


@pytest.mark.parametrize("status", list(range(100, 600)))
def test_every_status(status: int) -> None:
    verdict = judge(status, None, None, 0)
    if 200 <= status < 300:
        assert (verdict.kind, verdict.code) == (Kind.SUCCESS, None)
        return
    assert verdict.kind is (Kind.GONE if status == 410 else Kind.RETRY)
    assert verdict.code == f"http_{status}"
    words = explain(f"http_{status}")
    assert words.sentence.endswith(".")
    assert words.next_step.endswith(".")
    assert str(status) in words.sentence


@pytest.mark.parametrize("code", NETWORK_CODES)
def test_every_network_failure(code: str) -> None:
    assert judge(None, code, None, 0).code == code
    assert judge(None, code, None, 0).kind is Kind.RETRY
    assert explain(code).sentence.endswith(".")


def test_retry_after_counts_on_429_and_503_only() -> None:
    assert judge(429, None, "60", 0).retry_after_seconds == 60
    assert judge(503, None, "60", 0).retry_after_seconds == 60
    assert judge(500, None, "60", 0).retry_after_seconds is None
    assert judge(429, None, "nonsense", 0).retry_after_seconds is None


def test_a_test_that_is_answered_410_is_not_said_to_have_disabled_anything() -> None:
    assert "was disabled" in explain("http_410").sentence
    assert "this request did not" in explain("http_410", test=True).sentence
    assert explain("http_404", test=True) == explain("http_404")
