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
(`TOKEN`), each construct is written as what it means in Python, and everything else is refused: such a hook
stays with the client. What is read was compared with the client's engine (JavaScriptCore) and with V8 on
thousands of patterns.

adoption/originals.py is written with a copy of this module, so it imports re and typing alone and suits
Python 3.7.
"""

from __future__ import annotations

import re
from typing import Any

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
SPACES = r"\t-\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": SPACES}
WORDS = {
    "^": r"\A",
    "$": r"\Z",
    "\\b": r"\b",
    ".": r"[^\n\r\u2028\u2029]",
    **{"\\" + name: "[" + chars + "]" for name, chars in CLASSES.items()},
    **{"\\" + name.upper(): "[^" + chars + "]" for name, chars in CLASSES.items()},
}
"""What means something else in Python, in Python's words."""
CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_ESCAPED = r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[tnrfv\x00-/:-@\[-^`{-~])"
TOKEN = re.compile(
    r"(?P<assertion>[$^]|\\b)"
    r"|(?P<times>(?:[*+?]|\{(?P<low>[0-9]{1,9})(?P<comma>,(?P<high>[0-9]{0,9}))?\})\??)"
    r"|(?P<look>\(\?<?[=!])"
    r"|(?P<open>\((?:\?:|\?<(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)>)?)"
    r"|(?P<close>\))|(?P<bar>\|)|(?P<bracket>\[\^?)"
    r"|(?P<one>\.|\\[dDwWsS]|" + _ESCAPED + r"|[^\\*+?{}\[\]()|^$.])",
    re.DOTALL,
)
"""Whatever else a pattern holds is refused."""
_MEMBER = r"\\[dws]|" + _ESCAPED + r"|[^\\\]]"
MEMBERS = re.compile("(" + _MEMBER + r")(?:-(?!\])(" + _MEMBER + "))?", re.DOTALL)
"""One character or several of a class `[...]`, or a range."""


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
        return re.compile(translated(_units(matcher)), re.ASCII)
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


def translated(source: str) -> str:
    """Return a JavaScript pattern in Python's words. Raises Unread."""
    words: list[str] = []
    names: set[str] = set()
    at = inner = 0
    groups = [("", 0, 0)]
    """The groups that are open: how each began, and the open repetitions on the longest path of its
    alternatives so far, and of this one."""
    last = -1
    """The open repetitions of what comes before; below 0 there is nothing that could be repeated."""
    while at < len(source):
        token = TOKEN.match(source, at)
        if token is None:
            raise Unread(f"`{source[at : at + 2]}` is not read here")
        kind, text, at = str(token.lastgroup), token.group(), token.end()
        began, most, ends = groups[-1]
        if kind == "bar":
            groups[-1] = (began, max(most, ends), 0)
        elif kind in ("open", "look"):
            if token.group("name") in names:
                raise Unread(f"two groups are called {token.group('name')}")
            names.update(filter(None, [token.group("name")]))
            groups.append((kind, 0, 0))
        elif kind == "close":
            if not began:
                raise Unread("a `)` has no `(`")
            groups.pop()
            inner = max(most, ends)
            outer, most, ends = groups[-1]
            groups[-1] = (outer, most, ends + inner)
        elif kind == "times":
            groups[-1] = (began, most, ends + _repeated(token, last))
        if kind == "bracket":
            text, at = _class(source, at, text)
        elif kind == "one" and text not in WORDS:
            text = re.escape(_character(text))
        words.append("(?:" if kind == "open" else WORDS.get(text, text))
        last = inner if kind == "close" and began == "open" else 0 if kind in ("one", "bracket") else -1
    if len(groups) > 1:
        raise Unread("a `(` has no `)`")
    if max(groups[0][1:]) > MAX_OPEN_ENDS:
        raise Unread(f"it has more than {MAX_OPEN_ENDS} open repetitions in a row")
    return "".join(words)


def _repeated(token: Any, last: int) -> int:
    """Return how many open repetitions a repetition adds to what it repeats. Raises Unread."""
    if last < 0:
        raise Unread(f"`{token.group()}` has nothing to repeat")
    low, high = token.group("low"), token.group("high")
    if low is None:
        most = 1 if token.group()[0] == "?" else -1
    else:
        most = int(high or low) if high or not token.group("comma") else -1
        if int(low) > MAX_COUNT or int(high or 0) > MAX_COUNT or 0 <= most < int(low):
            raise Unread(f"its count {token.group()} can't be read")
    if most < 0 and last:
        raise Unread("an open repetition is repeated: it may take for ever")
    return 1 if most < 0 else last * most - last


def _class(source: str, at: int, words: str) -> tuple[str, int]:
    """Return a class `[...]` in Python's words, and where it ends. Raises Unread."""
    begin = at
    while source[at : at + 1] != "]":
        found = MEMBERS.match(source, at)
        if found is None:
            raise Unread("a `[` can't be read")
        low, high = (one and (CLASSES.get(one[1:]) or _character(one)) for one in found.groups())
        if high and (len(low) > 1 or len(high) > 1 or low > high):
            raise Unread("a range in `[...]` can't be read")
        words += "-".join(one if len(one) > 1 else f"\\u{ord(one):04x}" for one in (low, high) if one)
        at = found.end()
    if at == begin:
        raise Unread("`[]` is empty")
    return words + "]", at + 1


def _character(text: str) -> str:
    """Return the one character that a character or its escape means."""
    if text[0] != "\\":
        return text
    if text[1] in "xu":
        return chr(int(text[2:], base=16))  # noqa: FURB166 - what begins with a backslash has no base
    return CONTROLS.get(text[1], text[1])
