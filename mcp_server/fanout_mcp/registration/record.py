"""What was installed where: `installed.json` in the user's own folder, so that exactly that goes again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from fanout_hooks.settings import replace
from fanout_mcp.errors import SettingsError
from fanout_mcp.registration.additions import Made

NAME: Final = "installed.json"


class JsonFile(BaseModel, frozen=True):
    """One JSON file that was added to."""

    made: Made = Made()
    was_there: bool = True


class Installed(BaseModel, frozen=True):
    """One scope's installation, by path."""

    json_files: dict[str, JsonFile] = {}
    whole_files: dict[str, str] = {}
    """Files that are ours alone, with their text."""
    agreed_line: str | None = None
    """The line of config.toml that said otherwise before the user agreed; "" when there was none."""


class Record(BaseModel):
    scopes: dict[str, Installed] = {}


def read(config_dir: Path) -> Record:
    path = config_dir / NAME
    try:
        return Record.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Record()
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise SettingsError(f"{path} can't be read. Remove it, and take fanout out by hand.") from error


def write(config_dir: Path, record: Record) -> None:
    path = config_dir / NAME
    if record.scopes:
        replace(str(path), json.dumps(record.model_dump(), indent=1).encode() + b"\n", 0o600)
    else:
        path.unlink(missing_ok=True)
