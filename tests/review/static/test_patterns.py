"""The rules for other languages: what they find in one line each, and what they leave alone."""

from __future__ import annotations

import time

import pytest

from fanout_mcp.review.static.grammars import GRAMMARS, language_of
from fanout_mcp.review.static.patterns import review_patterns
from fanout_mcp.review.static.rules import Read, rules_of

BAD = [
    (
        "typescript",
        "class A {\n @Get()\n f(@Query('to') to: string, res) { res.redirect(to); }\n}",
        3,
        "open-redirect",
    ),
    (
        "java",
        "class A {\n byte[] f(@PathVariable String n) {\n  return Files.readAllBytes(Paths.get(n));\n }\n}",
        3,
        "path-traversal",
    ),
    (
        "csharp",
        "class A : Controller {\n public IActionResult F(string u) => Redirect(u);\n}",
        2,
        "open-redirect",
    ),
    ("rust", "async fn f(Path(n): Path<String>) {\n fs::read(n);\n}", 2, "path-traversal"),
    ("javascript", "const q = 'SELECT a FROM t WHERE b=' + b;\ndb.query(q, done);", 2, "sql-injection"),
    ("javascript", "const r = /^(\\w+\\s?)*$/;", 1, "slow-regex"),
    ("java", 'class A { Object p = Pattern.compile("(a+)+$"); }', 1, "slow-regex"),
    ("c", "int f(char *p) {\n if (x)\n  free(p);\n return p[0];\n}", 4, "use-after-free"),
    ("javascript", "const n = req.query.n;\ndb.query('SELECT * FROM t WHERE n=' + n);", 2, "sql-injection"),
    ("javascript", "el.innerHTML = '<b>' + name;", 1, "xss"),
    ("typescript", "const u: string = req.query.u as string;\nfetch(u);", 2, "ssrf"),
    ("tsx", "const x = <p dangerouslySetInnerHTML={{ __html: body }} />;", 1, "xss"),
    ("go", 'func f(r *http.Request) {\n h := r.FormValue("h")\n exec.Command(h)\n}', 3, "command-injection"),
    ("rust", "fn f() {\n let p = std::env::args().nth(1);\n fs::read(p);\n}", 3, "path-traversal"),
    ("java", 'class A { void f() { MessageDigest.getInstance("MD5"); } }', 1, "weak-hash"),
    ("c", "void f(char *a) {\n char b[8];\n strcpy(b, a);\n}", 3, "buffer-overflow"),
    ("cpp", "void f(std::string a) {\n system(a.c_str());\n}", 2, "command-injection"),
    ("csharp", "class A { void F() { var f = new BinaryFormatter(); } }", 1, "deserialization"),
    ("ruby", "def a\n  n = params[:n]\n  eval(n)\nend", 3, "code-injection"),
    ("php", "<?php\n$n = $_GET['n'];\necho '<p>' . $n;", 3, "xss"),
    ("bash", 'eval "$1"', 1, "command-injection"),
    (
        "c",
        "int f(void) {\n char *p = malloc(4);\n if (!p)\n  return 1;\n p[0] = 1;\n return 0;\n}",
        2,
        "leak",
    ),
    ("c", "char *f(void) {\n  char buf[8];\n  return buf;\n}", 3, "stack-escape"),
    ("c", "int t[N];\nint f(int i) {\n if (i > N)\n  return 0;\n return t[i];\n}", 3, "off-by-one"),
    (
        "java",
        "class A { Object f(String e) { return parser.parseExpression(e); } }",
        1,
        "expression-injection",
    ),
    ("javascript", "Object.assign(user, req.body);", 1, "mass-assignment"),
    ("php", "<?php\n$user->update($request->all());", 2, "mass-assignment"),
    ("php", "<?php\nDB::select(\"select 1 where a = '$b'\");", 2, "sql-injection"),
    ("ruby", "ERB.new(params[:t])", 1, "template-injection"),
]
GOOD = [
    (
        "csharp",
        "class A : Controller {\n public IActionResult F(int id) => Redirect(id);\n}",
        "open-redirect",
    ),
    ("c", "int f(char *p) {\n if (x)\n  free(p);\n else\n  g(p[0]);\n return 0;\n}", "use-after-free"),
    ("rust", 'fn f() {\n let p = env::args().nth(1);\n fs::read("p {{p}}");\n}', "path-traversal"),
    ("javascript", "db.query('SELECT * FROM t WHERE n = ?', [req.query.n]);", "sql-injection"),
    ("javascript", "// eval(req.query.n)\nconst s = 'eval(x)';", "code-injection"),
    ("javascript", "const n = parseInt(req.query.n);\neval(n);", "code-injection"),
    ("javascript", "let n = req.query.n;\nn = 'fixed';\nexecSync('ls ' + n);", "code-injection"),
    ("go", 'package a\nfunc f() {\n db.Query("SELECT 1 WHERE a = $1", id)\n}', "sql-injection"),
    ("java", 'class A { void f() { MessageDigest.getInstance("SHA-256"); } }', "weak-hash"),
    ("c", 'void f(void) {\n printf("%s", name);\n}', "format-string"),
    ("php", "<?php\necho htmlspecialchars($_GET['n']);", "xss"),
    ("ruby", 'User.where("n = ?", params[:n])', "sql-injection"),
    ("bash", 'cp "$a" "$b"', "unquoted"),
    ("ruby", 'User.where("n LIKE ?", "%#{params[:n]}%")', "sql-injection"),
    ("javascript", "headers.append('x', req.query.x);", "xss"),
    ("javascript", "result[key] = fn(map[key], key);\nfor (const k in map) {}", "prototype-pollution"),
    ("javascript", "setTimeout(() => { f(req.query.x); }, 5);", "code-injection"),
    ("javascript", "each(list, (x) => { update(x); }, done);", "sql-injection"),
    (
        "java",
        'class A {\n D d = SAXParserFactory.newInstance();\n { d.setFeature("disallow-doctype-decl"); }\n}',
        "xxe",
    ),
    ("c", "char *f(void) {\n char *p = malloc(4);\n return p;\n}", "leak"),
]


@pytest.mark.parametrize(("language", "text", "line", "rule"), BAD, ids=[f"{b[0]} {b[3]}" for b in BAD])
def test_a_weakness_is_found_at_its_line(language: str, text: str, line: int, rule: str) -> None:
    found = {(finding.rule, finding.line) for finding in review_patterns("a", text, language).findings}
    assert (rule, line) in found


@pytest.mark.parametrize(("language", "text", "rule"), GOOD, ids=[f"{g[0]} {g[2]}" for g in GOOD])
def test_sound_code_is_left_alone_but_for_hints(language: str, text: str, rule: str) -> None:
    findings = review_patterns("a", text, language).findings
    assert rule not in {finding.rule for finding in findings if finding.severity != "low"}


@pytest.mark.parametrize("language", GRAMMARS)
def test_every_language_has_rules_that_can_be_read(language: str) -> None:
    assert len(rules_of(language)) >= 23
    assert review_patterns("a", "", language) == Read([])


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a.py", "python"),
        ("a/b.TS", "typescript"),
        ("x.h", "c"),
        ("x.hpp", "cpp"),
        ("x.gemspec", "ruby"),
        ("x.cs", "csharp"),
        ("README.md", None),
        ("x", None),
    ],
)
def test_the_language_comes_from_the_suffix(path: str, language: str | None) -> None:
    assert language_of(path) == language


def test_what_makes_a_finding_harmless_is_not_looked_for_all_over_a_long_function() -> None:
    cookies = "".join(f"\tc{n} := http.Cookie{{Secure: false}}\n" for n in range(1_500))
    before = time.process_time()
    found = review_patterns("a.go", f"package a\nfunc f() {{\n{cookies}}}\n", "go").findings
    assert time.process_time() - before < 4  # going through all of it for each cookie takes 10 s
    assert len(found) == 1_500
