"""Files that are no programs: recipes, workflows, settings and templates have weaknesses of their own."""

from __future__ import annotations

import pytest

from fanout_mcp.review.static.patterns import format_of, review_plain
from fanout_mcp.review.static.rules import rules_of

JOB = "on: issues\njobs:\n  a:\n    runs-on: x\n    steps:\n"
BAD = [
    ("Dockerfile", "FROM python:3.12\nCMD run\n", 1, "privileges"),
    ("Dockerfile", "FROM a:1\nUSER a\nRUN curl https://x.example/i.sh | sh\n", 3, "remote-code"),
    ("w.yml", f"{JOB}      - run: echo ${{{{ github.event.issue.title }}}}\n", 6, "command-injection"),
    (
        "w.yml",
        "on: pull_request_target\nsteps:\n  ref: ${{ github.event.pull_request.head.sha }}\n",
        3,
        "foreign-code",
    ),
    ("k8s.yaml", "securityContext:\n  privileged: true\n", 2, "privileges"),
    ("play.yml", "- uri:\n    validate_certs: no\n", 2, "no-certificate-check"),
    ("nginx.conf", "ssl_protocols TLSv1 TLSv1.2;\n", 1, "weak-tls"),
    ("nginx.conf", "autoindex on;\n", 1, "directory-listing"),
    ("web.config", '<httpCookies httpOnlyCookies="false" />\n', 1, "script-cookie"),
    ("main.tf", 'acl = "public-read"\n', 1, "permissions"),
    ("page.html", "<p>{{ bio|safe }}</p>\n", 1, "xss"),
    ("form.html", '{% load x %}\n<form method="post">\n', 2, "csrf"),
    ("view.jsp", '<%= request.getParameter("q") %>\n', 1, "xss"),
]
GOOD = [
    ("Dockerfile", "FROM python:3.12\nUSER app\nENV API_TOKEN=$TOKEN\n"),
    (
        "w.yml",
        f"{JOB}      - env:\n          TITLE: ${{{{ github.event.issue.title }}}}\n        run: echo\n",
    ),
    ("w.yml", "on: pull_request\nsteps:\n  ref: ${{ github.event.pull_request.head.sha }}\n"),
    ("compose.yml", "environment:\n  DB_PASSWORD: ${DB_PASSWORD}\n  TOKEN_FILE: /run/secrets/token1\n"),
    ("k8s.yaml", "secretKeyRef:\n  name: db-password\n# privileged: true\n"),
    ("app.properties", "db.password=${DB_PASSWORD}\n"),
    ("nginx.conf", "ssl_protocols TLSv1.2 TLSv1.3;\n"),
    ("main.tf", 'acl = "private"\npassword = var.password1\n'),
    ("page.html", "<p>{{ bio }}</p>\n"),
    ("form.html", '{% load x %}\n<form method="post">{% csrf_token %}\n'),
]


def found(name: str, text: str) -> set[tuple[str, int]]:
    form = format_of(name)
    assert form is not None
    return {(finding.rule, finding.line) for finding in review_plain(name, text, form)}


@pytest.mark.parametrize(("name", "text", "line", "rule"), BAD, ids=[f"{b[0]} {b[3]}" for b in BAD])
def test_a_weakness_is_found_at_its_line(name: str, text: str, line: int, rule: str) -> None:
    assert (rule, line) in found(name, text)


@pytest.mark.parametrize(("name", "text"), GOOD)
def test_sound_files_are_left_alone(name: str, text: str) -> None:
    assert found(name, text) == set()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("a/Dockerfile", "dockerfile"),
        ("Dockerfile.dev", "dockerfile"),
        ("app.dockerfile", "dockerfile"),
        (".github/workflows/ci.yml", "yaml"),
        ("web.config", "settings"),
        ("a.html", "markup"),
        ("README.md", None),
        ("x", None),
    ],
)
def test_the_form_comes_from_the_name(path: str, form: str | None) -> None:
    assert format_of(path) == form


@pytest.mark.parametrize("form", ["dockerfile", "yaml", "settings", "markup"])
def test_every_form_has_rules_that_can_be_read(form: str) -> None:
    assert len(rules_of(form)) >= 8
