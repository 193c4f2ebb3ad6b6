"""What a provider says never brings the key back, in whole or in part."""

from __future__ import annotations

import pytest

from fanout_mcp.backends.refusals import redact, refusal
from fanout_mcp.errors import PushedBack, QuotaSpent

KEY = "acme-" + "9f8E7d6C5b4A" + "39q281Zw06"


@pytest.mark.parametrize(
    "message",
    [
        f"Incorrect API key provided: {KEY}.",
        f"Incorrect API key provided: {KEY[:8]}****{KEY[-4:]}.",
        f"Incorrect API key: ...{KEY[-4:]}",
        f"The key ending in {KEY[-4:]} may not use this model.",
        f"key `{KEY[:12]}` is unknown",
        f"Authorization: Bearer {KEY}",
        f'{{"api_key": "{KEY[5:]}"}}',
        f"key {KEY[:6]}…{KEY[-6:]}",
    ],
)
@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503])
def test_no_part_of_the_key_is_shown(message: str, status: int) -> None:
    shown = str(refusal(status, message, "host.example", KEY))
    parts = {KEY[at : at + 4] for at in range(len(KEY) - 3) if KEY[at : at + 4].isalnum()} - {"acme"}
    assert not [part for part in parts if part in shown]


@pytest.mark.parametrize(
    "message",
    [
        "model maker/first-2024-08-06 was not found",
        "max_tokens must be at most 8192, got 100000",
        "Rate limit reached for gpt-5.2-mini-high on tokens per min: limit 30000",
    ],
)
def test_other_words_are_shown_as_they_are(message: str) -> None:
    assert redact(message, KEY) == message


@pytest.mark.parametrize(
    ("words", "headers", "seconds"),
    [
        pytest.param("Slow down.", {"ratelimit-reset": "30"}, 30.0, id="the reset alone"),
        pytest.param("Slow down.", {"ratelimit-reset": "30", "retry-after": "2"}, 2.0, id="what it asks for"),
        pytest.param("Try again in 7s.", {"ratelimit-reset": "30"}, 7.0, id="what is said"),
        pytest.param("Slow down.", {"ratelimit-reset": "soon"}, None, id="no number"),
        pytest.param("Slow down.", {"ratelimit-reset": "0"}, None, id="back already"),
        pytest.param("Slow down.", {"ratelimit-reset": "1764562800"}, None, id="a date"),
    ],
)
def test_where_no_wait_is_asked_for_the_limits_reset_is_waited_for(
    words: str, headers: dict[str, str], seconds: float | None
) -> None:
    error = refusal(429, words, "host.example", None, headers)
    assert isinstance(error, PushedBack)
    assert error.retry_after == seconds


def test_a_limits_reset_holds_up_no_call_after_another_fault() -> None:
    error = refusal(503, "Overloaded.", "host.example", None, {"ratelimit-reset": "55"})
    assert isinstance(error, PushedBack)
    assert error.retry_after is None


def test_a_limits_reset_does_not_make_a_spent_quota_a_moments() -> None:
    error = refusal(429, "You exceeded your current quota.", "host.example", None, {"ratelimit-reset": "30"})
    assert isinstance(error, QuotaSpent)
