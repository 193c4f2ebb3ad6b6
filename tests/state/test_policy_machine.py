"""A policy at its real place, /etc/fanout, in a mount namespace of the test: whole processes obey it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.upstream import Upstream, serving

pytestmark = pytest.mark.slow

FANOUT = [sys.executable, "-I", "-m", "fanout_mcp"]
Run = Callable[..., subprocess.CompletedProcess[str]]


def namespace() -> list[str]:
    """Return the words that run a program in a mount namespace of its own."""
    own = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-r", "-m"]
    if shutil.which("unshare") is None or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("this machine lets no test make a mount namespace")
    return own


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a program where /etc/fanout/policy.toml says `policy`."""
    own, etc = namespace(), tmp_path / "etc"
    subprocess.run(["cp", "-a", "/etc", str(etc)], check=False, capture_output=True)
    (etc / "fanout").mkdir(mode=0o755)
    etc.chmod(0o755)
    (tmp_path / "project").mkdir()
    (tmp_path / "home").mkdir()

    def started(policy: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        (etc / "fanout" / "policy.toml").write_text(policy)
        (etc / "fanout" / "policy.toml").chmod(0o644)
        script = f'mount --bind "{etc}" /etc && exec "$@"'
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("FANOUT", "OPENROUTER"))
        }
        return subprocess.run(
            [*own, "sh", "-c", script, "sh", *FANOUT, *words],
            cwd=tmp_path / "project",
            env={**clean, "HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], **env},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return started


def asked(upstream: Upstream) -> int:
    return len(upstream.log)


def test_a_process_obeys_the_policy_of_its_machine_whatever_its_environment_says(
    run: Run, tmp_path: Path
) -> None:
    with serving() as upstream:
        ask = ("oracle", "Is it wise?", "--json")
        hosts = 'hosts = ["api.groq.com"]\n'
        for env in (
            {},
            {"FANOUT_POLICY": "/dev/null"},
            {"HOME": "/nonexistent"},
            {"XDG_CONFIG_HOME": str(tmp_path), "FANOUT_BACKEND": "http"},
        ):
            run(hosts, *ask, FANOUT_BASE_URL=upstream.url, **env)
        assert asked(upstream) == 0
        allowed = run('hosts = ["127.0.0.1"]\n', *ask, FANOUT_BASE_URL=upstream.url)
        assert json.loads(allowed.stdout)["decision"] == "PROCEED", allowed.stderr
        closed = run("hosts = [", *ask, FANOUT_BASE_URL=upstream.url)
        assert "The policy /etc/fanout/policy.toml can't be read" in closed.stderr


def test_worker_processes_read_no_path_that_never_leaves(run: Run, tmp_path: Path) -> None:
    for name in ("vault.py", "open.py"):
        (tmp_path / "project" / name).write_text(f"NAME = 'of {name}'\n")
    os.link(tmp_path / "project" / "vault.py", tmp_path / "project" / "linked.py")
    with serving() as upstream:
        policy = 'never_leave = ["vault.py"]\n'
        run(policy, "summarize", ".", "--engine", "model", FANOUT_BASE_URL=upstream.url)
        run(policy, "review", "*.py", "--engine", "model", FANOUT_BASE_URL=upstream.url)
        sent = "\n".join(seen.prompt for seen in upstream.log)
    assert "of open.py" in sent
    assert "of vault.py" not in sent


def test_check_finds_the_policy_at_its_place(run: Run) -> None:
    policy = 'providers = ["openrouter"]\n'
    alone = run(policy, "policy", "check")
    assert alone.returncode == 1
    assert "/etc/fanout/policy.json is missing" in alone.stdout
    assert run(policy, "policy", "write-json").returncode == 0
    done = run(policy, "policy", "check")
    assert (done.returncode, done.stdout) == (0, "/etc/fanout/policy.toml binds every user of this machine\n")
    shown = run('providers = ["openrouter"]\n', "policy", "show").stdout
    assert "only the providers openrouter" in shown
