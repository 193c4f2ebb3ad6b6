"""Hooks in varied forms: those that race, each with the file, and others that look like it and don't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from fanout_hooks.audit import hooks as audit_hooks
from fanout_hooks.audit.agents import Observation


class Hooks(NamedTuple):
    """Some hooks on events, and the file that they race for ("" for none)."""

    id: str
    scripts: dict[str, str]
    on: tuple[tuple[str, str, str], ...]
    """(event, matcher, command or the name of a script)."""
    file: str = ""


def _one(name: str, source: str, file: str = "", on: str = "PreToolUse", matcher: str = "") -> Hooks:
    ending = ".sh" if source.startswith("#!/bin/") else ".js" if "require(" in source else ".py"
    return Hooks(name, {"hook" + ending: source}, ((on, matcher, "hook" + ending),), file)


def _two(name: str, one: str, other: str, file: str = "", on: str = "PostToolUse") -> Hooks:
    return Hooks(name, {"one.py": one, "two.py": other}, ((on, "", "one.py"), (on, "", "two.py")), file)


COUNTER = """import json
try:
    count = json.load(open("count.json"))
except OSError:
    count = {"n": 0}
count["n"] += 1
json.dump(count, open("count.json", "w"))
"""
PATHLIB = """from pathlib import Path
STATE = Path.home() / ".claude" / "seen.txt"
def main():
    seen = STATE.read_text().splitlines()
    STATE.write_text("\\n".join([*seen, "x"]))
main()
"""
BY_PROJECT = """import os, json
root = os.environ.get("CLAUDE_PROJECT_DIR", ".")
path = os.path.join(root, ".claude", "budget.json")
with open(path) as f:
    data = json.load(f)
with open(path, "w") as f:
    json.dump(data, f)
"""
FUNCTION = """import json, sys
def where():
    return "logs/last.json"
def load():
    with open(where(), encoding="utf-8") as f: return json.load(f)
def save(v):
    with open(where(), "w", encoding="utf-8") as f: json.dump(v, f)
save(load())
"""
ATOMIC = """import json, os, tempfile
PATH = ".claude/usage.json"
data = json.loads(open(PATH).read())
fd, tmp = tempfile.mkstemp()
os.write(fd, json.dumps(data).encode())
os.replace(tmp, PATH)
"""
CLASS = """import json
class Store:
    def __init__(self):
        self.file = "store.json"
    def load(self):
        with open(self.file) as f:
            return json.load(f)
    def save(self, data):
        with open(self.file, mode="w") as f:
            json.dump(data, f)
s = Store(); s.save(s.load())
"""
EVENT_CWD = """import json, os, sys
event = json.load(sys.stdin)
path = os.path.join(event["cwd"], "notes", "index.md")
text = open(path).read()
open(path, "w").write(text + event["tool_name"])
"""
SHELL = """#!/bin/bash
FILE="$CLAUDE_PROJECT_DIR/.claude/n.txt"
n=$(cat "$FILE")
echo $((n + 1)) > "$FILE"
"""
SHELL_MV = """#!/bin/sh
jq '.n += 1' state/n.json > /tmp/n.$$
mv /tmp/n.$$ state/n.json
"""
SHELL_SED = """#!/bin/sh
# count the calls
sed -i 's/last: .*/last: now/' status.yml
"""
NODE = """const fs = require('fs'); const path = require('path');
const file = path.join(process.cwd(), '.claude', 'calls.json');
const data = JSON.parse(fs.readFileSync(file, 'utf8'));
data.n += 1;
fs.writeFileSync(file, JSON.stringify(data));
"""
READ_PLUS = """f = open("ring.bin", "r+b")
data = f.read()
f.seek(0)
f.write(data[1:] + b"x")
"""
RACES = (
    _one("a counter read and written back", COUNTER, "count.json"),
    _one("pathlib below the home folder", PATHLIB, "~/.claude/seen.txt"),
    _one("a path put together from the environment", BY_PROJECT, ".claude/budget.json", "PostToolUse"),
    _one("a path that a function returns", FUNCTION, "logs/last.json", "SubagentStop"),
    _one("replaced by a temporary file", ATOMIC, ".claude/usage.json"),
    _one("a path in an attribute", CLASS, "store.json", "PostToolUse", "Read|Grep"),
    _one("below the event's folder", EVENT_CWD, "notes/index.md"),
    _one("a shell counter", SHELL, ".claude/n.txt"),
    _one("jq and mv", SHELL_MV, "state/n.json"),
    _one("sed in place", SHELL_SED, "status.yml", "PostToolUse", "Bash"),
    _one("node", NODE, ".claude/calls.json"),
    _one("opened for both", READ_PLUS, "ring.bin", "PostToolUse", "mcp__.*"),
    _two(
        "two that replace one file",
        'open("last.txt", "w").write("a")',
        'from pathlib import Path\nPath("last.txt").write_text("b")',
        "last.txt",
    ),
    _two(
        "one replaces, one reads",
        'import json\njson.dump({}, open("state.json", "w"))',
        'print(open("state.json").read())',
        "state.json",
        "UserPromptSubmit",
    ),
    _two(
        "one appends, one trims",
        'open("audit.log", "a").write("x\\n")',
        'lines = ["x"]\nwith open("audit.log", "w") as f:\n    f.writelines(lines[-100:])',
        "audit.log",
        "Stop",
    ),
    Hooks(
        "a redirection in the settings beside a script",
        {"show.sh": "#!/bin/sh\ncat notes/todo.txt\n"},
        (("Stop", "", "date > notes/todo.txt"), ("Stop", "", "show.sh")),
        "notes/todo.txt",
    ),
    Hooks(
        "matchers that share a tool",
        {"a.py": 'open("x.json", "w").write("{}")', "b.py": 'open("x.json", "w").write("[]")'},
        (("PreToolUse", "Bash|Edit", "a.py"), ("PreToolUse", "Edit|Write", "b.py")),
        "x.json",
    ),
    Hooks(
        "python in the command itself",
        {},
        (("PreToolUse", "", "python3 -c \"t = open('n.txt').read(); open('n.txt', 'w').write(t + '1')\""),),
        "n.txt",
    ),
)
LOCKED = COUNTER.replace("import json", "import json, fcntl\nfcntl.flock(open('l', 'w'), fcntl.LOCK_EX)")
DECOYS = (
    _one("a counter under a lock", LOCKED),
    _one("appending only", 'open("audit.log", "a").write("x\\n")'),
    _one("reading only", 'import json\nprint(json.load(open("rules.json")))'),
    _one("writing only", 'open("last.txt", "w").write("now")'),
    _one("reads one, writes another", 'a = open("rules.json").read()\nopen("report.md", "w").write(a)'),
    _one("edits come one after another", COUNTER, on="PostToolUse", matcher="Edit|Write|MultiEdit"),
    _one("a session starts once", COUNTER, on="SessionStart"),
    _one("a prompt comes once", COUNTER, on="UserPromptSubmit"),
    _one(
        "a file for each session",
        "import json, sys\ne = json.load(sys.stdin)\np = f\"state-{e['session_id']}.json\"\n"
        'open(p, "w").write(open(p).read())',
    ),
    _one(
        "a database locks itself",
        'import sqlite3\nc = sqlite3.connect("log.db")\nc.execute("update t set n = 1")',
    ),
    _one("text that names a file", '"""Writes state.json? No."""\nprint("open(\'state.json\', \'w\')")'),
    _one("a string's replace", 'a = open("x.txt").read()\nprint(a.replace("x.txt", "y"))'),
    _one("a lock file by its making", 'import os\nos.open("run.lock", os.O_CREAT | os.O_EXCL)\n' + COUNTER),
    _one("a shell that appends", "#!/bin/sh\ncat rules.txt\necho x >> audit.log 2>/dev/null\n"),
    _one(
        "a shell with flock", "#!/bin/sh\nflock n.lock sh -c 'cat n.txt'\nn=$(cat n.txt)\necho $n > n.txt\n"
    ),
    _one("a comment in a shell", "#!/bin/sh\n# cat n.txt > n.txt\necho ok >&2\n"),
    _one(
        "node that appends", "const fs = require('fs'); fs.appendFileSync('a.log', fs.readFileSync('b.txt'));"
    ),
    _two("two that append", 'open("a.log", "a").write("1")', 'open("a.log", mode="a").write("2")'),
    _two("two that read", 'open("a.json").read()', 'from pathlib import Path\nPath("a.json").read_text()'),
    _two("one name in two folders", 'open("a/x.json", "w").write("")', 'open("b/x.json", "w").write("")'),
    _two("home and project", 'open("x.txt", "w").write("")', PATHLIB.replace("seen", "x"), on="Stop"),
    Hooks(
        "matchers with no tool in common",
        {"a.py": 'open("x.json", "w").write("{}")', "b.py": 'open("x.json", "w").write("[]")'},
        (("PreToolUse", "Bash", "a.py"), ("PreToolUse", "Edit|Write", "b.py")),
    ),
    Hooks(
        "the same hook twice",
        {"a.py": 'open("x", "w").write("")'},
        (("Stop", "", "a.py"), ("Stop", "", "a.py")),
    ),
    Hooks(
        "on two events",
        {"a.py": 'open("x.json", "w").write("{}")', "b.py": 'open("x.json", "w").write("[]")'},
        (("SessionStart", "", "a.py"), ("SessionEnd", "", "b.py")),
    ),
    Hooks("a script that isn't Python", {"a.py": "open('x.json' 'w'"}, (("PreToolUse", "", "a.py"),)),
)


def races_of(hooks: Hooks, project: Path) -> list[Observation]:
    """Write a project with these hooks and audit it."""
    for name, source in hooks.scripts.items():
        file = project / ".claude" / "hooks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    events: dict[str, list[object]] = {}
    for event, matcher, what in hooks.on:
        start = {".sh": "sh", ".js": "node"}.get(Path(what).suffix, "python3")
        command = f'{start} "$CLAUDE_PROJECT_DIR"/.claude/hooks/{what}' if what in hooks.scripts else what
        entry = {"matcher": matcher, "hooks": [{"type": "command", "command": command}]}
        events.setdefault(event, []).append(entry)
    settings = project / ".claude" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(json.dumps({"hooks": events}, indent=2), encoding="utf-8")
    found, problems = audit_hooks.find(str(project), {"HOME": str(project / "home")})
    assert problems == []
    return audit_hooks.races(found)
