"""Ways round a policy that an unprivileged user or a project may try: none gets a forbidden thing done.

What is forbidden would be seen: a provider on loopback counts its questions, and fake clients leave a mark.
The way itself is what a user, a project or the environment can set; the policy is in place before.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpcore2
import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.company import Company, company
from fakes.upstream import Upstream, serving
from fanout_hooks.gate import watch
from fanout_mcp.backends.http import core_url
from fanout_mcp.backends.providers import barred_host
from fanout_mcp.cli import main
from fanout_mcp.errors import FanoutError, SettingsError
from fanout_mcp.scale import telemetry, worker
from fanout_mcp.scale.telemetry import exporting
from fanout_mcp.source.read import Source, read
from fanout_mcp.state import audit, policy
from fanout_mcp.state import settings as user_settings

__all__ = ["company"]


@dataclass
class Machine:
    """A user's machine: home, project, programs, and a provider that must not be asked."""

    home: Path
    project: Path
    bin: Path
    evil: Upstream
    monkeypatch: pytest.MonkeyPatch
    company: Company
    capsys: pytest.CaptureFixture[str]
    said: str = field(default="")

    def set(self, **env: str) -> None:
        for name, value in env.items():
            self.monkeypatch.setenv(name, value.format(evil=self.evil.url, port=self.evil.port))

    def config(self, text: str, name: str = "config.toml") -> None:
        path = self.home / ".config" / "fanout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("EVIL", self.evil.url).replace("PORT", str(self.evil.port)))

    def providers(self, text: str) -> None:
        self.config(text, "providers.toml")

    def run(self, *words: str) -> int:
        status = main(list(words))
        out, err = self.capsys.readouterr()
        self.said += out + err
        return status

    @property
    def questions(self) -> int:
        return len(self.evil.log)

    @property
    def marks(self) -> list[str]:
        return sorted(path.name for path in self.home.glob("*.mark"))


@pytest.fixture
def machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, company: Company, capsys: pytest.CaptureFixture[str]
) -> Iterator[Machine]:
    home, project, programs = tmp_path / "home", tmp_path / "project", tmp_path / "bin"
    for folder in (home, project / ".claude" / "fanout", programs):
        folder.mkdir(parents=True)
    (project / "app.py").write_text("def main() -> None:\n    print(1)\n")
    for name in ("claude", "codex", "gemini"):
        program = programs / name
        program.write_text(f"#!/bin/sh\ntouch {home}/{name}.mark\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(project)
    with serving() as evil:
        yield Machine(home, project, programs, evil, monkeypatch, company, capsys)


Way = Callable[[Machine], None]

ORACLE = ("oracle", "Is it wise?", "--deadline", "5")


def environment(**env: str) -> Way:
    return lambda machine: machine.set(**env)


def config(text: str) -> Way:
    return lambda machine: machine.config(text)


def providers(text: str, enabled: str) -> Way:
    def way(machine: Machine) -> None:
        machine.providers(text)
        machine.config(f"enabled = [{enabled!r}]\n".replace("'", '"'))

    return way


def project(name: str, text: str) -> Way:
    def way(machine: Machine) -> None:
        path = machine.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("EVIL", machine.evil.url))

    return way


def both(*ways: Way) -> Way:
    def way(machine: Machine) -> None:
        for one in ways:
            one(machine)

    return way


# --- hosts and providers ------------------------------------------------------------------------------------

HOSTS = 'providers = ["groq"]\nhosts = ["api.groq.com"]\nclients = []\n'
TO_ANOTHER_HOST: dict[str, tuple[Way, tuple[str, ...]]] = {
    "variable": (environment(FANOUT_BASE_URL="{evil}"), ()),
    "variable-with-key": (environment(FANOUT_BASE_URL="{evil}", FANOUT_API_KEY="k"), ()),
    "variable-and-backend": (environment(FANOUT_BASE_URL="{evil}", FANOUT_BACKEND="http"), ()),
    "variable-by-name": (environment(FANOUT_BASE_URL="http://localhost:{port}/v1"), ()),
    "variable-in-capitals": (environment(FANOUT_BASE_URL="http://LOCALHOST:{port}/v1"), ()),
    "variable-with-query": (environment(FANOUT_BASE_URL="{evil}?host=api.groq.com"), ()),
    "variable-with-fragment": (environment(FANOUT_BASE_URL="{evil}#api.groq.com"), ()),
    "variable-with-model": (environment(FANOUT_BASE_URL="{evil}", FANOUT_MODEL="groq:any"), ()),
    "user-file": (config('base_url = "EVIL"\napi_key = "k"\n'), ()),
    "user-file-and-backend": (config('base_url = "EVIL"\nbackend = "http"\n'), ()),
    "both": (both(environment(FANOUT_BASE_URL="{evil}"), config('base_url = "EVIL"\n')), ()),
    "another-config-folder": (environment(FANOUT_BASE_URL="{evil}", XDG_CONFIG_HOME="/nonexistent"), ()),
    "own-row": (providers('[mine]\nbase_url = "EVIL"\n', "mine"), ("--models", "mine:any")),
    "own-row-unnamed": (providers('[mine]\nbase_url = "EVIL"\nmodels.strong = ["m"]\n', "mine"), ()),
    "allowed-row-moved": (providers('[groq]\nbase_url = "EVIL"\nkey = ""\n', "groq"), ("--models", "groq:m")),
    "allowed-row-moved-unnamed": (providers('[groq]\nbase_url = "EVIL"\nkey = ""\n', "groq"), ()),
    "allowed-row-with-path": (
        providers('[groq]\npath = "@127.0.0.1:PORT/v1/chat/completions"\nkey = "K"\n', "groq"),
        ("--models", "groq:m"),
    ),
    "allowed-name-in-the-host": (
        providers('[groq]\nbase_url = "http://api.groq.com@127.0.0.1:PORT/v1"\nkey = ""\n', "groq"),
        ("--models", "groq:m"),
    ),
    "backslash-in-the-host": (
        providers('[groq]\nbase_url = "http://127.0.0.1:PORT\\\\\\\\@api.groq.com/v1"\nkey = ""\n', "groq"),
        ("--models", "groq:m"),
    ),
    "local-row": (providers('[ollama]\nbase_url = "EVIL"\n', "ollama"), ("--models", "ollama:m")),
    "openrouter-row-moved": (providers('[openrouter]\nbase_url = "EVIL"\n', "openrouter"), ()),
    "proxy": (
        both(
            environment(FANOUT_BASE_URL="https://api.groq.com/openai/v1"),
            config('base_url = "https://api.groq.com/openai/v1"\nproxy = "http://127.0.0.1:PORT"\n'),
        ),
        (),
    ),
    "plain-proxy": (
        both(
            providers('[groq]\nbase_url = "http://api.groq.com/v1"\nkey = ""\n', "groq"),
            config('enabled = ["groq"]\nproxy = "http://127.0.0.1:PORT"\n'),
        ),
        ("--models", "groq:m"),
    ),
    "named-in-a-project": (project(".claude/fanout/config.json", '{"base_url": "EVIL"}'), ()),
    "config-in-a-project": (project(".claude/fanout/config.toml", 'base_url = "EVIL"'), ()),
    "dotenv-of-a-project": (project(".env", "FANOUT_BASE_URL=EVIL"), ()),
    "policy-variable": (environment(FANOUT_POLICY="/dev/null", FANOUT_BASE_URL="{evil}"), ()),
    "policy-place-variable": (environment(FANOUT_POLICY_PLACE="/dev/null", FANOUT_BASE_URL="{evil}"), ()),
    "policy-in-config": (config('base_url = "EVIL"\npolicy = "/dev/null"\n'), ()),
    "own-policy-in-home": (
        both(
            config('base_url = "EVIL"\n'),
            lambda machine: machine.config("hosts = []\n", "policy.toml"),
        ),
        (),
    ),
    "policy-in-a-project": (
        both(environment(FANOUT_BASE_URL="{evil}"), project("policy.toml", "unpriced = true\n")),
        (),
    ),
    "etc-of-a-project": (
        both(environment(FANOUT_BASE_URL="{evil}"), project("etc/fanout/policy.toml", "unpriced = true\n")),
        (),
    ),
    "state-folder": (environment(FANOUT_BASE_URL="{evil}", FANOUT_STATE_DIR="/tmp/x"), ()),
    "as-a-child": (environment(FANOUT_BASE_URL="{evil}", FANOUT_CHILD="1"), ()),
    "model-of-the-endpoint": (environment(FANOUT_BASE_URL="{evil}"), ("--models", "maker/first")),
    "max-parallel": (environment(FANOUT_BASE_URL="{evil}", FANOUT_MAX_PARALLEL="1"), ()),
}


@pytest.mark.parametrize("way", TO_ANOTHER_HOST)
def test_no_question_goes_to_a_host_that_is_not_allowed(machine: Machine, way: str) -> None:
    machine.company.says(HOSTS)
    machine.monkeypatch.setenv("K", "key")
    prepare, words = TO_ANOTHER_HOST[way]
    prepare(machine)
    machine.run(*ORACLE, *words)
    machine.run("doctor", "--check")
    assert (machine.questions, machine.evil.model_lists, machine.marks) == (0, 0, [])


def test_without_a_policy_the_same_ways_do_reach_that_host(machine: Machine) -> None:
    """Otherwise the table above would prove nothing."""
    reached = []
    for way in ("variable", "user-file", "own-row"):
        prepare, words = TO_ANOTHER_HOST[way]
        prepare(machine)
        before = machine.questions
        machine.run(*ORACLE, *words)
        reached.append(machine.questions > before)
        machine.monkeypatch.delenv("FANOUT_BASE_URL", raising=False)
    assert reached == [True, True, True]


def test_what_is_refused_is_named_with_the_policy_and_whom_to_ask(machine: Machine) -> None:
    machine.company.says(HOSTS)
    machine.set(FANOUT_BASE_URL="{evil}", FANOUT_BACKEND="http")
    assert machine.run(*ORACLE) != 0
    allows = f"the policy {policy.PLACE} allows only the hosts api.groq.com; ask your administrator"
    assert f"127.0.0.1 is not allowed: {allows}" in machine.said


@pytest.mark.parametrize(
    "words",
    [
        ("summarize", "app.py", "--engine", "model"),
        ("explore", ".", "--engine", "model"),
        ("review", "*.py", "--engine", "model"),
        ("review", "*.py", "--models", "one"),
        ("swarm", "Look at it.", "--engine", "model"),
    ],
    ids=" ".join,
)
def test_a_tool_that_needs_a_model_names_the_host_and_the_policy_that_keep_it(
    machine: Machine, words: tuple[str, ...]
) -> None:
    machine.company.says(HOSTS)
    machine.set(FANOUT_BASE_URL="{evil}")
    assert machine.run(*words) != 0
    assert f"127.0.0.1 is not allowed: the policy {policy.PLACE}" in " ".join(machine.said.split())


# --- Redis and collectors -----------------------------------------------------------------------------------

TO_ANOTHER_REDIS: dict[str, Way] = {
    "variable": environment(FANOUT_REDIS_URL="redis://127.0.0.1:{port}/0"),
    "user-file": config('redis_url = "redis://127.0.0.1:PORT/0"\n'),
    "another-port": environment(FANOUT_REDIS_URL="redis://localhost:{port}/0"),
    "port-in-the-query": environment(FANOUT_REDIS_URL="redis://localhost/0?port={port}"),
    "allowed-name-as-user": environment(FANOUT_REDIS_URL="redis://localhost:6379@127.0.0.1:{port}/0"),
    "allowed-name-in-the-query": environment(FANOUT_REDIS_URL="redis://127.0.0.1:{port}/0?host=localhost"),
    "escaped-host": config('redis_url = "redis://127%2E0.0.1:PORT/0"\n'),
}


@pytest.mark.parametrize("way", TO_ANOTHER_REDIS)
def test_no_redis_is_used_that_is_not_an_allowed_host(machine: Machine, way: str) -> None:
    machine.company.says('hosts = ["localhost:6379"]\n')
    TO_ANOTHER_REDIS[way](machine)
    for words in (ORACLE, ("doctor",), ("batch", "show")):
        machine.said = ""
        assert machine.run(*words) != 0
        assert f"is not allowed: the policy {policy.PLACE}" in " ".join(machine.said.split())
    with pytest.raises(SettingsError, match="is not allowed"):
        anyio.run(worker._work, user_settings.read(), None)
    assert machine.evil.connections == 0


def test_an_allowed_redis_is_used(machine: Machine) -> None:
    """Otherwise the table above would prove nothing."""
    machine.company.says(f'hosts = ["localhost:{machine.evil.port}"]\n')
    machine.set(FANOUT_REDIS_URL="redis://user:password@localhost:{port}/0")
    machine.run(*ORACLE)
    assert machine.evil.connections > 0


TO_A_COLLECTOR: dict[str, dict[str, str]] = {
    "everywhere": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
    "spans-alone": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"},
    "metrics-alone": {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"},
    "one-of-two": {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318",
    },
    "no-endpoint": {"OTEL_TRACES_EXPORTER": "otlp"},
    "allowed-name-as-user": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example@127.0.0.1:4318"},
    "backslash-in-the-host": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318\\@collector.example"},
    "proxy": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example", "http_proxy": "127.0.0.1:3128"},
}


@pytest.mark.parametrize("way", TO_A_COLLECTOR)
def test_no_telemetry_goes_to_a_host_that_is_not_allowed(machine: Machine, way: str) -> None:
    machine.company.says('hosts = ["collector.example"]\n')
    env = TO_A_COLLECTOR[way]
    machine.set(**env)
    with (
        pytest.raises(SettingsError, match=r"(127\.0\.0\.1|localhost) is not allowed: the policy"),
        exporting(env),
    ):
        pass


def test_telemetry_of_a_running_process_obeys_a_change(machine: Machine) -> None:
    machine.company.says('hosts = ["127.0.0.1"]\n')
    with telemetry.bound_session() as session:
        session.post(machine.evil.url, data=b"{}").close()
        seen = machine.evil.connections
        machine.company.says('hosts = ["collector.example"]\n')
        with pytest.raises(SettingsError, match=r"127\.0\.0\.1 is not allowed"):
            session.post(machine.evil.url, data=b"{}")
    assert (seen, machine.evil.connections) == (1, 1)


# --- command-line clients -----------------------------------------------------------------------------------

TO_A_CLIENT: dict[str, tuple[Way, tuple[str, ...]]] = {
    "backend-variable": (environment(FANOUT_BACKEND="claude"), ()),
    "agreed": (config("claude_agreed = true\n"), ()),
    "plugin-option": (environment(CLAUDE_PLUGIN_OPTION_CLAUDE="true"), ()),
    "backend-in-config": (config('backend = "claude"\n'), ()),
    "enabled-claude": (config('enabled = ["claude"]\n'), ("--models", "claude:sonnet")),
    "enabled-codex": (config('enabled = ["codex"]\n'), ("--models", "codex")),
    "enabled-gemini": (config('enabled = ["gemini"]\n'), ("--models", "gemini:pro")),
    "all-enabled": (config('enabled = ["codex", "gemini", "claude"]\n'), ()),
    "own-row": (providers('[groq]\nclient = "claude"\n', "groq"), ("--models", "groq:x")),
    "own-row-of-a-new-name": (providers('[tool]\nclient = "codex"\n', "tool"), ("--models", "tool:x")),
    "row-renamed": (providers('[claude]\nclient = "codex"\n', "claude"), ("--models", "claude:x")),
    "key-passed-on": (config('claude_agreed = true\nclaude_api_key = true\nenabled = ["claude"]\n'), ()),
}
ALLOWED = {
    "none named": "clients = []\n",
    "others limited": 'providers = ["groq"]\n',
    "by hosts": "hosts = []\n",
}


@pytest.mark.parametrize("allowed", ALLOWED)
@pytest.mark.parametrize("way", TO_A_CLIENT)
def test_no_client_is_started_that_is_not_allowed(machine: Machine, way: str, allowed: str) -> None:
    machine.company.says(ALLOWED[allowed])
    prepare, words = TO_A_CLIENT[way]
    prepare(machine)
    machine.run(*ORACLE, *words)
    assert machine.marks == []


def test_a_client_that_is_allowed_by_its_program_is_no_other_program(machine: Machine) -> None:
    elsewhere = machine.home / "claude"
    shutil.copy(machine.bin / "claude", elsewhere)
    machine.company.says(f'clients = ["{elsewhere}"]\n')
    machine.config("claude_agreed = true\n")
    machine.run(*ORACLE)
    assert machine.marks == []
    machine.company.says(f'clients = ["{machine.bin / "claude"}"]\n')
    machine.run(*ORACLE)
    assert machine.marks == ["claude.mark"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:9"),
        ("GOOGLE_GEMINI_BASE_URL", "http://localhost:9"),
        ("HTTPS_PROXY", "http://10.0.0.1:3128"),
        ("https_proxy", "http://10.0.0.1:3128"),
        ("ALL_PROXY", "socks5://10.0.0.1"),
        ("CLAUDE_CODE_USE_BEDROCK", "1"),
        ("ANTHROPIC_BEDROCK_BASE_URL", "https://evil.example"),
        ("CODE_ASSIST_ENDPOINT", "https://evil.example"),
        ("ANTHROPIC_MODEL", "opus"),
        ("ANTHROPIC_DEFAULT_SONNET_MODEL", "opus"),
        ("GEMINI_MODEL", "pro"),
    ],
)
def test_no_variable_leads_an_allowed_client_elsewhere(machine: Machine, name: str, value: str) -> None:
    program = machine.bin / "claude"
    program.write_text(f"#!/bin/sh\nenv > {machine.home}/env\nexit 1\n")
    machine.company.says('clients = ["claude"]\nhosts = ["api.groq.com"]\nmodels = ["sonnet"]\n')
    machine.config("claude_agreed = true\n")
    machine.set(**{name: value})
    machine.run(*ORACLE, "--models", "claude:sonnet")
    passed = [line.partition("=")[0] for line in (machine.home / "env").read_text().splitlines()]
    assert "PATH" in passed
    assert name not in passed


# --- models -------------------------------------------------------------------------------------------------

TO_ANOTHER_MODEL: dict[str, tuple[Way, tuple[str, ...]]] = {
    "named": (environment(), ("--models", "maker/second")),
    "for-one-persona": (environment(), ("--models", "judge=maker/second")),
    "variable": (environment(FANOUT_MODEL="maker/second"), ()),
    "config": (config('model = "maker/second"\n'), ()),
    "in-capitals": (environment(), ("--models", "MAKER/first")),
    "with-a-suffix": (environment(), ("--models", "maker/first:online")),
    "with-a-blank": (environment(), ("--models", " maker/second")),
    "with-a-prefix": (environment(), ("--models", "x/maker/first")),
    "by-climbing": (environment(), ("--models", "maker/first/../second")),
    "a-router": (environment(), ("--models", "openrouter/auto")),
    "an-alias": (environment(), ("--models", "~maker/second")),
}


@pytest.mark.parametrize("way", TO_ANOTHER_MODEL)
def test_no_model_is_asked_that_is_not_allowed(machine: Machine, way: str) -> None:
    machine.company.says('models = ["maker/first"]\n')
    machine.set(FANOUT_BASE_URL="{evil}")
    prepare, words = TO_ANOTHER_MODEL[way]
    prepare(machine)
    machine.run(*ORACLE, *words)
    assert {seen.model for seen in machine.evil.log} <= {"maker/first"}


def test_the_model_that_is_allowed_is_asked(machine: Machine) -> None:
    machine.company.says('models = ["maker/f*"]\n')
    machine.set(FANOUT_BASE_URL="{evil}")
    assert machine.run(*ORACLE, "--models", "maker/first") == 0
    assert machine.questions == 3


# --- dollars ------------------------------------------------------------------------------------------------

CHEAP = "".join(f'[prices."maker/{name}"]\nin = 0\nout = 0\n' for name in ("first", "second"))
DEARER: dict[str, tuple[Way, tuple[str, ...]]] = {
    "argument": (environment(), ("--max-cost", "5")),
    "a-little-more": (environment(), ("--max-cost", "0.00011")),
    "default": (environment(), ()),
    "all-personas": (environment(), ("--all",)),
    "prices-of-the-user": (config(CHEAP), ()),
    "price-list-that-was-kept": (environment(), ()),
    "unlisted-model": (environment(), ("--models", "maker/unlisted")),
    "unlisted-model-with-a-price-of-0": (
        config('[prices."maker/unlisted"]\nin = 0\nout = 0\n'),
        ("--models", "maker/unlisted"),
    ),
}


@pytest.mark.parametrize("way", DEARER)
def test_no_call_costs_more_than_the_policy_allows(machine: Machine, way: str) -> None:
    machine.company.says("max_usd_per_call = 0.0001\n")
    machine.set(FANOUT_BASE_URL="{evil}")
    prepare, words = DEARER[way]
    prepare(machine)
    if way == "price-list-that-was-kept":
        from fanout_mcp.backends.http import kept_at

        kept = kept_at(machine.home / ".config" / "fanout", machine.evil.url)
        kept.parent.mkdir(parents=True)
        free = {"prompt": "0", "completion": "0"}
        kept.write_text(json.dumps({"data": [{"id": "maker/first", "pricing": free}]}))
    machine.run(*ORACLE, *words)
    assert machine.questions == 0


def _replaced(make: Callable[[Path], object]) -> Callable[[Machine], None]:
    def way(machine: Machine) -> None:
        machine.company.log.unlink()
        make(machine.company.log)

    return way


SPENT: dict[str, Callable[[Machine], object]] = {
    "log-removed": lambda machine: machine.company.log.unlink(),
    "log-emptied": lambda machine: machine.company.log.write_text(""),
    "folder-removed": lambda machine: shutil.rmtree(machine.company.logs),
    "log-as-a-link": _replaced(lambda log: log.symlink_to("/dev/null")),
    "log-as-a-fifo": _replaced(os.mkfifo),
    "log-as-a-folder": _replaced(Path.mkdir),
    "another-home": environment(HOME="/nonexistent", XDG_STATE_HOME="/nonexistent"),
    "another-user-variable": environment(USER="other", LOGNAME="other"),
    "another-project": lambda machine: machine.monkeypatch.chdir(machine.home),
    "the-day-of-another-zone": environment(TZ="Pacific/Kiritimati"),
}


@pytest.mark.parametrize("way", SPENT)
def test_the_dollars_of_a_day_stay_spent(machine: Machine, way: str) -> None:
    """A log that its user could cut or remove counts for nothing: the call is refused."""
    machine.company.says("max_usd_per_day = 0.05\n" + machine.company.logged())
    machine.set(FANOUT_BASE_URL="{evil}")
    append_only = {"log": ""}
    real = os.fstat

    def is_append_only(descriptor: int) -> bool:
        """Stand for the flag: it belongs to the file that the administrator made."""
        return str(real(descriptor).st_ino) == append_only["log"]

    machine.company.log.touch()
    append_only["log"] = str(machine.company.log.stat().st_ino)
    machine.monkeypatch.setattr(audit, "is_append_only", is_append_only)
    line = {"user": str(os.getuid()), "tool": "oracle_batch", "trace": "t", "cost_usd": 0.05, "state": "done"}
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    found = policy.current().audit
    assert found is not None
    audit.append(found, {**line, "at": at})
    if way == "log-emptied":  # the flag keeps a file of root's from that; a new one has no flag
        append_only["log"] = ""
    with machine.company.log.open("rb"):  # as long as it is open, no other file gets its number
        SPENT[way](machine)
        machine.run(*ORACLE, "--max-cost", "0.02")
    assert machine.questions == 0


def test_calls_at_the_same_moment_can_t_spend_the_same_dollars(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.company.says("max_usd_per_day = 1.0\n" + machine.company.logged())
    monkeypatch.setattr(audit, "is_append_only", lambda _: True)
    found = policy.current()
    let_in: list[str] = []
    start = threading.Barrier(8)

    def call(name: str) -> None:
        start.wait()
        one = audit.Call("oracle_batch", 0.3, name)
        try:
            audit._write(found, one, "asking")
            let_in.append(name)
        except FanoutError:
            return

    threads = [threading.Thread(target=call, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 3


def _let_in(found: policy.Policy, users: Sequence[str]) -> list[str]:
    """Begin a call of each user of a service, for $0.3; return who was let in."""
    let_in: list[str] = []
    for name in users:
        token = audit.who.set(name)
        try:
            audit._write(found, audit.Call("oracle_batch", 0.3, name), "asking")
            let_in.append(name)
        except FanoutError:
            pass
        finally:
            audit.who.reset(token)
    return let_in


@pytest.mark.parametrize("accounts", ["", "service_accounts = []\n", 'service_accounts = ["another"]\n'])
def test_users_that_a_service_invents_share_the_dollars_of_its_account(
    machine: Machine, accounts: str
) -> None:
    machine.company.says(f"max_usd_per_day = 1.0\n{accounts}{machine.company.logged()}")
    machine.monkeypatch.setattr(audit, "is_append_only", lambda _: True)
    users = [f"invented-{n}" for n in range(4)]
    assert _let_in(policy.current(), users) == users[:3]
    assert _let_in(policy.current(), [""]) == []
    machine.monkeypatch.setattr(audit, "_logs", {})  # another process
    assert _let_in(policy.current(), ["invented-5"]) == []


def test_users_that_a_service_invents_share_the_sums_on_redis(machine: Machine) -> None:
    machine.company.says(HOSTS)
    names: dict[str, set[str]] = {}
    for user in ("", "a", "b"):
        token = audit.who.set(user)
        for span in audit.SPANS:
            names.setdefault(span, set()).add(audit.sum_of(span))
        audit.who.reset(token)
    assert {span: len(found) for span, found in names.items()} == {"user": 3, "day": 1, "month": 1}


@pytest.mark.parametrize("name", [pwd.getpwuid(os.getuid()).pw_name, str(os.getuid())])
def test_each_user_of_a_service_account_has_dollars_of_its_own(machine: Machine, name: str) -> None:
    accounts = f'service_accounts = ["{name}"]\n'
    machine.company.says(f"max_usd_per_day = 0.5\n{accounts}{machine.company.logged()}")
    machine.monkeypatch.setattr(audit, "is_append_only", lambda _: True)
    assert _let_in(policy.current(), ["a", "b", "a", "", ""]) == ["a", "b", ""]


# --- sources ------------------------------------------------------------------------------------------------

SENDING: dict[str, tuple[str, ...]] = {
    "attached": (*ORACLE, "--file", "app.py"),
    "attached-by-its-whole-path": (*ORACLE, "--file", "{project}/app.py"),
    "council": ("council", "Is it wise?", "--file", "app.py", "--deadline", "5"),
    "summarize": ("summarize", "app.py"),
    "summarize-by-a-model": ("summarize", "app.py", "--engine", "model"),
    "explore": ("explore", "."),
    "explore-by-a-model": ("explore", ".", "--engine", "model"),
    "review": ("review", "*.py"),
    "review-by-a-model": ("review", "*.py", "--engine", "model"),
}


@pytest.mark.parametrize("way", SENDING)
def test_no_source_leaves_where_none_may(machine: Machine, way: str) -> None:
    machine.company.says("sources_may_leave = false\n")
    machine.set(FANOUT_BASE_URL="{evil}")
    machine.run(*(word.format(project=machine.project) for word in SENDING[way]))
    assert machine.questions == 0


def _linked(machine: Machine) -> tuple[Path, str]:
    (machine.project / "open.py").symlink_to(machine.home / "vault" / "a.py")
    return machine.project, "open.py"


def _linked_folder(machine: Machine) -> tuple[Path, str]:
    (machine.project / "open").symlink_to(machine.home / "vault")
    return machine.project, "open/a.py"


def _linked_root(machine: Machine) -> tuple[Path, str]:
    (machine.project / "open").symlink_to(machine.home / "vault")
    return machine.project / "open", "a.py"


def _hard_link(machine: Machine) -> tuple[Path, str]:
    os.link(machine.home / "vault" / "a.py", machine.project / "a.py")
    return machine.project, "a.py"


KEPT_IN: dict[str, Callable[[Machine], tuple[Path, str]]] = {
    "by its name": lambda machine: (machine.home, "vault/a.py"),
    "from inside": lambda machine: (machine.home / "vault", "a.py"),
    "by an ending": lambda machine: (machine.home, "deploy.secret"),
    "deep below": lambda machine: (machine.home, "vault/b/c/d.py"),
    "through a link": _linked,
    "through a linked folder": _linked_folder,
    "by a linked root": _linked_root,
    "by a hard link": _hard_link,
    "with dots": lambda machine: (machine.home, "x/../vault/a.py"),
    "with a root of dots": lambda machine: (machine.home / "x" / ".." / "vault", "a.py"),
    "with two slashes": lambda machine: (Path(f"/{machine.home}//vault"), "a.py"),
    "through the process": lambda machine: (Path(f"/proc/self/root{machine.home}/vault"), "a.py"),
}


@pytest.mark.parametrize("way", KEPT_IN)
def test_no_path_is_read_that_never_leaves(machine: Machine, way: str) -> None:
    for name in ("vault/a.py", "vault/b/c/d.py", "deploy.secret", "x/y.py"):
        (machine.home / name).parent.mkdir(parents=True, exist_ok=True)
        (machine.home / name).write_text("a = 1\n")
    machine.company.says(f'never_leave = ["{machine.home.resolve()}/vault/", "*.secret"]\n')
    root, path = KEPT_IN[way](machine)
    assert not isinstance(read(root, path), Source)
    assert isinstance(read(machine.home, "x/y.py"), Source)
    machine.set(FANOUT_BASE_URL="{evil}")
    machine.run(*ORACLE, "--file", str(root / path))
    machine.run("summarize", str(root / path))
    assert machine.questions == 0


def test_a_root_that_is_swapped_while_it_is_read_opens_nothing(machine: Machine) -> None:
    vault, fine, link = machine.home / "vault", machine.home / "fine", machine.home / "link"
    for folder in (vault, fine):
        folder.mkdir()
        (folder / "a.py").write_text(f"where = '{folder.name}'\n")
    machine.company.says(f'never_leave = ["{vault}/"]\n')
    link.symlink_to(fine)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for target in (vault, fine):
                beside = machine.home / "beside"
                beside.symlink_to(target)
                beside.replace(link)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        found = [read(link, "a.py") for _ in range(500)]
    finally:
        stop.set()
        swapping.join()
    assert {one.text for one in found if isinstance(one, Source)} <= {"where = 'fine'\n"}


# --- the file itself ----------------------------------------------------------------------------------------


def _empty(company: Company) -> None:
    company.place.write_text("")


def _directory(company: Company) -> None:
    company.place.unlink()
    company.place.mkdir()


def _fifo(company: Company) -> None:
    company.place.unlink()
    os.mkfifo(company.place)
    company.place.chmod(0o644)


def _gone_with_the_copy_left(company: Company) -> None:
    company.place.unlink()


def _linked_to_a_users(company: Company) -> None:
    own = company.folder.parent / "own"
    own.mkdir(mode=0o777)
    own.chmod(0o777)
    company.place.rename(own / "policy.toml")
    company.place.symlink_to(own / "policy.toml")


CLOSED: dict[str, Callable[[Company], object]] = {
    "writable by its group": lambda company: company.place.chmod(0o664),
    "writable by all": lambda company: company.place.chmod(0o646),
    "folder writable by all": lambda company: company.folder.chmod(0o777),
    "folder writable with the sticky bit": lambda company: company.folder.chmod(0o1777),
    "empty": _empty,
    "blank": lambda company: company.place.write_text(" \n"),
    "half written": lambda company: company.place.write_text('hosts = ["api.gr'),
    "no TOML": lambda company: company.place.write_text("hosts: none"),
    "an unknown field": lambda company: company.place.write_text("host = []"),
    "a wrong type": lambda company: company.place.write_text('hosts = "api.groq.com"'),
    "not UTF-8": lambda company: company.place.write_bytes(b'gate = "\xff"'),
    "too large": lambda company: company.place.write_text("#" * (policy.MAX_BYTES + 1)),
    "a folder": _directory,
    "a FIFO": _fifo,
    "gone for a moment": _gone_with_the_copy_left,
    "a link to a user's file": _linked_to_a_users,
}


@pytest.mark.parametrize("way", CLOSED)
def test_a_policy_that_does_not_bind_stops_all_rather_than_nothing(machine: Machine, way: str) -> None:
    machine.company.says(HOSTS)
    CLOSED[way](machine.company)
    machine.set(FANOUT_BASE_URL="{evil}")
    assert machine.run(*ORACLE) != 0
    assert machine.run("summarize", "app.py") != 0
    assert machine.questions == 0
    assert "ask your administrator" in machine.said
    assert machine.run("policy", "check") == 1


def test_a_policy_of_another_user_stops_all(machine: Machine) -> None:
    machine.company.says(HOSTS)
    machine.monkeypatch.setattr(policy, "OWNER", os.getuid() + 1)
    machine.set(FANOUT_BASE_URL="{evil}")
    assert machine.run(*ORACLE) != 0
    assert "not by root" in machine.said
    assert machine.questions == 0


def test_a_running_process_obeys_a_change_at_its_next_call(machine: Machine) -> None:
    machine.set(FANOUT_BASE_URL="{evil}")
    assert machine.run(*ORACLE) == 0
    asked = machine.questions
    machine.company.says(HOSTS)
    machine.run(*ORACLE)
    assert machine.questions == asked


# --- the gate and the governor ------------------------------------------------------------------------------


def _without_copy(machine: Machine, env: dict[str, str]) -> None:
    machine.company.copy.unlink()
    env["FANOUT_GATE"] = "off"


GATE: dict[str, Callable[[Machine, dict[str, str]], object]] = {
    "variable": lambda _, env: env.update(FANOUT_GATE="off"),
    "project": lambda machine, _: project(".claude/fanout/config.json", '{"gate": "off"}')(machine),
    "user": lambda machine, _: machine.config('gate = "off"\n'),
    "entry": lambda _, env: env.update(ENTRY="off"),
    "another-config-folder": lambda _, env: env.update(XDG_CONFIG_HOME="/nonexistent", FANOUT_GATE="off"),
    "another-home": lambda _, env: env.update(HOME="/nonexistent", FANOUT_GATE="warn"),
    "caps-by-variable": lambda _, env: env.update(FANOUT_AGENTS_AT_ONCE="99", FANOUT_AGENTS_PER_HOUR="999"),
    "caps-of-nothing": lambda _, env: env.update(FANOUT_AGENTS_AT_ONCE="0"),
    "caps-of-the-user": lambda machine, _: machine.config("agents_at_once = 50\nagents_per_hour = 0\n"),
    "copy-writable": lambda machine, _: machine.company.copy.chmod(0o666),
    "copy-broken": lambda machine, _: machine.company.copy.write_text("{"),
    "copy-of-no-mode": lambda machine, _: machine.company.copy.write_text('{"gate": "strcit"}'),
    "copy-of-a-list-for-a-mode": lambda machine, _: machine.company.copy.write_text('{"gate": []}'),
    "copy-of-nothing": lambda machine, _: machine.company.copy.write_text("{}"),
    "copy-missing": _without_copy,
    "copy-a-list": lambda machine, _: machine.company.copy.write_text("[]"),
    "folder-writable": lambda machine, _: machine.company.folder.chmod(0o777),
}


@pytest.mark.parametrize("way", GATE)
def test_the_gate_is_at_least_as_strict_as_the_policy(machine: Machine, way: str) -> None:
    machine.company.says('gate = "strict"\n[governor]\nagents_at_once = 4\nagents_per_hour = 30\n')
    env = {"HOME": str(machine.home), "CLAUDE_PROJECT_DIR": str(machine.project)}
    GATE[way](machine, env)
    chosen = watch.choose({"cwd": str(machine.project)}, env, env.get("ENTRY", "smart"))
    assert chosen.mode == "strict"
    if not way.startswith(("copy", "folder")):
        assert (chosen.caps.at_once, chosen.caps.per_hour) == (4, 30)
    else:
        assert policy.COPY in chosen.problem


def test_a_tighter_cap_of_the_user_s_own_stays(machine: Machine) -> None:
    machine.company.says("[governor]\nagents_at_once = 4\n")
    env = {"HOME": str(machine.home), "FANOUT_AGENTS_AT_ONCE": "2"}
    assert watch.choose({"cwd": str(machine.project)}, env, "smart").caps.at_once == 2


TABLES: tuple[Sized, ...] = (
    TO_ANOTHER_HOST,
    TO_ANOTHER_REDIS,
    TO_A_COLLECTOR,
    TO_A_CLIENT,
    TO_ANOTHER_MODEL,
    DEARER,
    SPENT,
    SENDING,
    KEPT_IN,
    CLOSED,
    GATE,
)


def test_the_tables_hold_at_least_a_hundred_ways() -> None:
    assert sum(len(table) for table in TABLES) >= 100


# --- how an address is read ---------------------------------------------------------------------------------

PIECES = (
    *(
        "api.groq.com",
        "API.GROQ.COM",
        "evil.example",
        "127.0.0.1",
        "@",
        ":",
        ":443",
        ":pw@",
        "/",
        "//",
        "\\",
        "?",
    ),
    *(
        "#",
        ";",
        "&",
        ".",
        "%40",
        "%2f",
        "%2e",
        "%00",
        "[",
        "]",
        "[::1]",
        "xn--",
        "\u3002",
        "\uff0f",
        "\u2100",
        "e",
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=7),
    scheme=st.sampled_from(["http", "https"]),
)
def test_every_address_that_is_let_through_is_the_allowed_host_to_the_http_client_too(
    company_for_all: Company, pieces: list[str], scheme: str
) -> None:
    """Two readers of one address that differ are the oldest way round a list of hosts."""
    base_url = f"{scheme}://{''.join(pieces)}"
    try:
        barred = barred_host(base_url)
        host = core_url(base_url).host
    except (ValueError, httpx2.InvalidURL, httpcore2.UnsupportedProtocol):
        return
    if not barred:
        assert host.lower() == b"api.groq.com"


@pytest.fixture
def company_for_all(company: Company) -> Company:
    company.says(HOSTS)
    return company


@pytest.mark.parametrize(
    ("policy_text", "base_url", "is_allowed"),
    [
        (HOSTS, "https://api.groq.com/openai/v1", True),
        (HOSTS, "https://api.groq.com:8443/v1", True),
        (HOSTS, "https://api.groq.com./v1", False),
        (HOSTS, "https://api.groq.com.evil.example/v1", False),
        (HOSTS, "https://evil-api.groq.com/v1", False),
        ('hosts = ["*.corp.example"]', "https://gw.corp.example/v1", True),
        ('hosts = ["*.corp.example"]', "https://corp.example/v1", False),
        ('hosts = ["*.corp.example"]', "https://gw.corp.example.evil/v1", False),
        ('hosts = ["localhost:11434"]', "http://localhost:11434/v1", True),
        ('hosts = ["localhost:11434"]', "http://localhost:9999/v1", False),
        ('providers = ["groq"]', "https://api.groq.com/openai/v1", True),
        ('providers = ["groq"]', "https://api.openai.com/v1", False),
        ('providers = ["groq"]\nhosts = ["*"]', "https://api.openai.com/v1", False),
        ('providers = ["groq"]\nhosts = ["*"]', "https://API.OpenAI.com/v1", False),
        ('providers = ["groq"]\nhosts = ["*"]', "https://api.openai.com:443/v1", False),
        ('providers = ["groq"]\nhosts = ["*"]', "https://api.openai.com./v1", False),
        ('providers = ["groq"]\nhosts = ["gw.corp.example"]', "https://gw.corp.example/v1", True),
    ],
)
def test_a_list_of_hosts_means_whole_names(
    company: Company, policy_text: str, base_url: str, *, is_allowed: bool
) -> None:
    company.says(policy_text + "\n")
    assert (barred_host(base_url) == "") is is_allowed
