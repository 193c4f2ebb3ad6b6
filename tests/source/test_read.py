"""Reading never leaves the root, never blocks, and says why it did not read."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.source.read import Skipped, Source, cells, read
from fanout_mcp.source.secrets import is_secret_path, redact


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "a.py").write_text("x = 1\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.py").write_text("outside\n")
    return root


def reason(root: Path, path: str) -> str:
    result = read(root, path)
    assert isinstance(result, Skipped)
    return result.reason


def test_a_plain_file_is_read(root: Path) -> None:
    result = read(root, "inner/a.py")
    assert isinstance(result, Source)
    assert (result.text, result.size, result.encoding) == ("x = 1\n", 6, "utf-8")


@pytest.mark.parametrize(
    "path", ["", "..", "../outside/b.py", "inner/../../outside/b.py", "/etc/passwd", "a\0b", "."]
)
def test_a_path_that_leaves_the_root_is_refused(root: Path, path: str) -> None:
    assert reason(root, path) == "not a path below the root"


def test_a_symlink_is_never_followed(root: Path) -> None:
    (root / "file.py").symlink_to(root.parent / "outside" / "b.py")
    (root / "folder").symlink_to(root.parent / "outside")
    (root / "loop").symlink_to(root / "loop")
    assert reason(root, "file.py") == "symlink"
    assert reason(root, "loop") == "symlink"
    assert "symlink" in reason(root, "folder/b.py")


def test_what_is_no_regular_file_is_skipped_at_once(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
        assert reason(root, "fifo") == "not a regular file"
        assert reason(root, "socket") == "not a regular file"
    assert reason(root, "inner") == "a folder"
    assert reason(root, "missing.py") == "not there"


def test_a_size_that_is_too_large_is_named(root: Path) -> None:
    with (root / "sparse").open("wb") as file:
        file.truncate(10 << 30)
    assert reason(root, "sparse") == "larger than 1,000,000 bytes"


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        (b"\xef\xbb\xbfa", "a", "utf-8"),
        ("é".encode("utf-16"), "é", "utf-16-le"),
        (b"# -*- coding: latin-1 -*-\n\xe9", "# -*- coding: latin-1 -*-\né", "latin-1"),
        (b"# coding: zip\nplain", "# coding: zip\nplain", "utf-8"),
        (b"# coding: nonsense\nplain", "# coding: nonsense\nplain", "utf-8"),
        (b"caf\xe9", "café", "cp1252"),
        (b"a\r\nb\rc", "a\nb\nc", "utf-8"),
    ],
)
def test_text_is_decoded_by_what_it_declares(root: Path, data: bytes, text: str, encoding: str) -> None:
    (root / "text").write_bytes(data)
    result = read(root, "text")
    assert isinstance(result, Source)
    assert (result.text, result.encoding) == (text, encoding)


def test_a_binary_is_skipped(root: Path) -> None:
    (root / "binary").write_bytes(b"\x7fELF\0\0")
    assert reason(root, "binary") == "binary"


@pytest.mark.parametrize(
    "path",
    [".env", "deploy/.env.production", "keys/server.pem", ".ssh/config", "home/.aws/credentials", "id_rsa"],
)
def test_secret_files_are_never_read(root: Path, path: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text("KEY=1")
    assert reason(root, path) == "secret file"


@pytest.mark.parametrize("path", [".env.example", "src/secrets.py", "src/keys.py", "id_rsa.pub"])
def test_templates_and_code_are_no_secret_files(path: str) -> None:
    assert not is_secret_path(path)


@pytest.mark.parametrize(
    "secret",
    [
        "AKIA" + "IOSFODNN7ABCDEFG",
        "ghp_" + "a1B2" * 9,
        "sk-ant-api03-" + "Zz9-" * 10,
        "sk-proj-" + "Ab1_" * 10,
        "sk-or-v1-" + "0f" * 32,
        "xoxb-" + "123456789012-abcdefABCDEF",
        "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
        "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
)
def test_a_key_shaped_string_is_scrubbed_wherever_it_stands(secret: str) -> None:
    for line in (
        f'client = Client("{secret}")',
        f"# {secret}",
        f"export X={secret}",
        f"http://h/?k={secret}",
    ):
        scrubbed, count = redact(f"before\n{line}\nafter")
        assert secret not in scrubbed
        assert count >= 1
        assert scrubbed.count("\n") == 2


HEX = "0f1e2d3c4b5a6978" * 4
MIXED = "aB3dE5fG7hJ9kL1m" * 5


@pytest.mark.parametrize(
    "secret",
    [
        *("dop_v1_" + HEX, "shpat_" + HEX[:32], "hvs." + MIXED[:24], "lin_api_" + MIXED[:40]),
        *(
            "glsa_" + MIXED[:32] + "_" + HEX[:8],
            "glrt-" + MIXED[:20],
            "dapi" + HEX[:32],
            "NRAK-" + "A1B2C3" * 5,
        ),
        *("dckr_pat_" + MIXED[:27], "figd_" + MIXED[:40], "sntrys_" + MIXED[:60], "pul-" + HEX[:40]),
        *("123456789:AA" + MIXED[:33], "tskey-auth-" + MIXED[:20], "AGE-SECRET-KEY-1" + "Q2W3" * 15),
        *("gsk_" + MIXED[:52], "r8_" + MIXED[:37], "sq0atp-" + MIXED[:22], "sbp_" + HEX[:40]),
        *("ATATT3" + MIXED, "xapp-1-A01B2C3D4-1234567890-" + HEX[:20], "sha256~" + MIXED[:43]),
    ],
)
def test_each_provider_s_key_is_known_by_its_shape(secret: str) -> None:
    assert redact(f'f("{secret}")')[0].startswith('f("<redacted:')
    assert redact(f'f("{secret[:9]}")')[1] == 0


@pytest.mark.parametrize(
    ("path", "line", "kept"),
    [
        ("app.properties", "spring.datasource.password=Tr0ub4dor&3", False),
        ("app.yml", "  db_password: S3cr3tPa55", False),
        ("app.yml", "api_key: 9f8e7d6c5b4a  # the old one", False),
        ("app.yml", "  - secret: hunter22", False),
        ("app.ini", "password = hunter22\r", False),
        ("", "db_password: S3cr3tPa55", False),
        ("", "export API_KEY=9f8e7d6c5b4a", False),
        ("", "password = hunter22", True),  # a name, in a program
        ("a.py", "    password = sha256", True),
        ("a.ts", "secret: Uint8Array;", True),
        ("a.py", "call(password=b2c3d4)", True),
        ("app.yml", "secretName: blue-2", True),
        ("app.yml", "password_length: 100000", True),
        ("app.yml", "password: /run/secrets/db1", True),
        ("app.yml", "password: ${DB_PASSWORD_1}", True),
        ("app.yml", "secret: vault:kv/app1", True),
        ("app.yml", "token: 2024-01-02", True),
        ("", "https://bob:pa55/word@db.example/x", False),
        ("", "http://localhost:3000/@vite/client1", True),
        ("", "http://host:8080/pkg@1.0", True),
    ],
)
def test_a_setting_s_value_is_scrubbed_and_a_name_a_path_and_a_size_are_not(
    path: str, line: str, *, kept: bool
) -> None:
    scrubbed, _ = redact(f"a: 1\n{line}\nb: 2", path)
    assert (scrubbed == f"a: 1\n{line}\nb: 2") is kept


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ('password = "hunter2hunter2"', False),
        ("DB_PASSWORD: 'x8!kd93kdQ'", False),
        ('{"api_key": "9f8e7d6c5b4a39281706"}', False),
        ("SECRET_KEY=9f8e7d6c5b4a39281706aa", False),
        ("url = 'postgres://admin:s3cr3tpw@db/x'", False),
        ("Authorization: Bearer abcdefghijklmnop123456", False),
        ('token = "access_token"', True),
        ("password = get_password(user)", True),
        ("self.token = token", True),
        ('password = "<your password>"', True),
        ("key = mapping['name']", True),
        ("for key in keys:", True),
    ],
)
def test_a_literal_beside_a_telling_name_is_scrubbed_and_code_is_not(line: str, *, kept: bool) -> None:
    assert (redact(line)[0] == line) is kept


def test_a_private_key_leaves_its_lines_behind() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----"
    assert redact(f"a\n{key}\nb")[0] == "a\n<redacted:pem>\n\n\n\nb"


@given(st.text(alphabet=st.sampled_from(list("ab=:'\"\n \rkey_token passwordsecret-/@.1A{}")), max_size=300))
def test_every_redaction_keeps_the_lines(text: str) -> None:
    assert redact(text)[0].count("\n") == text.count("\n")


@pytest.mark.parametrize("line", ["\\u0078 = 1", "x = 1"], ids=["spelled otherwise", "all the same"])
def test_a_large_notebook_takes_no_time_for_each_line_in_each_line(line: str) -> None:
    rows = ",\n".join(f'"{line}\\n"' for _ in range(8_000))
    text = f'{{"cells": [{{"cell_type": "code", "source": [\n{rows}\n]}}]}}'
    began = time.process_time()
    shown = cells(text).split("\n")
    assert time.process_time() - began < 1.5
    assert len(shown) == text.count("\n") + 1
    assert shown.count("x = 1") == (8_000 if line == "x = 1" else 0)
