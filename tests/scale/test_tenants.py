"""What one user of the service tries to get of another's, or of its machine: nothing succeeds.

Alice has asked and been answered; her question, and each file outside of the project, has a word that no
attempt may bring back, in its answer or in what it makes a model see.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from fakes.repositories import IDENTITY
from fakes.service import TOKENS, Service, running
from fakes.upstream import Rule, until

pytestmark = pytest.mark.slow

ALICES: Final = "Zugspitze"
"""Only alice's questions have it."""
SECRETS: Final = (ALICES, "SECRET_OF_THE_MACHINE", "root:x:0", "hidden-elsewhere", "hunter2-in-git")
FOCUS: Final = f"how {ALICES} is reached"
ASK: Final = {"question": "Is it wise?", "deadline_s": 60}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("tenants")
    prepare(folder)
    with running(folder) as made:
        made.upstream.rules.append(Rule(FOCUS, text=json.dumps({"purpose": "It prints.", "notes": []})))
        made.call("oracle_batch", {**ASK, "question": f"Shall we climb the {ALICES}?"})
        made.call("summarize_files", {"paths": ["app.py"], "focus": FOCUS, "engine": "model"})
        yield made


def prepare(folder: Path) -> None:
    """Make a project with ways out: links, a pipe, another worktree, git's own files."""
    project = folder / "project"
    project.mkdir()
    (folder / "outside.py").write_text("SECRET_OF_THE_MACHINE = 1\n")
    (project / "link.py").symlink_to(folder / "outside.py")
    (project / "up").symlink_to(folder)
    (project / "etc").symlink_to("/etc")
    (project / "loop").symlink_to("loop")
    os.mkfifo(project / "pipe.py")
    (project / "own.py").write_text("def own() -> None: ...\n")
    commands: list[list[str]] = [
        ["init", "--quiet", "--initial-branch", "main"],
        ["remote", "add", "origin", "https://bot:hunter2-in-git@git.example.com/app.git"],
        ["add", "own.py"],
        [*IDENTITY, "commit", "--quiet", "--message", "Begin"],
        ["worktree", "add", "--quiet", str(folder / "elsewhere"), "-b", "elsewhere"],
    ]
    for command in commands:
        subprocess.run(["git", *command], cwd=project, check=True, capture_output=True)
    (folder / "elsewhere" / "private.py").write_text("WORD = 'hidden-elsewhere'\n")


def attempt(service: Service, tool: str, arguments: Mapping[str, Any], who: str) -> str:
    """Return all that a call brought back: its answer, and what models were asked for it."""
    given = json.loads(json.dumps(arguments).replace("{folder}", str(service.project.parent)))
    before = len(service.upstream.log)
    answer = service.call(tool, given, TOKENS[who])
    return json.dumps([answer, [seen.prompt for seen in service.upstream.log[before:]]], ensure_ascii=False)


def must_hold(service: Service, text: str, given: str = "") -> None:
    for secret in SECRETS:
        assert secret not in text
    if "{folder}" not in given:
        assert str(service.project.parent) not in text


# --- files --------------------------------------------------------------------------------------------------

PATHS: Final = (
    "../outside.py",
    "{folder}/outside.py",
    "./../outside.py",
    "own.py/../../outside.py",
    "x/../../outside.py",
    "..//outside.py",
    "..\\outside.py",
    "%2e%2e/outside.py",
    "..%2foutside.py",
    "\uff0e\uff0e/outside.py",
    "~/../outside.py",
    "file:///etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    str(Path("/proc/self") / "root" / "etc/passwd"),
    "link.py",
    "up/outside.py",
    "etc/passwd",
    "loop",
    "pipe.py",
    ".git/config",
    "own.py\u0000/../../outside.py",
    "../elsewhere/private.py",
    "{folder}/elsewhere/private.py",
    "{folder}/project/../elsewhere/private.py",
    "/dev/fd/0",
    "{folder}/users.toml",
)
GLOBS: Final = (
    "../*.py",
    "{folder}/*.py",
    "up/**",
    "**/../outside.py",
    "etc/pass*",
    "[.][.]/outside.py",
    "../elsewhere/**",
    "{..,own.py}/outside.py",
    "!own.py/../../*",
)


@pytest.mark.parametrize("path", PATHS)
def test_no_attached_file_is_outside_of_the_project(service: Service, path: str) -> None:
    must_hold(service, attempt(service, "oracle_batch", {**ASK, "files": [path]}, "mallory"), path)


@pytest.mark.parametrize("path", [*PATHS, *GLOBS])
@pytest.mark.parametrize(
    ("tool", "name"),
    [("summarize_files", "paths"), ("batch_review", "patterns"), ("explore_modules", "modules")],
)
def test_no_file_outside_of_the_project_is_read_by_a_source_tool(
    service: Service, tool: str, name: str, path: str
) -> None:
    given = {name: [path], "engine": "static"}
    must_hold(service, attempt(service, tool, given, "mallory"), path)


OTHER_ARGUMENTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "a change since an option": ("batch_review", {"patterns": ["."], "base": "--output=/tmp/x"}),
    "a change since a file": ("batch_review", {"patterns": ["."], "base": "../outside.py"}),
    "a change since another worktree": (
        "batch_review",
        {"patterns": ["."], "base": "worktrees/elsewhere/HEAD"},
    ),
    "a persona by path": ("oracle_batch", {**ASK, "personas": ["../../outside", "judge"]}),
    "a preset by path": ("oracle_batch", {**ASK, "preset": "../../outside"}),
    "a model by path": ("oracle_batch", {**ASK, "models": ["file:///etc/passwd"]}),
    "a model elsewhere": ("oracle_batch", {**ASK, "models": ["http://127.0.0.1:1/v1:x"]}),
    "a page of another's answer": (
        "explore_modules",
        {"modules": ["."], "engine": "static", "cursor": 10**6},
    ),
    "a page of a plan": ("summarize_files", {"paths": ["."], "engine": "plan", "cursor": 7}),
    "findings of another": (
        "batch_review",
        {
            "patterns": ["."],
            "engine": "static",
            "with_findings": [{"path": "../outside.py", "line": 1, "text": "look", "reviewer": "x"}],
        },
    ),
    "a lens that reads": (
        "agent_swarm",
        {"task": "Read ../outside.py", "count": 1, "lenses": ["/etc/passwd"]},
    ),
    "the report of hooks": ("hook_report", {"days": 30}),
    "the report of hooks, elsewhere": ("hook_report", {"root": "/"}),
    "hooks": ("run_hooks", {"hook_event_name": "PreToolUse", "tool_name": "Bash"}),
    "a long plan, set aside in a file": (
        "agent_swarm",
        {"task": "word " * 5_000, "count": 6, "engine": "plan"},
    ),
    "the map of everything": ("explore_modules", {"engine": "static"}),
}


@pytest.mark.parametrize("way", OTHER_ARGUMENTS)
def test_no_other_argument_leads_out(service: Service, way: str) -> None:
    tool, arguments = OTHER_ARGUMENTS[way]
    must_hold(service, attempt(service, tool, arguments, "mallory"))


# --- scopes -------------------------------------------------------------------------------------------------

WITHOUT_READ: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "a file attached": ("oracle_batch", {**ASK, "files": ["own.py"]}),
    "a file attached to a council": ("council", {**ASK, "files": ["own.py"], "rounds": 1}),
    "one attached in a dry run": ("oracle_batch", {**ASK, "files": ["own.py"], "dry_run": True}),
    "an argument in capitals": ("oracle_batch", {**ASK, "Files": ["own.py"]}),
    "a summary": ("summarize_files", {"paths": ["own.py"], "engine": "static"}),
    "a map": ("explore_modules", {"question": "what is own?", "engine": "static"}),
    "a review": ("batch_review", {"patterns": ["own.py"], "engine": "static"}),
    "a plan to read": ("summarize_files", {"paths": ["own.py"], "engine": "plan"}),
    "a tool in capitals": ("Summarize_Files", {"paths": ["own.py"]}),
    "a tool with a blank": ("summarize_files ", {"paths": ["own.py"]}),
    "a tool in other letters": ("summarize\uff3ffiles", {"paths": ["own.py"]}),
}


@pytest.mark.parametrize("way", WITHOUT_READ)
def test_who_may_not_read_reads_nothing(service: Service, way: str) -> None:
    tool, arguments = WITHOUT_READ[way]
    text = attempt(service, tool, arguments, "bob")
    assert '"isError": true' in text
    assert "def own" not in text


# --- who sends ----------------------------------------------------------------------------------------------

LIST: Final = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'
A: Final = ("Authorization", "Bearer token-of-alice")
M: Final = ("Authorization", "Bearer token-of-mallory")
AS_ANOTHER: Final[dict[str, tuple[str, tuple[tuple[str, str], ...]]]] = {
    "two tokens": ("/mcp", (M, A)),
    "the same token twice": ("/mcp", (A, A)),
    "a second header in small letters": ("/mcp", (M, ("authorization", "Bearer token-of-alice"))),
    "two schemes in one": ("/mcp", (("Authorization", "Basic x, Bearer token-of-alice"),)),
    "a token in other letters": ("/mcp", (("Authorization", "Bearer token-of-al\u0131ce"),)),
    "a token in full width": ("/mcp", (("Authorization", "Bearer token\uff0dof\uff0dalice"),)),
    "a token in capitals": ("/mcp", (("Authorization", "Bearer TOKEN-OF-ALICE"),)),
    "a token with a tab": ("/mcp", (("Authorization", "Bearer\ttoken-of-alice"),)),
    "a token in quotes": ("/mcp", (("Authorization", 'Bearer "token-of-alice"'),)),
    "a token in the address": ("/mcp?access_token=token-of-alice", ()),
    "a token in a cookie": ("/mcp", (("Cookie", "Authorization=Bearer token-of-alice"),)),
    "a token for a proxy": ("/mcp", (("Proxy-Authorization", "Bearer token-of-alice"),)),
    "a name from a proxy": ("/mcp", (("X-Forwarded-User", "alice"), ("X-Remote-User", "alice"))),
    "any issuer's row": ("/mcp", (("Authorization", "Bearer *"),)),
    "a JWT without a signature": (
        "/mcp",
        (("Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."),),
    ),
}


@pytest.mark.parametrize("way", AS_ANOTHER)
def test_no_request_passes_as_another_user_s(service: Service, way: str) -> None:
    path, headers = AS_ANOTHER[way]
    assert service.send(LIST, headers, path=path)[0] == 401


# --- cache, votes, budget -----------------------------------------------------------------------------------


def test_what_one_user_was_answered_is_asked_again_for_another_and_not_for_itself(service: Service) -> None:
    given = {"paths": ["app.py"], "focus": FOCUS, "engine": "model"}
    before = len(service.upstream.log)
    again = service.call("summarize_files", given)["structuredContent"]["receipt"]
    assert (again["cached"], len(service.upstream.log)) == (1, before)
    other = service.call("summarize_files", given, TOKENS["mallory"])["structuredContent"]["receipt"]
    assert (other["cached"], len(service.upstream.log)) == (0, before + 1)


def test_how_often_others_asked_a_panel_is_not_in_a_receipt(service: Service) -> None:
    with ThreadPoolExecutor(8) as at_once:
        list(at_once.map(lambda _: service.call("oracle_batch", ASK), range(21)))
    assert "panel" in service.call("oracle_batch", ASK)["structuredContent"]["receipt"]
    theirs = service.call("oracle_batch", ASK, TOKENS["mallory"])["structuredContent"]["receipt"]
    assert "panel" not in theirs


BEYOND: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "at the usual price": ("oracle_batch", ASK),
    "at no price": ("oracle_batch", {**ASK, "max_cost_usd": 0}),
    "at less than nothing": ("oracle_batch", {**ASK, "max_cost_usd": -1}),
    "at any price": ("oracle_batch", {**ASK, "max_cost_usd": float("inf")}),
    "at a price that is no number": ("oracle_batch", {**ASK, "max_cost_usd": float("nan")}),
    "at a price in words": ("oracle_batch", {**ASK, "max_cost_usd": "0.0001"}),
    "within the budget, by a model without a price": (
        "oracle_batch",
        {**ASK, "models": ["maker/unknown"], "max_cost_usd": 0.0009},
    ),
    "for nothing, by a model without a price": (
        "summarize_files",
        {"paths": ["own.py"], "engine": "model", "max_cost_usd": 0},
    ),
    "in a swarm": ("agent_swarm", {"task": "carol's", "count": 50}),
    "by a review": ("batch_review", {"patterns": ["."], "engine": "model"}),
}


@pytest.mark.parametrize("way", BEYOND)
def test_no_question_is_asked_beyond_a_user_s_dollars(service: Service, way: str) -> None:
    tool, arguments = BEYOND[way]
    before = len(service.upstream.log)
    answer = service.call(tool, arguments, TOKENS["carol"])
    assert answer["isError"], answer
    assert len(service.upstream.log) == before


# --- places -------------------------------------------------------------------------------------------------

SLOW: Final = {"question": "Is it slowly wise, mallory?", "deadline_s": 60}


def call_of(arguments: Mapping[str, Any]) -> bytes:
    params = {"name": "oracle_batch", "arguments": arguments}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()


HIDDEN_CALLS: Final[dict[str, bytes]] = {
    "as it is": call_of(SLOW),
    "with an escape": call_of(SLOW).replace(b"tools/call", b"tools\\/call"),
    "in numbers": call_of(SLOW).replace(b"tools/call", b"\\u0074ools/cal\\u006c"),
    "in another encoding": call_of(SLOW).decode().encode("utf-16-le"),
    "behind another method": call_of(SLOW).replace(b'"method"', b'"method": "ping", "method"'),
    "behind blanks": b" " * 5_000 + call_of(SLOW),
}


@pytest.mark.parametrize("way", HIDDEN_CALLS)
def test_no_call_hides_from_the_bound_on_a_user_s_calls(service: Service, way: str) -> None:
    service.upstream.peak = 0
    with ThreadPoolExecutor(6) as at_once:
        replies = list(at_once.map(lambda _: service.send(HIDDEN_CALLS[way], (M,)), range(6)))
    asked = sum(status == 200 and "PROCEED" in text for status, text in replies)
    assert asked <= 2
    assert service.upstream.peak <= 6  # two calls of three members


def test_no_other_user_s_call_is_cancelled_by_its_id(service: Service) -> None:
    slow = {"question": "Is it slowly wise, alice?", "deadline_s": 60}
    with ThreadPoolExecutor(1) as calling:
        before = len(service.upstream.log)
        answer = calling.submit(service.call, "oracle_batch", slow)
        anyio.run(until, lambda: len(service.upstream.log) > before or answer.done())
        for method in ("notifications/cancelled", "$/cancelRequest", "tasks/cancel"):
            params = {"requestId": 1, "taskId": "1", "reason": "mine now"}
            message = {"jsonrpc": "2.0", "method": method, "params": params}
            service.send(json.dumps(message).encode(), (M,))
        assert answer.result()["structuredContent"]["decision"] == "PROCEED"


# --- the protocol's other ways ------------------------------------------------------------------------------

METHODS: Final[dict[str, dict[str, Any]]] = {
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": {"uri": "file:///etc/passwd"},
    "resources/subscribe": {"uri": "file:///etc/passwd"},
    "prompts/list": {},
    "prompts/get": {"name": "oracle_batch"},
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": "x"},
        "argument": {"name": "files", "value": "/"},
    },
    "logging/setLevel": {"level": "debug"},
    "tasks/list": {},
    "tasks/get": {"taskId": "1"},
    "tasks/result": {"taskId": "1"},
    "roots/list": {},
    "sampling/createMessage": {"messages": [], "maxTokens": 1},
    "subscriptions/listen": {},
}


@pytest.mark.parametrize("method", METHODS)
def test_no_other_method_of_the_protocol_is_served(service: Service, method: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": METHODS[method]}).encode()
    status, text = service.send(body, (M,))
    assert '"result"' not in text
    must_hold(service, text)
    assert status < 500


@pytest.mark.parametrize(
    ("method", "header"),
    [
        ("GET", ("Mcp-Session-Id", "1")),
        ("GET", ("Last-Event-ID", "1")),
        ("DELETE", ("Mcp-Session-Id", "1")),
        ("PUT", ("X-HTTP-Method-Override", "POST")),
        ("TRACE", ("X-A", "1")),
        ("OPTIONS", ("X-A", "1")),
    ],
)
def test_no_stream_or_session_of_another_is_taken_up(
    service: Service, method: str, header: tuple[str, str]
) -> None:
    assert service.send(b"", (M, header), method)[0] == 405


@pytest.mark.parametrize(
    "path",
    ["/", "/mcp/../metrics", "/metrics", "/.well-known/oauth-protected-resource/mcp", "/mcp/x", "//mcp"],
)
def test_nothing_is_at_another_path(service: Service, path: str) -> None:
    status, text = service.send(LIST, (M,), path=path)
    assert status in {404, 405, 421}, text
    must_hold(service, text)


def test_what_a_user_sends_is_in_no_figure_and_no_line_of_the_log(service: Service) -> None:
    text = service.get("/metrics")[1] + "".join(service.log)
    must_hold(service, text)
    for word in (*TOKENS.values(), "mallory?", "wise"):
        assert word not in text
