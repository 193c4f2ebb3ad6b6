"""What members are asked: the question, the stakes, the material, the form of the answer."""

from __future__ import annotations

from fanout_mcp.panel.answer import FORM
from fanout_mcp.panel.material import Material
from fanout_mcp.panel.members import Member
from fanout_mcp.panel.vote import Stakes
from fanout_mcp.types import Prompt

STAKES: dict[Stakes, str] = {
    "exploration": "The stakes are low: an exploration that can be thrown away. Lean towards trying it.",
    "production": "This is for production: it will be used, and it can be changed later.",
    "critical": "The stakes are critical: a mistake would be costly or could not be undone. Be sure.",
}
MOST_SHOWN = 6_000
"""Characters of an answer that its author is shown again."""
LANGUAGE = "Write in the language of the question. Be concrete and short."


def system(member: Member) -> str:
    return f"{member.persona.system}\n\n{LANGUAGE}\n\n{FORM}"


def first(member: Member, question: str, material: Material, stakes: Stakes) -> Prompt:
    """The question as a member gets it, alone and without any other member's opinion."""
    parts = [f"Question:\n{question.strip()}", STAKES[stakes]]
    if material.text:
        parts.append(f"Attached files:\n{material.text}")
    return Prompt(system(member), "\n\n".join(parts))


def repair(prompt: Prompt, answer: str, why: str) -> Prompt:
    """Ask once more for an answer in the form, with what was wrong."""
    shown = answer.strip()[:MOST_SHOWN]
    yours = f"Your answer was:\n{shown}\n\n" if shown else ""
    return Prompt(
        prompt.system,
        f"{prompt.user}\n\nYou have answered this, but it could not be read: {why}.\n{yours}"
        "Send the same judgement again as the one JSON object, and nothing else.",
    )


def for_agent(member: Member, question: str, material: Material, stakes: Stakes) -> str:
    """The same for an agent of the host, which answers in words."""
    asked = first(member, question, Material(), stakes)
    files = f"\n\nRead first: {', '.join(material.files)}" if material.files else ""
    return f"{asked.system}\n\n{asked.user}{files}"
