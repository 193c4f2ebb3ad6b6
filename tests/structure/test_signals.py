"""Statements of a focus: from calls in the tree, by names as the imports resolve them; the line shows it."""

from __future__ import annotations

import pytest

from fanout_mcp.structure.signals import SIGNALS, scan_text

FOUND = [
    (
        "a.py",
        "from subprocess import run as go\n\ngo(['ls'])\n",
        "security",
        ["runs programs", 1, [3], "subprocess.run"],
    ),
    (
        "a.py",
        "import subprocess as sp\nsp.Popen('x')\n",
        "security",
        ["runs programs", 1, [2], "subprocess.Popen"],
    ),
    ("a.py", "eval('1')\n", "security", ["evaluates code", 1, [1], "eval"]),
    (
        "a.py",
        "cursor.execute(\n    'select a from b'\n)\n",
        "security",
        ["sends SQL", 1, [2], "an SQL statement"],
    ),
    (
        "a.js",
        "const { exec } = require('child_process')\nexec('ls')\n",
        "security",
        ["runs programs", 1, [2], "child_process.exec"],
    ),
    (
        "a.ts",
        "import { spawn } from 'node:child_process'\nspawn('ls')\n",
        "security",
        ["runs programs", 1, [2], "node:child_process.spawn"],
    ),
    (
        "a.go",
        'package a\n\nimport "os/exec"\n\nfunc a() { exec.Command("ls") }\n',
        "security",
        ["runs programs", 1, [5], "exec.Command"],
    ),
    ("a.rs", "fn a() { unsafe { b() } }\n", "security", ["has unsafe code", 1, [1], "unsafe"]),
    (
        "a.py",
        "import functools\n\n@functools.cache\ndef a(): ...\n",
        "performance",
        ["caches results", 1, [3], "functools.cache"],
    ),
    ("a.go", "package a\n\nfunc a() { go b() }\n", "performance", ["runs concurrently", 1, [3], "go"]),
    (
        "a.py",
        "import re\nA = re.compile('a')\n",
        "performance",
        ["compiles regular expressions", 1, [2], "re.compile"],
    ),
    (
        "test_a.py",
        "from unittest import mock\nmock.patch('a')\n",
        "testing",
        ["fakes", 1, [2], "unittest.mock.patch"],
    ),
    (
        "a.py",
        "import os\nprint(os.environ['A'])\n",
        "data flow",
        ["reads the environment", 1, [2], "an environment variable"],
    ),
    (
        "a.py",
        "import os\nos.environ['A'] = '1'\n",
        "data flow",
        ["writes the environment", 1, [2], "an environment variable"],
    ),
    ("a.py", "open('a', 'w')\n", "data flow", ["writes files", 1, [1], "open"]),
    ("a_test.rb", "x.must_equal 1\n_(y).wont_be_nil\n", "testing", ["asserts", 2, [1, 2], "x.must_equal"]),
    (
        "a_test.rb",
        "lambda { x.y }.must_raise(E)\n",
        "testing",
        ["asserts", 1, [1], "_.must_raise"],
    ),
    ("a_test.rb", "assert x.y\n", "testing", ["asserts", 1, [1], "assert"]),
    (
        "tests/a.c",
        "#ifdef NDEBUG\n#define assert(e) (void)(e)\n#endif\nvoid f(int a) { assert(a); }\n",
        "testing",
        ["asserts", 1, [4], "assert"],
    ),
    (
        "a.go",
        "package a\n\nfunc f() { client.Do(r) }\n",
        "security",
        ["uses the network", 1, [3], "client.Do"],
    ),
    ("a.py", "tmp_path.write_text('x')\n", "data flow", ["writes files", 1, [1], "tmp_path.write_text"]),
    (
        "CartTest.java",
        "import static org.junit.Assert.assertFalse;\nclass A { void a() { assertFalse(b); } }\n",
        "testing",
        ["asserts", 1, [2], "org.junit.Assert.assertFalse"],
    ),
    (
        "a.rs",
        "fn a() { assert!(b); }\n\n#[cfg(test)]\nmod tests {\n    fn c() { assert!(d); }\n}\n",
        "testing",
        ["asserts", 1, [5], "assert"],
    ),
    (
        "a.py",
        "import argparse\nparser = argparse.ArgumentParser()\nparser.parse_args()\n",
        "data flow",
        ["reads input", 1, [3], "parser.parse_args"],
    ),
    ("a.py", "total_price = 1\n", "price", ["names with price", 1, [1], "total_price"]),
]


@pytest.mark.parametrize(("path", "text", "focus", "wanted"), FOUND)
def test_what_happens_is_stated_with_its_name_and_line(
    path: str, text: str, focus: str, wanted: list[object]
) -> None:
    assert scan_text(path, text, focus) == [wanted]


NOTHING = [
    ("a.go", 'package a\n\nimport "net/http"\n\nfunc f() { http.NewRequest("GET", "/", nil) }\n', "security"),
    ("a.rb", "class_eval do\n  def a; end\nend\n", "security"),
    ("a.rs", "#[cfg(test)]\nmod tests {\n    fn a() { std::fs::write(b, c); }\n}\n", "data flow"),
    ("a.go", 'package a\n\nimport "io"\n\nfunc f(r io.Reader) { io.ReadAll(r) }\n', "data flow"),
    ("a.py", "import re\nA = re.compile('a')\n", "security"),
    ("a.py", "def eval(x): ...\n\neval('1')\n", "security"),
    ("a.py", "model.eval()\n", "security"),
    ("a.py", "def a(secrets): secrets.get('b')\n", "security"),
    ("a.py", "def a(environ): environ.get('PATH_INFO')\n", "data flow"),
    ("a.py", "formatter.write_text('x')\n", "data flow"),
    ("a.py", "import sys\nsys.stdin.fileno()\n", "data flow"),
    ("a_test.cc", "void a() { mocker->Describe(1); }\n", "testing"),
    ("CartTests.swift", "let a = XCTestExpectation()\nb.shouldRetry(c)\n", "testing"),
    ("a.swift", "DispatchQueue.main.async { a() }\n", "performance"),
    ("a_test.cc", "int a() { return random->Generate(1); }\n", "testing"),
    ("a.py", '"""Opens requests. Range requests.get(url)."""\n', "security"),
    ("a.py", "# subprocess.run(x)\nA = 'subprocess.run(x)'\n", "security"),
    ("a.py", "import subprocess\n", "security"),
    ("a.py", "token = request_var.set(1)\n", "security"),
    ("a.py", "import functools\n", "performance"),
    ("a.py", 'def a():\n    """Access must be synchronized."""\n', "performance"),
    ("test_a.py", "@app.patch('/a')\ndef a(): ...\n", "testing"),
    ("a.js", "function fetch() {}\nfetch('a')\n", "security"),
    ("a.go", 'package a\n\nimport exec "example.com/exec"\n\nfunc a() { exec.Command("ls") }\n', "security"),
    ("a.py", "import os\nopen(os.devnull, 'w')\n", "data flow"),
    ("a.c", "void f(int a) { assert(a); }\n", "testing"),
    ("a.py", "import sys\nprint(sys.argv[0])\n", "data flow"),
    (
        "a_test.go",
        'package a\n\nimport "github.com/stretchr/testify/require"\n\nfunc f() { require.New(t) }\n',
        "testing",
    ),
    ("a.py", "import time\ntime.sleep(1)\n", "testing"),
    ("a.py", "A = 'price'  # price\n", "price"),
]


@pytest.mark.parametrize(("path", "text", "focus"), NOTHING)
def test_what_only_looks_like_it_is_not_stated(path: str, text: str, focus: str) -> None:
    assert scan_text(path, text, focus) == []


def test_every_statement_of_the_tables_names_what_it_counts() -> None:
    assert all(what == what.strip() and what for table in SIGNALS.values() for what in table)


@pytest.mark.parametrize(
    ("path", "text", "count"),
    [
        ("a.rs", 'fn f(mut got: String) { got.push_str("x"); }\n', 0),
        ("a.py", "def f(got): got.append(1)\n", 0),
        ("a.ts", "import got from 'got'\nawait got.post('/x')\n", 1),
    ],
    ids=["a Rust variable", "a Python variable", "the package of that name"],
)
def test_a_variable_called_like_a_package_opens_no_connection(path: str, text: str, count: int) -> None:
    found = {what: number for what, number, *_ in scan_text(path, text, "security")}
    assert found.get("uses the network", 0) == count


def test_a_timer_is_no_sleep() -> None:
    assert [what for what, *_ in scan_text("a.js", "setTimeout(() => 1, 5)\n", "performance")] == [
        "sets timers"
    ]
