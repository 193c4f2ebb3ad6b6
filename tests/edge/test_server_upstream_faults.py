"""The real server before a provider that does everything wrong: a clear sentence, the next call answered."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from fakes.upstream import Rule, Upstream, serving, until
from fakes.wire_client import Wire
from fanout_mcp.panel.personas import built_in

pytestmark = pytest.mark.slow

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"
SERVE = [sys.executable, "-P", "-m", "fanout_mcp", "serve"]


def starting(tmp: Path, **env: str) -> Wire:
    return Wire(SERVE, {"FANOUT_STATE_DIR": str(tmp / "fanout"), "CLAUDE_PROJECT_DIR": str(tmp), **env})


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with serving() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    env = {"FANOUT_BASE_URL": upstream.url, "FANOUT_API_KEY": KEY, "FANOUT_MODEL": "maker/first"}
    with starting(tmp_path_factory.mktemp("project"), **env) as wire:
        yield wire


def ask(server: Wire, **arguments: Any) -> dict[str, Any]:
    return server.call("oracle_batch", {"question": "Is it wise?", **arguments})


def data_of(result: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = result["structuredContent"]
    return data


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        pytest.param(Rule(kind="html"), "sent an HTML page", id="HTML"),
        pytest.param(Rule(kind="empty"), "sent an empty answer", id="empty"),
        pytest.param(Rule(kind="cut_json"), "sent broken JSON", id="cut JSON"),
        pytest.param(Rule(kind="cut_stream"), "before the answer was whole", id="cut stream"),
        pytest.param(Rule(kind="raw_json", body="[1]"), "JSON that is not a completion", id="other JSON"),
        pytest.param(Rule(kind="endless"), "more than 4 MB", id="an answer without end"),
        pytest.param(Rule(kind="drip"), "the deadline of 1.5 s passed", id="a byte a second"),
        pytest.param(Rule(kind="hang"), "the deadline of 1.5 s passed", id="nothing at all"),
        pytest.param(Rule(kind="big_header"), "what came is no HTTP answer", id="300 kB header"),
        pytest.param(Rule(kind="not_http"), "what came is no HTTP answer", id="another protocol"),
        pytest.param(Rule(kind="reset"), "no connection, or it broke", id="a reset"),
        pytest.param(Rule(kind="surrogate"), "could not be read", id="a lone surrogate"),
        pytest.param(
            Rule(kind="redirect", status=307, body="http://127.0.0.1:9/"), "a redirect", id="redirect"
        ),
        pytest.param(
            Rule(kind="status", status=401, body=f"bad key {KEY}"),
            "Check the key: it is missing, wrong",
            id="401",
        ),
        pytest.param(Rule(kind="status", status=404, body=f"no model for {KEY}"), "answered 404", id="404"),
        pytest.param(Rule(kind="status", status=500, body="<html>oops"), "answered 500", id="500"),
        pytest.param(Rule(text="I'd rather talk."), "could not be read, also when asked again", id="prose"),
    ],
)
def test_whatever_the_provider_does_there_is_a_reason_and_the_next_call_is_answered(
    server: Wire, upstream: Upstream, rule: Rule, sentence: str
) -> None:
    upstream.rules[:] = [rule]
    upstream.used.clear()
    result = ask(server, deadline_s=1.5 if "deadline" in sentence else 30)
    assert result["isError"]
    data = data_of(result)
    assert data["decision"] == "NO_VERDICT"
    assert [lost["member"] for lost in data["failed"]] == ["judge", "critic", "skeptic"]
    assert all(sentence in lost["reason"] for lost in data["failed"]), data["failed"]
    assert KEY not in json.dumps(result) + Path(data["report"]).read_text()
    upstream.rules.clear()
    assert data_of(ask(server))["decision"] == "PROCEED"


def test_an_answer_without_usage_counts_with_an_unknown_price(server: Wire, upstream: Upstream) -> None:
    upstream.rules[:] = [Rule(kind="no_usage")]
    spent = data_of(ask(server))["receipt"]
    assert spent["cost_usd"] is None
    assert spent["tokens_in"] > 0


def test_a_url_where_nobody_listens_is_an_answer(tmp_path: Path) -> None:
    with serving() as gone:
        url = gone.url
    with starting(tmp_path, FANOUT_BASE_URL=url, FANOUT_MODEL="m") as server:
        result = ask(server)
        assert result["isError"]
        assert "no connection" in data_of(result)["failed"][0]["reason"]
        assert ask(server, dry_run=True)["structuredContent"]["dry_run"]


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        pytest.param({"FANOUT_BACKEND": "http"}, "there is no endpoint", id="no key"),
        pytest.param({"FANOUT_BACKEND": "htp"}, "it must be one of auto, http", id="a misspelt backend"),
        pytest.param({"FANOUT_BASE_URL": "ftp://x"}, "must look like https://", id="no web address"),
        pytest.param({"FANOUT_BASE_URL": "https://169.254.1.1/v1"}, "not this machine", id="not the user's"),
        pytest.param(
            {"FANOUT_MAX_PARALLEL": "-1"}, "must be a whole number from 1 on", id="no calls at once"
        ),
    ],
)
def test_settings_that_can_not_work_are_named_at_the_call_and_the_server_stays(
    tmp_path: Path, env: dict[str, str], sentence: str
) -> None:
    with starting(tmp_path, **env) as server:
        for _ in range(2):
            result = ask(server)
            assert result["isError"]
            assert sentence in result["content"][0]["text"]
        assert server.ask("tools/list")["result"]["tools"]


def test_cancelling_one_call_closes_its_streams_and_leaves_the_other_alone(
    server: Wire, upstream: Upstream
) -> None:
    upstream.rules[:] = [Rule("slow question", "hang")]
    upstream.log.clear()
    asked = {"name": "oracle_batch", "arguments": {"question": "A slow question.", "preset": "all"}}
    number = server.send("tools/call", asked)
    anyio.run(until, lambda: upstream.in_flight == len(built_in().personas))
    assert data_of(ask(server))["decision"] == "PROCEED", "the other call is answered meanwhile"
    server.notify("notifications/cancelled", {"requestId": number})
    assert data_of(ask(server))["decision"] == "PROCEED"
    slow = [seen for seen in upstream.log if "slow question" in seen.prompt]
    assert len(slow) == len(built_in().personas)
    assert all(seen.aborted is not None for seen in slow)
    assert upstream.in_flight == 0
