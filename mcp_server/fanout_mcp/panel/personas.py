"""Personas and presets: data files of ours, and the user's own beside them (by name, theirs win).

A persona is a Markdown file with a head and a system prompt:

    ---
    name: judge
    title: Judge
    ---
    You weigh a proposal as a whole and decide. ...
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from fanout_mcp.errors import InvalidInput, SettingsError

OURS = Path(__file__).parent
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
MOST_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Persona:
    """Who a member is to be."""

    name: str
    title: str
    system: str


@dataclass(frozen=True, slots=True)
class Library:
    """All personas and presets that a user has."""

    personas: Mapping[str, Persona]
    presets: Mapping[str, Sequence[str]]

    def choose(self, preset: str, names: Sequence[str] | None) -> list[Persona]:
        """Return the personas of a panel; `names` win over the preset. Raises InvalidInput."""
        wanted = list(names) if names is not None else list(self._preset(preset))
        return [self._persona(name) for name in wanted]

    def _preset(self, name: str) -> Sequence[str]:
        if name not in self.presets:
            raise InvalidInput(_unknown("preset", name, self.presets))
        return self.presets[name]

    def _persona(self, name: str) -> Persona:
        if name not in self.personas:
            raise InvalidInput(_unknown("persona", name, self.personas))
        return self.personas[name]


def read(config_dir: Path) -> Library:
    """Read ours and the user's. Raises SettingsError that names a broken file."""
    personas = {**_folder(OURS / "personas"), **_folder(config_dir / "personas")}
    presets = {**_presets(OURS / "presets.toml"), **_presets(config_dir / "presets.toml")}
    for preset, names in presets.items():
        for name in names:
            if name not in personas:
                raise SettingsError(f"The preset {preset}: {_unknown('persona', name, personas)}")
    return Library(personas, presets)


def _folder(folder: Path) -> dict[str, Persona]:
    return {persona.name: persona for persona in map(_persona, sorted(folder.glob("*.md")))}


def _persona(path: Path) -> Persona:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The persona {path} can't be read: {error}.") from error
    match = re.fullmatch(r"---\n(?P<head>.*?)\n---\n(?P<system>.*)", text, re.DOTALL)
    if match is None:
        raise SettingsError(f"The persona {path} must begin with a head between two lines of ---.")
    head = dict(re.findall(r"^(\w+):\s*(.*?)\s*$", match["head"], re.MULTILINE))
    name, system = head.get("name", ""), match["system"].strip()
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"The persona {path} needs a name of small letters, digits and dashes, not {name!r}."
        )
    if not 1 <= len(system) <= MOST_CHARS:
        raise SettingsError(f"The persona {path} needs 1 to {MOST_CHARS:,} characters of prompt.")
    return Persona(name, head.get("title") or name.capitalize(), system)


def _presets(path: Path) -> dict[str, list[str]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("presets", {})
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}. Mend or remove it.") from error
    for name, names in table.items() if isinstance(table, dict) else [("presets", table)]:
        if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
            raise SettingsError(f"{path}: {name} must be a list of persona names.")
    return dict(table)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(name, names, 1, 0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    shown = name if len(name) <= 60 else name[:59] + "…"
    return f"There is no {what} {shown!r}.{hint} There are: {', '.join(names)}."
