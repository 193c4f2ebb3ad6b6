"""Places that a focus should look at: a table of patterns, read line by line; pointers, not findings.

A signal says "this happens here", so that a reader or a model starts at the right lines; whether it is wrong
is for the review to say.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from fanout_mcp.source.read import Skipped, read
from fanout_mcp.types import Json

FOCUSES: Final = ("architecture", "security", "performance", "testing", "data flow")

SIGNALS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "security": (
        ("runs programs", (r"\bsubprocess\.|\bos\.system\(|child_process|exec\.Command\("
         r"|Runtime\.getRuntime|\bshell_exec\(")),
        ("evaluates code", r"\beval\(|\bexec\(|new Function\(|\bcompile\("),
        ("loads objects from data", r"\bpickle\.|\bmarshal\.|yaml\.load\(|ObjectInputStream|\bunserialize\("),
        ("writes SQL", r"(?i)[\"'`]\s*(?:select\s.+\sfrom|insert\s+into|update\s+\w+\s+set|delete\s+from)\b"),
        ("opens connections", (r"\brequests\.|\burlopen\(|\bhttpx|\bfetch\(|http\.(?:Get|Post|NewRequest)\("
         r"|\bsocket\.")),
        ("handles secrets", r"(?i)\b\w*(?:passw(?:or)?d|secret|token|api_?key)\w*\s*="),
        ("uses cryptography", r"(?i)\bhashlib\.|\bhmac\b|\bmd5\b|\bsha1\b|\bcrypto\b|\bcipher"),
        ("marks text as safe", r"mark_safe\(|innerHTML|dangerouslySetInnerHTML|\|\s*safe\b|html\.raw"),
        ("builds paths from input", r"os\.path\.join\([^)]*(?:request|args|params|user)|\.\./"),
        ("has unsafe code", r"\bunsafe\s*(?:\{|fn|impl)"),
    ),
    "performance": (
        ("sleeps or polls", r"\bsleep\(|setInterval\("),
        ("queries in code", r"\.objects\.|\.execute\(|\.query\(|\.find\("),
        ("reads whole files", (r"\.read\(\)|\.readlines\(\)|readFileSync|ioutil\.ReadAll|io\.ReadAll"
         r"|read_to_string")),
        ("caches", r"(?i)\b(?:lru_)?cache\b|memoi[sz]e"),
        ("copies deeply", r"deepcopy\(|JSON\.parse\(JSON\.stringify|\.clone\(\)"),
        ("runs in parallel", (r"\bthreading\.|ThreadPool|ProcessPool|asyncio\.gather|\bgo func"
         r"|tokio::spawn|Promise\.all")),
        ("holds locks", r"\bLock\(|\bMutex\b|synchronized\b|\.lock\(\)"),
        ("compiles expressions", r"\bre\.compile\(|new RegExp\(|regexp\.MustCompile"),
    ),
    "testing": (
        ("asserts", r"^\s*assert\b|\bassert\w+\(|\bexpect\("),
        ("fakes", r"\bmock\b|\bpatch\(|\bMagicMock|jest\.fn|\bfake\w*\b|\bstub"),
        ("skips", r"\bskip(?:If|Unless)?\b|\bxfail\b|\.skip\(|t\.Skip"),
        ("waits", r"\bsleep\("),
        ("depends on time or chance", r"\btime\.time\(|datetime\.now|\brandom\.|Date\.now|Math\.random"),
    ),
    "data flow": (
        ("reads input", (r"\binput\(|sys\.argv|\brequest\.|req\.(?:body|query|params)|process\.argv"
         r"|os\.Args|stdin")),
        ("reads the environment", r"os\.environ|getenv|process\.env|os\.Getenv|env::var"),
        ("reads files", r"\bopen\(|read_text\(|readFile|os\.Open|File::open"),
        ("writes files", r"\.write\(|write_text\(|writeFile|os\.Create|fs::write"),
        ("talks to a database", r"\.execute\(|\.commit\(|\.save\(|\.query\(|SELECT\s"),
        ("talks over the network", r"\brequests\.|urlopen|httpx|fetch\(|http\.(?:Get|Post)|socket\."),
        ("parses", r"json\.loads?\(|JSON\.parse|yaml\.|csv\.|Unmarshal|from_str"),
        ("serialises", r"json\.dumps?\(|JSON\.stringify|Marshal\(|to_string\("),
    ),
}  # fmt: skip
PLACES: Final = 3
"""Places named for each signal in a file; the rest is counted."""

_COMMENT: Final = re.compile(r"^\s*(?:#|//|\*|/\*)")


def scan_file(item: Json) -> Json:
    """Scan `[root, path, focus]`: `[[what, count, [lines]], ...]`; the function that workers run."""
    root, path, focus = item
    source = read(Path(root), path)
    if isinstance(source, Skipped):
        return []
    table = SIGNALS.get(focus) or ((focus, re.escape(focus)),)
    lines = source.text.split("\n")
    found = []
    for what, pattern in table:
        search = re.compile(pattern, 0 if focus in SIGNALS else re.IGNORECASE).search
        hits = [
            n
            for n, line in enumerate(lines, 1)
            if len(line) < 500 and search(line) and not _COMMENT.match(line)
        ]
        if hits:
            found.append([what, len(hits), hits[:PLACES]])
    return found
