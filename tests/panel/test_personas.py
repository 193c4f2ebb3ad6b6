"""Who sits on a panel: personas and presets, ours and the user's, each with a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel.personas import Library, Member, Persona, read, seat

BUILT_IN = {"judge", "critic", "skeptic", "innovator", "advocate", "security", "performance", "oracle"}
PRESETS = {
    "quick": ["judge", "critic", "skeptic"],
    "comprehensive": ["judge", "critic", "skeptic", "innovator", "oracle"],
    "security": ["security", "skeptic", "critic"],
    "technical": ["performance", "security", "innovator"],
}


def persona(name: str) -> Persona:
    return Persona(name, name.title(), "You are.")


def seats(personas: str, *models: str) -> list[tuple[str, str | None]]:
    """`"judge critic"` with models; the default model of x is `x-default`."""
    members: list[Member] = seat(
        [persona(name) for name in personas.split()], models, lambda n: f"{n}-default"
    )
    return [(member.key, member.model) for member in members]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return read(tmp_path)


def test_eight_personas_and_five_presets_come_with_it(library: Library) -> None:
    assert set(library.personas) >= BUILT_IN
    assert {name: list(who) for name, who in library.presets.items() if name != "all"} == PRESETS
    assert sorted(library.presets["all"]) == sorted(library.personas)
    assert all(persona.sees for persona in library.personas.values())
    assert all(len(persona.system) > 200 for persona in library.personas.values())


def test_named_personas_win_over_the_preset(library: Library) -> None:
    assert [one.name for one in library.choose("quick", ["oracle"])] == ["oracle"]


@pytest.mark.parametrize(
    ("preset", "names", "sentence"),
    [
        ("quik", None, "There is no preset 'quik'. Did you mean 'quick'?"),
        ("quick", ["juge"], "There is no persona 'juge'. Did you mean 'judge'?"),
        ("x" * 500, None, "There are: all, comprehensive, quick, security, technical."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    library: Library, preset: str, names: list[str] | None, sentence: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        library.choose(preset, names)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 300


# --- the user's own ---


def own(folder: Path, text: str, name: str = "lawyer.md") -> None:
    (folder / "personas").mkdir(exist_ok=True)
    (folder / "personas" / name).write_text(text)


def test_users_add_personas_and_presets_and_replace_ours(tmp_path: Path) -> None:
    own(tmp_path, "---\nname: lawyer\ntitle: Lawyer\n---\nYou know the law.")
    own(tmp_path, "---\nname: judge\n---\nYou judge otherwise.", "judge.md")
    (tmp_path / "presets.toml").write_text('[presets]\nlegal = ["lawyer", "judge"]\nquick = ["lawyer"]\n')
    library = read(tmp_path)
    assert [one.title for one in library.choose("legal", None)] == ["Lawyer", "Judge"]
    assert library.personas["judge"].system == "You judge otherwise."
    assert list(library.presets["quick"]) == ["lawyer"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("You know the law.", "must begin with a head", id="no head"),
        pytest.param("---\nname: Law Yer\n---\nx", "needs a name of small letters", id="a bad name"),
        pytest.param("---\nname: lawyer\n---\n", "characters of prompt", id="no prompt"),
        pytest.param("---\nname: lawyer\n---\n" + "x" * 20_001, "characters of prompt", id="too long"),
    ],
)
def test_a_broken_persona_costs_itself_and_is_named_with_its_path(
    tmp_path: Path, text: str, sentence: str
) -> None:
    own(tmp_path, text)
    library = read(tmp_path)
    assert len(library.choose("quick", None)) == 3
    assert "lawyer.md" in library.broken["lawyer"]
    with pytest.raises(InvalidInput) as caught:
        library.choose("quick", ["lawyer"])
    assert sentence in str(caught.value)


def test_a_broken_copy_of_ours_leaves_ours_to_the_presets_and_is_an_error_by_name(tmp_path: Path) -> None:
    own(tmp_path, "You judge otherwise.", "judge.md")
    library = read(tmp_path)
    assert library.choose("quick", None)[0].system.startswith("You weigh a proposal")
    with pytest.raises(InvalidInput, match="must begin with a head"):
        library.choose("quick", ["judge"])


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        pytest.param("presets = 3", "presets.toml", "begin it with a line [presets]", id="no table"),
        pytest.param("not toml", "presets.toml", "can't be read", id="no TOML"),
        pytest.param('mine = ["judge"]', "mine", "is outside of [presets]", id="above the table"),
        pytest.param("[presets]\nmine = []", "mine", "a list of persona names", id="nobody"),
        pytest.param("[presets]\nmine = [1]", "mine", "a list of persona names", id="a number"),
        pytest.param("[presets]\nmine = 'judge'", "mine", "a list of persona names", id="no list"),
        pytest.param("[presets]\nmine = ['juge']", "mine", "Did you mean 'judge'?", id="an unknown persona"),
        pytest.param("[presets]\nmine = ['lawyer']", "mine", "must begin with a head", id="a broken persona"),
    ],
)
def test_a_broken_preset_costs_itself_and_is_an_error_where_it_is_asked_for(
    tmp_path: Path, text: str, name: str, sentence: str
) -> None:
    own(tmp_path, "You know the law.")
    (tmp_path / "presets.toml").write_text(text)
    library = read(tmp_path)
    assert sentence in library.broken[name]
    assert len(library.choose("quick", None)) == 3
    with pytest.raises(InvalidInput) as caught:
        library.choose("mine", None)
    assert sentence in str(caught.value)


# --- models ---


@pytest.mark.parametrize(
    ("models", "seated"),
    [
        pytest.param((), ["judge-default", "critic-default"], id="defaults by persona"),
        pytest.param(("a/m",), ["a/m", "a/m"], id="one for all"),
        pytest.param(("a/m", "b/n"), ["a/m", "b/n"], id="one each, in order"),
        pytest.param(("critic=b/n",), ["judge-default", "b/n"], id="one by name"),
        pytest.param(("a/m", "critic=b/n"), ["a/m", "b/n"], id="one for all but one"),
    ],
)
def test_each_persona_gets_its_model(models: tuple[str, ...], seated: list[str]) -> None:
    assert seats("judge critic", *models) == list(zip(["judge", "critic"], seated, strict=True))


def test_one_persona_may_sit_twice_with_different_models() -> None:
    assert seats("judge judge", "a/m", "b/n") == [("judge@a/m", "a/m"), ("judge@b/n", "b/n")]


@pytest.mark.parametrize(
    ("personas", "models", "sentence"),
    [
        ("", (), "at least one persona"),
        ("judge judge", (), "named twice"),
        ("judge judge", ("a/m",), "named twice"),
        ("judge " * 10_000, (), "10,000 personas are too many; a panel has at most 24"),
        ("judge critic skeptic", ("a", "b"), "2 models for 3 members"),
        ("judge critic", ("lawyer=a",), "'lawyer', which is not a persona of this panel"),
        ("judge", ("",), "is not empty"),
        ("judge", ("a b",), "no spaces"),
        ("judge", ("a\nb",), "no spaces"),
    ],
)
def test_a_panel_that_makes_no_sense_is_refused(
    personas: str, models: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        seats(personas, *models)
