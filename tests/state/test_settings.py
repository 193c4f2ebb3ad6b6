"""Settings come from the user alone, and a key goes to its own host alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanout_mcp.errors import SettingsError
from fanout_mcp.state import settings
from fanout_mcp.types import ModelPrice


def read(tmp_path: Path, config: str = "", **env: str) -> settings.Settings:
    folder = tmp_path / "fanout"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(config, encoding="utf-8")
    return settings.read({"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path), **env}, root=tmp_path)


def test_nothing_set_means_auto_and_no_endpoint(tmp_path: Path) -> None:
    got = read(tmp_path)
    assert (got.backend, got.base_url, got.api_key, got.max_parallel) == ("auto", None, None, 50)


def test_no_folder_of_the_project_is_believed_to_be_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, home = tmp_path / "project", str(tmp_path / "home")
    (project / "cfg" / "fanout").mkdir(parents=True)
    (project / "cfg" / "fanout" / "config.toml").write_text('base_url = "https://evil.example/v1"')
    monkeypatch.chdir(project)
    with pytest.raises(SettingsError, match="lies in the project"):
        settings.read({"XDG_CONFIG_HOME": str(project / "cfg"), "HOME": home})
    assert settings.read({"XDG_CONFIG_HOME": "cfg", "HOME": home}).base_url is None


def test_an_openrouter_key_alone_is_enough_to_start(tmp_path: Path) -> None:
    got = read(tmp_path, OPENROUTER_API_KEY="k")
    assert (got.base_url, got.api_key) == (settings.OPENROUTER_URL, "k")


def test_an_openrouter_key_goes_to_no_other_host(tmp_path: Path) -> None:
    got = read(tmp_path, OPENROUTER_API_KEY="k", FANOUT_BASE_URL="http://127.0.0.1:8000/v1")
    assert (got.base_url, got.api_key) == ("http://127.0.0.1:8000/v1", None)


def test_a_base_url_beyond_loopback_must_stand_in_the_users_own_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"evil\.example.*config\.toml"):
        read(tmp_path, FANOUT_BASE_URL="https://evil.example/v1", FANOUT_API_KEY="k")
    got = read(tmp_path, 'base_url = "https://mine.example/v1"', FANOUT_API_KEY="k")
    assert (got.base_url, got.api_key) == ("https://mine.example/v1", "k")


def test_a_redis_beyond_loopback_must_stand_in_the_users_own_file(tmp_path: Path) -> None:
    assert read(tmp_path, FANOUT_REDIS_URL="redis://:pw@127.0.0.1:6379/1").redis_url is not None
    with pytest.raises(SettingsError, match=r"cache\.example.*config\.toml") as caught:
        read(tmp_path, FANOUT_REDIS_URL="rediss://u:hunter2@cache.example:6380/0")
    assert "hunter2" not in str(caught.value)
    own = 'redis_url = "rediss://cache.example:6380/0"'
    got = read(tmp_path, own, FANOUT_REDIS_URL="rediss://u:hunter2@cache.example:6380/0")
    assert got.redis_url == "rediss://u:hunter2@cache.example:6380/0"
    assert "hunter2" not in repr(got)
    assert read(tmp_path, own).redis_url == "rediss://cache.example:6380/0"
    with pytest.raises(SettingsError, match="confirm it"):
        read(tmp_path, own, FANOUT_REDIS_URL="redis://cache.example:6380/0")


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://localhost", "redis://", "redis://h:x/0", "redis://[::1"]
)
def test_a_redis_url_that_is_none_is_refused_without_being_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="must look like redis://HOST:PORT/0"):
        read(tmp_path, FANOUT_REDIS_URL=url)


CORP = 'base_url = "https://llm.corp.example/v1"\n'
CORP_AND_KEY = CORP + 'api_key = "corp-key"'
LOCAL = "http://127.0.0.1:9999/v1"


@pytest.mark.parametrize(
    ("config", "env", "key"),
    [
        pytest.param(CORP_AND_KEY, {}, "corp-key", id="the file's to the file's"),
        pytest.param(CORP_AND_KEY, {"FANOUT_BASE_URL": LOCAL}, None, id="the file's to no other"),
        pytest.param(
            CORP_AND_KEY, {"FANOUT_BASE_URL": settings.OPENROUTER_URL}, None, id="nor to OpenRouter"
        ),
        pytest.param(
            CORP_AND_KEY,
            {"FANOUT_BASE_URL": settings.OPENROUTER_URL, "OPENROUTER_API_KEY": "or-key"},
            "or-key",
            id="OpenRouter has its own",
        ),
        pytest.param(CORP, {"FANOUT_API_KEY": "env-key"}, "env-key", id="the shell's to the file's"),
        pytest.param(
            CORP, {"FANOUT_API_KEY": "env-key", "FANOUT_BASE_URL": LOCAL}, None, id="the shell's to no other"
        ),
        pytest.param(
            CORP,
            {"FANOUT_API_KEY": "env-key", "FANOUT_BASE_URL": "https://llm.corp.example/v1/"},
            "env-key",
            id="the same URL said twice",
        ),
        pytest.param("", {"FANOUT_API_KEY": "k", "FANOUT_BASE_URL": LOCAL}, "k", id="both from the shell"),
    ],
)
def test_a_key_goes_to_the_base_url_that_it_was_set_for(
    tmp_path: Path, config: str, env: dict[str, str], key: str | None
) -> None:
    assert read(tmp_path, config, **env).api_key == key


def test_the_users_own_file_tells_proxy_and_prices(tmp_path: Path) -> None:
    got = read(tmp_path, 'proxy = "http://proxy:3128"\n[prices."mine"]\nin = 1.5\nout = 4\n')
    assert (got.proxy, got.prices) == ("http://proxy:3128", {"mine": ModelPrice(1.5, 4.0)})


def test_the_key_never_shows_in_a_representation(tmp_path: Path) -> None:
    assert "sk-secret" not in repr(read(tmp_path, OPENROUTER_API_KEY="sk-secret"))


@pytest.mark.parametrize(
    ("env", "words"),
    [
        pytest.param(
            {"FANOUT_BACKEND": "gpt"}, "FANOUT_BACKEND.*auto, http, claude, plan", id="unknown backend"
        ),
        pytest.param({"FANOUT_MAX_PARALLEL": "0"}, "FANOUT_MAX_PARALLEL", id="zero parallel"),
        pytest.param({"FANOUT_MAX_PARALLEL": "many"}, "FANOUT_MAX_PARALLEL", id="words for a number"),
        pytest.param({"FANOUT_BASE_URL": "ftp://localhost"}, "https://host/v1", id="another scheme"),
        pytest.param(
            {"FANOUT_BASE_URL": "http://a:b@localhost/v1"}, "FANOUT_API_KEY", id="password in the URL"
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_to_do(tmp_path: Path, env: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read(tmp_path, **env)


def test_a_broken_file_is_named_and_never_ignored(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"config\.toml"):
        read(tmp_path, "base_url = ")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("claude_agred = true", "there is no setting claude_agred; did you mean claude_agreed?"),
        ('bakend = "plan"', "there is no setting bakend; did you mean backend?"),
        ("colour = 3", "there is no setting colour; there are backend, base_url,"),
        ('claude_agreed = "yes"', "claude_agreed must be true or false, not str."),
        ("model = 3", "model must be text in quotes, not int."),
        ("prices = 3", "prices must be a table, not int."),
        ('prices."m" = 3', 'prices."m" must hold in and out, dollars per million tokens.'),
        ('prices."m" = {in = 1}', 'prices."m" must hold in and out, dollars per million tokens.'),
        ('prices."m" = {in = 1, out = -2}', 'prices."m" must hold in and out, dollars per million tokens.'),
        (
            'base_url = "localhost:80"',
            "base_url in config.toml is 'localhost:80'; it must look like https://",
        ),
        ('api_key = "k"', "api_key needs the base_url that it belongs to: base_url ="),
        ('backend = "http2"', "backend in config.toml is 'http2'; it must be one of auto,"),
    ],
)
def test_a_slip_in_the_file_is_named_and_never_believed(tmp_path: Path, line: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, line)
    assert sentence in str(caught.value)


def test_every_key_of_the_file_stands_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert [key for key in settings.KEYS if f"`{key}`" not in page and f"`[{key}." not in page] == []


@pytest.mark.parametrize(
    ("made", "at", "top"),
    [
        pytest.param("home/p/.git", "home/p/src/a", "home/p", id="a repository's top"),
        pytest.param("home/p/.git home/p/sub/.claude", "home/p/sub/a", "home/p/sub", id="nearest .claude"),
        pytest.param("home/p/.claude", "home/p", "home/p", id="here"),
        pytest.param("home/.claude", "home/p", None, id="the user's own .claude makes no project"),
        pytest.param("shared/.claude", "shared/p", None, id="nor does a folder that everybody writes to"),
        pytest.param("", "home/p", None, id="none"),
    ],
)
def test_what_is_kept_lies_in_the_project_that_a_folder_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, at: str, top: str | None
) -> None:
    for name in [*made.split(), at]:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    if (tmp_path / "shared").is_dir():
        (tmp_path / "shared").chmod(0o1777)
    monkeypatch.chdir(tmp_path / at)
    got = settings.read({"HOME": str(tmp_path / "home")})
    assert got.root == tmp_path / at
    assert got.state == tmp_path / (top or at) / ".claude" / "fanout"
    told = settings.read({"HOME": str(tmp_path / "home"), "CLAUDE_PROJECT_DIR": str(tmp_path / at)})
    assert told.state == tmp_path / at / ".claude" / "fanout"
