"""Reading never leaves the root, never blocks, and says why it did not read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.source.read import Skipped, Source, read
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
        (b"a\r\nb", "a\r\nb", "utf-8"),
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
