"""What a panel may cost is known before its first call; what it did cost is told as far as it is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from fakes.scripted import Reply, Scripted, verdict
from fakes.virtual import virtually
from fakes.wire_pool import Sent, WirePool, wired
from fanout_mcp.backends.providers import read as read_rows
from fanout_mcp.errors import (
    BadAnswer,
    BudgetExceeded,
)
from fanout_mcp.panel import personas
from fanout_mcp.types import ModelPrice
from fanout_mcp.usage import Usage
from tools.consulting import UNREADABLE, ask, consult, panel, says, services


def priced(cost: float) -> Scripted:
    models = {f"model-of-{name}": ModelPrice(cost, cost) for name in ("judge", "critic", "skeptic")}
    return Scripted(default=says(), prices=models)


def test_what_may_cost_too_much_is_refused_before_the_first_call(tmp_path: Path) -> None:
    backend = priced(500.0)
    with pytest.raises(BudgetExceeded, match=r"These 3 calls may cost up to \$.*Nothing was started"):
        consult(tmp_path, backend)
    assert backend.asked == []
    assert consult(tmp_path, backend, max_cost_usd=50).data["decision"] == "PROCEED"


def test_a_dry_run_names_members_and_price_and_asks_nobody(tmp_path: Path) -> None:
    backend = priced(1.0)
    data = consult(tmp_path, backend, dry_run=True).data
    assert backend.asked == []
    assert [one["member"] for one in data["members"]] == ["judge", "critic", "skeptic"]
    assert data["at_most"]["calls"] == 6, "each member may be asked once more"
    tokens = data["at_most"]["tokens_in"] + data["at_most"]["tokens_out"]
    assert data["at_most"]["cost_usd"] == pytest.approx(tokens / 1e6, rel=0.01)


@pytest.mark.parametrize("budget", [0.24, 0.30, 1.0])
def test_what_is_spent_never_passes_what_the_dry_run_says_at_most(tmp_path: Path, budget: float) -> None:
    backend = priced(40.0)
    backend.default = Reply("I would rather not say.", usage=Usage(370, 1500, 0.0748))
    most = consult(tmp_path, backend, max_cost_usd=budget, dry_run=True).data["at_most"]
    got = consult(tmp_path, backend, max_cost_usd=budget)
    spent = got.data["receipt"]
    assert spent["calls"] <= most["calls"] == 6
    assert spent["cost_usd"] <= most["cost_usd"] <= budget


def test_a_repair_that_the_budget_does_not_cover_is_not_asked_for(tmp_path: Path) -> None:
    backend = priced(40.0)
    backend.default = Reply("I would rather not say.", usage=Usage(370, 1500, 0.0748))
    got = consult(tmp_path, backend, max_cost_usd=0.30)
    assert got.data["receipt"]["calls"] == 3
    assert "not asked again: it may cost $0.07" in got.reasons["judge"]


def test_a_cheap_answer_leaves_money_for_another_members_repair(tmp_path: Path) -> None:
    backend = priced(40.0)
    backend.rules = {"model-of-judge": [UNREADABLE, says()], "model-of-critic": says("SIMPLIFY")}
    got = consult(tmp_path, backend, max_cost_usd=0.30)
    assert (len(got.verdicts), got.data["receipt"]["calls"]) == (3, 4)


PRICES = {
    "~anthropic/claude-sonnet-latest": ModelPrice(3.0, 15.0),
    "~openai/gpt-latest": ModelPrice(5.0, 30.0),
    "x-ai/grok-4.5": ModelPrice(3.0, 15.0),
    "deepseek/deepseek-v4-pro": ModelPrice(0.5, 2.0),
    "mistralai/mistral-medium-3-5": ModelPrice(0.4, 2.0),
    "~google/gemini-pro-latest": ModelPrice(2.0, 12.0),
}
"""Of the default models, rather too high than too low."""


@pytest.mark.parametrize("preset", ["quick", "comprehensive", "security", "technical", "all"])
@pytest.mark.parametrize("attached", [0, 100_000])
def test_every_preset_of_the_default_models_fits_into_the_default_budget(
    tmp_path: Path, preset: str, attached: int
) -> None:
    (tmp_path / "notes.md").write_text("Every order is written twice, once a day. " * (attached // 42))
    library = personas.read(tmp_path / "none")
    row = read_rows(tmp_path / "none")["openrouter"]
    models = [row.models_for(one.name)[0] for one in library.choose(preset, None)]
    backend = Scripted(default=says(), prices=PRICES)
    got = consult(tmp_path, backend, preset=preset, models=models, files=["notes.md"])
    assert got.data["decision"] == "PROCEED"


def test_an_unknown_price_is_unknown_and_never_nothing(tmp_path: Path) -> None:
    assert consult(tmp_path, Scripted(), dry_run=True).data["at_most"]["cost_usd"] == "unknown"
    free = Scripted(default=Reply(usage=Usage(10, 10, None)))
    assert consult(tmp_path, free).data["receipt"]["cost_usd"] is None


def test_a_cost_that_is_known_in_part_is_told_as_the_least(tmp_path: Path) -> None:
    got = consult(tmp_path, panel(skeptic=Reply(verdict(), 1.0, usage=Usage(10, 10))))
    spent = got.data["receipt"]
    assert (spent["cost_usd"], spent["cost_is_at_least"]) == (0.002, True)
    assert "cost at least $0.002" in got.report
    got = consult(tmp_path, panel(skeptic=says("STOP", 6.0)))
    assert got.data["cut"] == ["skeptic"]
    assert got.data["receipt"]["cost_is_at_least"], "nobody knows what the cut call was billed"


def test_an_answer_that_can_not_be_read_is_in_the_bill(tmp_path: Path) -> None:
    lost = panel(judge=UNREADABLE, critic=Reply(error=BadAnswer("no text").billed(Usage(100, 900, 0.01))))
    spent = consult(tmp_path, lost).data["receipt"]
    # The judge is asked twice, the critic twice, the skeptic once.
    assert (spent["calls"], spent["cost_usd"]) == (5, pytest.approx(2 * 0.001 + 2 * 0.01 + 0.001))
    assert "cost_is_at_least" not in spent


def test_without_a_price_the_tokens_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("word " * 39_000)
    with pytest.raises(BudgetExceeded, match="tokens, the budget is 600,000"):
        consult(
            tmp_path, Scripted(), files=["long.txt"], personas=["judge"] * 16, models=list("abcdefghijklmnop")
        )


def test_a_provider_that_lists_no_models_cannot_outlast_the_deadline(tmp_path: Path) -> None:
    class Silent(Scripted):
        async def price(self, model: str | None) -> ModelPrice | None:
            await anyio.sleep_forever()
            return None

    consulted = consult(tmp_path, Silent(default=says()), deadline_s=3)
    assert consulted.data["decision"] == "PROCEED"
    assert consulted.seconds == 2.0, "a third of the time for prices, and the second that members take"


def test_a_cut_call_shows_the_bill_of_what_was_asked_before_a_quirk_was_known(tmp_path: Path) -> None:
    billed = b'data: {"usage": {"prompt_tokens": 300, "completion_tokens": 40, "cost": 0.25}}\n\n'
    refused = b'data: {"error": {"code": 400, "message": "response_format is not supported"}}\n\n'
    answer = json.dumps({"choices": [{"message": {"content": verdict()}, "finish_reason": "stop"}]}).encode()

    def script(body: dict[str, Any]) -> Sent:
        if body["model"] != "slow":
            return Sent([answer], kind="application/json")
        return Sent([billed, refused]) if "response_format" in body else Sent(delay_s=1_000.0)

    given = services(tmp_path, wired(services(tmp_path, panel()).settings, WirePool(script)))
    models = ["fast", "fast", "slow"]
    got = virtually(lambda: ask(given, {"preset": "quick", "models": models}))
    assert got.data["cut"] == ["skeptic"]
    receipt = got.data["receipt"]
    assert (receipt["calls"], receipt["cost_usd"], receipt["cost_is_at_least"]) == (4, 0.25, True)
    assert receipt["tokens_out"] >= 40
