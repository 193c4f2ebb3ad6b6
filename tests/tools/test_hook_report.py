"""hook_report answers in 4 kB whatever the log holds; everything is in the page and on request."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from fakes.records import record, row, write
from fanout_mcp.cli import main
from fanout_mcp.edge.catalog import parse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.workers import Workers
from fanout_mcp.state.settings import Settings
from fanout_mcp.text import compact
from fanout_mcp.tools.hook_report import SHORT, TOOL
from fanout_mcp.tools.services import Services
from fanout_mcp.types import Backend, Json, no_progress

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def services(root: Path) -> Any:
    async with Workers(1) as workers:
        yield Services(Settings(root, root), cast("Backend", None), Limits(5), workers)


async def reported(root: Path, **arguments: Json) -> Json:
    async with services(root) as opened:
        return (await TOOL.call(opened, parse(TOOL.arguments, arguments), no_progress)).data


def many(count: int, now: float) -> list[dict[str, Any]]:
    hooks = [
        row(f"a_hook_with_a_long_name_{number}", 60.0 + number, lane="lane", exit=1) for number in range(40)
    ]
    events = ("PreToolUse", "PostToolUse", "Stop", "UserPromptSubmit", "SubagentStop", "Notification")
    return [record(*hooks, phase=events[at % 6], at=now, notes=["x" * 200]) for at in range(count)]


async def test_a_log_of_many_hooks_fits_into_4_kb_and_says_what_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, *many(200, time.time()))
    data = await reported(tmp_path)
    assert len(compact(data)) <= SHORT
    assert data["left_out"]["hooks"] > 200
    assert len(data["events"]) >= 1
    assert "<svg" in Path(data["page"]).read_text()  # noqa: ASYNC240 - a small file of this test


async def test_a_log_written_to_be_long_does_not_hold_the_report_up(tmp_path: Path) -> None:
    now = time.time()
    odd = [f"wave {size}" for size in range(2, 600)] + ["v" * 5_000, "w" * 5_000]
    write(tmp_path, *(record(at=now, gate=said, notes=[said * 2]) for said in odd))
    with anyio.fail_after(30):
        data = await reported(tmp_path)
    assert len(compact(data)) <= SHORT


async def test_a_hook_whose_name_is_no_text_has_a_page_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, record(row("caf\udce9", 3.0), at=time.time()))
    data = await reported(tmp_path)
    assert Path(data["page"]).read_text().startswith("<!doctype html>")  # noqa: ASYNC240 - as above


async def test_all_of_it_comes_on_request(tmp_path: Path) -> None:
    write(tmp_path, *many(12, time.time()))
    data = await reported(tmp_path, detail="full")
    assert len(data["hooks"]) == 240
    fields = {"event", "count", "mean_ms", "median_ms", "p95_ms", "p99_ms", "failures", "trend"}
    assert fields <= data["events"][0].keys()


async def test_no_log_is_said_with_what_to_do(tmp_path: Path) -> None:
    assert "fanout-hooks adopt" in (await reported(tmp_path))["hint"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"event": "PreToolUSe"}, "PreToolUse"),
        ({"days": 0}, "`days`"),
        ({"detail": "much"}, "`detail`"),
        ({"since": "monday"}, "`since`"),
    ],
)
async def test_a_mistake_is_named(tmp_path: Path, arguments: dict[str, Json], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        await reported(tmp_path, **arguments)


def shell(project: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(project))
    return main(["report", *words])


def test_the_shell_prints_text_json_and_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, *many(12, time.time()))
    assert shell(tmp_path, monkeypatch, "--html", str(tmp_path / "page.html")) == 0
    assert "## Events" in capsys.readouterr().out
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert shell(tmp_path, monkeypatch, "--json", "--event", "Stop") == 0
    assert [own["event"] for own in json.loads(capsys.readouterr().out)["events"]] == ["Stop"]


def test_ci_fails_on_a_limit_and_on_a_regression_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, baseline = time.time(), str(tmp_path / "baseline.json")
    write(tmp_path, *(record(row("a", 10.0 + at / 100), at=now) for at in range(200)))
    assert shell(tmp_path, monkeypatch, "--save", baseline, "--fail-above", "PreToolUse=20,p95") == 0
    assert shell(tmp_path, monkeypatch, "--fail-above", "PreToolUse=9") == 1
    assert "the limit is 9 ms" in capsys.readouterr().err
    assert shell(tmp_path, monkeypatch, "--compare", baseline) == 0
    write(tmp_path, *(record(row("a", 40.0 + at / 100), at=now) for at in range(800)))
    assert shell(tmp_path, monkeypatch, "--compare", baseline) == 1
    assert "PreToolUse/a: median" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fail-above", "PreToolUse"], "PreToolUse=20,p95"),
        (["--compare", "nowhere.json"], "--save"),
        (["--days", "0"], "--days"),
    ],
)
def test_a_wrong_option_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    assert shell(tmp_path, monkeypatch, *words) == 2
    assert said in capsys.readouterr().err
