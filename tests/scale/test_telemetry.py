"""What the service reports: figures for Prometheus, and spans and metrics over OTLP."""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.collector import Collector, collecting
from fakes.scripted import Reply, Scripted
from fakes.service import WAIT_S, Service, running
from fakes.upstream import Rule
from fanout_mcp.cli import main
from fanout_mcp.errors import RateLimited
from fanout_mcp.scale import telemetry
from fanout_mcp.scale.serve import Redacting
from fanout_mcp.scale.telemetry import FIGURES, Figures, Observed, exported
from fanout_mcp.types import Job, Prompt

TRACE = "0af7651916cd43dd8448eb211c80319c"
META = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "claudecode/toolUseId": "toolu_01"}
KEY = "sk-ant-api03-" + "a1B2" * 20


def job(key: str = "judge", model: str | None = "maker/first") -> Job:
    return Job(key, Prompt("You judge.", "Is it wise?"), model)


def samples(figures: Figures) -> dict[str, float]:
    lines = [line for line in figures.text(()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


# --- figures ------------------------------------------------------------------------------------------------


async def test_a_question_is_counted_by_what_came_of_it_and_asked_again_by_why() -> None:
    figures = Figures()
    busy = Scripted({"judge": Reply(error=RateLimited("busy"))})
    observed = Observed(busy, figures)
    for _ in range(2):
        with pytest.raises(RateLimited):
            await observed.ask(job())
    found = samples(figures)
    calls = 'fanout_model_calls_total{provider="scripted",model="maker/first",outcome="RateLimited"}'
    assert found[calls] == 2
    assert found['fanout_retries_total{provider="scripted",reason="RateLimited"}'] == 1
    assert found['fanout_model_call_seconds_count{provider="scripted"}'] == 2


def test_a_histogram_s_buckets_hold_all_that_is_not_longer() -> None:
    figures = Figures()
    for seconds in (0.05, 0.3, 1_000.0):
        figures.observe("fanout_call_seconds", seconds, tool="council")
    found = samples(figures)
    held = {
        bound: found[f'fanout_call_seconds_bucket{{tool="council",le="{bound}"}}']
        for bound in ("0.1", "0.5", "300", "+Inf")
    }
    assert held == {"0.1": 1, "0.5": 2, "300": 2, "+Inf": 3}


def test_a_caller_s_names_of_models_make_no_figures_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "MAX_SERIES", 10)
    figures = Figures()
    for number in range(100):
        figures.add("fanout_model_calls_total", provider="p", model=f"m{number}", outcome="answered")
    assert len(figures.values) <= 11
    assert samples(figures)['fanout_model_calls_total{provider="p",model="other",outcome="answered"}'] == 90


def test_a_label_ends_no_line() -> None:
    figures = Figures()
    figures.add("fanout_model_calls_total", model='x"} 1\nfanout_calls_total{a="\\')
    assert 'model="x\\"} 1\\nfanout_calls_total{a=\\"\\\\"' in figures.text(())


def test_what_is_logged_holds_no_secret() -> None:
    record = logging.LogRecord("fanout", logging.ERROR, "", 0, "council failed: api_key=%s", (KEY,), None)
    text = Redacting("%(message)s").format(record)
    assert "council failed" in text
    assert KEY not in text


# --- what is switched on ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "signals"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "x"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, ("TRACES", "METRICS")),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, ("TRACES",)),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, ("METRICS",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_METRICS_EXPORTER": "none"}, ("TRACES",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, ()),
    ],
)
def test_the_standard_variables_switch_it_on(env: Mapping[str, str], signals: tuple[str, ...]) -> None:
    assert exported(env) == signals


@pytest.mark.parametrize(
    "env",
    [
        {"OTEL_TRACES_EXPORTER": "jaeger"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "otlp"},
    ],
)
def test_what_can_t_be_sent_is_refused_at_the_start(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert main(["serve", "--http", "127.0.0.1:0"]) == 2
    assert "must be otlp or none" in capsys.readouterr().err


@pytest.mark.slow
def test_without_a_service_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, fanout_mcp.edge.process, fanout_mcp.edge.server, fanout_mcp.scale.serve, fanout_mcp.cli;"
        "print([n for n in sys.modules if n.startswith(('opentelemetry.sdk', 'opentelemetry.exporter',"
        " 'fanout_mcp.scale.telemetry', 'fanout_mcp.scale.issuer', 'uvicorn', 'jwt'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in json.loads(done.stdout.replace("'", '"')) if "uvicorn" not in name] == []


# --- spans --------------------------------------------------------------------------------------------------


def ask(service: Service, question: str) -> Any:
    params = {"name": "oracle_batch", "arguments": {"question": question, "deadline_s": 60}, "_meta": META}
    return service.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})[2]["result"]


def ended_after(folder: Path, collector: Collector, question: str, **env: str) -> Service:
    """Ask once, and end the service, which sends what it has."""
    with running(folder, env={**collector.env, **env}) as service:
        service.upstream.rules.append(Rule("You weigh a proposal", "status", status=400))
        assert ask(service, question)["structuredContent"]["decision"] == "PROCEED"
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(WAIT_S) == 0
    return service


@pytest.mark.slow
def test_a_call_is_one_trace_with_the_client_s_use_of_the_tool_and_a_span_for_each_question(
    tmp_path: Path,
) -> None:
    with collecting() as collector:
        service = ended_after(tmp_path, collector, "Is it wise, in confidence?")
    [call] = [span for span in collector.spans if span.name == "tools/call oracle_batch"]
    assert (call.trace, call.parent) == (TRACE, "b7ad6b7169203331")
    assert call.attributes["gen_ai.tool.call.id"] == "toolu_01"
    chats = [span for span in collector.spans if span.parent == call.identity]
    assert sorted(span.name for span in chats) == ["chat", "chat maker/first", "chat maker/first"]
    answered = [span.attributes for span in chats if not span.is_error]
    assert len(answered) == 2
    for given in answered:
        assert (given["gen_ai.usage.input_tokens"], given["gen_ai.usage.output_tokens"]) == (100, 20)
        assert (given["gen_ai.response.model"], given["fanout.cost_usd"]) == ("maker/first", 0.0015)
        assert (given["gen_ai.operation.name"], given["gen_ai.response.finish_reasons"]) == ("chat", ["stop"])
    assert [span.attributes["error.type"] for span in chats if span.is_error] == ["Rejected"]
    assert {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "fanout.cost",
    } <= collector.metrics
    for word in (b"in confidence", b"It holds", b"alice", str(service.project).encode()):
        assert word not in collector.raw
    [line] = [json.loads(line) for line in service.log if line.startswith('{"trace"')]
    assert line["trace_id"] == TRACE
    assert line["trace"] == call.attributes["fanout.trace"]


@pytest.mark.slow
def test_contents_are_in_spans_where_the_operator_says_so_and_secrets_never(tmp_path: Path) -> None:
    with collecting() as collector:
        ended_after(tmp_path, collector, f"Is {KEY} wise, in confidence?", **{telemetry.CAPTURE: "true"})
    asked = [span.attributes.get("gen_ai.input.messages", "") for span in collector.spans]
    assert any("in confidence" in text for text in asked)
    assert any("It holds" in span.attributes.get("gen_ai.output.messages", "") for span in collector.spans)
    assert KEY.encode() not in collector.raw


# --- the dashboard ------------------------------------------------------------------------------------------

DASHBOARD = Path(__file__).parents[2] / "docs" / "dashboard.json"


def queries() -> list[str]:
    board = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def test_the_dashboard_asks_for_figures_that_are_there() -> None:
    names = {name for query in queries() for name in re.findall(r"fanout_\w+", query)}
    given = {*FIGURES, *(f"{name}_bucket" for name, (kind, _) in FIGURES.items() if kind == "histogram")}
    assert names - given == set()
    assert {name.removesuffix("_bucket") for name in names} == set(FIGURES)


def test_the_dashboard_has_what_grafana_needs_to_load_it() -> None:
    board = json.loads(DASHBOARD.read_text())
    assert board.keys() >= {
        "title",
        "uid",
        "schemaVersion",
        "panels",
        "time",
        "templating",
        "refresh",
        "tags",
    }
    assert isinstance(board["schemaVersion"], int)
    identities = [panel["id"] for panel in board["panels"]]
    assert len(set(identities)) == len(identities)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel.keys() >= {
            "id",
            "type",
            "title",
            "gridPos",
            "datasource",
            "fieldConfig",
            "options",
            "targets",
        }
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
        assert all(target.keys() >= {"refId", "expr", "datasource"} for target in panel["targets"])


OF_REDIS = {
    "fanout_redis_up",
    "fanout_redis_outages_total",
    "fanout_replicas",
    "fanout_limiter_wait_seconds_total",
}
"""There only where a Redis is set; test_shared.py reads them."""


@pytest.mark.slow
def test_every_figure_is_given_by_a_service_that_was_used(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        service.upstream.rules.append(Rule("Is it wise?", "status", status=503, times=2))
        ask(service, "Is it wise?")
        service.post({}, "a stranger")
        text = service.get("/metrics")[1]
    samples = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    given = {f"{name}_bucket" if kind == "histogram" else name for name, (kind, _) in FIGURES.items()}
    assert given - samples == OF_REDIS
