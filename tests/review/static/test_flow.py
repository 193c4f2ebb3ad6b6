"""What a file looks up in its own table, or checks before use, is no input any more: in any language."""

from __future__ import annotations

import pytest

from fanout_mcp.review.static.patterns import review_patterns

CHECKED = [
    ("javascript", "const U = { a: 'x' };\nfetch(U[req.query.u]);", "ssrf"),
    ("javascript", "const m = new Map([['a', 1]]);\nfetch(m.get(req.query.u));", "ssrf"),
    ("javascript", "const u = req.query.u;\nif (!ALLOWED.has(u)) throw 1;\nfetch(u);", "ssrf"),
    ("javascript", "const u = new URL(req.query.u);\nif (!HOSTS.has(u.host)) throw 1;\nfetch(u);", "ssrf"),
    (
        "typescript",
        "const f = req.params.f;\nif (!f.startsWith(ROOT)) return;\nreadFile(f);",
        "path-traversal",
    ),
    ("javascript", "fetch(`https://a.example/${req.params.id}`);", "ssrf"),
    ("javascript", "res.redirect('/users/' + req.params.id);", "open-redirect"),
    (
        "go",
        (
            'package a\nvar t = map[string]bool{"a": true}\n'
            'func f(r *http.Request) {\n h := r.FormValue("h")\n'
            " if !t[h] {\n  return\n }\n exec.Command(h)\n}"
        ),
        "command-injection",
    ),
    ("php", "<?php\n$p = ['a' => 'a.php'];\ninclude $p[$_GET['p']];", "path-traversal"),
    ("php", "<?php\n$f = $_GET['f'];\nif (in_array($f, $ok)) { readfile($f); }", "path-traversal"),
    (
        "ruby",
        "T = %w[a b]\ndef f\n  x = T.find { |t| t == params[:x] }\n  send_file x\nend",
        "path-traversal",
    ),
    (
        "java",
        (
            "class A {\n void f(@RequestParam String n) {\n  Path p = B.resolve(n);\n"
            "  if (!p.startsWith(B)) { return; }\n  Files.readAllBytes(p);\n }\n}"
        ),
        "path-traversal",
    ),
    ("javascript", "db.prepare(`SELECT a FROM t${VERSION} WHERE b = ?`);", "sql-injection"),
    ("javascript", "fs.readFile(process.argv[2], done);", "path-traversal"),
]
UNCHECKED = [
    ("javascript", "const t = {};\nt[k] = req.query.u;\nfetch(t[k]);", "ssrf"),
    ("javascript", "const u = req.query.u;\nif (u.includes('x')) log(1);\nfetch(u);", "ssrf"),
    ("javascript", "fetch(`https://${req.params.host}/x`);", "ssrf"),
    ("javascript", "res.redirect('//' + req.params.id);", "open-redirect"),
    (
        "go",
        (
            'package a\nfunc f(w http.ResponseWriter, r *http.Request) {\n n := r.FormValue("n")\n'
            ' if n == "" {\n  n = "/"\n }\n http.Redirect(w, r, n, 302)\n}'
        ),
        "open-redirect",
    ),
    ("ruby", "def f\n  send_file ENV[params[:x]]\nend", "path-traversal"),
]


def graver_than_low(language: str, text: str) -> set[str]:
    return {f.rule for f in review_patterns("a", text, language).findings if f.severity != "low"}


@pytest.mark.parametrize(("language", "text", "rule"), CHECKED)
def test_input_that_was_looked_up_or_checked_raises_no_alarm(language: str, text: str, rule: str) -> None:
    assert rule not in graver_than_low(language, text)


@pytest.mark.parametrize(("language", "text", "rule"), UNCHECKED)
def test_what_only_looks_like_a_check_changes_nothing(language: str, text: str, rule: str) -> None:
    assert rule in graver_than_low(language, text)
