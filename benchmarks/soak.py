"""Twenty minutes of calls to a whole cluster whose provider does everything wrong: what is lost, what grows.

    python -m benchmarks soak
    FANOUT_BENCH_MINUTES=2 python -m benchmarks soak      # a short form, to try it out

Panels and large calls go through nginx to two replicas and two workers. Of every 100 questions one meets a
fault of each row of FAULTS, and for a while all of them do. Where the key is refused another provider is
asked: one machine finds a certificate there that no one vouches for, the other one a name that leads nowhere.
Memory and descriptors are counted at rest after each third of the calls. Pools and caches fill in the first
and the second; what grows in the last one leaks.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from tempfile import NamedTemporaryFile
from typing import Final

from redis import Redis

from benchmarks._cluster import AT_ONCE, DELAY_S, MISSING, SUMMARY, Cluster, started
from benchmarks.table import Row
from fakes.certificate import certificate
from fakes.processes import Held, at_rest
from fakes.service import Service, said
from fakes.upstream import Rule, serving
from fanout_mcp.types import Json

MINUTES: Final = float(os.environ.get("FANOUT_BENCH_MINUTES", "20"))
NOWHERE: Final = f"https://{'x' * 64}.invalid/v1"
"""No name has so long a part, so no one is asked for its address."""
REST_S: Final = 10.0
"""Before each count."""
FILES: Final = 100
PANELS: Final = 6
LARGE: Final = 2
"""Callers at once."""
DEADLINE_S: Final = 10
ALL_S: Final = 20.0
"""How long the provider refuses all, and how long it is not there at all, once in each part."""
AGAIN_S: Final = 1.0
ENDS_S: Final = 600.0
"""For calls that are at work when a part is over."""
MORE_KB: Final = 8_000
"""Two answers of the largest size: what is left of them may wait for the garbage collector."""
MORE_DESCRIPTORS: Final = AT_ONCE
"""Above those after the second third: a pool keeps as many idle connections as calls went at once."""


def _kinds(*names: str, match: str = "") -> list[Rule]:
    return [Rule(match, name) for name in names]


def _status(*codes: int, retry_after: str | None = None) -> list[Rule]:
    return [Rule(kind="status", status=code, retry_after=retry_after) for code in codes]


def _json(*bodies: str) -> list[Rule]:
    return [Rule(kind="raw_json", body=body) for body in bodies]


def _completion(finish: str, usage: object = None, **message: object) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}], "usage": usage})


DELTA: Final = json.dumps({"choices": [{"index": 0, "delta": {"content": "h\u00e9"}}]}, ensure_ascii=False)
"""Sent byte by byte, so a letter of two bytes comes in two parts."""
LOOP: Final = "/v1/chat/completions"
ASKED: Final = "wise"
"""In the question of panels. They have a deadline; a large call waits ten minutes for a silent provider."""
FAULTS: Final[Mapping[str, Sequence[Rule]]] = {
    "broken connections": _kinds("reset", "broken"),
    "silence": _kinds("hang", "drip", match=ASKED) + _kinds("left_open"),
    "too much": [
        *_kinds("endless", "big_header", "bomb"),
        Rule(text="\x1b[31m![x](http://127.0.0.1:9/?q=s)" * 30_000),
    ],
    "no HTTP": [
        *_kinds("not_http", "continued"),
        *(Rule(kind="raw", encoding=name, body="x") for name in ("gzip", "br")),
    ],
    "no answer": [
        *_kinds("html", "empty", "cut_json", "surrogate"),
        *_json("null", '{"choices": NaN}', "[" * 200_000),
        Rule(kind="raw", data=b'{"choices": [{"message": {"content": "\xff"}}]}'),
    ],
    "answers of no use": [
        Rule(text="", finish="length"),
        Rule(finish="content_filter"),
        *_json(
            '{"choices": []}', _completion("tool_calls", tool_calls=[{}]), _completion("stop", refusal="No.")
        ),
    ],
    "errors in a 200": [
        *_json('{"error": {"code": 429}}'),
        Rule(kind="sse", body='data: {"error": {"code": 502}}\n\n'),
    ],
    "cut streams": [
        *_kinds("cut_stream"),
        *(Rule(kind="sse", body=body) for body in (f"data: {DELTA}{DELTA}\n\n", f"data: {DELTA}\r\n\r\n")),
    ],
    "refused keys": _status(401, 403),
    "429": [
        one
        for wait in (
            None,
            "0",
            "1",
            "5.5",
            "-1",
            "soon",
            *(f"Thu, 01 Jan {year} 00:00:00 GMT" for year in (2015, 2099)),
        )
        for one in _status(429, retry_after=wait)
    ],
    "refusals": _status(408, 413, 422, 500, 502, 503, 504, 529),
    "redirects": [
        Rule(kind="redirect", body=url) for url in ("http://127.0.0.1:9/", "file:///etc/passwd", LOOP)
    ],
    "stray answers": _kinds("stray"),
    "impossible usage": [
        *_kinds("no_usage"),
        *_json(*(_completion("stop", {"prompt_tokens": n}, content=SUMMARY) for n in (-5, "5", 10**18))),
    ],
}
OTHERS: Final = ("TLS: its cert", ".invalid: no connection")
"""In the reasons, which are cut, of questions that the other provider was asked."""
SHARE: Final = 0.01
ANSWERS: Final = [Rule(ASKED), Rule(text=SUMMARY, delay=DELAY_S)]
FAULTY: Final = [replace(one, share=SHARE / len(row)) for row in FAULTS.values() for one in row] + ANSWERS
FOREVER: Final = [Rule(kind="status", status=429, retry_after=str(10**9), times=1)]
"""It holds all calls to that model back for a minute: once in each part that is long."""
LOST: Final = ("no longer in Redis", "not in the cache here")
"""In the reasons of questions that were answered, or should have been, and whose answers are gone."""


@dataclass
class Seen:
    """What became of calls."""

    panels: int = 0
    large: int = 0
    again: Counter[str] = field(default_factory=Counter)
    """Calls that were made again, by why."""
    failed: Counter[str] = field(default_factory=Counter)
    """Questions without an answer, by why."""
    lost: int = 0


def _answer(front: Service, tool: str, asked: Mapping[str, object]) -> Json:
    result = front.call(tool, asked)
    data = result.get("structuredContent") or {}
    if "receipt" not in data:  # such as a call that still runs: made again, it joins its batch
        raise OSError(said(result))
    return data


def _why(reason: str) -> str:
    return re.sub(r"\d+", "N", reason)[:300]


def panel(front: Service, number: int, seen: Seen) -> None:
    asked = {"question": f"Is {number} {ASKED}?", "preset": "comprehensive", "deadline_s": DEADLINE_S}
    data = _answer(front, "oracle_batch", asked)
    members = len(data["votes"]) + len(data["failed"]) + len(data["cut"])
    seen.failed.update(_why(one["reason"]) for one in data["failed"])
    seen.panels += 1
    seen.lost += members != 5
    if not data["votes"]:  # such as while the provider wants no calls
        time.sleep(AGAIN_S)


def large(front: Service, number: int, seen: Seen) -> None:
    asked = {"paths": ["*.py"], "engine": "model", "focus": f"round {number}"}
    receipt = _answer(front, "summarize_files", asked)["receipt"]
    failed = {why: one["count"] for why, one in receipt.get("failed", {}).items()}
    for why, count in failed.items():
        seen.failed[_why(why)] += count
    seen.large += 1
    seen.lost += (
        FILES - receipt["read"] + sum(n for why, n in failed.items() if any(one in why for one in LOST))
    )


Work = Callable[[Service, int, Seen], None]


def until_answered(work: Work, front: Service, number: int, seen: Seen, until: float) -> None:
    """Make a call, again and again as its client would, until it has its answer."""
    while True:
        try:
            work(front, number, seen)
        except (OSError, AssertionError) as error:
            seen.again[str(error)[:80]] += 1
            if time.monotonic() > until:
                seen.lost += 1
                return
            time.sleep(AGAIN_S)
        else:
            return


def _load(cluster: Cluster, seconds: float, numbers: Iterator[int], seen: Seen) -> None:
    """Keep callers calling for so long, through what the provider does meanwhile."""
    front = replace(cluster.replicas[0], url=cluster.url)
    until = time.monotonic() + seconds

    def caller(work: Work) -> None:
        while time.monotonic() < until:
            until_answered(work, front, next(numbers), seen, until + ENDS_S)

    works: list[Work] = [*[panel] * PANELS, *[large] * LARGE]
    with ThreadPoolExecutor(len(works)) as callers:
        running = [callers.submit(caller, work) for work in works]
        for rules, lasting_s in (
            (FAULTY, seconds / 3),
            (_status(429, retry_after="1"), min(ALL_S, seconds / 10)),
            ((FOREVER if seconds > 5 * 60 else []) + FAULTY, seconds / 3),
            (_kinds("reset"), min(ALL_S, seconds / 10)),
            (FAULTY, 0.0),
        ):
            cluster.upstream.rules(*rules)
            time.sleep(lasting_s)
        for one in running:
            one.result()


def _counted(cluster: Cluster) -> dict[str, Held]:
    time.sleep(REST_S)
    assert cluster.redis.process is not None
    pids = {f"replica {n}": one.process.pid for n, one in enumerate(cluster.replicas, 1)}
    pids |= {f"worker {n}": one.pid for n, one in enumerate(cluster.workers, 1)}
    return {name: at_rest(pid) for name, pid in {**pids, "Redis": cluster.redis.process.pid}.items()}


def run() -> Iterator[Row]:
    if MISSING:
        yield Row("a soak", f"not measured: {MISSING}")
        return
    seen, numbers, counts = Seen(), itertools.count(), list[dict[str, Held]]()
    with _untrusted() as untrusted, started(FILES, (untrusted, NOWHERE)) as cluster:
        for _ in range(3):
            _load(cluster, 20 * MINUTES, numbers, seen)
            counts.append(_counted(cluster))
        yield from _grown(counts)
        yield from _lost(cluster, next(numbers), seen)


@contextmanager
def _untrusted() -> Iterator[str]:
    """Yield the base URL of a provider whose certificate signs itself."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with NamedTemporaryFile() as file:
        file.write(certificate())
        file.flush()
        tls.load_cert_chain(file.name)
    with serving(tls=tls) as upstream:
        yield upstream.url.replace("http:", "https:")


def _grown(counts: Sequence[Mapping[str, Held]]) -> Iterator[Row]:
    _, before, end = counts
    for name in end:
        mb = ", ".join(f"{one[name].kb / 1e3:.1f}" for one in counts)
        descriptors = ", ".join(str(one[name].descriptors) for one in counts)
        more_kb, more = end[name].kb - before[name].kb, end[name].descriptors - before[name].descriptors
        met = (more_kb <= MORE_KB or name == "Redis") and more <= MORE_DESCRIPTORS  # Redis keeps all answers
        yield Row(
            f"{name}: after each third of {MINUTES:g} minutes",
            f"{mb} MB; {descriptors} descriptors",
            bar=f"{MORE_KB // 1_000} MB and {MORE_DESCRIPTORS} descriptors more in the last third",
            met=met,
        )


def _lost(cluster: Cluster, number: int, seen: Seen) -> Iterator[Row]:
    most = "; ".join(f"{why[:100]}: {count}" for why, count in seen.failed.most_common(3))
    yield Row("questions without an answer, most frequent reasons", f"{seen.failed.total():,} ({most})")
    others = [sum(n for why, n in seen.failed.items() if words in why) for words in OTHERS]
    yield Row("of these, refused at the other provider for its certificate, for its name", str(others)[1:-1])
    again = ", ".join(f"{why}: {count}" for why, count in seen.again.most_common(3))
    what = f"lost of {seen.panels:,} panels and {seen.large:,} calls with {FILES} questions"
    yield Row(
        what, f"{seen.lost}, made again {seen.again.total()} ({again})", bar="0 lost", met=not seen.lost
    )
    cluster.upstream.rules(*ANSWERS)
    after = Seen()
    for work in (panel, large):
        until_answered(
            work, replace(cluster.replicas[0], url=cluster.url), number, after, time.monotonic() + 60
        )
    missing = after.failed.total() + after.lost
    yield Row(
        "afterwards, without faults: questions without an answer", str(missing), bar="0", met=not missing
    )
    redis = Redis.from_url(cluster.redis.url)
    left = sum(1 for kind in ("todo", "shards") for _ in redis.scan_iter(f"fanout-*:{kind}:*"))
    idle = all("\nfanout_inflight 0\n" in one.get("/metrics")[1] for one in cluster.replicas)
    yield Row("left in the queue, or at work", f"{left}", bar="0, none at work", met=idle and not left)
