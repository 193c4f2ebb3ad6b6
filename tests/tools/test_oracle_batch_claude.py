"""A panel whose members are processes of `claude` (a fake one): the same verdict, errors and cancelling."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

import fakes.upstream
from fakes.upstream import until
from fanout_mcp.backends.clients import open_client
from fanout_mcp.edge.catalog import parse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools.oracle_batch import TOOL
from fanout_mcp.tools.services import Services, ToolResult
from fanout_mcp.types import no_progress

pytestmark = pytest.mark.anyio

FAKE = Path(fakes.upstream.__file__).parent / "claude"


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "bin" / "claude").symlink_to(FAKE)
    environment = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    settings = Settings(tmp_path / "project", tmp_path / "config", backend="claude")
    async with open_client("claude", settings, environment) as backend:
        yield Services(settings, backend, Limits(50))


async def ask(services: Services, question: str) -> ToolResult:
    """Ask so that no one is cut, however slowly a process starts."""
    arguments = {"question": question, "quorum": 3}
    return await TOOL.call(services, parse(TOOL.arguments, arguments), no_progress)


async def test_each_member_is_a_process_and_the_vote_is_counted(services: Services) -> None:
    result = await ask(services, "Is it wise?")
    assert (result.data["decision"], result.is_error) == ("SIMPLIFY", False)
    assert {vote["member"] for vote in result.data["votes"]} == {"judge", "critic", "skeptic"}
    assert {vote["model"] for vote in result.data["votes"]} == {"sonnet"}
    receipt = result.data["receipt"]
    assert (receipt["calls"], receipt["tokens_in"], receipt["cost_usd"]) == (3, 45, 0.03)


async def test_a_lost_login_is_no_verdict_and_says_what_to_do(services: Services) -> None:
    result = await ask(services, "LOGGED-OUT is it wise?")
    assert (result.data["decision"], result.is_error) == ("NO_VERDICT", True)
    assert ["/login" in lost["reason"] for lost in result.data["failed"]] == [True] * 3


@pytest.mark.both_loops
async def test_cancelling_a_consultation_ends_every_process(services: Services, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    numbers.mkdir()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, services, f"WAIT {numbers} is it wise?")
            await until(lambda: len(list(numbers.iterdir())) == 3)
            tasks.cancel_scope.cancel()
    for number in numbers.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(number.name), 0)
