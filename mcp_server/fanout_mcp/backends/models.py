"""Which model sits in which seat when nobody chose: the table in models.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal


@cache
def seats(table: Literal["openrouter", "claude"]) -> Mapping[str, str]:
    text = (files("fanout_mcp.backends") / "models.toml").read_text(encoding="utf-8")
    models: Mapping[str, str] = tomllib.loads(text)[table]
    return models


def model_for(table: Literal["openrouter", "claude"], purpose: str) -> str:
    chosen = seats(table)
    return chosen.get(purpose, chosen["default"])
