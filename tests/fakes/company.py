"""A company's policy in a folder of the test: its constants are replaced in this process, by nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fanout_hooks.gate import watch
from fanout_mcp.registration import policy as command
from fanout_mcp.state import audit, policy


class Company:
    """What an administrator does."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "etc" / "fanout"
        self.folder.mkdir(parents=True)
        self.folder.parent.chmod(0o755)
        self.folder.chmod(0o755)
        self.place, self.copy = self.folder / "policy.toml", self.folder / "policy.json"
        self.logs = folder / "log"
        monkeypatch.setattr(policy, "PLACE", str(self.place))
        monkeypatch.setattr(policy, "COPY", str(self.copy))
        monkeypatch.setattr(policy, "OWNER", os.getuid())
        monkeypatch.setattr(policy, "TOP", str(self.folder.parent))
        monkeypatch.setattr(watch, "POLICY", str(self.copy))
        monkeypatch.setattr(watch, "POLICY_OWNER", os.getuid())
        monkeypatch.setattr(audit, "_logs", {})

    def says(self, text: str) -> None:
        """Put a policy in place in one step, as `mv` does, with the copy for hooks."""
        beside = self.folder / "new"
        beside.write_text(text, encoding="utf-8")
        beside.chmod(0o644)
        beside.replace(self.place)
        command._write_copy(policy.current())

    def logged(self, rest: str = "") -> str:
        """Return the [audit] table for a log in the test's folder."""
        self.logs.mkdir(mode=0o1777, exist_ok=True)
        return f'[audit]\nfolder = "{self.logs}"\n{rest}\n'

    @property
    def log(self) -> Path:
        return self.logs / f"{os.getuid()}.jsonl"


@pytest.fixture
def company(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Company:
    return Company(tmp_path_factory.mktemp("company"), monkeypatch)
