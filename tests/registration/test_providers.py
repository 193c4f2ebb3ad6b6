"""`fanout providers`: who can be asked, agreeing to one, and that no key is ever shown."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from fakes.upstream import serving
from fanout_mcp.cli import main
from fanout_mcp.state import settings

KEY = "sk-a-very-secret-key-0123"


@pytest.fixture(autouse=True)
def in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def states(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    assert main(["providers", "--json"]) == 0
    out = capsys.readouterr().out
    assert KEY not in out
    return {one["name"]: (one["state"], one["to_do"]) for one in json.loads(out)}


def test_a_found_provider_is_named_and_used_only_once_it_is_enabled(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert states(capsys)["openai"] == ("missing", "set OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert states(capsys)["openai"] == ("found", "fanout providers enable openai")
    assert main(["providers", "enable", "openai"]) == 0
    assert "as openai:MODEL" in capsys.readouterr().out
    assert states(capsys)["openai"] == ("in use", "")
    main(["providers", "disable", "openai"])
    capsys.readouterr()
    assert states(capsys)["openai"][0] == "found"


def test_enabling_keeps_the_rest_of_the_users_file(capsys: pytest.CaptureFixture[str]) -> None:
    path = settings.read().config_dir / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("# mine\nhedge = true\n")
    main(["providers", "enable", "ollama"])
    main(["providers", "enable", "google"])
    assert "# mine\n" in path.read_text()
    assert tomllib.loads(path.read_text()) == {"hedge": True, "enabled": ["ollama", "google"]}
    assert "Still to do: set GEMINI_API_KEY" in capsys.readouterr().out


def test_a_linked_file_stays_a_link_and_a_copy_of_it_is_kept(tmp_path: Path) -> None:
    path, real = settings.read().config_dir / "config.toml", tmp_path / "dotfiles.toml"
    path.parent.mkdir(parents=True)
    real.write_text("hedge = true\n")
    real.chmod(0o600)
    path.symlink_to(real)
    assert main(["providers", "enable", "ollama"]) == 0
    assert path.is_symlink()
    assert "ollama" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o600
    [copy] = (path.parent / "state" / "backups").iterdir()
    assert copy.read_text() == "hedge = true\n"


def test_a_file_that_may_not_be_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    path = settings.read().config_dir / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("hedge = true\n")
    path.chmod(0o400)
    assert main(["providers", "enable", "ollama"]) == 2
    assert "is read-only; make it writable first." in capsys.readouterr().err
    assert path.read_text() == "hedge = true\n"


def test_a_name_that_is_no_provider_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers", "enable", "olama"]) == 2
    assert "did you mean ollama?" in capsys.readouterr().err


def test_what_a_call_costs_comes_from_the_providers_own_list(capsys: pytest.CaptureFixture[str]) -> None:
    config = settings.read().config_dir
    config.mkdir(parents=True)
    with serving() as upstream:
        row = f'[acme]\nbase_url = "{upstream.url}"\nmodels.strong = ["maker/second"]\n'
        (config / "providers.toml").write_text(row)
        main(["providers", "enable", "acme"])
        capsys.readouterr()
        assert main(["providers", "--json", "--prices"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["acme"]["cost_usd"] == pytest.approx(2_000 * 3e-6 + 600 * 15e-6)


def test_doctor_asks_each_model_of_the_default_panel_and_names_what_stands_in(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fakes.upstream import Rule

    config = settings.read().config_dir
    config.mkdir(parents=True)
    gone = Rule("old", "status", status=404, body='{"error": {"message": "The model does not exist"}}')
    thinks = Rule("maker/second", text="", finish="length", times=1)
    with serving(gone, thinks) as upstream:
        (config / "providers.toml").write_text(
            f'[acme]\nbase_url = "{upstream.url}"\nmodels.strong = ["old", "new"]\n'
            'models.quick = ["maker/second"]\n'
        )
        main(["providers", "enable", "acme"])
        capsys.readouterr()
        assert main(["doctor", "--json", "--check"]) == 1
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert (found["check acme:old"]["state"], found["check acme:old"]["do"]) == (
        "bad",
        "acme:new is asked in its place.",
    )
    assert found["check acme:maker/second"]["state"] == "good"
