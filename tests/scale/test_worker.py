"""`fanout worker` and `fanout batch` as a user has them: processes, a Redis with a password, a provider."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.collector import collecting
from fakes.redis_server import MISSING, PROGRAM, RedisServer, redis_server
from fakes.service import running
from fakes.upstream import Rule, Upstream, serving
from fanout_mcp.scale import serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason=MISSING),
]

WAIT_S = 120
FILES = 60
PASSWORD = "sesame-of-redis"
SUMMARY = json.dumps({"purpose": "It was asked about.", "notes": []})


@dataclass
class Site:
    folder: Path
    upstream: Upstream
    server: RedisServer
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def env(self, **more: str) -> dict[str, str]:
        own = {
            "HOME": str(self.folder / "home"),
            "FANOUT_BASE_URL": self.upstream.url,
            "FANOUT_MODEL": "maker/first",
            "FANOUT_MAX_PARALLEL": "8",
            "FANOUT_REDIS_URL": self.server.url.replace("://", f"://fanout:{PASSWORD}@"),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "FANOUT_"))}
        return {**kept, **own, **more}

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        one = subprocess.Popen(
            [sys.executable, "-P", "-m", "fanout_mcp", *words],
            cwd=self.project,
            env=self.env(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(one)
        return one

    def fanout(self, *words: str, **env: str) -> tuple[int, str, str]:
        one = self.start(*words, **env)
        out, err = one.communicate(timeout=WAIT_S)
        return one.returncode, out, err

    @contextmanager
    def worker(self, *words: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        one = self.start("worker", *words, **env)
        assert one.stderr is not None
        line = one.stderr.readline()
        assert "calls at once" in line
        assert PASSWORD not in line
        yield one
        one.send_signal(signal.SIGTERM)
        assert one.wait(WAIT_S) == 0
        assert PASSWORD not in one.stderr.read()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for name in ("home", "redis", "project/.git", "project/src"):
        (tmp_path / name).mkdir(parents=True)
    for n in range(FILES):
        (tmp_path / "project" / "src" / f"part{n}.py").write_text(f"def part{n}():\n    return {n}\n")
    with serving(Rule(text=SUMMARY, delay=0.05)) as upstream, redis_server(tmp_path / "redis") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(f"ACL SETUSER fanout on >{PASSWORD} ~* &* +@all\r\n".encode())
            assert connection.recv(5) == b"+OK\r\n"
        one = Site(tmp_path, upstream, server)
        yield one
        for process in one.running:
            process.kill()
            process.communicate()


def until_asked(upstream: Upstream, count: int) -> None:
    end = time.monotonic() + WAIT_S
    while len(upstream.log) < count:
        assert time.monotonic() < end
        os.sched_yield()


def purposes(out: str) -> list[str]:
    files: Sequence[dict[str, str]] = json.loads(out)["files"]
    return sorted({file["purpose"] for file in files})


def test_a_large_call_is_asked_by_workers_and_rendered_by_its_caller(site: Site) -> None:
    with site.worker(), site.worker():
        status, out, err = site.fanout("summarize", "src", "--json")
        assert (status, purposes(out)) == (0, ["It was asked about."]), err
        assert len(site.upstream.log) == FILES
        assert PASSWORD not in out + err
        status, out, err = site.fanout("batch")
        assert f"done: {FILES} of {FILES} done, 0 cached, 0 failed" in out
        status, out, err = site.fanout("summarize", "src", "--json")
        assert json.loads(out)["receipt"]["calls"] == 0
        assert len(site.upstream.log) == FILES


def test_a_batch_goes_on_without_its_call_and_can_be_waited_for_and_shown(site: Site) -> None:
    site.upstream.rules[0] = Rule(text=SUMMARY, delay=3)
    with site.worker():
        first = site.start("summarize", "src", "--json")
        until_asked(site.upstream, 8)
        while (row := json.loads(site.fanout("batch", "show", "--json")[1])[0])["total"] < FILES:
            assert first.poll() is None
        first.kill()
        assert row["state"] == "running"
        assert row["batch"] in site.fanout("batch", "--user", str(os.getuid()))[1]
        assert site.fanout("batch", "--user", "another")[1] == "You have no batches.\n"
        status, out, err = site.fanout("batch", "wait", row["batch"])
        assert (status, f"done: {FILES} of {FILES} done" in out) == (0, True), err
        assert purposes(site.fanout("summarize", "src", "--json")[1]) == ["It was asked about."]
        assert len(site.upstream.log) == FILES


def test_a_cancelled_batch_ends_what_is_in_flight(site: Site) -> None:
    site.upstream.rules[0] = Rule(text=SUMMARY, delay=3600)
    with site.worker():
        first = site.start("summarize", "src", "--json")
        until_asked(site.upstream, 8)
        [row] = json.loads(site.fanout("batch", "show", "--json")[1])
        status, out, err = site.fanout("batch", "cancel", row["batch"])
        assert (status, "cancelled: 0 of" in out) == (0, True), err
        out, _ = first.communicate(timeout=WAIT_S)
        assert json.loads(out)["receipt"]["failed"]
        end = time.monotonic() + 10
        while site.upstream.in_flight:
            assert time.monotonic() < end
            os.sched_yield()


def test_a_replica_that_is_ended_in_mid_batch_leaves_it_to_the_same_call_at_another_one(site: Site) -> None:
    site.upstream.rules[0] = Rule(text=SUMMARY, delay=serve.DRAIN_S + 10)
    env = {name: value for name, value in site.env().items() if name.startswith("FANOUT_")}
    given = {"paths": ["src"]}
    with site.worker(FANOUT_MAX_PARALLEL=str(FILES)), ThreadPoolExecutor(1) as calling:
        with running(site.folder, env=env) as first:
            cut = calling.submit(first.call, "summarize_files", given)
            until_asked(site.upstream, FILES)
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(WAIT_S) == 0
            assert cut.exception()
        with running(site.folder, env=env) as second:
            found = second.call("summarize_files", given)["structuredContent"]
    assert purposes(json.dumps(found)) == ["It was asked about."]
    assert len(site.upstream.log) == FILES


@pytest.mark.parametrize(
    ("failing", "failed", "again"),
    [
        ("", FILES, "the same call again asks all"),
        ("part7.py", 1, "again asks only the questions that failed"),
    ],
    ids=["all", "one"],
)
def test_a_batch_with_failures_promises_no_answer_that_is_not_there(
    site: Site, failing: str, failed: int, again: str
) -> None:
    site.upstream.rules.insert(0, Rule(failing, "status", status=400))
    with site.worker():
        site.fanout("summarize", "src", "--json")
    out = site.fanout("batch")[1]
    assert f"{failed} failed" in out
    assert again in out
    assert "costs nothing" not in out


def test_a_worker_reports_each_question_as_the_service_does(site: Site) -> None:
    site.upstream.rules.insert(0, Rule("part7.py", "status", status=503, times=1))
    with collecting() as collector:
        worker = site.start("worker", "--health", "127.0.0.1:0", **collector.env)
        assert worker.stderr is not None
        assert "calls at once" in worker.stderr.readline()
        health = worker.stderr.readline().split()[-1].rpartition(":")[2].strip()
        site.fanout("summarize", "src", "--json")
        with socket.create_connection(("127.0.0.1", int(health))) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(WAIT_S) == 0
        rest = worker.stderr.read()
    answered = re.search(r'fanout_model_calls_total{.*outcome="answered"} (\d+)', text)
    assert answered is not None
    assert int(answered[1]) == FILES
    assert re.search(r"fanout_retries_total{.*} 1\n", text)
    assert "\nfanout_redis_up 1\n" in text
    shards = {span.identity: span for span in collector.spans if span.name == "batch"}
    chats = [span for span in collector.spans if span.name.startswith("chat")]
    assert sum(not span.is_error for span in chats) == FILES
    assert {span.parent for span in chats} == set(shards)
    assert {"gen_ai.client.operation.duration", "fanout.cost", "docket_queue_depth"} <= collector.metrics
    lines = [json.loads(line) for line in rest.splitlines()]
    assert {(line["tool"], line["verdict"]) for line in lines} == {("batch", "done")}
    assert {line["trace_id"] for line in lines} == {span.trace for span in shards.values()}
    assert {line["call"] for line in lines} == {s.attributes["fanout.trace"] for s in shards.values()}
    for word in (b"part7", b"It was asked about", str(site.folder).encode()):
        assert word not in collector.raw + rest.encode()


@pytest.mark.parametrize("action", ["show", "wait", "cancel"])
def test_a_handle_of_no_batch_is_refused_in_one_sentence(site: Site, action: str) -> None:
    status, out, err = site.fanout("batch", action, f"{os.getuid()}:{'0' * 32}")
    assert (status, out) == (2, "")
    assert err.startswith("fanout: You have no batch")


def test_a_call_without_workers_asks_by_itself_and_says_so(site: Site) -> None:
    status, out, _ = site.fanout("summarize", "src", "--json")
    assert (status, purposes(out)) == (0, ["It was asked about."])
    assert "no `fanout worker` of this version and provider is running" in json.loads(out)["receipt"]["cache"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://fanout:wrong@127.0.0.1:{port}/0", "invalid username-password"),
        ("redis://127.0.0.1:1/0", "can't be used"),
        ("redis://fanout:wrong@elsewhere.example/0", "which is not this machine"),
        ("http://127.0.0.1/", "must look like"),
        ("", "There is no queue"),
    ],
    ids=["wrong password", "no Redis", "another machine", "another protocol", "none"],
)
def test_a_worker_that_can_not_reach_its_queue_says_why_and_ends(site: Site, url: str, reason: str) -> None:
    status, _, err = site.fanout("worker", FANOUT_REDIS_URL=url.format(port=site.server.port))
    assert status == 2
    assert reason in err
    assert "wrong@" not in err
    assert len(err.splitlines()) == 1


def test_an_outage_of_redis_is_a_line_when_it_goes_and_one_when_it_is_back(site: Site) -> None:
    with site.worker(FANOUT_REDIS_URL=site.server.url) as worker:
        assert worker.stderr is not None
        site.server.kill()
        assert "is away" in worker.stderr.readline()
        time.sleep(3)  # Docket looks for it again and again
        site.server.start()
        assert "is back" in worker.stderr.readline()
        worker.send_signal(signal.SIGTERM)
        assert (worker.wait(WAIT_S), worker.stderr.read()) == (0, "")


def test_a_worker_without_a_model_says_so(site: Site) -> None:
    status, _, err = site.fanout("worker", FANOUT_BACKEND="plan")
    assert (status, "A worker needs a model" in err) == (2, True)
