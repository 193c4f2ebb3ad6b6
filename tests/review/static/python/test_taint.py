"""Input is followed from where it enters to where it does harm, and forgiven where it was made harmless."""

from __future__ import annotations

import ast
import sys
import textwrap
from collections import deque
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest

from fanout_mcp.review.finding import Finding
from fanout_mcp.review.static.python.security import (
    lowered,
    nodes_of,
    parse_python,
    read_python,
    shapes,
)
from fanout_mcp.review.static.python.taint import Walker, imported

VIEW = """
from flask import Flask, request, session, redirect, make_response
import html, os, shlex, sqlite3, subprocess, logging, pickle
app = Flask(__name__)
cur = sqlite3.connect(":memory:").cursor()
@app.route("/")
def view():
    x = request.args.get("x")
"""


def found(text: str) -> list[Finding]:
    return [*read_python("a.py", text).findings]


def rules(body: str, start: str = VIEW) -> dict[str, str]:
    text = start + textwrap.indent(textwrap.dedent(body), "    ")
    return {finding.rule: finding.severity for finding in found(text)}


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        pytest.param('cur.execute("SELECT 1 WHERE a=" + x)', "sql-injection", id="concatenated"),
        pytest.param('cur.execute(f"SELECT 1 WHERE a={x}")', "sql-injection", id="f-string"),
        pytest.param('cur.execute("SELECT 1 WHERE a=%s" % x)', "sql-injection", id="percent"),
        pytest.param('cur.execute("SELECT {}".format(x))', "sql-injection", id="format"),
        pytest.param('d = {}\nd["k"] = x\nos.system(d["k"])', "command-injection", id="through a dict"),
        pytest.param("l = []\nl.append(x)\nos.system(l[0])", "command-injection", id="through a list"),
        pytest.param(
            "l = []\nm = l\nm.append(x)\nos.system(l[0])", "command-injection", id="a list's other name"
        ),
        pytest.param(
            "l = ['ls']\nm = l\nif c:\n    l[0] = 'ps'\nm[0] = x\nos.system(l[0])",
            "command-injection",
            id="a list's other name, after a branch",
        ),
        pytest.param('y = x if len(x) > 3 else "a"\nos.system(y)', "command-injection", id="ternary"),
        pytest.param('y = "ls "\ny += x\nos.system(y)', "command-injection", id="augmented"),
        pytest.param("for y in x.split():\n    os.system(y)", "command-injection", id="loop"),
        pytest.param("def inner(y):\n    os.system(y)\ninner(x)", "command-injection", id="called function"),
        pytest.param('subprocess.run(["sh", "-c", x])', "command-injection", id="shell in a list"),
        pytest.param("with open(x) as f:\n    pass", "path-traversal", id="with"),
        pytest.param("return '<b>' + x", "xss", id="returned"),
        pytest.param("return redirect(x)", "open-redirect", id="redirect"),
        pytest.param("session['a'] = x", "trust-boundary", id="session"),
        pytest.param("pickle.loads(x)", "deserialization", id="pickle"),
        pytest.param("logging.getLogger().info(x)", "log-injection", id="log"),
        pytest.param("match x:\n    case str() as y:\n        eval(y)", "code-injection", id="match"),
    ],
)
def test_input_is_followed_to_where_it_does_harm(body: str, rule: str) -> None:
    found = rules(body)
    assert found.get(rule) in {"critical", "high", "low" if rule == "log-injection" else "medium"}


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        pytest.param('cur.execute("SELECT 1 WHERE a=?", (x,))', "sql-injection", id="query parameter"),
        pytest.param('os.system("ls " + shlex.quote(x))', "command-injection", id="quoted"),
        pytest.param('os.system("ls " + str(int(x)))', "command-injection", id="a number"),
        pytest.param("return '<b>' + html.escape(x)", "xss", id="escaped"),
        pytest.param("open(os.path.basename(x))", "path-traversal", id="base name"),
        pytest.param('x = "fixed"\nos.system(x)', "command-injection", id="overwritten"),
        pytest.param(
            'if x not in ALLOWED:\n    return ""\nos.system(x)', "command-injection", id="allow-list"
        ),
        pytest.param('if x in ("a", "b"):\n    os.system(x)', "command-injection", id="allow-list, positive"),
        pytest.param(
            "if not x.isdigit():\n    raise ValueError\nos.system(x)", "command-injection", id="digits"
        ),
        pytest.param('logging.getLogger().info("%r", repr(x))', "log-injection", id="repr"),
        pytest.param(
            't = {"a": "b"}\ncur.execute("SELECT " + t.get(x, "b"))', "sql-injection", id="own table"
        ),
        pytest.param('return redirect("/users/" + x)', "open-redirect", id="own path"),
        pytest.param(
            "from urllib.parse import urlparse\nimport requests\nu = urlparse(x)\n"
            "if u.hostname not in HOSTS:\n    return ''\nrequests.get(x)",
            "ssrf",
            id="its parsed host",
        ),
        pytest.param(
            "if os.path.commonpath([ROOT, x]) != ROOT:\n    return ''\nopen(x)",
            "path-traversal",
            id="below a folder",
        ),
        pytest.param(
            "from lxml import etree\np = etree.XMLParser(resolve_entities=False)\netree.fromstring(x, p)",
            "xxe",
            id="a parser without entities",
        ),
        pytest.param(
            "from lxml import etree\netree.parse('a').xpath('//b[@c=$d]', d=x)",
            "xpath-injection",
            id="XPath variable",
        ),
        pytest.param(
            "f = request.files['f']\ne = f.filename.rsplit('.')[-1]\nif e not in TYPES:\n    return ''\n"
            "f.save('fixed')",
            "unrestricted-upload",
            id="a checked type",
        ),
    ],
)
def test_what_was_made_harmless_is_not_reported(body: str, rule: str) -> None:
    assert rule not in rules(body)


@pytest.mark.parametrize(
    ("text", "rule", "severity"),
    [
        ("def f(p):\n    return open(p)\n", "path-traversal", "low"),
        ("import os\ndef f(p):\n    os.system('x ' + p)\n", "command-injection", "low"),
        ("import hashlib\nh = hashlib.md5(b'')\n", "weak-hash", "low"),
        ("import hashlib\ndef f(password):\n    return hashlib.md5(password)\n", "weak-hash", "medium"),
        ("import random\nx = random.random()\n", "weak-random", "low"),
        ("import yaml\ndef f(s):\n    return yaml.load(s)\n", "deserialization", "low"),
        ("API_KEY = 'sk-12ab34cd56ef'\n", "hardcoded-secret", "high"),
        ("import zipfile\nzipfile.ZipFile('a').extractall('b')\n", "archive-slip", "low"),
        ("import tarfile\ntarfile.open('a').extractall('b')\n", "archive-slip", "medium"),
        ("@method_decorator(csrf_exempt, name='dispatch')\nclass A:\n    pass\n", "csrf", "low"),
        ("urls = [path('a', csrf_exempt(view))]\n", "csrf", "low"),
        (
            "import hmac\ndef f(k, d, given):\n    return 'v=' + hmac.new(k, d).hexdigest() == given\n",
            "timing",
            "low",
        ),
        (
            "@app.get('/d/<int:d>')\ndef show(d):\n    return Document.query.get_or_404(d).text\n",
            "missing-ownership",
            "low",
        ),
        ("if request.cookies.get('is_admin'):\n    pass\n", "cookie-trust", "low"),
        ("assert user.is_admin\n", "assert-guard", "low"),
        (
            "from Crypto.Cipher import AES\nIV = b'\\0' * 16\nx = AES.new(k, AES.MODE_CBC, IV)\n",
            "static-iv",
            "medium",
        ),
        ("import ldap3\ndef f(c, u):\n    c.search('dc=a', f'(uid={u})')\n", "ldap-injection", "low"),
        ("p.write_text(json.dumps({'password': password}))\n", "plain-password", "low"),
        ("import jwt\njwt.decode(t, k, options={'verify_exp': False})\n", "session-expiry", "medium"),
        ("import ssl\nc = ssl._create_unverified_context()\n", "no-certificate-check", "high"),
    ],
)
def test_what_only_might_be_is_told_with_less_weight(text: str, rule: str, severity: str) -> None:
    assert {f.rule: f.severity for f in found(text)}[rule] == severity


@pytest.mark.parametrize(
    "text",
    [
        "import hashlib\nh = hashlib.md5(b'', usedforsecurity=False)\n",
        "import yaml\ndef f(s):\n    return yaml.load(s, Loader=yaml.SafeLoader)\n",
        "password = os.environ['PASSWORD']\n",
        "PASSWORD_FIELD = 'password'\n",
        "import subprocess\nsubprocess.run(['ls', '-l'])\n",
        "def get(d):\n    return d['x']\n",
        "def f(token):\n    return token == 'keyword'\n",
        "apiKey = 'apiKey'\n",
        "TABLE = ('a', 'b')\nfor name in TABLE:\n    db.execute(f'SELECT 1 FROM {name}')\n",
        "@app.get('/d/<int:d>')\ndef show(d):\n    return Doc.query.filter_by(id=d, owner=me()).one()\n",
        VIEW + "    n = int(x)\n    if n not in SIZES:\n        return None\n    log.write('a' * n)\n",
    ],
)
def test_sound_code_has_no_finding(text: str) -> None:
    assert found(text) == []


NEWER = """import os
from flask import request
type Name = str
def f[T](x: T) -> T:
    return x
@app.route("/")
def view():
    d = {"k": request.args["x"]}
    os.system(f"ls {d["k"]} {"-l" if True
        else ""}")
    return f'{d['k']!r:>{10}}'
"""


def test_grammar_newer_than_ours_is_read_line_for_line() -> None:
    assert NEWER.count("\n") == lowered(NEWER).count("\n")
    ast.parse(lowered(NEWER))
    findings = {finding.rule: finding.line for finding in found(NEWER)}
    assert findings["command-injection"] == 9


CHAIN = "if x == 0:\n    y = 'ls'\n" + "".join(f"elif x == {n}:\n    y = 'ls'\n" for n in range(1, 1500))


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("def (:\n  ((((", "not valid Python"),
        ("x = a" + ".b" * 3000 + "\n", "nested too deeply"),
        ("x = " + "not " * 3000 + "a\n", "nested too deeply"),
        (CHAIN, ""),
    ],
    ids=["invalid", "attributes", "not", "elif"],
)
def test_what_was_not_read_is_named_rather_than_clean(text: str, unread: str) -> None:
    assert read_python("a.py", text).unread == unread


def test_every_branch_of_a_long_chain_is_read_to_its_end() -> None:
    last = "elif x == 'z':\n    y = x\nelse:\n    raise KeyError(x)\nos.system(y)\n"
    assert "command-injection" in rules(CHAIN + last)
    assert "command-injection" not in rules(CHAIN + last.replace("y = x", "y = 'ps'"))


def test_every_quote_stands_at_its_line() -> None:
    text = VIEW + '    os.system(\n        "ls " + x,\n    )\n    eval(x)\n'
    lines = text.split("\n")
    findings = found(text)
    assert findings
    for finding in findings:
        assert finding.quote == "\n".join(lines[finding.line - 1 : finding.end_line]).strip()


def loops(head: str, depth: int) -> str:
    return "".join(" " * level + head + "\n" for level in range(depth)) + " " * depth + "pass"


def calls_to_read(text: str) -> int:
    """Count the calls of functions that following the input in a program takes."""
    tree = parse_python(text)
    assert tree is not None
    return calls_of(Walker(tree, *imported(nodes_of(tree))).read)


def calls_of(work: Callable[[], object]) -> int:
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(
    "nested",
    [
        lambda depth: "[1, " * depth + "x" + ", 2]" * depth,
        lambda depth: "(" * depth + "x" + ",)" * depth,
        lambda depth: "{'a': " * depth + "x" + "}" * depth,
        lambda depth: "[*" * depth + "x" + "]" * depth,
        lambda depth: "view(b=" * depth + "input()" + ")" * depth,
        lambda depth: "subprocess.run([" * depth + "input()" + "])" * depth,
        lambda depth: "make_response((" * depth + "input()" + ", 200))" * depth,
        lambda depth: "socket.bind((" * depth + "input()" + ", 80))" * depth,
        lambda depth: "x" + ".y.append(input())" * depth,
        lambda depth: "a, b = " + "[" * depth + "x" + ", 2]" * depth,
        lambda depth: loops("for a in b:", depth),
        lambda depth: loops("while a:", depth),
        lambda depth: "a = [1, 2]\nb = " + "a[" * depth + "0" + ":1]" * depth,
        lambda depth: "x = Node(y, y)\n" + "x = Node(x, x)\n" * depth + "if c:\n    x = Node(x, x)\n",
        lambda depth: "".join(
            f"{head}\n    x = [1]\n" + "    x = [x, x]\n" * depth for head in ("if c:", "else:")
        ),
    ],
    ids=(  # noqa: SIM905 - words read better as text
        "list tuple dict starred keyword command response address appended assigned for while slice "
        "object branch"
    ).split(),
)
def test_what_is_nested_deeply_is_read_once_and_not_twice_at_each_level(nested: Callable[[int], str]) -> None:
    shallow, deep = (calls_to_read(VIEW + "    pass\n" + nested(depth)) for depth in (8, 16))
    assert deep < 4 * shallow


@pytest.mark.parametrize(
    "text",
    [
        "x = 0 ** -1\n",
        "x = 'a'.lower('b')\n",
        "x = 'a'.startswith()\n",
        "x = 'a'\n" + "x = x + x\n" * 60,
        "x = b'a'\n" + "x = x * 64\n" * 12,
        "x = [1]\n" + "x += x\n" * 60,
        "x = 9 ** 9\n" + "x = x * x\n" * 60,
        "x = [1]\n" + "x = [x]\n" * 900 + "if c:\n    x = [x]\n",
        "x = " + " + ".join(f"'a{number}'" for number in range(900)) + "\n",
        "x = {}\n" + "".join(f"x['k{key}'] = {key}\n" for key in range(900)),
    ],
    ids="power lower startswith text bytes list number nested chain keys".split(),  # noqa: SIM905 - words read better as text
)
def test_what_fails_or_grows_when_it_runs_is_read_all_the_same(text: str) -> None:
    assert "command-injection" in {finding.rule for finding in found(text + VIEW + "    os.system(x)\n")}


@pytest.mark.parametrize(
    ("text", "is_secret"),
    [
        ("key = random.choice(list(d))\n", False),
        ("status_code = random.choice([200, 404])\n", False),
        ("def serialize():\n    return random.random()\n", False),
        ("def verify_sort():\n    return random.sample(range(9), 5)\n", False),
        ("code = random.randint(100000, 999999)\n", True),
        ("def recovery_code():\n    return random.randint(1, 9)\n", True),
        ("serial = random.randint(1, 9)\n", True),
    ],
)
def test_chance_weighs_more_where_a_secret_is_made_of_it(text: str, *, is_secret: bool) -> None:
    (finding,) = found("import random\n" + text)
    assert (finding.rule, finding.confidence > 50) == ("weak-random", is_secret)


@pytest.mark.parametrize(
    "wide",
    [
        lambda n: "".join(
            f"    n{i} = len(a{i})\n    for i in range(n{i}):\n        g(i)\n" for i in range(n)
        ),
        lambda n: (
            "    while x:\n" + "        a = b\n" * n + "        if c:\n            continue\n        x = d\n"
        ),
        lambda n: "    while a < b:\n" + "        m = (a + b) // 2\n" * n + "        a = m + 1\n",
    ],
    ids=["sizes of loops", "statements before another round", "halves"],
)
def test_a_function_twice_as_long_takes_twice_as_long(wide: Callable[[int], str]) -> None:
    trees = [parse_python("def f(x, a, b):\n" + wide(size)) for size in (100, 200)]
    nodes = [nodes_of(tree) for tree in trees if tree is not None]
    short, long = (calls_of(partial(deque, shapes(each), 0)) for each in nodes)
    assert long < 2.5 * short


HUGE = "0x" + "f" * 4000


@pytest.mark.parametrize(
    "text",
    [
        f"while x < {HUGE}:\n    x = {HUGE}\n",
        f"for i in range({HUGE}):\n    print(i)\n",
        f"def f(a, b):\n    while a < b:\n        m = (a + b) // 2\n        b = {HUGE}\n",
        f"assert x == {HUGE}\n",
        f"if os.path.exists({HUGE}):\n    open({HUGE})\n",
    ],
    ids=["while", "for", "halves", "assert", "if"],
)
def test_a_number_with_thousands_of_digits_costs_no_review(text: str) -> None:
    rules = [finding.rule for finding in found(text + "import hashlib\nhashlib.md5(password)\n")]
    assert rules == ["weak-hash"]
