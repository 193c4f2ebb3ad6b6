# ruff: noqa: E501 - a program a line reads better than one that is broken up
"""Bugs that a rule finds: each kind on a program that has it, and on its sound twin."""

from __future__ import annotations

import pytest

from fanout_mcp.review.finding import is_at_least
from fanout_mcp.review.static.analyse import review_all
from fanout_mcp.source.workers import Workers

pytestmark = pytest.mark.anyio

CASES = {
    "floating promise": ("a.ts", "async function save() { await db(); }\nasync function go() { save(); }\n", "async function save() { await db(); }\nasync function go() { await save(); }\n"),
    "floating promise of a method": ("a.js", "class A { async load() { await b(); }\n  async go() { this.load(); } }\n", "class A { async load() { await b(); }\n  async go() { void this.load(); await this.load(); } }\n"),
    "floating promise of an arrow": ("a.js", "const save = async () => { await db(); };\nasync function go() { save(); }\n", "const save = async () => { try { await db(); } catch (e) { log(e); } };\nasync function go() { save(); }\n"),
    "a promise decides": ("a.ts", "async function ok(u) { return db(u); }\nasync function go(u) { if (!ok(u)) { return 1; } }\n", "async function ok(u) { return db(u); }\nasync function go(u) { if (!(await ok(u))) { return 1; } }\n"),
    "an error is not thrown": ("a.js", "function f() { new Error('no'); }\n", "function f() { throw new Error('no'); }\n"),
    "an expectation without a matcher": ("a.ts", "expect(a.b(1)).toBe;\n", "expect(a.b(1)).toBe(2);\n"),
    "a value against itself": ("A.java", "class A { void t() { assertEquals(a, a); } }\n", "class A { void t() { assertEquals(a, b); } }\n"),
    "a lost error in Go": ("a.go", "package a\nfunc f() error {\n\ta, err := x()\n\tb, err := y()\n\treturn use(a, b, err)\n}\n", "package a\nfunc f() error {\n\ta, err := x()\n\tif err != nil {\n\t\treturn err\n\t}\n\tb, err := y()\n\treturn use(a, b, err)\n}\n"),
    "an error becomes success": ("a.go", "package a\nfunc f() error {\n\tif err != nil {\n\t\treturn nil\n\t}\n\treturn g()\n}\n", "package a\nfunc f() io.Writer {\n\tif err != nil {\n\t\treturn nil\n\t}\n\treturn g()\n}\n"),
    "an answer left open": ("a.go", "package a\nfunc f() int {\n\tresp, err := http.Get(u)\n\tif err != nil {\n\t\treturn 0\n\t}\n\treturn resp.StatusCode\n}\n", "package a\nfunc f() int {\n\tresp, err := http.Get(u)\n\tif err != nil {\n\t\treturn 0\n\t}\n\tdefer resp.Body.Close()\n\treturn resp.StatusCode\n}\n"),
    "a file left open": ("a.go", "package a\nfunc f() {\n\tfile, err := os.Open(p)\n\tif err != nil {\n\t\treturn\n\t}\n\tfile.Read(b)\n}\n", "package a\nfunc f() (*os.File, error) {\n\tfile, err := os.Open(p)\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\treturn file, nil\n}\n"),
    "too few arguments in Go": ("a.go", 'package a\nfunc f() { fmt.Printf("%s has %d\\n", a) }\n', 'package a\nfunc f() { fmt.Printf("%s has %d %%\\n", a, b) }\n'),
    "too few arguments in C": ("a.c", 'void f(void) { printf("%s has %*d\\n", a, w); }\n', 'void f(void) { printf("%s has %*d\\n", a, w, b); }\n'),
    "too few arguments in PHP": ("a.php", "<?php\necho sprintf('%s has %d', $a);\n", "<?php\necho sprintf('%s has %d', $a, $b);\n"),
    "too few arguments in C#": ("A.cs", 'class A { string F() => string.Format("{0} has {1} and {2}", a, b); }\n', 'class A { string F() => string.Format("{0} has {1}", a, b); }\n'),
    "a floating task": ("A.cs", "class A { async Task F() { SaveAsync(); } }\n", "class A { async Task F() { await SaveAsync(); } }\n"),
    "unquoted expansion in a test": ("a.sh", "#!/bin/bash\nif [ -n $NAME ]; then echo a; fi\n", '#!/bin/bash\nif [ -n "$NAME" ]; then echo a; fi\n'),
    "unquoted expansion in rm": ("a.sh", "#!/bin/bash\nrm -rf $DIR\n", '#!/bin/bash\nrm -rf "$DIR"\n'),
    "missing await in Python": ("a.py", "async def save():\n    pass\nasync def go():\n    save()\n", "async def save():\n    pass\nasync def go():\n    await save()\n"),
    "a coroutine decides": ("a.py", "async def ok():\n    return False\nasync def go():\n    if not ok():\n        raise KeyError\n", "async def ok():\n    return False\nasync def go():\n    if not await ok():\n        raise KeyError\n"),
    "a mutable default that changes": ("a.py", "def f(a, seen=[]):\n    seen.append(a)\n    return seen\n", "def f(a, seen=[]):\n    return [*seen, a]\n"),
    "a written file left open": ("a.py", "def f(p, t):\n    out = open(p, 'w')\n    out.write(t)\n", "def f(p, t):\n    out = open(p, 'w')\n    out.write(t)\n    out.close()\n"),
    "a dict changed while iterated": ("a.py", "def f(d):\n    for k in d:\n        if k:\n            d.pop(k)\n", "def f(d):\n    for k in list(d):\n        if k:\n            d.pop(k)\n"),
    "an exception that is not raised": ("a.py", "def f(a):\n    if a:\n        ValueError('no')\n", "def f(a):\n    if a:\n        raise ValueError('no')\n"),
    "arguments of a log's format": ("a.py", "import logging\nlogging.warning('%s has %d', 1)\n", "import logging\nlogging.warning('%s has %d', 1, 2)\n"),
    "an assertion about a tuple": ("a.py", "def f(a):\n    assert (a == 1, 'one')\n", "def f(a):\n    assert a == 1, 'one'\n"),
    "assertTrue that compares nothing": ("a.py", "def f(self, a):\n    self.assertTrue(a, 3)\n", "def f(self, a):\n    self.assertTrue(a, 'a is set')\n"),
    "a length that is at least none": ("a.py", "def f(a):\n    assert len(a) >= 0\n", "def f(a):\n    assert len(a) >= 1\n"),
    "bits are compared, not one thing": ("a.go", "package a\nfunc f() bool { return m == m }\n", "package a\nfunc f() bool { return x&m == m && b == b'a' }\n"),
    "unfinished Rust": ("a.rs", "fn f() { todo!() }\n", "#[cfg(test)]\nmod tests {\n    fn f() { todo!() }\n}\n"),
}  # fmt: skip


LONG = {
    "a.py": "def f(d):\n    for k in d:\n        if k == 0:\n            pass\n"
    + "".join(f"        elif k == {n}:\n            pass\n" for n in range(1, 1500))
    + "        else:\n            d.pop(k)\n",
    "a.c": "void f(int k, char *p) {\n  if (k == 0) g();\n"
    + "".join(f"  else if (k == {n}) g();\n" for n in range(1, 1500))
    + "  else free(p);\n  free(p);\n}\n",
}


async def test_the_last_branch_of_a_long_chain_is_reviewed(workers: Workers) -> None:
    found = await review_all(LONG, ["bugs"], workers)
    assert {one.path for one in found.findings if one.rule in {"B909", "double-free"}} == LONG.keys()
    assert found.not_analysed == {}


@pytest.mark.parametrize("kind", CASES)
async def test_a_bug_is_medium_or_worse_and_its_sound_twin_is_not(kind: str, workers: Workers) -> None:
    name, bad, sound = CASES[kind]
    texts = {f"bad/{name}": bad, f"sound/{name}": sound}
    found = (await review_all(texts, ["bugs"], workers)).findings
    assert {one.path for one in found if is_at_least(one.severity, "medium")} == {f"bad/{name}"}


async def test_what_no_rule_reads_is_not_analysed_and_says_why(workers: Workers) -> None:
    texts = {"a.go": "package a\n", "b.kt": "fun f() {}\n", "c.py": "a = 1\n"}
    done = await review_all(texts, ["style"], workers)
    assert done.not_analysed == {"a.go": "no rules on style for go", "b.kt": "no analyser for .kt files"}
