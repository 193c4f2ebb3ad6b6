"""Personas and presets: built-in data files, and the user's own (theirs win by name).

A persona is a Markdown file: a head between two lines of --- (`name: judge`, perhaps `title`, `sees` and
`model`), then a system prompt. A preset is a line of presets.toml below [presets], such as
`mine = ["judge", "dba=ollama:qwen3"]`. What is wrong with a file costs that file alone, and is reported with
every result; it is an error where just that is asked for.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from fanout_mcp.errors import InvalidInput, why

OURS = Path(__file__).parent
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
MAX_CHARS = 20_000
PRESETS = "presets.toml"


class Broken(Exception):
    """A persona or a preset can't be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Persona:
    """Who a member is to be."""

    name: str
    title: str
    system: str
    model: str | None = None
    """The model it is always asked with, unless the call names one."""
    sees: str = ""
    """What it looks at, for a list of personas."""


@dataclass(frozen=True, slots=True)
class Library:
    personas: Mapping[str, Persona]
    presets: Mapping[str, Sequence[str]]
    broken: Mapping[str, str] = field(default_factory=dict)
    """What can't be used, by the name of the persona, the preset or the file; and why."""

    def choose(self, preset: str, names: Sequence[str] | None) -> list[Persona]:
        """Return the personas of a panel; `names` win over the preset. Raises InvalidInput."""
        for name in names or ():
            if name in self.broken:
                raise InvalidInput(self.broken[name])
        if names is None and preset not in self.presets:
            unknown = f"{_unknown('preset', preset, self.presets)} {self.broken.get(PRESETS, '')}".rstrip()
            raise InvalidInput(self.broken.get(preset) or unknown)
        return [self._persona(name) for name in (self.presets[preset] if names is None else names)]

    def _persona(self, name: str) -> Persona:
        name, _, model = name.partition("=")
        if name not in self.personas:
            raise InvalidInput(_unknown("persona", name, self.personas))
        persona = self.personas[name]
        return replace(persona, model=model) if model else persona


def has_own(config_dir: Path) -> bool:
    """Say whether the user has personas or presets, without reading them."""
    return any((config_dir / name).exists() for name in ("personas", PRESETS))


def read(config_dir: Path) -> Library:
    """Read the built-in files and the user's; what is wrong with a file is in `broken`."""
    ours = built_in()
    broken: dict[str, str] = {}
    personas = {**ours.personas, **_folder(config_dir / "personas", broken)}
    presets = dict(ours.presets)
    for preset, names in _presets(config_dir / PRESETS, broken).items():
        lost = next((one for name in names if (one := name.partition("=")[0]) not in personas), None)
        if lost is None:
            presets[preset] = names
        else:
            broken[preset] = (
                f"The preset {preset!r}: {broken.get(lost) or _unknown('persona', lost, personas)}"
            )
    return Library(personas, presets, broken)


def built_in() -> Library:
    """Return the personas and presets that ship; `all` is made of every persona."""
    return _shipped(OURS)


@cache
def _shipped(folder: Path) -> Library:
    broken: dict[str, str] = {}
    personas = _folder(folder / "personas", broken)
    presets = _presets(folder / PRESETS, broken)
    in_order = dict.fromkeys([*(name for names in presets.values() for name in names), *sorted(personas)])
    return Library({name: personas[name] for name in in_order}, {**presets, "all": list(in_order)}, broken)


def _folder(folder: Path, broken: dict[str, str]) -> dict[str, Persona]:
    found: dict[str, Persona] = {}
    for path in sorted(folder.glob("*.md")):
        try:
            persona = _persona(path)
        except Broken as error:
            broken[path.stem] = str(error)
        else:
            found[persona.name] = persona
    return found


def _persona(path: Path) -> Persona:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Broken(f"The persona {path} can't be read: {why(error)}.") from error
    match = re.fullmatch(r"---\n(?P<head>.*?)\n---\n(?P<system>.*)", text, re.DOTALL)
    if match is None:
        raise Broken(
            f"The persona {path} must begin with a head between two lines of ---, with a line `name: NAME`."
        )
    found = re.findall(r"^(\w+):(.*)", match["head"], re.MULTILINE)
    head = {key: value.strip() for key, value in found}
    name, system = head.get("name", ""), match["system"].strip()
    if not NAME.fullmatch(name):
        raise Broken(f"The persona {path} needs a name of small letters, digits and dashes, not {name!r}.")
    if not 1 <= len(system) <= MAX_CHARS:
        raise Broken(f"The persona {path} needs 1 to {MAX_CHARS:,} characters of prompt.")
    title = head.get("title") or name.capitalize()
    return Persona(name, title, system, head.get("model") or None, head.get("sees", ""))


def _presets(path: Path, broken: dict[str, str]) -> dict[str, list[str]]:
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        broken[path.name] = f"{path} can't be read: {why(error)}. Fix or remove it."
        return {}
    table = whole.pop("presets", {})
    for name in whole:
        broken[name] = f"{path}: {name} is outside of [presets]; put it below a line [presets]."
    if not isinstance(table, dict):
        broken[path.name] = f"{path}: presets must be a table; begin it with a line [presets]."
        return {}
    found = {}
    for name, names in table.items():
        if isinstance(names, list) and names and all(isinstance(one, str) for one in names):
            found[name] = names
        else:
            broken[name] = f'{path}: the preset {name} must be a list of persona names, such as ["judge"].'
    return found


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(name, names, 1, 0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    shown = name if len(name) <= 60 else name[:59] + "…"
    return f"There is no {what} {shown!r}.{hint} There are: {', '.join(names)}."


# --- Who sits on a panel: personas, each with a model, under a key that is its identity throughout. ---------

MAX_MEMBERS = 24
"""More members only cost more: they add no new view."""


@dataclass(frozen=True, slots=True)
class Member:
    """One persona asked by one model; `model` None: the backend's default."""

    key: str
    persona: Persona
    model: str | None


def seat(
    personas: Sequence[Persona], models: Sequence[str] | None, default: Callable[[str], str | None]
) -> list[Member]:
    """Give each persona a model. `models`: one for all, one each in order, or `persona=model` entries.

    Raises InvalidInput for too many members, for models that don't fit, and for members that are equal.
    """
    if not personas:
        raise InvalidInput("A panel needs at least one persona.")
    if len(personas) > MAX_MEMBERS:
        raise InvalidInput(f"{len(personas):,} personas are too many; a panel has at most {MAX_MEMBERS}.")
    chosen = _models(personas, models, default)
    pairs = list(zip(personas, chosen, strict=True))
    often = Counter(persona.name for persona in personas)
    twice = [pair for pair, times in Counter((one.name, model) for one, model in pairs).items() if times > 1]
    if twice:
        name, model = twice[0]
        raise InvalidInput(
            f"The member {name!r} with the model {model or 'default'!r} is named twice: equal members are "
            "one voice. Name it once, or give the second another model."
        )
    return [Member(_key(one, model, often), one, model) for one, model in pairs]


def _models(
    personas: Sequence[Persona], models: Sequence[str] | None, default: Callable[[str], str | None]
) -> list[str | None]:
    given = [model.strip() for model in models or ()]
    if any(not model or any(char.isspace() or not char.isprintable() for char in model) for model in given):
        raise InvalidInput("A model's name has no spaces and is not empty; ask the provider for its list.")
    named = dict(entry.split("=", 1) for entry in given if "=" in entry)
    plain = [entry for entry in given if "=" not in entry]
    unknown = sorted(named.keys() - {persona.name for persona in personas})
    if unknown:
        raise InvalidInput(f"models names {unknown[0]!r}, which is not a persona of this panel.")
    if len(plain) not in {0, 1, len(personas)}:
        raise InvalidInput(
            f"{len(plain)} models for {len(personas)} members: give one for all, one each in their order, "
            "or persona=model."
        )
    in_order = plain if len(plain) == len(personas) else [*plain] * len(personas)
    return [
        named.get(persona.name) or (in_order[place] if in_order else persona.model or default(persona.name))
        for place, persona in enumerate(personas)
    ]


def _key(persona: Persona, model: str | None, often: Counter[str]) -> str:
    return persona.name if often[persona.name] == 1 else f"{persona.name}@{model or 'default'}"
