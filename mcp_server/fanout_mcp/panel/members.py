"""Who sits on a panel: personas, each with a model, under a key that is its identity throughout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel.personas import Persona

MOST_MEMBERS = 24
"""Beyond that a panel tells nothing new, and costs."""


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
    if len(personas) > MOST_MEMBERS:
        raise InvalidInput(f"{len(personas):,} personas are too many; a panel has at most {MOST_MEMBERS}.")
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
        raise InvalidInput(f"models names {unknown[0]!r}, which is no persona of this panel.")
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
