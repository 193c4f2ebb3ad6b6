"""What is scrubbed from whatever leaves is reported where it stands, and shown without the secret itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fanout_mcp.cli import main
from fanout_mcp.review.static.patterns import review_secrets
from fanout_mcp.source.secrets import redact

LIVE = "sk_live_" + "4eC39HqLyjWDarjtT1zd"
TOKEN = "ghp_" + "a1B2" * 9
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N"
AWS = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYzzKEY42"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "line", "secret"),
    [
        pytest.param("pay.py", f'stripe.charge("{LIVE}")', LIVE, id="a live key as an argument"),
        pytest.param("ci.yml", f"token: {TOKEN}", TOKEN, id="a token in YAML"),
        pytest.param("notes.txt", f"curl -H x {JWT}", JWT, id="a JWT in a text"),
        pytest.param("db.py", 'connect("postgres://bob:hunter2hunter@db/x")', "hunter2hunter", id="in a URL"),
        pytest.param("conf.json", f'{{"aws_secret_access_key": "{AWS}"}}', AWS, id="by its key in JSON"),
        pytest.param("s.py", 'db_password = "correct-horse-battery"', "correct-horse-battery", id="a phrase"),
        pytest.param("Dockerfile", "FROM a:1\nUSER a\nENV API_TOKEN=s3cr3t-9a8b", "s3cr3t-9a8b", id="ENV"),
        pytest.param(
            "compose.yml", "environment:\n  DB_PASSWORD: hunter2-Prod!", "hunter2-Prod!", id="compose"
        ),
        pytest.param("app.properties", "db.password=hunter2-Prod!", "hunter2-Prod!", id="properties"),
        pytest.param("t.py", 'db_password = "Tr0ub4"', "Tr0ub4", id="a short password"),
    ],
)
def test_a_secret_is_found_in_any_notation_and_never_shown(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, line: str, secret: str
) -> None:
    (project / name).write_text(f"{line}\n")
    main(["review", name, "--engine", "static", "--focus", "security", "--json"])
    out = capsys.readouterr().out
    assert [one["rule"] for one in json.loads(out)["findings"]] == ["hardcoded-secret"]
    assert secret not in out


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("# https://user:password@host.example/x", id="a password's place in an address"),
        pytest.param('authorization = request.headers.get("Authorization")', id="an expression"),
        pytest.param('ACCESS_TOKEN_URL = "https://a.example/oauth2/token"', id="an address"),
    ],
)
def test_what_stands_for_a_secret_is_not_a_severe_finding(line: str) -> None:
    assert all(finding.severity == "low" for finding in review_secrets("a.txt", line, ()))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        pytest.param("a.py", 'raise ValueError("pass read_one/write_one, not both")', id="pass, a verb"),
        pytest.param("a.ts", "if (text.startsWith('-----BEGIN PRIVATE KEY-----')) parse(text)", id="a frame"),
        pytest.param("a.py", 'logger.debug(f"credentials: client_id={client_id}")', id="a log's words"),
        pytest.param("a.cs", "// Version=4.0.0.0, PublicKeyToken=24c2f752a8e58a10", id="a public token"),
    ],
)
def test_words_of_a_text_are_not_a_secret(name: str, line: str) -> None:
    assert [finding.quote for finding in review_secrets(name, line, ())] == []


def test_a_phrase_for_a_password_is_scrubbed_and_a_name_is_not() -> None:
    assert redact('db_password = "correct-horse-battery"')[1] == 1
    assert redact('password = "your-password-here"')[1] == 0
    assert redact('password_field = "password_hash"')[1] == 0


@pytest.mark.parametrize("name", ["a.py", "a.go", "a.ts", "a.yml", "a.properties"])
def test_the_key_of_a_cache_is_not_a_secret_anywhere(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (project / name).write_text('CACHE_KEY = "user_profile_v2"\n')
    main(["review", name, "--engine", "static", "--json"])
    assert json.loads(capsys.readouterr().out)["findings"] == []
    assert redact('CACHE_KEY = "user_profile_v2"', name)[1] == 0
