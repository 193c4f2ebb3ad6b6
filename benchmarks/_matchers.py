"""What JavaScript makes of thousands of matchers: the verdicts that our reading of them is tested against.

`make matchers` generates matchers, has them judged by the client's engine (JavaScriptCore, as
`bun`) and by V8 (as `node`), and writes tests/client/matchers.txt: the names first, then a line a matcher

    MATCHER <tab> hex mask of the names that it means, `x` if it is no pattern [<tab> V8's, where that
    differs]
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from fanout_hooks.client.matchers import ALIASES

TABLE = Path(__file__).parents[1] / "tests" / "client" / "matchers.txt"
BUN = "bun@1.4.5"
COUNT = 6_000
SEED = 20
NAMES = (
    "Bash", "BashOutput", "Edit", "MultiEdit", "NotebookEdit", "Write", "Read", "Agent", "TaskStop",
    "WebFetch", "SetGoal", "mcp__github__get_issue", "mcp__my-server__get", "mcp__my-server__get2",
    "mcp__a__b__c", "mcp__ide__executeCode", "code-reviewer", "code-reviewer-lite", "general-purpose",
    "startup", "resume", "bash", "agent 7", "ünïcode", "a😀b", "x\ny", "Task", "-",
)  # fmt: skip
WORDS = (
    *NAMES[:24], "Task", "KillShell", "KillBash", "Brief", "ProposeGoal", "mcp__my-server", "mcp__github",
    "mcp", "Notebook", "code", "reviewer", "Ba", "sh", "7", "",
)  # fmt: skip
ATOMS = (
    ".", r"\w", r"\d", r"\s", r"\S", r"\W", r"\D", r"\b", r"\B", "[a-z]", "[A-Z]", "[^_]", "[a-zA-Z0-9_-]",
    r"[\w-]", r"[\w.-]", r"[a\-z]", "[]a]", "[^]", "[]", "[z-a]", r"[\d-x]", "[-a]", "[a-]", r"[\]]",
    r"[\s\S]", r"[\b]", r"[\u0041-Z]", r"\.", r"\-", r"\/", r"\_", r"\:", r"\x41", r"\u0042", r"\x4",
    r"\u{42}", r"\t", r"\n", r"\0", r"\1", r"\8", r"\k<n>", r"\cA", r"\p{L}", r"\A", r"\Z", r"\z", r"\G",
    r"\Q", r"\e", r"\a", r"\h", r"\N", r"\R", "é", "😀", "[😀]", "{", "}", "]", "^", "$", "/", "-", " ", ",",
    "#", "~", "&", "@", "!", "=", "<", ">", ":", '"', "'", "_", "__",
)  # fmt: skip
REPEATS = (
    "*", "+", "?", "*?", "+?", "??", "{2}", "{1,}", "{1,2}", "{,2}", "{2,1}", "{0}", "*+", "++", "?+",
    "{1}+", "{1,3}?", "{ 1}", "{a}", "**", "*{2}",
)  # fmt: skip
GROUPS = (
    "({})", "(?:{})", "(?={})", "(?!{})", "(?<={})", "(?<!{})", "(?<n>{})", "(?<n1>{})", "(?P<n>{})",
    "(?i:{})", "(?i){}", "(?-i:{})", "(?s:{})", "(?m){}", "(?x){}", "(?>{})", "(?#{})", "(?|{})",
    "(?'n'{})", "(?1){}", "(?R){}", "(?P=n){}", "(?(1){})", "({}", "{})", "(?{})", "(*{})", "^(?:{})$",
    "^({})$", "^{}$", "^{}", "{}$", "{}.*", ".*{}",
)  # fmt: skip


def generated(count: int = COUNT, seed: int = SEED) -> list[str]:
    """Return different matchers: lists of names, patterns as people write them, what only looks like one."""
    chance = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        one = _list(chance) if chance.random() < 0.2 else _pattern(chance, chance.randint(1, 3))
        if one and len(one) <= 40 and not {"\t", "\n"} & set(one):
            found[one] = None
    return list(found)


def _list(chance: random.Random) -> str:
    between = chance.choice(["|", ",", ", ", " | ", "||", "| ", "-", " "])
    return between.join(chance.choice(WORDS[:-1]) for _ in range(chance.randint(1, 3)))


def _pattern(chance: random.Random, depth: int) -> str:
    parts = []
    for _ in range(chance.randint(1, 3)):
        kind = chance.random()
        if kind < 0.4:
            part = chance.choice(WORDS)
        elif kind < 0.75 or not depth:
            part = chance.choice(ATOMS)
        else:
            part = chance.choice(GROUPS).replace("{}", _pattern(chance, depth - 1), 1)
        parts.append(part + (chance.choice(REPEATS) if chance.random() < 0.25 else ""))
    return chance.choice(["", "", "", "|"]).join(parts)


JUDGE = r"""
const {matchers, names, aliases} = JSON.parse(require("fs").readFileSync(0, "utf8"));
const judge = (matcher) => {
  if (matcher === "*") return names.map(() => true);
  if (/^[a-zA-Z0-9_|, -]+$/.test(matcher)) {
    const words = matcher.split(/[|,]/).map((w) => w.trim()).filter(Boolean).map((w) => aliases[w] ?? w);
    return names.map((name) => words.includes(name));
  }
  let pattern;
  try { pattern = new RegExp(matcher); } catch { return null; }
  const old = (name) => Object.keys(aliases).filter((word) => aliases[word] === name);
  return names.map((name) => [name, ...old(name)].some((word) => pattern.test(word)));
};
const mask = (verdict) => verdict === null ? "x"
  : verdict.reduce((sum, met, at) => met ? sum | (1n << BigInt(at)) : sum, 0n).toString(16);
console.log(JSON.stringify(matchers.map((matcher) => mask(judge(matcher)))));
"""


def judged(engine: list[str], matchers: list[str]) -> list[str]:
    """Return an engine's verdict on each matcher. Raises CalledProcessError."""
    given = json.dumps({"matchers": matchers, "names": NAMES, "aliases": ALIASES})
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "judge.js"
        script.write_text(JUDGE)
        done = subprocess.run([*engine, str(script)], input=given, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def bun(folder: Path) -> str:
    """Return the path of bun, from npm where there is none."""
    found = shutil.which("bun")
    if found:
        return found
    words = [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--no-save",
        "--silent",
        "--prefix",
        str(folder),
        BUN,
    ]
    subprocess.run(words, check=True)
    return str(folder / "node_modules" / ".bin" / "bun")


def main() -> int:
    matchers = generated()
    with tempfile.TemporaryDirectory() as folder:
        core = judged([bun(Path(folder))], matchers)
    v8 = judged(["node"], matchers)
    lines = [json.dumps(NAMES)] + [
        f"{matcher}\t{own}" + (f"\t{other}" if other != own else "")
        for matcher, own, other in zip(matchers, core, v8, strict=True)
    ]
    TABLE.write_text("\n".join(lines) + "\n")
    print(
        f"{len(matchers)} matchers, of which the engines read "
        f"{sum(a != b for a, b in zip(core, v8, strict=True))} in different ways"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
