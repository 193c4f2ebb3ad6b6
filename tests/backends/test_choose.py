"""Which backend is chosen, and what the one without a model does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.scripted import Reply, Scripted
from fanout_mcp.backends.choose import NO_CLAUDE, NO_ENDPOINT, NOT_AGREED, choose, open_backend
from fanout_mcp.backends.plan import agent_call, split
from fanout_mcp.backends.providers import maker_of
from fanout_mcp.backends.providers import read as read_rows
from fanout_mcp.errors import Overloaded, Rejected, SettingsError
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job, Prompt

BARE = Settings(root=Path("project"), config_dir=Path("config"))
ENDPOINT = replace(BARE, base_url="http://localhost:11434/v1", api_key="sk-1234567")
JOB = Job("judge", Prompt("You judge.", "Is it right?"))


@pytest.fixture
def with_claude(tmp_path: Path) -> str:
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(tmp_path)


def test_an_endpoint_wins(with_claude: str) -> None:
    assert choose(replace(ENDPOINT, claude_agreed=True), {"PATH": with_claude}).name == "http"


def test_how_to_agree_is_said_as_it_is_typed(with_claude: str) -> None:
    assert "`fanout install --claude-backend`" in choose(BARE, {"PATH": with_claude}).why


def test_claude_is_used_only_when_the_user_agreed(with_claude: str) -> None:
    assert choose(replace(BARE, claude_agreed=True), {"PATH": with_claude}).name == "claude"
    assert choose(BARE, {"PATH": with_claude}).missing == (NO_ENDPOINT, NOT_AGREED)


def test_below_its_own_child_claude_is_not_used_again(with_claude: str) -> None:
    assert choose(replace(BARE, claude_agreed=True, is_child=True), {"PATH": with_claude}).name == "plan"


def test_a_bare_machine_gets_a_plan_and_the_reasons() -> None:
    choice = choose(BARE, {})
    assert (choice.name, choice.missing) == ("plan", (NO_ENDPOINT, NO_CLAUDE, NOT_AGREED))


def test_plan_asked_for_wins_over_an_endpoint() -> None:
    assert choose(replace(ENDPOINT, backend="plan"), {}).name == "plan"


@pytest.mark.parametrize("name", ["http", "claude"])
def test_a_backend_asked_for_and_not_to_be_had_is_an_error_with_a_way_out(name: str) -> None:
    settings = replace(BARE, backend="http" if name == "http" else "claude")
    with pytest.raises(SettingsError, match="FANOUT_BACKEND=auto"):
        choose(settings, {})


@pytest.mark.parametrize(
    ("where", "said"),
    [("FANOUT_BACKEND", "FANOUT_BACKEND=claude"), ("config.toml", 'backend = "claude" in config.toml')],
)
def test_what_asked_for_a_backend_is_named_where_the_user_set_it(where: str, said: str) -> None:
    settings = replace(BARE, backend="claude", backend_from=where)
    with pytest.raises(SettingsError) as caught:
        choose(settings, {})
    assert str(caught.value).startswith(f"{said}, but `claude` is not on PATH")
    assert f"{said.replace('claude', 'auto')}" in str(caught.value)


def test_the_variable_alone_is_an_agreement_to_claude(with_claude: str) -> None:
    choice = choose(replace(BARE, backend="claude"), {"PATH": with_claude})
    assert (choice.name, choice.why) == ("claude", "FANOUT_BACKEND=claude asks for it")


def test_no_choice_shows_the_key() -> None:
    assert "sk-1234567" not in repr(choose(ENDPOINT, {}))


@pytest.mark.anyio
async def test_the_plan_backend_says_that_it_has_no_model() -> None:
    async with open_backend(replace(BARE, backend="plan")) as backend:
        assert not backend.has_model
        with pytest.raises(Rejected, match="no model"):
            await backend.ask(JOB)


@given(st.integers(0, 60), st.integers(1, 9))
def test_every_call_is_in_one_message_and_no_message_is_too_long(count: int, at_most: int) -> None:
    calls = [agent_call(f"call {n}", "Do it.") for n in range(count)]
    grouped = split(calls, at_most)
    assert [call for group in grouped for call in group] == calls
    assert all(1 <= len(group) <= at_most for group in grouped)


@pytest.mark.anyio
async def test_a_script_gives_its_replies_in_turn_and_keeps_what_it_was_asked() -> None:
    backend = Scripted({"judge": [Reply(error=Overloaded("busy")), Reply("yes")]})
    with pytest.raises(Overloaded):
        await backend.ask(JOB)
    assert [(await backend.ask(JOB)).text for _ in range(2)] == ["yes", "yes"]
    assert backend.asked == [JOB] * 3


@pytest.mark.parametrize(
    "preset",
    [
        ("judge", "critic", "skeptic"),
        ("security", "skeptic", "critic"),
        ("performance", "security", "innovator"),
    ],
)
def test_the_members_of_a_preset_are_of_several_makers(preset: tuple[str, ...]) -> None:
    row = read_rows(Path("none"))["openrouter"]
    makers = {maker_of(row.models_for(persona)[0], row) for persona in preset}
    assert len(makers) >= 2
    assert all(persona in row.seats for persona in preset)
