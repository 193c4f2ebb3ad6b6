"""The held-out pairs of benchmarks/corpus/gate, as values, and each played as the client would send it.

Those of the first three files were written before the rules' words were read, the others after the rules
were changed. Rules were changed for the odd ones of the first two files, for those of `CHANGED_FOR`, which
were judged once before that (their heads say with what result), and for those that say so themselves. All
others were right when they were first judged, or are the half that was held out. Since then each of them
keeps later rules from going wrong, so only a first figure tells how the gate does on pairs that no one had
in mind.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fanout_hooks.gate.gate import Verdict
from gate.scenarios import CORPUS
from gate.session import Session

KIND = "general-purpose"
BY_ONE = 60
"""So many pairs in a row are one author's."""
CHANGED_FOR = ("unseen_third.toml", "unseen_fourth.toml", "unseen_fifth.toml")
AFTER = ("unseen_after.toml", "unseen_sixth.toml")


class Unseen(NamedTuple):
    """One pair: what the person asked, the first agent, what came between, the second, sent alone."""

    human: str
    name: str
    task: str
    answer: str
    then: str
    next: str
    needless: bool
    changed_for: bool
    """The rules were changed for it."""
    after: bool = False
    """Written after the rules were changed for others."""
    state: str = "done"
    """What became of the first agent: done, failed, running, resumed."""
    between: tuple[dict[str, Any], ...] = ()


def unseen() -> list[Unseen]:
    """Return all pairs: the needless ones, the legitimate ones, and those that were written later."""
    return [
        *_halves("unseen_needless.toml", needless=True),
        *_halves("unseen_legitimate.toml", needless=False),
        *(Unseen(**fields, changed_for=True) for name in CHANGED_FOR for fields in _read(name)),
        *(Unseen(**{"changed_for": False} | fields, after=True) for name in AFTER for fields in _read(name)),
    ]


def fresh() -> list[Unseen]:
    """Return 60 legitimate and 30 needless pairs by one author, written before these rules were.

    First measured with the rules as they were then: 1 of 60 denied, 28 of 30 sent back.
    """
    return _rows("pairs_fresh.jsonl")


def of_three() -> list[Unseen]:
    """Return 120 legitimate and 60 needless pairs by three authors who had not read the rules.

    First measured: 0 of 120 denied, 13 of 60 sent back. Since these authors say the same thing in other
    words, the verb of both descriptions came to be enough: 0 and 41.
    """
    return _rows("pairs_three.jsonl")


def of_three_more() -> list[Unseen]:
    """Return 120 legitimate and 60 needless pairs by three other authors who had not read the rules.

    First measured: 0 of 120 denied, 22 of 60 sent back (9, 5 and 8; one pair is in German). Since half of
    these pairs have no form in common, tasks that share neither subject nor name came to be enough: 0 and 47.
    """
    return _rows("pairs_three_more.jsonl")


def held_out() -> list[Unseen]:
    """Return 120 legitimate and 60 needless pairs by three more authors, judged after all these changes.

    First measured: 1 of 120 denied, 34 of 60 sent back (11, 12 and 11). The one was to
    write the file again that the first had not written; it passes since.
    """
    return _rows("pairs_held_out.jsonl")


def blind() -> list[Unseen]:
    """Return 120 legitimate and 60 needless pairs by three authors, judged long after those changes.

    First measured: 3 of 120 denied, 25 of 60 sent back (9, 7 and 9). Rules by hand reach those that they were
    made for and not the next; since then what is left after the certain signs is weighed, and the weights are
    fitted to all pairs here.
    """
    return _rows("pairs_blind.jsonl")


def after_fit() -> list[Unseen]:
    """Return 120 legitimate and 60 needless pairs by three authors, judged by the first fitted weights.

    First measured: 0 of 120 denied, 38 of 60 sent back (14, 12 and 12).
    """
    return _rows("pairs_after_fit.jsonl")


def hard() -> list[Unseen]:
    """Return 120 legitimate and 60 needless pairs by three authors who were asked for hard ones.

    First measured: 0 of 120 denied, 14 of 60 sent back (4, 6 and 4); by weights for the number and rarity of
    shared words, which were dropped for it: 4 of 120 and 21 of 60. In long answers half of the needless
    tasks share a few words by chance, and pass for it.
    """
    return _rows("pairs_hard.jsonl")


def of_doubts() -> list[Unseen]:
    """Return 114 legitimate pairs, most of them written against those rules, and 44 needless ones.

    First measured, each part when it was written: 23 of 114 denied, 36 of 44 sent back. One is denied still:
    it has but two common words of the answer, far from its subject.
    """
    return _rows("pairs_doubts.jsonl")


def of_one_verb() -> list[Unseen]:
    """Return 30 legitimate pairs whose descriptions begin with one verb, written to be denied by that.

    First measured: 3 of 30 denied, and 2 by the rules before. One is denied still: it goes on with one of the
    names that the first compared, the one that the answer chose.
    """
    return _rows("pairs_verbs.jsonl")


def by_author() -> dict[str, list[Unseen]]:
    """Return all pairs by who wrote them, as if one had written the corpus, and one each set of odd ones."""
    sets = {"three": of_three(), "three more": of_three_more(), "held out": held_out(), "blind": blind()}
    sets |= {"after the fit": after_fit(), "hard": hard()}
    return {
        "fresh": fresh(),
        **{
            f"{name} {at // BY_ONE}": own[at : at + BY_ONE]
            for name, own in sets.items()
            for at in range(0, len(own), BY_ONE)
        },
        "doubts": of_doubts(),
        "one verb": of_one_verb(),
        "corpus": unseen(),
    }


def _rows(name: str) -> list[Unseen]:
    rows = map(json.loads, (Path(__file__).parent / name).read_text("utf-8").splitlines())
    return [_pair(row) for row in rows]


def _pair(row: dict[str, Any]) -> Unseen:
    (first, second), is_needless = (row["first"], row["second"]), row["kind"] == "needless"
    return Unseen(
        "Please help me with this project.",
        first["description"],
        first["prompt"],
        row["answer"],
        second["description"],
        second["prompt"],
        is_needless,
        changed_for=False,
    )


def second_of(pair: Unseen) -> Verdict:
    """Play a pair and return the verdict on its second call."""
    session = Session()
    session.prompt(pair.human)
    first, _ = session.lone(pair.task, KIND, pair.name)
    _end(session, pair, first)
    session.send("PostToolBatch", tool_calls=[first])
    if pair.state == "resumed":
        session.send("SubagentStart", agent_id=f"agent-{first['tool_use_id']}")
    for event in pair.between:
        if "prompt" in event:
            session.prompt(event["prompt"])
        else:
            session.other(event["tool"], event["answer"], **event["input"])
    _, verdict = session.lone(pair.next, KIND, pair.then)
    return verdict


def _end(session: Session, pair: Unseen, first: dict[str, Any]) -> None:
    if pair.state == "failed":
        session.send("PostToolUseFailure", **first, error=pair.answer)
    else:
        session.run(first, pair.answer, background=pair.state == "running")


def _halves(name: str, *, needless: bool) -> Iterator[Unseen]:
    for number, fields in enumerate(_read(name)):
        changed_for = fields.pop("changed_for", number % 2 == 1)
        yield Unseen(**fields, needless=needless, changed_for=changed_for)


def _read(name: str) -> Iterator[dict[str, Any]]:
    for fields in tomllib.loads((CORPUS / name).read_text(encoding="utf-8"))["case"]:
        yield fields | {"between": tuple(fields.get("between", ()))}
