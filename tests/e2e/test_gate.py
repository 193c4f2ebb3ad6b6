"""The gate in the real client: needless sequences are sent back once, and every conversation goes on."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2e.client import Client
from e2e.gate_talk import Talk, expected, gate_log, server_option, session, with_gate
from fakes.model import serving
from gate.scenarios import Scenario, Sent, Step, load

pytestmark = pytest.mark.e2e

EVERY = load()
AT_ONCE = 3
"""Sessions beside each other: most of the time of a slow one is waiting."""
BLOCK_S = 1.5


def play(client: Client, tmp_path: Path, scenarios: list[Scenario], *, slow: bool = False) -> Talk:
    """Play scenarios in one session, each as a prompt of its own."""
    talk = Talk(scenarios, client.project, slow=slow)
    with (
        serving(talk, block_s=BLOCK_S if slow else 0.0) as model,
        session(client, model, *server_option(tmp_path)) as said,
    ):
        for scenario in scenarios:
            said.play(talk, scenario)
    return talk


def test_every_scenario_gets_its_verdict_and_goes_on(client: Client, tmp_path: Path) -> None:
    talk = play(with_gate(client, tmp_path), tmp_path, EVERY)
    assert {own.id: talk.sent_back[own.id] for own in EVERY} == {own.id: expected(own) for own in EVERY}
    said = Counter(record.get("verdict") for record in gate_log(client.project))
    denials = sum(len(names) for own in EVERY for names in expected(own))
    assert said["deny"] == said["overruled"] == denials
    assert talk.advice > 0


def test_a_slowly_streamed_message_has_the_same_verdicts_but_for_the_first_of_its_wave(
    client: Client, tmp_path: Path
) -> None:
    """The first of a slow wave passes on its second sending: its siblings were not there to be seen."""

    def part(number: int) -> Talk:
        folder = tmp_path / str(number)
        own = with_gate(Client.make(client.program, folder), folder)
        return play(own, folder, EVERY[number::AT_ONCE], slow=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        talks = list(pool.map(part, range(AT_ONCE)))
    sent_back = {key: steps for talk in talks for key, steps in talk.sent_back.items()}
    assert sent_back == {own.id: expected(own, slow=True) for own in EVERY}


IN_THE_TERMINAL = ("three-in-a-row", "path-from-the-answer", "background-after-its-end", "several-after-one")


@pytest.mark.usefixtures("tmux")
@pytest.mark.parametrize("slow", [False, True], ids=["at once", "slowly"])
def test_the_terminal_has_the_same_verdicts(client: Client, tmp_path: Path, *, slow: bool) -> None:
    scenarios = [own for own in EVERY if own.id in IN_THE_TERMINAL]
    talk = Talk(scenarios, client.project, slow=slow)
    with_gate(client, tmp_path)
    with (
        serving(talk, block_s=BLOCK_S if slow else 0.0) as model,
        client.terminal(model, *server_option(tmp_path)) as screen,
    ):
        for scenario in scenarios:
            screen.type(scenario.prompt)
            screen.wait_for(f"{scenario.id} is done")
    for own in scenarios:
        wanted, seen = expected(own, slow=slow), talk.sent_back[own.id]
        if own.id in talk.moved:
            # An agent that runs in the background is not waited for: the next one is no needless sequence.
            assert all(set(one) <= set(other) for one, other in zip(seen, wanted, strict=True))
        else:
            assert seen == wanted


def lone(*names: str) -> Step:
    return Step(tuple(Sent(name, f"Describe {name}.", "Described.") for name in names))


STRICT = Scenario(
    "strict",
    "Describe the parts.",
    (lone("alpha"), lone("beta"), lone("gamma", "delta"), lone("epsilon")),
    needless=True,
)


def test_strict_blocks_a_lone_agent_after_any_wave_and_lets_the_second_sending_pass(
    client: Client, tmp_path: Path
) -> None:
    talk = play(with_gate(client, tmp_path, "strict"), tmp_path, [STRICT])
    assert talk.sent_back == {"strict": [[], ["beta"], [], ["epsilon"]]}


def test_without_a_server_the_gate_runs_cold_with_the_same_verdicts(client: Client, tmp_path: Path) -> None:
    scenarios = [own for own in EVERY if own.id in IN_THE_TERMINAL]
    talk = Talk(scenarios, client.project)
    with_gate(client, tmp_path)
    with serving(talk) as model, session(client, model) as said:
        for scenario in scenarios:
            said.play(talk, scenario)
    assert talk.sent_back == {own.id: expected(own) for own in scenarios}


def test_fourteen_agents_of_one_message_all_start_though_one_ran_alone_before(
    client: Client, tmp_path: Path
) -> None:
    many = Scenario(
        "fourteen",
        "Describe the letters.",
        (lone("alpha"), lone(*(f"letter {char}" for char in "bcdefghijklmno"))),
        needless=False,
    )
    talk = play(with_gate(client, tmp_path), tmp_path, [many])
    assert talk.sent_back == {"fourteen": [[], []]}
    assert [said["wave"] for said in gate_log(client.project) if "wave" in said] == [1, 14]


def test_a_cap_holds_calls_back_until_others_have_ended_and_all_get_done(
    client: Client, tmp_path: Path
) -> None:
    names = [f"letter {char}" for char in "abcdefg"]
    many = Scenario("capped", "Describe the letters.", (lone(*names),), needless=False)
    with_gate(client, tmp_path)
    client.env |= {"FANOUT_AGENTS_AT_ONCE": "2"}
    talk = play(client, tmp_path, [many])
    said = Counter(record.get("verdict") for record in gate_log(client.project))
    assert talk.ended == {"capped"}
    assert said["held"] >= 1
    assert said["held"] == len(talk.sent_back["capped"][0]), "each is judged again when it is sent again"
    assert set(talk.sent_back["capped"][0]) < set(names), "some started at once"
    assert said["pass"] + said["overruled"] == len(names)
