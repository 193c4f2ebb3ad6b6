"""What is published says the same everywhere: version, hosts, icon, registry entry, forms, and one wheel."""

from __future__ import annotations

import json
import re
import struct
import sys
import tomllib
import zipfile
import zlib
from importlib.resources import files
from pathlib import Path

import jsonschema  # type: ignore[import-untyped] # its stubs are another package
import pytest

import dist
import icon
from fanout_mcp import __version__
from fanout_mcp.cli import COMMANDS
from fanout_mcp.edge import catalog
from fanout_mcp.panel.personas import built_in

ROOT = dist.ROOT
PLUGIN = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text())
SERVER = json.loads((ROOT / "server.json").read_text())
INSTALLED_FROM = {"pypi.org", "files.pythonhosted.org"}


def test_the_version_is_written_in_one_place_and_is_the_same_in_all() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "mcp_server/fanout_mcp/__init__.py"
    versions = {PLUGIN["version"], SERVER["version"], SERVER["packages"][0]["version"]}
    assert versions | {catalog.snapshot()["version"]} == {__version__}
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_plugin_declares_each_host_that_it_can_reach() -> None:
    rows = tomllib.loads((ROOT / "mcp_server/fanout_mcp/backends/providers.toml").read_text())
    urls = re.findall(r"'(?:base_url|url)': '(https://[^/']+)", str(rows))
    wanted = {url.removeprefix("https://") for url in urls} | INSTALLED_FROM
    assert {*PLUGIN["network"]["hosts"]} == wanted


@pytest.mark.slow
def test_the_icon_is_the_drawn_one() -> None:
    data = (ROOT / icon.PATH).read_bytes()
    assert struct.unpack(">II", data[16:24]) == (icon.SIZE, icon.SIZE)
    length = struct.unpack(">I", data[33:37])[0]
    assert zlib.decompress(data[41 : 41 + length]) == icon.rows()


def test_the_registry_entry_starts_a_command_that_there_is() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    package = SERVER["packages"][0]
    assert package["identifier"] in scripts  # what `uvx IDENTIFIER` runs
    assert package["packageArguments"] == [{"type": "positional", "value": "serve"}]
    assert "serve" in COMMANDS
    assert len(SERVER["description"]) <= 100
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", SERVER["name"])
    assert f"<!-- mcp-name: {SERVER['name']} -->" in (ROOT / "README.md").read_text()


def test_the_registry_entry_is_valid_against_its_schema() -> None:
    version = SERVER["$schema"].split("/")[-2].replace("-", "_")
    schema = files("skillsaw") / "schemas" / "mcp_registry" / f"v{version}" / "server.schema.json"
    jsonschema.validate(SERVER, json.loads(schema.read_text()))


COMMAND_SKILLS = [
    path for path in sorted((ROOT / "skills").glob("*/SKILL.md")) if path.parent.name != "fanout"
]
RESULTS = {"plan", "path:line"}
"""Words of a result, and of a form, that the commands name."""


@pytest.mark.parametrize("path", COMMAND_SKILLS, ids=lambda path: path.parent.name)
def test_a_command_names_only_tools_and_arguments_that_exist(path: Path) -> None:
    text = path.read_text()
    tools = {tool["name"]: tool["inputSchema"]["properties"] for tool in catalog.snapshot()["tools"]}
    known = {*tools, *(name for one in tools.values() for name in one), *built_in().presets, *RESULTS}
    known |= {"adopt", "restore", *(f"fanout {name} --check" for name in COMMANDS)}
    named = set(re.findall(r"`([^`]+)`", text))
    assert not named - known
    assert "disable-model-invocation: true" in text  # a command is the user's; the model pays nothing for it


@pytest.mark.slow
def test_two_builds_of_the_wheel_are_one_file_and_hold_the_product(tmp_path: Path) -> None:
    first, second = dist.build(tmp_path / "one"), dist.build(tmp_path / "other")
    assert first == second
    assert [*first] == [f"fanout_mcp-{__version__}-py3-none-any.whl", f"fanout_mcp-{__version__}.tar.gz"]
    with zipfile.ZipFile(next((tmp_path / "one" / "dist").glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {"fanout_mcp/edge/tools.json", "fanout_mcp/edge/first.py", "fanout_hooks/cli.py"} <= names
    assert "fanout_mcp/skill/SKILL.md" in names


def test_the_oldest_python_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    matrix = re.search(r"python: \[(.+)\]", (ROOT / ".github/workflows/test.yml").read_text())
    assert matrix
    tested = re.findall(r'"([\d.]+)"', matrix[1])
    listed = [one.rsplit(" ", 1)[1] for one in project["classifiers"] if re.search(r":: 3\.\d", one)]
    assert tested == listed
    assert project["requires-python"] == f">={tested[0]}"
    assert sys.version_info >= tuple(map(int, tested[0].split(".")))
