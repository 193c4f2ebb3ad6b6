"""Bugs and slow code in other languages: each rule on code that it means, and on its sound twin."""

from __future__ import annotations

import pytest

from fanout_mcp.review.finding import FOCUSES
from fanout_mcp.review.static.quality import review_quality
from fanout_mcp.review.static.rules import quality_rules

CASES = [
    ("javascript", "loose-equality", "if (a == b) f();", "if (a === b || a == null) f();"),
    ("javascript", "assignment-in-condition", "if (a = b) { f(); }", "if (a === b) { f(); }"),
    ("javascript", "async-for-each", "xs.forEach(async (x) => { await x; });", "xs.forEach((x) => f(x));"),
    ("javascript", "async-promise", "new Promise(async (r) => r(await f()));", "new Promise((r) => r(1));"),
    ("javascript", "compared-with-nan", "if (x === NaN) f();", "if (Number.isNaN(x)) f();"),
    ("javascript", "compared-with-itself", "if (a.b === a.b) f();", "if (a.b === a.c || b === ab) f();"),
    ("javascript", "swallowed-error", "try { f(); } catch (e) {}", "try { f(); } catch (e) { log(e); }"),
    (
        "javascript",
        "return-in-finally",
        "function g() { try { f(); } finally { return 1; } }",
        "try { f(); } finally { g(); }",
    ),
    (
        "javascript",
        "await-in-loop",
        "async function g() { for (const x of xs) { await f(x); } }",
        "async function g() { await f(1); }",
    ),
    (
        "javascript",
        "sync-io",
        "function g() { return fs.readFileSync(p); }",
        "const text = fs.readFileSync(p);",
    ),
    (
        "javascript",
        "deep-copy-by-json",
        "const b = JSON.parse(JSON.stringify(a));",
        "const b = structuredClone(a);",
    ),
    (
        "javascript",
        "quadratic-reduce",
        "xs.reduce((acc, x) => ({ ...acc, [x]: 1 }), {});",
        "xs.reduce((sum, x) => sum + x, 0);",
    ),
    (
        "javascript",
        "search-in-loop",
        "for (const x of xs) { if (ys.includes(x)) f(x); }",
        "if (ys.includes(x)) f(x);",
    ),
    (
        "go",
        "ignored-error",
        "package a\nfunc f() {\n\tx, _ := g()\n\tuse(x)\n}",
        "package a\nfunc f() {\n\tx, err := g()\n\tuse(x, err)\n}",
    ),
    (
        "go",
        "defer-in-loop",
        "package a\nfunc f() { for _, x := range xs { defer x.Close() } }",
        "package a\nfunc f() { defer x.Close() }",
    ),
    (
        "go",
        "lost-error",
        "package a\nfunc f() error {\n if err != nil {\n  return nil\n }\n return g()\n}",
        "package a\nfunc f() error {\n if err != nil {\n  return err\n }\n return nil\n}",
    ),
    (
        "go",
        "add-in-goroutine",
        "package a\nfunc f() { go func() { wg.Add(1); g() }() }",
        "package a\nfunc f() { wg.Add(1); go func() { g() }() }",
    ),
    (
        "go",
        "text-in-loop",
        'package a\nfunc f() { for _, x := range xs { s += "," + x } }',
        "package a\nfunc f() { for _, x := range xs { n += x } }",
    ),
    (
        "go",
        "regex-in-function",
        'package a\nfunc f() { regexp.MustCompile("a+") }',
        'package a\nvar r = regexp.MustCompile("a+")',
    ),
    (
        "go",
        "after-in-loop",
        "package a\nfunc f() { for { <-time.After(d) } }",
        "package a\nfunc f() { <-time.After(d) }",
    ),
    (
        "java",
        "text-identity",
        'class A { boolean f(String s) { return s == "a"; } }',
        'class A { boolean f(String s) { return "a".equals(s); } }',
    ),
    (
        "java",
        "inexact-decimal",
        "class A { Object f() { return new BigDecimal(0.1); } }",
        'class A { Object f() { return new BigDecimal("0.1"); } }',
    ),
    (
        "java",
        "shared-date-format",
        "class A { static final SimpleDateFormat F = g(); }",
        "class A { final SimpleDateFormat F = g(); }",
    ),
    (
        "java",
        "printed-error",
        "class A { void f() { e.printStackTrace(); } }",
        "class A { void f() { log(e); } }",
    ),
    (
        "java",
        "regex-in-function",
        'class A { void f() { Pattern.compile("a+"); } }',
        'class A { Pattern p = Pattern.compile("a+"); }',
    ),
    (
        "java",
        "query-in-loop",
        "class A { void f() { for (int i : ids) { repo.findById(i); } } }",
        "class A { void f() { repo.findById(1); } }",
    ),
    ("csharp", "async-void", "class A { async void F() { } }", "class A { async Task F() { } }"),
    (
        "csharp",
        "blocked-task",
        "class A { int F() { return GAsync().Result; } }",
        "class A { async Task F() { await GAsync(); } }",
    ),
    (
        "csharp",
        "lost-trace",
        "class A { void F() { try { G(); } catch (E ex) {\n throw ex;\n } } }",
        "class A { void F() { try { G(); } catch (E ex) {\n throw;\n } } }",
    ),
    (
        "csharp",
        "count-for-any",
        "class A { bool F() { return xs.Count() > 0; } }",
        "class A { bool F() { return xs.Any(); } }",
    ),
    (
        "c",
        "assignment-in-condition",
        "void f(void) { if (a = b) g(); }",
        "void f(void) { if ((a = b) != 0) g(); }",
    ),
    ("c", "lost-memory", "void f(void) { p = realloc(p, n); }", "void f(void) { q = realloc(p, n); }"),
    (
        "c",
        "length-in-loop",
        "void f(void) { for (i = 0; i < strlen(s); i++) g(); }",
        "void f(void) { for (i = 0; i < n; i++) g(); }",
    ),
    (
        "c",
        "use-after-free",
        "void f(char *p) {\n free(p);\n g(p[0]);\n}",
        "void f(char *p) {\n g(p[0]);\n free(p);\n}",
    ),
    (
        "c",
        "double-free",
        "void f(char *p) {\n if (a) {\n  free(p);\n }\n free(p);\n}",
        "void f(char *p) {\n if (a) {\n  free(p);\n  return;\n }\n free(p);\n}",
    ),
    (
        "c",
        "null-pointer",
        "void f(void) {\n char *p = malloc(9);\n p[0] = 1;\n}",
        "void f(void) {\n char *p = malloc(9);\n if (!p) return;\n p[0] = 1;\n}",
    ),
    (
        "c",
        "off-by-one",
        "void f(void) {\n int a[8];\n for (int i = 0; i <= 8; i++) a[i] = 0;\n}",
        "void f(void) {\n int a[8];\n for (int i = 0; i < 8; i++) a[i] = 0;\n}",
    ),
    (
        "cpp",
        "copy-in-loop",
        "void f() { for (auto x : xs) g(x); }",
        "void f() { for (const auto& x : xs) g(x); }",
    ),
    (
        "ruby",
        "rescues-everything",
        "begin\n f\nrescue Exception => e\n g\nend",
        "begin\n f\nrescue StandardError => e\n g\nend",
    ),
    ("ruby", "loads-all", "User.all.each { |u| f(u) }", "User.find_each { |u| f(u) }"),
    ("php", "loose-equality", "<?php\nif ($a == $b) { f(); }", "<?php\nif ($a === $b) { f(); }"),
    ("php", "silenced", "<?php\n$a = @file($p);", "<?php\n$a = file($p);"),
    (
        "php",
        "length-in-loop",
        "<?php\nfor ($i = 0; $i < count($a); $i++) { f(); }",
        "<?php\nfor ($i = 0; $i < $n; $i++) { f(); }",
    ),
    ("rust", "unfinished", "fn f() { todo!() }", "fn f() { g() }"),
    ("rust", "unwrap", "fn f() { g().unwrap(); }", "fn f() -> R { g()? }"),
    ("rust", "sleeps-in-async", "async fn f() { thread::sleep(d); }", "fn f() { thread::sleep(d); }"),
    ("rust", "clone-in-loop", "fn f() { for x in xs { g(y.clone()); } }", "fn f() { g(y.clone()); }"),
    ("bash", "unchecked-cd", "cd /srv\nrm x", "cd /srv || exit 1"),
    ("bash", "removes-root", 'rm -rf "$dir"/x', 'rm -rf "${dir:?}"/x'),
    ("bash", "lists-by-ls", "for f in $(ls); do g; done", "for f in *; do g; done"),
    ("bash", "lost-in-pipe", "f | while read -r x; do n=1; done", "while read -r x; do n=1; done < <(f)"),
    ("bash", "useless-cat", "cat a.txt | grep x", "grep x a.txt"),
    ("javascript", "error-not-thrown", "new TypeError('no');", "throw new TypeError('no');"),
    ("java", "assertion-cannot-fail", "class A { { assertTrue(true); } }", "class A { { assertTrue(a); } }"),
    ("javascript", "assertion-cannot-fail", "expect(f(1));", "expect(f(1)).toBe(2);"),
    ("bash", "unquoted-expansion", "[ $a = b ] && f", '[ "$a" = b ] && [[ $a = b ]] && f'),
]


def rules_found(language: str, text: str) -> set[str]:
    return {
        finding.rule
        for focus in FOCUSES
        if focus in {"bugs", "performance"}
        for finding in review_quality("a", text, language, focus).findings
    }


@pytest.mark.parametrize(("language", "rule", "bad", "sound"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_a_rule_means_what_it_says_and_lets_the_sound_form_be(
    language: str, rule: str, bad: str, sound: str
) -> None:
    assert rule in rules_found(language, bad)
    assert rule not in rules_found(language, sound)


def test_every_rule_has_a_case() -> None:
    assert {rule.weakness.name for rule in quality_rules()} <= {case[1] for case in CASES}


def test_quotes_and_comments_are_no_code() -> None:
    assert not rules_found("javascript", "// if (a == b) debugger;\nconst a = 'b == c';\n")
