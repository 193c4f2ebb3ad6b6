"""Guards behave as natively, warm and cold: more than sixty settings, as Claude, user and files see them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2e.alike import WAYS, Case, Seen, act, run, says
from e2e.client import ROOT, Client, find_older_client
from e2e.hooked import PYTHON, Json, bash, group
from fakes import webhook
from fakes.model import Call
from fanout_hooks.client.matchers import is_match, why_unread

pytestmark = pytest.mark.e2e


def denies(reason: str) -> str:
    return says(
        {
            "hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": "deny",
                "permissionDecisionReason": f"SAY-{reason}",
            }
        }
    )


def specific(event: str, **more: Any) -> str:
    return says({"hookSpecificOutput": {"hookEventName": event, **more}})


# --- which calls a matcher means: one run holds them all ----------------------------------------------------

MATCHERS = (
    "Bash",
    "bash",
    "Bas",
    "Bash|Edit",
    "Edit, Write",
    "Edit,Bash",
    "*",
    "",
    ".*",
    "^Ba",
    "sh$",
    "Ba.h",
    "Edit|Write|mcp__my-server__get",
    "my-tool",
    "(?i)bash",
    "(?i:bash)",
    "(?P<x>Bash)",
    "(?<x>Bash)",
    "Ba++sh",
    "(?>Bash)",
    "Bash(",
    "Bash(ls)",
    r"\ABash",
    r"Bash\Z",
    "Task",
    "Agent",
    "^Task$",
    "KillShell",
    "Monitor",
    "Mon.*",
    "[^B].*",
    "(?!Bash).*",
    "^(?!Monitor)",
    "Artifact",
    "Read|^Bash$",
    "W{1,2}rite",
    "Notebook",
    "mcp__.*",
    " Bash ",
    "Bash||Edit",
)
CALLS = (
    bash("echo one"),
    Call("Monitor", {"command": "echo push", "description": "x", "timeout_ms": 1000}),
    Call("Read", {"file_path": "/nowhere"}),
    Call("Write", {"file_path": "made.txt", "content": "x"}),
    Call("NotebookEdit", {"notebook_path": "/nowhere.ipynb", "new_source": "x"}),
    Call("Agent", {"description": "a", "prompt": "[[sub:a]] b", "subagent_type": "nosuch"}),
)
MATCHED = Case(
    "matchers",
    {
        "PreToolUse": [
            group(act(f"m{place}", "true")) | {"matcher": matcher} for place, matcher in enumerate(MATCHERS)
        ]
    },
    CALLS,
)

# --- what a hook may answer: each acts on the one call with its mark ----------------------------------------

ANSWERS: dict[str, tuple[str, Json]] = {
    "exit 2 with a reason": ("echo SAY-two >&2; exit 2", {}),
    "exit 2 without": ("exit 2", {}),
    "exit 2 beside allow": (
        specific("PreToolUse", permissionDecision="allow") + "; echo SAY-x >&2; exit 2",
        {},
    ),
    "deny": (denies("deny"), {}),
    "deny with exit 1": (denies("one") + "; exit 1", {}),
    "old block": (says({"decision": "block", "reason": "SAY-old"}), {}),
    "old approve": (says({"decision": "approve"}), {}),
    "ask": (specific("PreToolUse", permissionDecision="ask", permissionDecisionReason="SAY-ask"), {}),
    "allow": (specific("PreToolUse", permissionDecision="allow"), {}),
    "context": (specific("PreToolUse", additionalContext="SAY-context"), {}),
    "message": (says({"systemMessage": "SAY-message"}), {}),
    "other input": (
        specific("PreToolUse", updatedInput={"command": "echo SAY-other", "description": "x"}),
        {},
    ),
    "exit 1": ("echo SAY-lost >&2; exit 1", {}),
    "exit 127": ("nosuch-guard --check", {}),
    "traceback": (f"{PYTHON} -c 'raise RuntimeError(\"SAY-lost\")'", {}),
    "plain text": ("echo SAY-plain", {}),
    "text before JSON": ("echo text; " + denies("late"), {}),
    "cut JSON": ("printf %s '{\"hookSpecificOutput\": {'", {}),
    "unknown decision": (specific("PreToolUse", permissionDecision="perhaps"), {}),
    "wrong event": (specific("PostToolUse", permissionDecision="deny"), {}),
    "list": ("echo '[1]'", {}),
    "guard fails": ("exit 1", {"onFailure": "block"}),
    "guard is not there": ("nosuch-guard", {"onFailure": "block"}),
    "guard denies": ("echo SAY-guard >&2; exit 2", {"onFailure": "block"}),
    "guard lets it pass": ("true", {"onFailure": "block"}),
    "guard is too slow": ("sleep 30", {"onFailure": "block", "timeout": 2}),
    "too slow": ("sleep 30", {"timeout": 2}),
    "explicit continue": ("exit 1", {"onFailure": "continue"}),
    "killed": ("kill -9 $$", {}),
}
ANSWERED = Case(
    "answers",
    {
        "PreToolUse": [
            group(act(name, what, f"mark-{place}-", **more), matcher="Bash")
            for place, (name, (what, more)) in enumerate(ANSWERS.items())
        ]
    },
    tuple(bash(f"echo mark-{place}-") for place in range(len(ANSWERS))),
)

# --- other events, and whole files --------------------------------------------------------------------------

DENY_BASH = {"PreToolUse": [group(act("guard", denies("guard")), matcher="Bash")]}
ONCE = 'test -e "$CLAUDE_PROJECT_DIR/once" && exit 0; touch "$CLAUDE_PROJECT_DIR/once"; '


def one_of_its_own(name: str, hooks: Json, **more: Any) -> Case:
    """Return a case of one call under a guard of Bash, beside whatever else the settings hold."""
    return Case(name, {**hooks}, (bash("echo pushed > pushed.txt"),), **more)


POST = Case(
    "after the call",
    {
        "PostToolUse": [
            group(act("p1", says({"decision": "block", "reason": "SAY-p1"}), "mark-1-"), matcher="Bash"),
            group(act("p2", "echo SAY-p2 >&2; exit 2", "mark-2-"), matcher="Bash"),
            group(act("p3", specific("PostToolUse", additionalContext="SAY-p3"), "mark-3-"), matcher="Ba.*"),
            group(act("p4", "exit 1", "mark-4-", onFailure="block"), matcher="Bash"),
        ],
        "PostToolUseFailure": [group(act("f1", specific("PostToolUseFailure", additionalContext="SAY-f1")))],
        "PostToolBatch": [group(act("b1", specific("PostToolBatch", additionalContext="SAY-b1"), "mark-3-"))],
    },
    (*(bash(f"echo mark-{place}-") for place in (1, 2, 3, 4)), bash("ls /nowhere-at-all")),
)
STOPS = {
    "exit 1": ("exit 1", {}),
    "exit 1 as a guard": ("exit 1", {"onFailure": "block"}),
    "exit 127 as a guard": ("nosuch-guard", {"onFailure": "block"}),
    "a block, once": (ONCE + says({"decision": "block", "reason": "SAY-stop"}), {}),
    "exit 2, once": (ONCE + "echo SAY-stop >&2; exit 2", {}),
}
PROMPTS = {
    "plain text": ("echo SAY-plain", {}),
    "context": (specific("UserPromptSubmit", additionalContext="SAY-context"), {}),
    "block": (says({"decision": "block", "reason": "SAY-block"}), {}),
    "exit 2": ("echo SAY-two >&2; exit 2", {}),
    "guard fails": ("exit 3", {"onFailure": "block"}),
}
BAD: dict[str, Json] = {
    "timeout 0 elsewhere": {"PostToolUse": [group(act("bad", "true", timeout=0))]},
    "a comment": {"_comment": "mine"},
    "an unknown event": {"NoSuchEvent": {"hooks": "x"}},
    "null": {"PostToolUse": None},
    "a matcher that is an object": {"PostToolUse": [{"matcher": {"a": 1}, "hooks": [act("bad", "true")]}]},
    "a text as timeout": {"PostToolUse": [group(act("bad", "true", timeout="10"))]},
    "no type": {"PostToolUse": [group({"command": "touch bad.txt"})]},
}
FILES = [
    *(
        Case(f"stop: {name}", {"Stop": [group(act("stop", what, **more))]}, texts=("one", "two"))
        for name, (what, more) in STOPS.items()
    ),
    *(
        Case(f"prompt: {name}", {"UserPromptSubmit": [group(act("prompt", what, **more))]})
        for name, (what, more) in PROMPTS.items()
    ),
    one_of_its_own("bad entries", {**BAD["a comment"], **BAD["timeout 0 elsewhere"], **DENY_BASH}),
    one_of_its_own("bad events", {**BAD["an unknown event"], **BAD["null"], **DENY_BASH}),
    one_of_its_own("bad groups", {**BAD["a matcher that is an object"], **DENY_BASH}),
    one_of_its_own("bad times", {**BAD["a text as timeout"], **DENY_BASH}),
    one_of_its_own("no type", {**BAD["no type"], **DENY_BASH}),
    one_of_its_own("a byte-order mark", DENY_BASH, mark="\ufeff"),
    Case(
        "a stand-in that would rewrite",
        {
            "PreToolUse": [
                group(
                    act("other", specific("PreToolUse", updatedInput={"command": "echo x >other.txt"})),
                    matcher="Bash",
                ),
                group(act("log", "true")),
                group(act("guard", "echo SAY-push >&2; exit 2", "push"), matcher="^Bash$"),
            ]
        },
        (
            Call("Monitor", {"command": "echo x >as-asked.txt", "description": "x", "timeout_ms": 2000}),
            Call("Monitor", {"command": "echo push >pushed.txt", "description": "x"}),
        ),
    ),
    one_of_its_own("hooks switched off", DENY_BASH, user={"disableAllHooks": True}),
    *(
        one_of_its_own(
            f"the user's own {name}",
            {
                "PreToolUse": [
                    group(
                        act("guard", f'test "${name}" = /own || exit 0; echo SAY-own >&2; exit 2'),
                        matcher="Bash",
                    )
                ]
            },
            user={"env": {name: "/own"}},
        )
        for name in ("CLAUDE_PLUGIN_ROOT", "CLAUDE_PLUGIN_DATA", "OWN_SETTING")
    ),
    one_of_its_own(
        "python and node beside a guard",
        {
            "PreToolUse": [
                group({"type": "command", "command": f'{PYTHON} "$CLAUDE_PROJECT_DIR/ok.py"'}),
                group(act("guard", denies("guard")), matcher="Bash"),
            ]
        },
        files={"ok.py": "import sys\nsys.stdin.read()\nopen('python.txt', 'a').write('x')\n"},
    ),
    Case(
        "a skill's command",
        {
            "PreSkillShellCommand": [
                group(act("skill", "echo SAY-skill >&2; exit 2", "forbidden"), matcher="Bash")
            ]
        },
        prompt="/mine",
        files={".claude/commands/mine.md": "---\nallowed-tools: Bash\n---\n!`echo fine` !`echo forbidden`\n"},
    ),
]
CASES = [MATCHED, ANSWERED, POST, *FILES]


def settings_held() -> int:
    """Return how many settings the cases hold."""
    return len(MATCHERS) + len(ANSWERS) + 6 + len(FILES)


def test_there_are_at_least_sixty_settings() -> None:
    assert settings_held() >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_claude_the_user_and_the_files_see_the_same_as_natively(
    client: Client, case: Case, tmp_path: Path
) -> None:
    three_ways(client, case, tmp_path)


def test_matchers_and_answers_are_as_natively_in_the_older_client_too(tmp_path: Path) -> None:
    program = find_older_client()
    if program is None:
        pytest.skip("Claude Code is not installed; `make e2e` installs it")
    older = Client.make(program, tmp_path)
    for case in (MATCHED, ANSWERED, *(case for case in FILES if case.name in IN_THE_OLDER)):
        three_ways(older, case, tmp_path / case.name.replace(" ", "-"))


IN_THE_OLDER = ("stop: exit 1 as a guard", "bad entries", "bad events", "a byte-order mark")


def three_ways(client: Client, case: Case, folder: Path) -> None:
    """Run a case all three ways side by side; what is seen must not depend on the way."""
    with ThreadPoolExecutor(len(WAYS)) as pool:
        runs = {way: pool.submit(run, client.program, folder / way, case, way) for way in WAYS}
        seen = {way: future.result() for way, future in runs.items()}
    assert seen["native"].ran or case.name in NOTHING_RUNS
    for way in WAYS[1:]:
        assert case is not ANSWERED or FAILING[0] in seen[way].notes  # as loudly as natively at least
        # A hook that fails is reported to the user at every event (docs/hooks.md); natively its stderr is in
        # the transcript and in the terminal, which `-p` does not show.
        natively = seen["native"].notes
        notes = tuple(word for word in seen[way].notes if word not in FAILING or word in natively)
        apart = [
            (name, one, other)
            for name, one, other in zip(
                Seen._fields, seen["native"], seen[way]._replace(notes=notes), strict=True
            )
            if one != other
        ]
        assert (way, apart) == (way, [])


POLICIES: dict[str, Json] = {
    "none": {},
    "another host": {"allowedHttpHookUrls": ["https://ok.example/*"]},
    "no host": {"allowedHttpHookUrls": []},
    "this host": {"allowedHttpHookUrls": ["http://127.0.0.1*"]},
    "another variable": {"httpHookAllowedEnvVars": ["OTHER"]},
    "no variable": {"httpHookAllowedEnvVars": []},
    "this variable": {"httpHookAllowedEnvVars": ["MY_TOK"]},
    "this host, another variable": {
        "allowedHttpHookUrls": ["http://127.0.0.1*"],
        "httpHookAllowedEnvVars": ["OTHER"],
    },
    "hooks switched off": {"disableAllHooks": True},
}


@pytest.mark.parametrize("policy", POLICIES)
def test_what_an_http_hook_is_sent_is_what_the_policy_lets_leave_natively(
    client: Client, policy: str, tmp_path: Path
) -> None:
    def one(way: str) -> tuple[Seen, list[tuple[str, str | None, str]]]:
        denial = {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": "SAY-http",
        }
        with webhook.serving({"hookSpecificOutput": denial}) as server:
            hook = {
                "type": "http",
                "url": f"{server.url}/hook",
                "headers": {"X-Own": "Bearer ${MY_TOK}"},
                "allowedEnvVars": ["MY_TOK"],
            }
            case = Case(
                policy,
                {"PreToolUse": [group(hook, matcher="Bash"), group(act("beside", "true"), matcher="Bash")]},
                (bash("echo pushed > pushed.txt"),),
                user={**POLICIES[policy], "env": {"MY_TOK": "t0k"}},
            )
            seen = run(client.program, tmp_path / way, case, way)
            return seen, [
                (path, headers.get("X-Own"), sent["tool_name"]) for path, headers, sent in server.came
            ]

    with ThreadPoolExecutor(len(WAYS)) as pool:
        native, warm, cold = pool.map(one, WAYS)
    assert (warm[1], cold[1]) == (native[1], native[1])
    assert (warm[0].answers, warm[0].files) == (native[0].answers, native[0].files)
    assert (cold[0].answers, cold[0].files) == (native[0].answers, native[0].files)
    assert bool(native[1]) == (policy not in {"another host", "no host", "hooks switched off"})


NOTHING_RUNS = ("hooks switched off",)
FAILING = ("SAY-lost",)
"""What hooks print that end neither with 0 nor 2."""


# --- a sample of generated matchers, judged by the client itself --------------------------------------------

SAMPLE = 200
CALLED = {
    "Bash": bash("echo one"),
    "Write": Call("Write", {"file_path": "made.txt", "content": "x"}),
    "Edit": Call("Edit", {"file_path": "/nowhere", "old_string": "a", "new_string": "b"}),
    "Read": Call("Read", {"file_path": "/nowhere"}),
    "NotebookEdit": Call("NotebookEdit", {"notebook_path": "/nowhere.ipynb", "new_source": "x"}),
    "Agent": Call("Agent", {"description": "a", "prompt": "b", "subagent_type": "nosuch"}),
    "WebFetch": Call("WebFetch", {"url": "http://127.0.0.1:9/", "prompt": "x"}),
    "TaskStop": Call("TaskStop", {"task_id": "x"}),
}


def sampled() -> list[str]:
    """Return generated matchers from all over the table: read and unread ones, side by side."""
    lines = (ROOT / "tests" / "client" / "matchers.txt").read_text().splitlines()[1:]
    return [line.split("\t")[0] for line in lines[:: len(lines) // SAMPLE]][:SAMPLE]


def test_the_client_itself_means_by_generated_matchers_what_we_read(client: Client, tmp_path: Path) -> None:
    matchers = sampled()
    hooks = {
        "PreToolUse": [
            group(act(f"m{place}", "true")) | {"matcher": matcher} for place, matcher in enumerate(matchers)
        ]
    }
    seen = run(client.program, tmp_path, Case("sample", hooks, tuple(CALLED.values())), "native")
    ran = set(seen.ran)
    tools = {line.split()[1] for line in ran}
    assert len(tools) >= 3  # the client checks a call's input before its hooks, so some tools have none
    read = [(place, one) for place, one in enumerate(matchers) if not why_unread(one)]
    assert len(read) > SAMPLE / 3
    wrong = [
        (matcher, tool)
        for place, matcher in read
        for tool in tools
        if is_match(matcher, tool) != (f"m{place} {tool}" in ran)
    ]
    assert wrong == []
