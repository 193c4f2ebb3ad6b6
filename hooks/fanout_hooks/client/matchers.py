"""Which calls a matcher means, as Claude Code reads it: lists of exact names, else a pattern of JavaScript.

    meets("Bash|Edit", "PreToolUse", event)  -> "Bash": under which name the group is meant, "" when it isn't
    why_unread("(?i)write", "PreToolUse")    -> why we can't read a matcher as the client does, "" when we can

Rules, the client's own:
1. No matcher, "" and "*" mean everything.
2. Words alone are a list of exact names, old names among them; with a hyphen, too.
3. Anything else is a JavaScript pattern that is searched for. One that is not a pattern never matches.
4. A tool counts as another: a `Bash` hook is run for a call of Monitor, and is shown Bash. The
   Artifact tools go by each other's names.

JavaScript's patterns and Python's differ in a hundred places. So only a plain part of JavaScript is read
(`Reader`), each construct is written as what it means in Python, and everything else is refused: such a hook
stays with the client. What is read was compared with the client's engine (JavaScriptCore) and with V8 on
thousands of patterns.

adoption/originals.py is written with a copy of this module, so it imports re and typing alone and suits
Python 3.7.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

ALIASES = {
    "Task": "Agent",
    "KillShell": "TaskStop",
    "KillBash": "TaskStop",
    "ListPeers": "ListAgents",
    "Brief": "SendUserMessage",
    "ListMcpResources": "ListMcpResourcesTool",
    "ReadMcpResource": "ReadMcpResourceTool",
    "ReadMcpResourceDir": "ReadMcpResourceDirTool",
    "ProposeGoal": "SetGoal",
}
FAMILY = {
    "ArtifactComments": "comments reply resolve watch unwatch status resume_replies",
    "ArtifactData": "read_db write_db",
    "ArtifactCheck": "verify preview",
}
"""The members of the Artifact tool's family, with the `action`s of Artifact that belong to each."""
STOOD_IN = {"Monitor": "Bash"}
STAND_IN_EVENTS = ("PreToolUse", "PermissionRequest")
NAME_LISTS = re.compile(r"[a-zA-Z0-9_|, -]+\Z")
BARE_LISTS = re.compile(r"[a-zA-Z0-9_|]+\Z")
NAMES_AS_PATTERN = re.compile(r"\^?(?:\((?:\?:)?)?\^?\w+\$?(?:\|\^?\w+\$?)*\)?\$?\Z", re.ASCII)
"""Patterns that are names in disguise meet a tool's family, too."""
EXCLUDES = re.compile(r"\(\?<?!|\[\^")
"""What such a pattern excludes it would meet by a stand-in's name: only names that stand in it count."""


class Unread(ValueError):
    """A matcher that we don't read; the text says why."""


def words_of(matcher: str, *, lists_names: bool = True) -> list[str] | None:
    """Return the names that a matcher lists; None when it is a pattern."""
    if not (NAME_LISTS if lists_names else BARE_LISTS).match(matcher):
        return None
    words = (word.strip() for word in re.split(r"[|,]" if lists_names else r"[|]", matcher))
    return [word for word in words if word]


def is_match(matcher: str, value: str, *, lists_names: bool = True, given: Any = None) -> bool:
    """Say whether a matcher means a name by itself; `given` is the tool's input. Raises Unread."""
    if matcher in ("", "*"):
        return True
    words = words_of(matcher, lists_names=lists_names)
    family = _family(value, given)
    if words is not None:
        listed = [ALIASES.get(word, word) for word in words]
        return any(name in listed for name in [value, *family])
    names = [value, *(old for old, new in ALIASES.items() if new == value)]
    if NAMES_AS_PATTERN.match(matcher):
        names += family
    pattern = compiled(matcher)
    return any(pattern.search(_units(name)) for name in names)


def meets(matcher: str, event: str, value: str | None, *, lists_names: bool = True, given: Any = None) -> str:
    """Return the name under which a group is meant, "" when it isn't; for events without a name "*"."""
    if value is None:
        return "*"
    try:
        if is_match(matcher, value, lists_names=lists_names, given=given):
            return value or "*"
        stood_in = _stood_in(event, value, given)
        if stood_in and (not EXCLUDES.search(matcher) or stood_in in matcher):
            return stood_in if is_match(matcher, stood_in, lists_names=lists_names, given=given) else ""
    except Unread:
        pass
    return ""


def seen_as(event: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an event as a hook is shown it that is meant under another tool's name."""
    if name in ("*", event.get("tool_name")) or name not in STOOD_IN.values():
        return event
    given = event["tool_input"]
    kept = {key: given[key] for key in ("command", "description") if isinstance(given.get(key), str)}
    return dict(event, tool_name=name, tool_input=kept)


def why_unread(matcher: str, *, lists_names: bool = True) -> str:
    """Return why a matcher can't be read as the client does, or ""."""
    if matcher in ("", "*"):
        return ""
    words = words_of(matcher, lists_names=lists_names)
    if words is not None:
        return "" if words else "it names nothing"
    try:
        compiled(matcher)
    except Unread as error:
        return str(error)
    return ""


def _family(value: str, given: Any) -> list[str]:
    if value in FAMILY:
        return ["Artifact"]
    action = given.get("action") if value == "Artifact" and isinstance(given, dict) else None
    return [member for member, actions in FAMILY.items() if action in actions.split()]


def _stood_in(event: str, value: str, given: Any) -> str:
    if event not in STAND_IN_EVENTS or value not in STOOD_IN or not isinstance(given, dict):
        return ""
    command = given.get("command")
    return STOOD_IN[value] if isinstance(command, str) and command else ""


# --- patterns of JavaScript ---------------------------------------------------------------------------------

_known: dict[str, Any] = {}
MAX_KNOWN = 1000
MAX_LENGTH = 2000
MAX_OPEN_ENDS = 3
"""Repetitions without a bound on one path: with more, a name of 128 characters could take seconds."""
MAX_COUNT = 1000
OPEN = -1
SPACES = r"\t-\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
LINE_ENDS = r"\n\r\u2028\u2029"
OUTSIDE = {
    "d": "[0-9]",
    "D": "[^0-9]",
    "w": "[A-Za-z0-9_]",
    "W": "[^A-Za-z0-9_]",
    "s": "[" + SPACES + "]",
    "S": "[^" + SPACES + "]",
    "b": r"\b",
}
INSIDE = {"d": "0-9", "w": "A-Za-z0-9_", "s": SPACES}
CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
GROUP_NAME = re.compile(r"<([A-Za-z_$][A-Za-z0-9_$]*)>")
COUNT = re.compile(r"\{([0-9]{1,9})(,?)([0-9]{0,9})\}")


def compiled(matcher: str) -> Any:
    """Return the Python pattern that means what a JavaScript one does. Raises Unread."""
    found = _known.get(matcher)
    if found is None:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        found = _known[matcher] = _compiled(matcher)
    if isinstance(found, Unread):
        raise found
    return found


def _compiled(matcher: str) -> Any:
    if len(matcher) > MAX_LENGTH:
        return Unread(f"it is longer than {MAX_LENGTH} characters")
    try:
        return re.compile(Reader(_units(matcher)).whole(), re.ASCII)
    except Unread as error:
        return error
    except (re.error, OverflowError, RecursionError):
        return Unread("Python reads it in another way")


def _units(text: str) -> str:
    """Return a text as JavaScript counts it: a character beyond 16 bits is two."""
    if max(text, default="") <= "\uffff":
        return text
    raw = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(raw[at] | raw[at + 1] << 8) for at in range(0, len(raw), 2))


class Part(NamedTuple):
    """A piece of a pattern in Python's words, and its repetitions without a bound on one path."""

    text: str
    open_ends: int = 0


class Reader:
    """Reads a JavaScript pattern from left to right; what it doesn't know it refuses."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.names: set[str] = set()

    def whole(self) -> str:
        found = self.alternatives()
        if self.at < len(self.source):
            raise Unread("a `)` has no `(`")
        if found.open_ends > MAX_OPEN_ENDS:
            raise Unread(f"it has more than {MAX_OPEN_ENDS} open repetitions in a row")
        return found.text

    def peek(self, word: str) -> bool:
        return self.source.startswith(word, self.at)

    def take(self, word: str) -> bool:
        found = self.peek(word)
        self.at += len(word) if found else 0
        return found

    def next(self, what: str) -> str:
        if self.at >= len(self.source):
            raise Unread(what + " doesn't end")
        self.at += 1
        return self.source[self.at - 1]

    def alternatives(self) -> Part:
        parts = [self.sequence()]
        while self.take("|"):
            parts.append(self.sequence())
        return Part("|".join(part.text for part in parts), max(part.open_ends for part in parts))

    def sequence(self) -> Part:
        text, open_ends = [], 0
        while self.at < len(self.source) and not self.peek("|") and not self.peek(")"):
            part = self.term()
            text.append(part.text)
            open_ends += part.open_ends
        return Part("".join(text), open_ends)

    def term(self) -> Part:
        if self.take("^"):
            return self.unrepeated(Part(r"\A"))
        if self.take("$"):
            return self.unrepeated(Part(r"\Z"))
        if self.take("\\b"):
            return self.unrepeated(Part(r"\b"))
        if self.take("("):
            return self.group()
        if self.take("["):
            return self.repeated(Part(self.character_class()))
        if self.take("."):
            return self.repeated(Part("[^" + LINE_ENDS + "]"))
        if self.take("\\"):
            return self.repeated(Part(self.escaped()))
        one = self.next("it")
        if one in "*+?{}]":
            raise Unread(f"`{one}` has nothing to repeat")
        return self.repeated(Part(re.escape(one)))

    def group(self) -> Part:
        opening = "(?:"
        if self.take("?"):
            if self.take("<=") or self.take("<!"):
                opening = "(?" + self.source[self.at - 2 : self.at]
            elif self.take("=") or self.take("!"):
                opening = "(?" + self.source[self.at - 1]
            elif not self.take(":"):
                self.group_name()
        inner = self.alternatives()
        if not self.take(")"):
            raise Unread("a `(` has no `)`")
        part = Part(opening + inner.text + ")", inner.open_ends)
        return self.repeated(part) if opening == "(?:" else self.unrepeated(part)

    def group_name(self) -> None:
        name = GROUP_NAME.match(self.source, self.at)
        if name is None:
            raise Unread(f"JavaScript engines differ over `(?{self.source[self.at : self.at + 1]}`")
        if name.group(1) in self.names:
            raise Unread(f"two groups are called {name.group(1)}")
        self.names.add(name.group(1))
        self.at = name.end()

    def unrepeated(self, part: Part) -> Part:
        if self.at < len(self.source) and self.source[self.at] in "*+?{":
            raise Unread("an assertion is repeated")
        return part

    def repeated(self, part: Part) -> Part:
        times, most = self.times()
        if not times:
            return part
        if most == OPEN and part.open_ends:
            raise Unread("an open repetition is repeated: it may take for ever")
        if self.at < len(self.source) and self.source[self.at] in "*+{":
            raise Unread("a repetition is repeated")
        self.take("?")  # the shortest or the longest: whether there is a match is the same
        if self.at < len(self.source) and self.source[self.at] in "*+?{":
            raise Unread("a repetition is repeated")
        return Part(part.text + times, 1 if most == OPEN else part.open_ends * most)

    def times(self) -> tuple[str, int]:
        """Return a repetition in Python's words, and how often it repeats at most."""
        for sign, most in (("*", OPEN), ("+", OPEN), ("?", 1)):
            if self.take(sign):
                return sign, most
        if not self.peek("{"):
            return "", 1
        count = COUNT.match(self.source, self.at)
        if count is None:
            raise Unread("`{` has nothing to repeat")
        low, comma, high = count.groups()
        if not comma and high:
            raise Unread("`{` has nothing to repeat")
        if int(low) > MAX_COUNT or int(high or 0) > MAX_COUNT or (high and int(high) < int(low)):
            raise Unread(f"its count {count.group()} can't be read")
        self.at = count.end()
        return count.group(), int(high or low) if high or not comma else OPEN

    def escaped(self) -> str:
        one = self.next("an escape")
        return OUTSIDE[one] if one in OUTSIDE else re.escape(self.character(one))

    def character(self, one: str) -> str:
        """Return the one character that an escape means."""
        if one in CONTROLS:
            return CONTROLS[one]
        if one in "xu":
            digits = self.source[self.at : self.at + (2 if one == "x" else 4)]
            if not re.match(r"(?:[0-9a-fA-F]{2}){1,2}\Z", digits) or len(digits) != (2 if one == "x" else 4):
                raise Unread(f"`\\{one}` needs its digits")
            self.at += len(digits)
            return chr(int(digits, 16))
        if one.isalnum() or one == "_" or ord(one) > 126:
            raise Unread(f"`\\{one}` is not read here")
        return one

    def character_class(self) -> str:
        opening = "[^" if self.take("^") else "["
        items: list[str] = []
        while not self.take("]"):
            low = self.member()
            if self.peek("-") and not self.peek("-]"):
                self.at += 1
                high = self.member()
                if len(low) > 1 or len(high) > 1 or low > high:
                    raise Unread("a range in `[...]` can't be read")
                items.append(_member(low) + "-" + _member(high))
            else:
                items.append(low if len(low) > 1 else _member(low))
        if not items:
            raise Unread("`[]` is empty")
        return opening + "".join(items) + "]"

    def member(self) -> str:
        """Return a member of a class: one character, or more of Python's words for several."""
        one = self.next("a `[`")
        if one != "\\":
            if one == "]":
                raise Unread("a range in `[...]` can't be read")
            return one
        one = self.next("an escape")
        return INSIDE[one] if one in INSIDE else self.character(one)


def _member(one: str) -> str:
    return f"\\u{ord(one):04x}"
