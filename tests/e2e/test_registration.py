"""Every way that Claude Code comes by the server, in the real client: clone, plugin, install, two at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.client import ROOT, Client, Said
from fakes.checkout import Checkout
from fakes.model import Call, Request, Text, Turn, serving, turns
from fanout_mcp.cli import main

pytestmark = pytest.mark.e2e

SHIPPED = (
    ".mcp.json",
    ".claude-plugin",
    "mcp_server",
    "hooks",
    "skills",
    "pyproject.toml",
    "constraints.txt",
)
CLONE, PLUGIN = "mcp__fanout__oracle_batch", "mcp__plugin_fanout_fanout__oracle_batch"
QUESTION = {"question": "may we?"}


@pytest.fixture
def clone(client: Client) -> Path:
    """A clone as the client's project, whose environment is this one."""
    _copy(client.project)
    install_here(client.project)
    return client.project


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A copy of the repository beside the project."""
    folder = tmp_path / "repository"
    folder.mkdir()
    _copy(folder)
    return folder


def _copy(folder: Path) -> None:
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)


def install_here(clone: Path) -> None:
    """What `make` leaves: a .venv that runs this clone; without the network it borrows our packages."""
    (clone / "README.md").write_text("x")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(clone / ".venv")], check=True)
    packages = next((clone / ".venv" / "lib").glob("python*/site-packages"))
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "_fanout.pth").write_text(f"{clone / 'mcp_server'}\n{clone / 'hooks'}\n{ours}\n")
    (clone / ".venv" / ".ready").touch()


@pytest.fixture
def checkout(client: Client, tmp_path: Path) -> Iterator[Checkout]:
    """Let a first use find a `uv` that makes an environment at once when the test says so."""
    checkout = Checkout.make(tmp_path / "fake")
    client.env["PATH"] = f"{checkout.bin}:{os.environ['PATH']}"
    yield checkout
    checkout.close()


def ask(client: Client, name: str, *arguments: str, cwd: Path | None = None) -> tuple[Said, str]:
    """Let the model call the tool once; return the run and what the model was told."""
    with serving(turns([[Call(name, QUESTION)], [Text("done")]])) as model:
        said = client.say(model, "please ask", *arguments, cwd=cwd)
    assert said.result == "done"
    return said, model.last.tool_results[0].text


@pytest.mark.parametrize("folder", [".", "docs/deep"], ids=["at its root", "in a subdirectory"])
def test_a_clone_is_registered_by_its_own_file(client: Client, clone: Path, folder: str) -> None:
    (clone / folder).mkdir(parents=True, exist_ok=True)
    _, told = ask(client, CLONE, cwd=clone / folder)
    assert json.loads(told)["decision"] == "NOT_ASKED"


SLOW = (
    "import sys; "
    "sys.meta_path.insert(0, type('Slow', (), {'find_spec': staticmethod("
    "lambda name, *_: __import__('time').sleep(9) if name == 'mcp' else None)}))\n"
)
"""A line of a .pth file: what the server imports after its first answers takes nine seconds."""


def test_a_slow_server_is_connected_and_its_tools_are_listed_from_the_start(
    client: Client, clone: Path
) -> None:
    next((clone / ".venv" / "lib").glob("python*/site-packages")).joinpath("_slow.pth").write_text(SLOW)
    client.env |= {
        "MCP_CONNECTION_NONBLOCKING": "false",
        "MCP_TIMEOUT": "6000",
    }  # wait so long, and no longer
    said, told = ask(client, CLONE)
    assert said.servers == {"fanout": "connected"}
    assert CLONE in said.events[0]["tools"]
    assert json.loads(told)["decision"] == "NOT_ASKED"


def test_the_plugin_passes_the_clients_own_validation(client: Client) -> None:
    client.project = ROOT
    done = client.run("plugin", "validate", "--strict", "--profile", "directory", ".")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation passed" in done.stdout
    assert "(README_TRIVIAL)" not in done.stdout


def test_a_plugin_is_used_while_its_environment_is_made(
    client: Client, plugin: Path, checkout: Checkout
) -> None:
    with serving(turns([[Call(PLUGIN, QUESTION)], [Text("done")]])) as model:
        process = client.start(model, "please ask", "--plugin-dir", str(plugin))
        checkout.finish_install()
        out, _ = process.communicate(timeout=120)
    said = Said(process.returncode, [json.loads(line) for line in out.splitlines() if line[:1] == "{"], "", 0)
    assert set(said.servers) == {"plugin:fanout:fanout"}  # the client begins while servers still connect
    assert json.loads(model.last.tool_results[0].text)["decision"] == "NOT_ASKED"
    assert "fanout:fanout" in str(said.events[0])


def test_the_repository_is_its_own_marketplace(client: Client, plugin: Path, checkout: Checkout) -> None:
    assert client.run("plugin", "marketplace", "add", str(plugin)).returncode == 0
    assert client.run("plugin", "install", "fanout@fanout").returncode == 0
    with serving(turns([[Call(PLUGIN, QUESTION)], [Text("done")]])) as model:
        process = client.start(model, "please ask")
        checkout.finish_install()
        process.communicate(timeout=120)
    assert json.loads(model.last.tool_results[0].text)["decision"] == "NOT_ASKED"
    data = client.home / ".claude" / "plugins" / "data" / "fanout-fanout"
    assert [path.name[:4] for path in data.glob("env-*")] == ["env-"]


def test_a_clone_and_the_plugin_stand_side_by_side(
    client: Client, clone: Path, plugin: Path, checkout: Checkout
) -> None:
    with serving(turns([[Call(CLONE, QUESTION), Call(PLUGIN, QUESTION)], [Text("done")]])) as model:
        process = client.start(model, "please ask", "--plugin-dir", str(plugin))
        checkout.finish_install()
        process.communicate(timeout=120)
    decisions = [json.loads(result.text)["decision"] for result in model.last.tool_results]
    assert decisions == ["NOT_ASKED", "NOT_ASKED"]
    assert clone.exists()


def test_what_install_wrote_connects_and_needs_no_permission(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(client.home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(client.home / ".config"))
    monkeypatch.chdir(client.project)
    assert main(["install", "--yes", "--allow-tools"]) == 0
    said, told = ask(client, CLONE, "--permission-mode", "default")
    assert json.loads(told)["decision"] == "NOT_ASKED"
    assert "fanout" in said.events[0].get("skills", []) or "fanout" in str(said.events[0])
    assert main(["uninstall", "--yes"]) == 0
    with serving(turns([[Text("done")]])) as model:
        assert client.say(model, "hello").servers == {}


def test_a_killed_server_is_started_again_by_the_next_call(client: Client, clone: Path) -> None:
    def script(request: Request) -> Turn:
        if request.turn == 0:
            return [Call(CLONE, QUESTION)]
        if request.turn == 1:
            kill_the_servers_of(clone)
            return [Call("Bash", {"command": "true", "description": "the client notices meanwhile"})]
        if request.turn == 2:
            return [Call(CLONE, QUESTION)]
        return [Text("done")]

    with serving(script) as model:
        said = client.say(model, "please ask twice")
    assert said.result == "done"
    first, _, again = model.last.tool_results
    assert json.loads(first.text)["decision"] == json.loads(again.text)["decision"] == "NOT_ASKED"


def kill_the_servers_of(clone: Path) -> None:
    """Kill the server that runs from this clone's environment, and nothing else."""
    python = str(clone / ".venv" / "bin" / "python").encode()
    killed = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == python and b"serve" in words:
            os.kill(int(entry.name), signal.SIGKILL)
            killed += 1
    assert killed == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"quetsion": "may we?"}, "did you mean `question`?"),
        ({}, "question"),
        ({"question": "may we?", "preset": "quik"}, "Did you mean 'quick'?"),
        ({"question": 7}, "question"),
    ],
    ids=["a typo", "nothing", "an unknown preset", "a wrong type"],
)
@pytest.mark.usefixtures("clone")
def test_wrong_arguments_come_back_as_a_sentence_that_helps(
    client: Client, arguments: dict[str, object], told: str
) -> None:
    with serving(turns([[Call(CLONE, arguments)], [Text("done")]])) as model:
        client.say(model, "please ask")
    result = model.last.tool_results[0]
    assert result.is_error
    assert told in result.text


# --- The plugin's commands, and its evaluations. ------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("panel", "Ask a panel about: may we ship?"),
        ("map", "Map this codebase for: may we ship?"),
        ("review", "Review: may we ship?"),
        ("hooks", "About the hooks of this project and user: may we ship?"),
    ],
)
def test_a_command_of_the_plugin_tells_the_model_what_to_do(
    client: Client, clone: Path, command: str, told: str
) -> None:
    with serving(turns([[Text("done")]])) as model:
        client.say(model, f"/fanout:{command} may we ship?", "--plugin-dir", str(clone))
    assert told in json.dumps(model.last.body)


def test_commands_that_are_not_used_cost_the_model_nothing(client: Client, clone: Path) -> None:
    with serving(turns([[Text("done")]])) as model:
        said = client.say(model, "hello", "--plugin-dir", str(clone))
    commands = [path.parent.name for path in (clone / "skills").glob("*/SKILL.md")]
    assert {f"fanout:{name}" for name in commands} <= {*said.events[0]["slash_commands"]}
    shown = json.dumps(model.last.body)
    assert "fanout:fanout" in shown
    assert not [name for name in commands if name != "fanout" and f"fanout:{name}" in shown]


def test_the_doctor_command_runs_in_the_environment_of_the_plugin(client: Client, clone: Path) -> None:
    def script(request: Request) -> Turn:
        if request.turn:
            return [Text("done")]
        texts = [block["text"] for one in request.messages for block in one["content"] if "text" in block]
        found = re.search(r"^ +(sh -c '.+')$", "\n".join(texts), re.MULTILINE)
        assert found
        return [Call("Bash", {"command": found[1], "description": "fanout doctor"})]

    with serving(script) as model:
        client.say(model, "/fanout:doctor", "--plugin-dir", str(clone))
    assert str(clone / ".venv" / "bin" / "python") in model.last.tool_results[0].text


def test_the_evaluations_pass_with_a_scripted_model_and_the_real_server(client: Client, clone: Path) -> None:
    shutil.copytree(ROOT / "evals", clone / "evals")
    tools: dict[str, tuple[str, dict[str, object]]] = {
        "legacy_id": ("oracle_batch", {"question": "Drop legacy_id tonight?"}),
        "discount": ("explore_modules", {"question": "Where is a discount taken off the price?"}),
        "defects": ("batch_review", {"patterns": ["app.py"]}),
    }

    def script(request: Request) -> Turn:
        if request.turn == 0:
            asked = json.dumps(request.messages)
            name, arguments = next(one for word, one in tools.items() if word in asked)
            return [Call(f"mcp__plugin_fanout_fanout__{name}", arguments)]
        return [Text(request.tool_results[-1].text[:2_000])]

    granted = [f"mcp__plugin_fanout_fanout__{name}" for name, _ in tools.values()]
    words = [
        "--allow-tools",
        *granted,
        "Read",
        "--trust-plugin",
        "--scaffold",
        "--mocks",
        "off",
        "--ablation",
        "none",
        "--no-publish",
    ]
    report = client.home / "evals.json"
    with serving(script) as model:
        subprocess.run(
            [client.program, "plugin", "eval", str(clone), *words, "--json", str(report)],
            cwd=client.home,
            env=client.environment(model),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=240,
            check=False,
        )
    cases = json.loads(report.read_text())["cases"]
    assert {case["name"] for case in cases} == {
        path.parent.name for path in (ROOT / "evals").glob("*/case.yaml")
    }
    assert not [
        (case["name"], run["graders"]) for case in cases for run in case["arms"]["with"] if run["score"] < 1
    ]
