"""Places that a focus should look at: calls in the syntax tree, with names resolved to where they come from.

A signal says "this happens here", so that a reader or a model starts at the right lines; whether it is wrong
is for the review to say. Rules:

1. Only what the tree calls a call (a decorator, a statement of the language) counts: never a comment, a
   docstring, a string or an import.
2. The first part of a name is resolved by the file's imports: `run` after `from subprocess import run` is
   subprocess.run, and `re.compile` is never the builtin `compile`. A name that the file defines is its own.
3. A method of an unknown object counts only where its name leaves no doubt, or the object's name says what it
   is (`cursor.execute`).
4. The line that is cited is the line of the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fanout_mcp.source import read as source_read
from fanout_mcp.source.read import Skipped, read
from fanout_mcp.structure.documents import first_child, script_of
from fanout_mcp.structure.languages import Language, grammar, language_of
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from tree_sitter import Node, Query

FOCUSES: Final = ("architecture", "security", "performance", "testing", "data flow")
PLACES: Final = 3
"""Places named for each signal in a file; the rest is counted."""

_CALLS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "python": {"call": ("function",), "decorator": ()},
    "javascript": {"call_expression": ("function",), "new_expression": ("constructor",)},
    "typescript": {"call_expression": ("function",), "new_expression": ("constructor",)},
    "tsx": {"call_expression": ("function",), "new_expression": ("constructor",)},
    "go": {"call_expression": ("function",), "go_statement": ()},
    "rust": {"call_expression": ("function",), "macro_invocation": ("macro",), "unsafe_block": ()},
    "java": {
        "method_invocation": ("object", "name"),
        "object_creation_expression": ("type",),
        "synchronized_statement": (),
    },
    "c": {"call_expression": ("function",)},
    "cpp": {"call_expression": ("function",)},
    "csharp": {
        "invocation_expression": ("function",),
        "object_creation_expression": ("type",),
        "lock_statement": (),
    },
    "ruby": {"call": ("receiver", "method")},
    "php": {
        "function_call_expression": ("function",),
        "member_call_expression": ("object", "name"),
        "scoped_call_expression": ("scope", "name"),
        "object_creation_expression": (),
    },
    "bash": {"command": ("name",)},
    "kotlin": {"call_expression": ()},
    "swift": {"call_expression": ()},
    "scala": {"call_expression": ("function",), "instance_expression": ()},
    "lua": {"function_call": ("name",)},
    "elixir": {"call": ("target",)},
    "zig": {"call_expression": ("function",), "builtin_function": ()},
    "solidity": {"call_expression": ("function",)},
    "haskell": {"apply": ("function",)},
}
"""A node that is a call, to the fields that name what is called; () for its first child, or its own type."""

_STATEMENTS: Final = frozenset({"go_statement", "unsafe_block", "synchronized_statement", "lock_statement"})

_NET: Final = (
    r"requests\.(?:get|post|put|patch|delete|head|options|request|Session|session)|httpx2?\.(?:get|post|put|patch|delete"
    r"|head|request|stream|Client|AsyncClient)|urllib\.request\.urlopen|urllib3\.PoolManager|aiohttp\.ClientSession"
    r"|socket\.(?:socket|create_connection|create_server)|http\.client\.HTTPS?Connection|asyncio\.open_connection"
    r"|anyio\.connect_tcp|smtplib\.SMTP\w*|ftplib\.FTP\w*|paramiko\.SSHClient"
    r"|fetch|globalThis\.fetch|window\.fetch|axios(?:\.\w+)?|(?:node:)?https?\.(?:get|request)|(?:node:)?net\.(?:connect|createConnection)"
    r"|XMLHttpRequest|WebSocket|undici\.\w+|got(?:\.\w+)?"
    r"|net/http\.(?:Get|Post|PostForm|Head|NewRequest|NewRequestWithContext)|net\.Dial\w*"
    r"|reqwest::\S+|(?:std::net::)?(?:TcpStream|UdpSocket|TcpListener)::\w+"
    r"|(?:java\.net\.)?(?:Socket|ServerSocket)|(?:java\.net\.http\.)?HttpClient\.newHttpClient|(?:okhttp3\.)?OkHttpClient(?:\.Builder)?"
    r"|HttpClient|URLSession(?:\.shared\.\w+)?|curl_init|curl_exec|fsockopen|Net::HTTP\.\w+|TCPSocket\.new|curl|wget"
)
_SLEEP: Final = (
    r"(?:time|asyncio|anyio|trio|gevent|eventlet)\.sleep|time\.Sleep|(?:java\.lang\.)?Thread\.sleep|(?:std::|tokio::)?(?:thread|time)"
    r"::sleep|(?:System\.Threading\.)?(?:Thread\.Sleep|Task\.Delay)|setTimeout|setInterval|sleep|usleep|nanosleep|Process\.sleep"
)
_SQL: Final = re.compile(
    r"(?is)^\(?\s*[rbfuRBFU@$]{0,2}[\"'`]{1,3}\s*(?:select|insert|update|delete|create|with|drop|alter|merge|replace)\s"
)
_READS_ALL: Final = (
    r"(?:\w+\.)*\w*\.?read_(?:text|bytes)|open\.read(?:lines)?|(?:node:)?fs(?:/promises|\.promises)?\.readFile(?:Sync)?"
    r"|os\.ReadFile|io\.ReadAll|io/ioutil\.Read(?:All|File)|(?:std::)?fs::read(?:_to_string)?"
    r"|(?:java\.nio\.file\.)?Files\.read(?:AllBytes|String|AllLines)|(?:System\.IO\.)?File\.ReadAll\w+|file_get_contents|File\.read"
)
_WRITES: Final = (
    r"(?:\w+\.)*\w*\.?write_(?:text|bytes)|(?:node:)?fs(?:/promises|\.promises)?\.(?:writeFile|appendFile)(?:Sync)?|os\.(?:WriteFile|Create)"
    r"|io/ioutil\.WriteFile|(?:std::)?fs::write|(?:std::fs::)?File::create|(?:java\.nio\.file\.)?Files\.write\w*"
    r"|(?:System\.IO\.)?File\.(?:WriteAll|Append)\w+|file_put_contents|File\.write"
)

Table = Mapping[str, str]
SIGNALS: Final[Mapping[str, Table]] = {
    "security": {
        "runs programs": (
            r"subprocess\.(?:run|Popen|call|check_call|check_output|getoutput|getstatusoutput)|os\.(?:system|popen|exec\w+|spawn\w+"
            r"|posix_spawnp?)|asyncio\.(?:subprocess\.)?create_subprocess_\w+|anyio\.(?:run_process|open_process)|pty\.spawn"
            r"|(?:node:)?child_process\.(?:exec|spawn|execFile|fork)(?:Sync)?|execa(?:\.\w+)?|Bun\.spawn(?:Sync)?|Deno\.Command"
            r"|os/exec\.Command(?:Context)?|syscall\.Exec|(?:std::process::)?Command::new|(?:java\.lang\.)?(?:Runtime\.getRuntime\.exec"
            r"|ProcessBuilder)|(?:System\.Diagnostics\.)?Process\.Start|shell_exec|proc_open|passthru|popen|Kernel\.(?:system|exec|spawn)"
            r"|Open3\.\w+|os\.execute|io\.popen|System\.cmd|std\.process\.Child\.\w+"
        ),
        "evaluates code": (
            r"eval|exec\$python|Function|vm\.run\w+|loadstring|Code\.eval_\w+|instance_eval|class_eval|ast\.literal_eval\$never"
        ),
        "loads objects from data": (
            r"(?:c?[pP]ickle|dill|cloudpickle)\.(?:loads?|Unpickler)|marshal\.loads?|yaml\.(?:load|load_all|unsafe_load|full_load)"
            r"|shelve\.open|joblib\.load|torch\.load|jsonpickle\.decode|(?:java\.io\.)?ObjectInputStream|unserialize|Marshal\.load"
            r"|YAML\.(?:load|unsafe_load)|BinaryFormatter|encoding/gob\.NewDecoder"
        ),
        "sends SQL": "$sql",
        "opens connections": _NET,
        "uses cryptography": (
            r"hashlib\.\w+|hmac\.\w+|secrets\.\w+|cryptography\.\S+|Crypto(?:dome)?\.\S+|(?:node:)?crypto\.\w+|crypto\.subtle\.\w+|crypto/\S+"
            r"|golang\.org/x/crypto/\S+|(?:java\.security\.)?MessageDigest\.getInstance|(?:javax\.crypto\.)?(?:Cipher|Mac|KeyGenerator)\.getInstance"
            r"|(?:java\.security\.)?(?:Signature|KeyPairGenerator)\.getInstance|password_(?:hash|verify)|openssl_\w+|Digest::\w+\.\w+|OpenSSL::\S+"
            r"|EVP_\w+|SHA(?:1|256|512)(?:_\w+|\.\w+)?|MD5(?:_\w+|\.\w+)?|bcrypt\.\w+|argon2\.\w+|ring::\S+|keccak256|ecrecover"
        ),
        "marks text as safe": (
            r"(?:markupsafe\.)?Markup|django\.utils\.safestring\.(?:mark_safe|SafeString)|document\.write(?:ln)?|html_safe|(?:\w+\.)+html_safe"
            r"|html/template\.HTML|dangerouslySetInnerHTML"
        ),
        "has unsafe code": r"unsafe_block",
    },
    "performance": {
        "sleeps": _SLEEP,
        "sends SQL": "$sql",
        "reads whole files": _READS_ALL,
        "caches results": (
            r"functools\.(?:lru_cache|cache|cached_property)|cachetools\.\w+|django\.utils\.functional\.cached_property|(?:react|vue)\.(?:useMemo|memo)"
            r"|React\.(?:useMemo|memo)|useMemo|lodash\.memoize"
        ),
        "copies deeply": r"copy\.deepcopy|structuredClone|(?:lodash|_)[./]cloneDeep",
        "runs in parallel": (
            r"threading\.Thread|concurrent\.futures\.\w*PoolExecutor|multiprocessing\.(?:Process|Pool|pool\.\w+)|asyncio\.(?:gather|create_task"
            r"|TaskGroup|ensure_future|to_thread)|anyio\.create_task_group|trio\.open_nursery|go_statement|Promise\.(?:all|allSettled|any|race)"
            r"|Worker|(?:node:)?worker_threads\.Worker|tokio::(?:task::)?spawn\w*|(?:std::)?thread::(?:spawn|scope)|rayon::\S+"
            r"|(?:java\.util\.concurrent\.)?(?:Executors\.\w+|CompletableFuture\.\w+)|Thread|(?:System\.Threading\.Tasks\.)?(?:Task\.Run"
            r"|Parallel\.\w+|Task\.WhenAll)|DispatchQueue\.\S*async\w*|Thread\.new|pthread_create|std::(?:thread|async)|Task\.async\w*"
            r"|(?:kotlinx\.coroutines\.)?(?:GlobalScope|\w*[sS]cope)\.(?:launch|async)"
        ),
        "holds locks": (
            r"threading\.(?:Lock|RLock|Condition|Semaphore|BoundedSemaphore)|(?:asyncio|anyio|trio|multiprocessing)\.(?:Lock|RLock|Condition"
            r"|Semaphore)|synchronized_statement|lock_statement|(?:\w+\.)+(?:Lock|RLock)\$go|(?:std::sync::|tokio::sync::)?(?:Mutex|RwLock)::new"
            r"|(?:java\.util\.concurrent\.locks\.)?Reentrant\w*Lock|pthread_\w+lock|NSLock|(?:kotlinx\.coroutines\.sync\.)?Mutex|Mutex\.new"
            r"|(?:\w+\.)*\w+\.withLock"
        ),
        "compiles regular expressions": (
            r"(?:re|regex)\.compile|RegExp|regexp\.(?:MustCompile|Compile)|(?:java\.util\.regex\.)?Pattern\.compile|(?:regex::)?Regex::new|Regex"
        ),
    },
    "testing": {
        "asserts": (
            r"assert_statement|(?:self|this)\.assert\w+|pytest\.(?:raises|warns)|expect|assert(?:\.\w+)*|t\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)"
            r"|github\.com/stretchr/testify/(?:assert|require)\.\w+|(?:assert|debug_assert)(?:_eq|_ne)?|assert[A-Z]\w*|XCT\w+|Assert\.\w+"
            r"|(?:\w+\.)+should\w*|EXPECT_\w+|ASSERT_\w+|refute\w*|assert_\w+"
        ),
        "fakes": (
            r"unittest\.mock\.(?:\w*Mock|patch|create_autospec|mock_open|seal)(?:\.\w+)*|mock\.(?:\w*Mock|patch|create_autospec)(?:\.\w+)*"
            r"|monkeypatch\.\w+|mocker\.\w+(?:\.\w+)*|(?:jest|vi|vitest\.vi)\.(?:fn|mock|spyOn|mocked|doMock)|sinon\.\w+|gomock\.\w+"
            r"|(?:org\.mockito\.)?(?:Mockito|ArgumentMatchers)\.\w+|org\.mockito\.Mockito\.\w+|io\.mockk\.\w+|mockk"
        ),
        "skips": (
            r"pytest\.(?:skip|importorskip|xfail)|pytest\.mark\.(?:skip|skipif|xfail)|unittest\.(?:skip\w*|expectedFailure)|(?:self\.)?skipTest"
            r"|(?:it|test|describe)\.(?:skip|todo|skipIf)(?:\.\w+)*|xit|xdescribe|xtest|t\.Skip\w*|XCTSkip\w*"
        ),
        "waits": _SLEEP,
        "depends on time or chance": (
            r"time\.(?:time|monotonic|perf_counter|time_ns)|datetime\.(?:datetime|date)\.(?:now|utcnow|today)|random\.\w+|uuid\.uuid[14]|os\.urandom"
            r"|Date\.now|Math\.random|time\.(?:Now|Since)|math/rand(?:/v2)?\.\w+|(?:java\.time\.)?(?:Instant|LocalDate|LocalDateTime)\.now"
            r"|System\.(?:currentTimeMillis|nanoTime)|(?:java\.util\.)?Random|(?:std::time::)?(?:SystemTime|Instant)::now|rand::\S+"
        ),
    },
    "data flow": {
        "reads input": (
            r"input\$python|sys\.stdin\.\w+|argparse\.ArgumentParser|flag\.Parse|(?:std::)?io::stdin|(?:std::)?env::args\w*|(?:java\.util\.)?Scanner"
            r"|(?:node:)?readline\.createInterface|scanf|fscanf|(?:System\.)?Console\.ReadLine|readLine|readline|STDIN\.\w+|\$argv"
        ),
        "reads the environment": (
            r"os\.getenv|os\.environ\.get|environ\.get|os\.(?:Getenv|LookupEnv|Environ)|(?:std::)?env::vars?(?:_os)?|System\.getenv|getenv"
            r"|ENV\.fetch|(?:System\.)?Environment\.GetEnvironmentVariable|System\.get_env|\$env"
        ),
        "writes the environment": (
            r"os\.putenv|os\.environ\.(?:setdefault|update|pop)|os\.(?:Setenv|Unsetenv)|(?:std::)?env::set_var"
            r"|setenv|putenv|\$setenv"
        ),
        "reads files": r"\$open_r|os\.Open|(?:std::fs::)?File::open|" + _READS_ALL,
        "writes files": r"\$open_w|" + _WRITES,
        "talks to a database": (
            r"\$sql|sqlite3\.connect|aiosqlite\.connect|psycopg\d?\.connect|asyncpg\.\w+|sqlalchemy\.(?:ext\.asyncio\.)?create_(?:async_)?engine|pymysql\.connect"
            r"|database/sql\.Open|(?:java\.sql\.)?DriverManager\.getConnection|PDO|mysqli_connect|redis\.Redis|pymongo\.MongoClient"
        ),
        "talks over the network": _NET,
        "parses": (
            r"(?:json|ujson|orjson|simplejson|tomllib|tomli|toml)\.loads?|yaml\.(?:safe_)?load(?:_all)?|csv\.(?:reader|DictReader)|xml\.etree\.ElementTree\.\w+"
            r"|JSON\.parse|(?:encoding/json|encoding/xml|gopkg\.in/yaml\.v\d)\.(?:Unmarshal|NewDecoder)|serde_json::from_\w+|toml::from_str"
            r"|json_decode|JSON\.load|Jason\.decode!?|(?:System\.Text\.Json\.)?JsonSerializer\.Deserialize\w*"
        ),
        "serialises": (
            r"(?:json|ujson|orjson|simplejson)\.dumps?|yaml\.(?:safe_)?dump|csv\.(?:writer|DictWriter)|JSON\.stringify|pickle\.dumps?"
            r"|(?:encoding/json|encoding/xml|gopkg\.in/yaml\.v\d)\.(?:Marshal|MarshalIndent|NewEncoder)|serde_json::to_\w+|json_encode"
            r"|JSON\.(?:generate|dump)|Jason\.encode!?|(?:System\.Text\.Json\.)?JsonSerializer\.Serialize\w*"
        ),
    },
}  # fmt: skip

_SHELL: Final = frozenset({"curl", "wget", "sleep", "eval"})
"""Of the names above, what a shell's command may be; the rest is not meant there."""

_ONLY_IN: Final[Mapping[str, frozenset[str]]] = {
    "fetch": frozenset({"javascript", "typescript", "tsx"}),
    "Function": frozenset({"javascript", "typescript", "tsx"}),
    "RegExp": frozenset({"javascript", "typescript", "tsx"}),
    "Worker": frozenset({"javascript", "typescript", "tsx"}),
    "WebSocket": frozenset({"javascript", "typescript", "tsx"}),
    "setTimeout": frozenset({"javascript", "typescript", "tsx"}),
    "setInterval": frozenset({"javascript", "typescript", "tsx"}),
    "useMemo": frozenset({"javascript", "typescript", "tsx"}),
    "expect": frozenset({"javascript", "typescript", "tsx", "dart", "zig", "swift"}),
    "eval": frozenset({"python", "javascript", "typescript", "tsx", "ruby", "bash"}),
    "sleep": frozenset({"c", "cpp", "ruby", "php", "bash"}),
    "usleep": frozenset({"c", "cpp", "php"}),
    "popen": frozenset({"c", "cpp", "php"}),
    "getenv": frozenset({"c", "cpp", "php"}),
    "setenv": frozenset({"c", "cpp", "swift"}),
    "putenv": frozenset({"c", "cpp", "php"}),
    "assert": frozenset(
        {"javascript", "typescript", "tsx", "c", "cpp", "kotlin", "swift", "scala", "lua", "rust"}
    ),
    "readline": frozenset({"swift", "php"}),
    "readLine": frozenset({"kotlin", "swift", "scala"}),
    "Thread": frozenset({"java", "kotlin", "csharp", "swift", "scala"}),
    "Mutex": frozenset({"kotlin"}),
    "Regex": frozenset({"csharp", "kotlin", "swift"}),
    "curl": frozenset({"bash"}),
    "wget": frozenset({"bash"}),
    "PDO": frozenset({"php"}),
    "Random": frozenset({"java", "kotlin", "csharp", "scala"}),
    "HttpClient": frozenset({"csharp", "kotlin", "java"}),
    "got": frozenset({"javascript", "typescript", "tsx"}),
    "axios": frozenset({"javascript", "typescript", "tsx"}),
}
"""Names that mean this in some languages only."""


def scan_file(item: Json) -> Json:
    """Scan `[root, path, focus]`: `[[what, count, [lines], name], ...]`; the function that workers run."""
    root, path, focus = item
    source = read(Path(root), path)
    if isinstance(source, Skipped) or source_read.problem(source.text.encode("utf-8", "replace")):
        return []
    return scan_text(path, source.text, focus)


def scan_text(path: str, text: str, focus: str) -> Json:
    """Return what a focus finds in a text: what, how often, the first lines, and the name at the first."""
    inner = script_of(path, text)
    language = inner.language if inner else language_of(path, text[:200])
    if language is None:
        return []
    code = (inner.text if inner else text).encode("utf-8", "replace")
    if focus not in SIGNALS:
        return _words(code, language, focus)
    found: dict[str, list[tuple[int, str]]] = {}
    for name, line in sorted(set(_happenings(code, language)), key=lambda one: one[1]):
        for what, pattern in _compiled(focus):
            if pattern(name, language.key):
                found.setdefault(what, []).append((line, name))
    return [
        [what, len(found[what]), [line for line, _ in found[what][:PLACES]], _shown(found[what][0][1])]
        for what in SIGNALS[focus]
        if what in found
    ]


def _shown(name: str) -> str:
    name = {
        "$env": "an environment variable",
        "$setenv": "an environment variable",
        "$argv": "the arguments",
    }.get(name, name)
    shown = {"$sql": "an SQL statement", "$open_r": "open", "$open_w": "open"}.get(name, name)
    return shown.replace("_statement", "").replace("unsafe_block", "unsafe").rpartition("/")[2][:60]


Match = Callable[[str, str], bool]


@cache
def _compiled(focus: str) -> tuple[tuple[str, Match], ...]:
    return tuple((what, _matcher(pattern)) for what, pattern in SIGNALS[focus].items())


def _matcher(pattern: str) -> Match:
    search = re.compile(r"\$sql" if pattern == "$sql" else pattern).fullmatch

    def matches(name: str, language: str) -> bool:
        if language == "bash" and name not in _SHELL:
            return False
        if language not in _ONLY_IN.get(name, {language}):
            return False
        return search(name) is not None or search(f"{name}${language}") is not None

    return matches


def _happenings(code: bytes, language: Language) -> Iterator[tuple[str, int]]:
    """Yield what happens in a file: resolved names of calls, and signs with a $, with their lines from 1."""
    from tree_sitter import Parser, QueryCursor

    root = Parser(grammar(language)).parse(code).root_node
    bound = _bindings(root, language)
    defined = _defined(root, language)
    for node in QueryCursor(_query(language)).captures(root).get("n", []):
        line = node.start_point[0] + 1
        if node.type in _STATEMENTS or node.type == "assert_statement":
            yield node.type, line
            continue
        if node.type in {"attribute", "member_expression", "selector_expression", "subscript"}:
            yield from ((name, line) for name in _accesses(node, bound))
            continue
        name, called = _name(node, language)
        if not name:
            continue
        first, dot, rest = re.match(r"([^.:]*)(::|\.)?(.*)", name, re.DOTALL).groups()  # type: ignore[union-attr] # matches any text
        if not dot and name in defined and name not in bound:
            continue
        resolved = f"{bound[first]}{dot or ''}{rest}" if first in bound else name
        at = called.end_point[0] + 1 if called is not None and called.end_point[0] + 1 - line < 4 else line
        yield resolved, at
        yield from _signs(node, resolved, language, at)


def _name(node: Node, language: Language) -> tuple[str, Node | None]:
    """Return the dotted name of what a node calls, without arguments inside, and the node that names it."""
    fields = _CALLS.get(language.key, {}).get(node.type, ())
    parts = [child for field in fields if (child := node.child_by_field_name(field)) is not None]
    if not fields:
        first = node.named_child(0) if node.named_child_count else None
        if first is None or first.type in {"call", "call_expression"}:
            return "", None  # a decorator that is called is a call itself
        parts = [first]
    if not parts:
        return "", None
    texts = [(part.text or b"")[:400].decode("utf-8", "replace") for part in parts]
    text = "::".join(texts) if node.type == "scoped_call_expression" else ".".join(texts)
    text = text.replace("?.", ".").replace("->", ".").lstrip("$")
    for _ in range(4):
        text = re.sub(r"\([^()]*\)|<[^<>]*>|\[[^\[\]]*\]", "", text)
    text = "".join(text.split())
    return (text if re.fullmatch(r"[\w.:!@/?-]+", text) else ""), parts[-1]


def _signs(node: Node, name: str, language: Language, line: int) -> Iterator[tuple[str, int]]:
    """Yield what the arguments say, and where: SQL that is sent, how a file is opened."""
    arguments = node.child_by_field_name("arguments")
    if arguments is None:
        return
    last = name.rpartition(".")[2].rpartition("::")[2]
    text = (arguments.text or b"")[:400].decode("utf-8", "replace")
    if last.lower() in _SENDS and ("." in name or "::" in name) and _SQL.match(text):
        string = first_child(arguments)
        yield "$sql", line if string is None else string.start_point[0] + 1
    if name in {"open", "io.open"} and language.key == "python":
        mode = re.search(r"(?:,\s*|mode\s*=\s*)[\"']([rwaxbt+U]+)[\"']", text)
        if mode or (arguments.named_child_count == 1 and "*" not in text):
            yield ("$open_w" if mode and re.search(r"[wax+]", mode[1]) else "$open_r"), line


_SENDS: Final = frozenset(
    """execute executemany executescript exec query queryrow queryrowcontext querycontext execcontext raw
    prepare     preparestatement executequery executeupdate createquery fetch fetchrow fetchval fetchall
    queryraw""".split()  # noqa: SIM905 - words read better as text
)


def _accesses(node: Node, bound: Mapping[str, str]) -> Iterator[str]:
    """Yield reads and writes of the environment and the arguments, which are no calls."""
    text = (node.text or b"")[:80].decode("utf-8", "replace")
    first, _, rest = text.partition(".")
    if f"{bound.get(first, first)}.{rest}" in {"sys.argv", "process.argv", "os.Args", "node:process.argv"}:
        yield "$argv"
        return
    inner = node.child_by_field_name("value") or node.child_by_field_name("object")
    holder = (inner.text or b"").decode("utf-8", "replace") if inner is not None else ""
    first, _, rest = holder.partition(".")
    if f"{bound.get(first, first)}.{rest}".rstrip(".") not in {
        "os.environ",
        "process.env",
        "import.meta.env",
    }:
        return
    if node.type == "attribute":  # a method of os.environ is a call
        return
    above = node.parent
    is_left = above is not None and "assignment" in above.type and above.child_by_field_name("left") == node
    is_gone = above is not None and above.type == "delete_statement"
    yield "$setenv" if is_left or is_gone else "$env"


@cache
def _query(language: Language) -> Query:
    import tree_sitter

    nodes = [f"({name})" for name in _CALLS.get(language.key, {})]
    nodes += {
        "python": ["(assert_statement)", "(attribute)", "(subscript)"],
        "javascript": ["(member_expression)"],
        "typescript": ["(member_expression)"],
        "tsx": ["(member_expression)"],
        "go": ["(selector_expression)"],
        "java": [],
    }.get(language.key, [])
    return tree_sitter.Query(grammar(language), f"[{' '.join(nodes) or '(ERROR)'}] @n")


_PY_FROM: Final = re.compile(r"from\s+([.\w]+)\s+import\s+([\s\S]*)")
_JS_IMPORT: Final = re.compile(r"import\s+(?:type\s+)?([\s\S]*?)\s+from\s*[\"']([^\"']+)[\"']")
_JS_REQUIRE: Final = re.compile(
    r"(?:const|let|var)\s+([\w$]+|\{[^}]*\})\s*=\s*require\(\s*[\"']([^\"']+)[\"']\s*\)"
)


def _bindings(root: Node, language: Language) -> dict[str, str]:
    """Return what the file's imports bind: a local name to the dotted name that it stands for."""
    from tree_sitter import QueryCursor

    bound: dict[str, str] = {}
    query = _import_query(language)
    if query is None:
        return bound
    for node in QueryCursor(query).captures(root).get("n", []):
        text = (node.text or b"").decode("utf-8", "replace")
        bound.update(_BINDERS[language.key](text))
    return bound


@cache
def _import_query(language: Language) -> Query | None:
    import tree_sitter

    nodes = _IMPORTS.get(language.key)
    return tree_sitter.Query(grammar(language), f"[{nodes}] @n") if nodes else None


_IMPORTS: Final = {
    "python": "(import_statement) (import_from_statement)",
    "javascript": "(import_statement) (lexical_declaration) (variable_declaration)",
    "typescript": "(import_statement) (lexical_declaration) (variable_declaration)",
    "tsx": "(import_statement) (lexical_declaration) (variable_declaration)",
    "go": "(import_spec)",
    "rust": "(use_declaration)",
    "java": "(import_declaration)",
    "kotlin": "(import)",
}


def _python_binds(text: str) -> dict[str, str]:
    text = re.sub(r"#[^\n]*", "", text)
    match = _PY_FROM.match(text)
    if match:
        names = re.findall(r"(\w+)(?:\s+as\s+(\w+))?", match[2])
        return {alias or name: f"{match[1]}.{name}" for name, alias in names}
    names = re.findall(r"([\w.]+)(?:\s+as\s+(\w+))?", text.removeprefix("import"))
    return {
        alias or name.partition(".")[0]: name if alias else name.partition(".")[0] for name, alias in names
    }


def _script_binds(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for names, module in (*_JS_IMPORT.findall(text), *_JS_REQUIRE.findall(text)):
        inside = re.search(r"\{([\s\S]*?)\}", names)
        for part in inside[1].split(",") if inside else ():
            name, _, alias = re.sub(r"\s+as\s+|\s*:\s*", " ", part.strip().removeprefix("type ")).partition(
                " "
            )
            if name:
                found[alias.strip() or name] = f"{module}.{name}"
        outside = re.sub(r"\{[\s\S]*?\}", "", names)
        for part in outside.split(","):
            name = part.strip().removeprefix("* as ").strip()
            if re.fullmatch(r"[\w$]+", name):
                found[name] = module
    return found


def _go_binds(text: str) -> dict[str, str]:
    alias, _, path = text.rpartition(" ")
    path = path.strip('"`')
    return {alias.strip() or path.rpartition("/")[2]: path}


def _rust_binds(text: str) -> dict[str, str]:
    from fanout_mcp.structure.languages import import_names

    names = import_names("Rust", re.sub(r"^(?:pub(?:\([^)]*\))?\s+)?use\s+", "", text).rstrip(";"))
    return {name.rpartition("::")[2]: name for name in names if "::" in name}


def _jvm_binds(text: str) -> dict[str, str]:
    name = re.sub(r"^import\s+(?:static\s+)?", "", text).strip(" ;\n")
    name, _, alias = name.partition(" as ")
    return {} if name.endswith("*") else {alias or name.rpartition(".")[2]: name}


_BINDERS: Final[Mapping[str, Callable[[str], dict[str, str]]]] = {
    "python": _python_binds,
    "javascript": _script_binds,
    "typescript": _script_binds,
    "tsx": _script_binds,
    "go": _go_binds,
    "rust": _rust_binds,
    "java": _jvm_binds,
    "kotlin": _jvm_binds,
}


def _defined(root: Node, language: Language) -> set[str]:
    """Return names that the file defines itself: a plain call of them is no builtin."""
    from tree_sitter import QueryCursor

    from fanout_mcp.structure.languages import parser

    names: set[str] = set()
    for _, captures in QueryCursor(parser(language)[1]).matches(root):
        for node in captures.get("name", ()):
            names.add((node.text or b"").decode("utf-8", "replace"))
    return names


def _words(code: bytes, language: Language, focus: str) -> list[Any]:
    """Find names of the code that hold a word of the focus; comments and strings are none."""
    from tree_sitter import Parser

    words = set(re.findall(r"[^\W_]{3,}", focus.lower())) or {focus.lower()}
    found: dict[tuple[int, str], None] = {}
    waiting = [Parser(grammar(language)).parse(code).root_node]
    while waiting:
        node = waiting.pop()
        if node.child_count:
            waiting.extend(reversed(node.children))
        elif node.type.endswith(("identifier", "name", "constant", "variable", "alias", "word")):
            text = (node.text or b"").decode("utf-8", "replace")
            if any(word in text.lower() for word in words):
                found[node.start_point[0] + 1, text] = None
    places = list(found)
    if not places:
        return []
    return [
        [
            f"names with {' or '.join(sorted(words))}",
            len(places),
            [line for line, _ in places[:PLACES]],
            places[0][1][:60],
        ]
    ]
