"""Where outside input must not arrive in a Python program, and what it means when it does."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from fanout_mcp.review.static.python import settings
from fanout_mcp.review.static.python.settings import check_setting
from fanout_mcp.review.static.python.values import (
    ARCHIVED,
    JSON_ANSWERS,
    LOGGER_NAMES,
    NETWORK,
    NOTHING,
    RECEIVER_PATHS,
    Call,
    Hit,
    Reader,
    Value,
    join,
    names,
)
from fanout_mcp.review.static.rules import LOCAL, PARAM, REMOTE

# --- python arrivals ----------------------------------------------------------------------------------------
# Where outside input must not arrive in a Python program: calls and methods, and what it does there.


class Sink(NamedTuple):
    weakness: str
    args: tuple[int, ...] = (0,)
    """Positions that matter; () is any."""
    keywords: tuple[str, ...] = ()
    needs: str = ""
    """A package that must be imported, for methods with a common name."""
    built: bool = False
    """Parameters of the function count only when a string was put together from them."""


def _many(text: str, sink: Sink) -> dict[str, Sink]:
    return dict.fromkeys(text.split(), sink)


CALLS: Final[dict[str, Sink]] = {
    **_many(
        "os.system os.popen os.popen2 os.popen3 os.popen4 commands.getoutput commands.getstatusoutput "
        "popen2.popen2 subprocess.getoutput subprocess.getstatusoutput asyncio.create_subprocess_shell "
        "pexpect.spawn pexpect.run pty.spawn invoke.run fabric.api.run fabric.api.local os.startfile",
        Sink("command-injection", (0,), ("cmd", "command")),
    ),
    **_many(
        "os.execl os.execle os.execlp os.execv os.execve os.execvp os.execvpe os.spawnl os.spawnv "
        "os.spawnlp os.spawnvp os.posix_spawn asyncio.create_subprocess_exec",
        Sink("command-injection", ()),
    ),
    **_many(
        "eval exec builtins.eval builtins.exec execfile code.InteractiveInterpreter().runcode "
        "code.InteractiveInterpreter().runsource timeit.timeit pandas.eval numexpr.evaluate",
        Sink("code-injection"),
    ),
    "compile": Sink("code-injection"),
    **_many(
        "__import__ importlib.import_module imp.load_source imp.load_module runpy.run_path "
        "runpy.run_module pydoc.locate",
        Sink("unsafe-reflection", ()),
    ),
    "getattr": Sink("unsafe-reflection", (1,)),
    "setattr": Sink("mass-assignment", (1,)),
    **_many(
        "flask.render_template_string jinja2.Template jinja2.Environment().from_string "
        "mako.template.Template django.template.Template tornado.template.Template bottle.template "
        "bottle.SimpleTemplate chevron.render Cheetah.Template.Template "
        "jinja2.sandbox.SandboxedEnvironment().from_string",
        Sink("template-injection", (0,), ("source", "template")),
    ),
    **_many(
        "open io.open codecs.open os.open os.remove os.unlink os.rmdir os.removedirs os.mkdir os.makedirs "
        "os.listdir os.scandir os.chmod os.chown os.truncate os.walk os.readlink shutil.rmtree "
        "aiofiles.open file flask.send_file send_file django.http.FileResponse "
        "starlette.responses.FileResponse zipfile.ZipFile fastapi.responses.FileResponse tarfile.open "
        "gzip.open bz2.open lzma.open linecache.getline pandas.read_csv numpy.load numpy.loadtxt "
        "bottle.static_file sqlite3.connect dbm.open os.stat os.path.getsize os.path.exists os.path.isfile "
        "os.path.isdir os.path.getmtime os.access "
        "tornado.web.StaticFileHandler",
        Sink("path-traversal", (0,), ("file", "path", "filename", "name")),
    ),
    **_many(
        "os.rename os.replace os.link os.symlink shutil.copy shutil.copy2 shutil.copyfile shutil.move "
        "shutil.copytree",
        Sink("path-traversal", (0, 1)),
    ),
    "bottle.static_file": Sink("path-traversal", (0, 1), ("root",)),
    **_many(
        "requests.get requests.post requests.put requests.delete requests.patch requests.head "
        "requests.options requests.Session().get requests.Session().post requests.Session().put "
        "requests.Session().delete requests.session().get requests.session().post httpx.get httpx.post "
        "httpx.put httpx.delete httpx.head httpx.Client().get httpx.Client().post httpx.AsyncClient().get "
        "httpx.AsyncClient().post urllib.request.urlopen urllib.request.Request "
        "urllib.request.urlretrieve urllib2.urlopen urllib.urlopen urllib2.Request urllib.urlretrieve "
        "http.client.HTTPConnection http.client.HTTPSConnection httplib.HTTPConnection "
        "httplib.HTTPSConnection aiohttp.ClientSession().get aiohttp.ClientSession().post "
        "urllib.request.URLopener().open wget.download feedparser.parse socket.create_connection "
        "tornado.httpclient.AsyncHTTPClient().fetch tornado.httpclient.HTTPClient().fetch "
        "pycurl.Curl().setopt",
        Sink("ssrf", (0,), ("url", "host")),
    ),
    **_many(
        "requests.request requests.Session().request httpx.request httpx.stream "
        "urllib3.PoolManager().request urllib3.request aiohttp.request aiohttp.ClientSession().request "
        "http.client.HTTPSConnection().request http.client.HTTPConnection().request",
        Sink("ssrf", (1,), ("url",)),
    ),
    **_many(
        "markupsafe.Markup flask.Markup Markup django.utils.safestring.mark_safe "
        "django.utils.safestring.SafeString flask.make_response make_response django.http.HttpResponse "
        "flask.Response werkzeug.Response werkzeug.wrappers.Response starlette.responses.HTMLResponse "
        "fastapi.responses.HTMLResponse aiohttp.web.Response sanic.response.html bottle.HTTPResponse "
        "django.utils.html.format_html django.http.response.HttpResponse "
        "django.http.HttpResponseBadRequest django.http.HttpResponseNotFound webob.Response "
        "pyramid.response.Response",
        Sink("xss", (0,), ("content", "response", "body", "text", "html")),
    ),
    **_many(
        "pickle.loads pickle.load cPickle.loads cPickle.load _pickle.loads dill.loads dill.load "
        "cloudpickle.loads cloudpickle.load pickle.Unpickler shelve.open marshal.loads marshal.load "
        "yaml.load yaml.unsafe_load yaml.full_load yaml.load_all yaml.unsafe_load_all jsonpickle.decode "
        "joblib.load torch.load pandas.read_pickle ruamel.yaml.YAML().load ruamel.yaml.load",
        Sink("deserialization", (0,), ("stream", "data", "string", "file")),
    ),
    **_many(
        "lxml.etree.parse lxml.etree.fromstring lxml.etree.XML lxml.etree.iterparse "
        "lxml.objectify.fromstring xml.sax.parse xml.sax.parseString xml.dom.minidom.parse "
        "xml.dom.minidom.parseString xml.dom.pulldom.parse xml.dom.pulldom.parseString "
        "xml.etree.ElementTree.parse xml.etree.ElementTree.fromstring xml.etree.ElementTree.XML "
        "xml.etree.ElementTree.iterparse xml.etree.cElementTree.parse xml.etree.cElementTree.fromstring "
        "xml.parsers.expat.ParserCreate().Parse xml.etree.ElementTree.XMLParser().feed "
        "lxml.etree.XMLParser().feed xml.sax.make_parser().parse xmltodict.parse",
        Sink("xxe"),
    ),
    **_many(
        "flask.redirect redirect django.shortcuts.redirect django.http.HttpResponseRedirect "
        "bottle.redirect django.http.HttpResponsePermanentRedirect starlette.responses.RedirectResponse "
        "self.redirect fastapi.responses.RedirectResponse aiohttp.web.HTTPFound werkzeug.utils.redirect "
        "sanic.response.redirect pyramid.httpexceptions.HTTPFound web.seeother HttpResponseRedirect "
        "cherrypy.HTTPRedirect",
        Sink("open-redirect", (0,), ("location", "url", "path", "redirect_to")),
    ),
    **_many(
        "re.compile re.match re.search re.fullmatch re.findall re.finditer re.sub re.split regex.compile "
        "regex.match regex.search",
        Sink("regex-injection", (0,), ("pattern",)),
    ),
    **_many(
        "elementpath.select elementpath.iter_select lxml.etree.XPath lxml.etree.ETXPath",
        Sink("xpath-injection", ()),
    ),
    **_many(
        "sqlalchemy.text sqlalchemy.sql.text sqlalchemy.sql.expression.text",
        Sink("sql-injection", built=True),
    ),
    **_many("pandas.read_sql pandas.read_sql_query", Sink("sql-injection", (0,), ("sql",), built=True)),
    **_many("django.db.models.expressions.RawSQL django.db.models.RawSQL", Sink("sql-injection")),
    "time.sleep": Sink("resource-exhaustion"),
    **_many(
        "PIL.Image.new numpy.zeros numpy.ones numpy.empty bytearray range", Sink("resource-exhaustion", ())
    ),
    "smtplib.SMTP().sendmail": Sink("header-injection", (1, 2)),
}
_NOSQL: Final = tuple(
    Sink("nosql-injection", (), needs=root) for root in ("pymongo", "flask_pymongo", "motor")
)
_XPATH: Final = tuple(Sink("xpath-injection", (0,), needs=root) for root in ("xml", "lxml"))
METHODS: Final[dict[str, tuple[Sink, ...]]] = {
    **dict.fromkeys(
        (
            "execute",
            "executemany",
            "executescript",
            "raw",
            "execute_sql",
            "exec_driver_sql",
            "mogrify",
            "fetchrow",
        ),
        (Sink("sql-injection", (0,), ("sql", "query", "statement", "operation"), built=True),),
    ),
    "fetch": (Sink("sql-injection", needs="asyncpg", built=True),),
    "extra": (Sink("sql-injection", (), ("where", "select", "tables"), needs="django"),),
    **dict.fromkeys(("query", "callproc"), (Sink("sql-injection", built=True),)),
    **dict.fromkeys(
        (
            "find_one",
            "aggregate",
            "delete_one",
            "delete_many",
            "update_one",
            "count_documents",
            "find_one_and_update",
        ),
        _NOSQL,
    ),
    **dict.fromkeys(
        ("search_s", "search_ext", "search_ext_s", "search_st", "simple_bind_s", "modify_s"),
        (Sink("ldap-injection", (), needs="ldap", built=True),),
    ),
    "search": (Sink("ldap-injection", (), ("search_filter", "search_base"), needs="ldap3", built=True),),
    **dict.fromkeys(("xpath", "XPath"), (Sink("xpath-injection"),)),
    **dict.fromkeys(
        ("findall", "iterfind", "findtext"),
        _XPATH,
    ),
    "find": (*_NOSQL, *_XPATH),
    "exec_command": (Sink("command-injection"),),
    "from_string": (Sink("template-injection"),),
    **dict.fromkeys(
        (
            "read_text",
            "read_bytes",
            "write_text",
            "write_bytes",
            "unlink",
            "rmdir",
            "rename",
            "iterdir",
            "open",
        ),
        (),
    ),
    **dict.fromkeys(
        ("debug", "info", "warning", "warn", "error", "critical", "exception", "log"),
        (Sink("log-injection", ()),),
    ),
    "save": (Sink("path-traversal", (0,), needs="flask"), Sink("path-traversal", (0,), needs="werkzeug")),
    **dict.fromkeys(("writerow", "writerows"), (Sink("csv-injection", (), needs="csv"),)),
    "set_header": (Sink("header-injection", (1,)),),
    "add_header": (Sink("header-injection", (1,)),),
}


# --- sinks ------------------------------------------------------------------------------------------

ENDS = frozenset(
    {"open", "subprocess.run", "subprocess.check_output", "subprocess.Popen", "os.popen", "os.system"}
)
"""Their results hold no input any more: files and processes say what they say."""
ENDING_METHODS = frozenset(
    {"execute", "fetchone", "fetchall", "fetchmany", "commit", "scalar", "hexdigest", "digest"}
)

REMOTE_ONLY = names(
    "log-injection header-injection regex-injection trust-boundary open-redirect resource-exhaustion "
    "zero-division xss csv-injection unsafe-reflection nosql-injection unrestricted-upload "
    "mass-assignment"
)
"""Reported only for input from beyond the program: parameters reach these all the time."""
LOCAL_IS_FINE = frozenset(
    {"path-traversal", "ssrf", "log-injection", "xxe", "open-redirect", "regex-injection"}
)
"""The user who starts a program may name its files: reported, but low."""

_SQL = re.compile(
    r"\b(select\b.*\bfrom|insert\s+into|update\b.+\bset|delete\s+from|drop\s+table|where)\b",
    re.IGNORECASE | re.DOTALL,
)
_URL_START = re.compile(r"^\w+://\w[\w-]*(\.\w[\w-]*)*(:\d+)?[/?#]")
"""The host is constant: what follows chooses a page of it."""
_OWN_PATH = re.compile(r"^/(?![/\\])")
SAFE_PARSER = "lxml.etree.XMLParser(resolve_entities=False)"


def report(reader: Reader, weakness: str, node: ast.AST, value: Value = NOTHING, why: str = "") -> None:
    """Note a weakness, unless what arrives was cleaned for it or comes from nowhere that matters."""
    taint = value.taint
    if taint is not None:
        if weakness in taint.clean or (taint.is_error and weakness != "error-leak"):
            return
        if weakness in REMOTE_ONLY and taint.level < LOCAL:
            return
        why = why or f"{taint.origin[:1].upper()}{taint.origin[1:]} (line {taint.line}) arrives here."
    line = getattr(node, "lineno", 1)
    end = min(getattr(node, "end_lineno", line) or line, line + 4)
    level = value.level
    if taint is not None and taint.origin == ARCHIVED:
        if weakness != "path-traversal":
            return
        weakness, level = "archive-slip", 0
    elif level == LOCAL and weakness in LOCAL_IS_FINE:
        level = PARAM
    if taint is not None and weakness in REMOTE_ONLY and not taint.is_direct:
        level = PARAM  # what the functions in between do is not known
    reader.hits.append(Hit(weakness, line, end, level, why, value.built))


def check_call(reader: Reader, call: Call, receiver: Value) -> None:
    node, name, arguments, keywords = call
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name.startswith("subprocess."):
        _check_subprocess(reader, node, name, arguments, keywords)
    if name in JSON_ANSWERS and reader.scope.is_route:
        for value in (*arguments, *keywords.values()):
            if value.taint is not None and value.taint.is_error:
                report(reader, "error-leak", node, value)
    if method in {"add", "set", "setdefault", "add_header", "extend"} and (
        receiver.kind.endswith("Headers()") or name.endswith(f".headers.{method}")
    ):
        report_if_input(reader, "header-injection", node, arguments[-1] if arguments else NOTHING)
    sink = CALLS.get(name)
    if sink is not None:
        _arrive(reader, call, sink)
    elif method:
        for sink in METHODS.get(method, ()):
            if _applies(reader, node, sink, name):
                _arrive(reader, call, sink)
        if method in RECEIVER_PATHS and receiver.taint and "Path" in name + receiver.kind:
            report(reader, "path-traversal", node, receiver)
        if method == "save" and receiver.is_file:
            report(reader, "unrestricted-upload", node, receiver)
    settings.check(reader, call)


def _applies(reader: Reader, node: ast.Call, sink: Sink, name: str) -> bool:
    if sink.needs and sink.needs not in reader.roots:
        return False
    if sink.weakness == "log-injection":
        owner = name.rsplit(".", 1)[0]
        return owner.rsplit(".", 1)[-1] in LOGGER_NAMES or owner.startswith("logging.getLogger")
    if sink.weakness == "xpath-injection" and sink.needs:
        return "re." not in name and not isinstance(node.func, ast.Name)
    return True


def _arrive(reader: Reader, call: Call, sink: Sink) -> None:
    node, name, arguments, keywords = call
    picked = [arguments[i] for i in sink.args if i < len(arguments)] if sink.args else list(arguments)
    picked += [value for key, value in keywords.items() if not sink.args or key in sink.keywords]
    if sink.weakness == "xss" and node.args and isinstance(node.args[0], ast.Tuple) and picked:
        picked[0] = reader.value(node.args[0].elts[0]) if node.args[0].elts else NOTHING  # status, headers
    if picked and all(one.taint is None and not one.varies for one in picked):
        reader.settled.add(node.lineno)
    value = NOTHING
    for one in picked:
        value = join(value, one)
    if sink.weakness in {"code-injection", "deserialization"} and value.kind.startswith(NETWORK):
        report(reader, "remote-code", node, why="It came over the network.")
        return
    if sink.weakness == "deserialization" and _is_safe_load(node, name, keywords):
        return
    if sink.weakness == "sql-injection" and value.built and value.level <= PARAM and _SQL.search(value.text):
        _report_built_sql(reader, node, value)
        return
    if value.taint is None:
        return
    if sink.built and value.level == PARAM and not value.built:
        return
    if sink.weakness == "open-redirect" and value.built and _OWN_PATH.match(value.text):
        return
    if sink.weakness == "xxe" and any(one.kind == SAFE_PARSER for one in call.everything):
        return
    if sink.weakness == "sql-injection" and value.is_number:
        return
    if value.taint.is_error and sink.weakness == "xss" and reader.scope.is_route:
        report(reader, "error-leak", node, value)
        return
    is_bounded = sink.weakness == "ssrf" and _URL_START.match(value.text)
    report(reader, _refined(sink.weakness, name), node, _bounded(value) if is_bounded else value)


def _bounded(value: Value) -> Value:
    """Return input that reaches less than it could: reported, but low."""
    return replace(value, taint=replace(value.taint, level=PARAM)) if value.taint else value


def _report_built_sql(reader: Reader, node: ast.Call, value: Value) -> None:
    why = "The query's text is put together from values that vary."
    if value.taint is None or "sql-injection" not in value.taint.clean:
        line = node.lineno
        end = min(node.end_lineno or line, line + 4)
        reader.hits.append(Hit("sql-injection", line, end, PARAM, why, built=value.taint is not None))


def _refined(weakness: str, name: str) -> str:
    if weakness == "xxe" and ("etree.ElementTree" in name or "cElementTree" in name or "expat" in name):
        return "xml-bomb"
    return weakness


def _is_safe_load(node: ast.Call, name: str, keywords: Mapping[str, Value]) -> bool:
    if name not in {"yaml.load", "yaml.load_all"}:
        return name == "torch.load" and getattr(keywords.get("weights_only"), "const", None) is True
    loaders = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "Loader")]
    return any("Safe" in ast.unparse(loader) or "BaseLoader" in ast.unparse(loader) for loader in loaders)


_SHELLS = frozenset({"sh", "bash", "/bin/sh", "/bin/bash", "zsh", "cmd", "cmd.exe", "powershell"})


def _check_subprocess(
    reader: Reader, node: ast.Call, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value]
) -> None:
    if name.rsplit(".", 1)[-1] not in {"run", "call", "Popen", "check_output", "check_call"}:
        return
    value = arguments[0] if arguments else keywords.get("args", NOTHING)
    has_shell = keywords.get("shell", NOTHING).const is True
    given = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "args"), None)
    if isinstance(given, ast.List | ast.Tuple) and not has_shell:
        first = reader.value(given.elts[0]) if given.elts else NOTHING
        is_shell = isinstance(first.const, str) and first.const in _SHELLS
        if value.taint is not None:
            direct = is_shell or first.taint is not None
            if direct or value.level >= LOCAL:
                report(reader, "command-injection" if direct else "argument-injection", node, value)
        return
    if value.taint is not None:
        report(reader, "command-injection", node, value)
    elif has_shell and value.built:
        reader.hits.append(
            Hit(
                "command-injection",
                node.lineno,
                node.lineno,
                PARAM,
                "A shell runs text that varies.",
                built=True,
            )
        )


def check_item(reader: Reader, target: ast.Subscript, key: Value, value: Value) -> None:
    """Look at `target[key] = value`: sessions and headers take input as it is."""
    owner = reader.dotted(target.value) or ""
    last = owner.rsplit(".", 1)[-1].lower()
    if last == "session":
        report_if_input(reader, "trust-boundary", target, join(key, value))
    elif last == "headers" or (isinstance(key.const, str) and key.const.lower() == "location"):
        is_location = isinstance(key.const, str) and key.const.lower() == "location"
        report_if_input(reader, "open-redirect" if is_location else "header-injection", target, value)
    elif owner in {"globals()", "locals()"}:
        report_if_input(reader, "unsafe-reflection", target, key)
    if isinstance(key.const, str):
        check_setting(reader, target, key.const, value)


DIGESTS = ("hexdigest()", ".digest()", "hmac.digest()")


def check_compare(reader: Reader, node: ast.Compare, sides: Sequence[Value]) -> None:
    """Look at == between what was computed with a key and what came in."""
    is_equality = isinstance(node.ops[0], ast.Eq | ast.NotEq)
    computed = [side for side in sides if side.kind.endswith(DIGESTS) and side.kind.startswith("hmac.")]
    if is_equality and computed and all(side.const is None for side in sides):
        reader.hits.append(Hit("timing", node.lineno, node.lineno, 0, "== stops at the first difference."))


def check_attribute(reader: Reader, target: ast.Attribute, value: Value) -> None:
    check_setting(reader, target, target.attr, value)


def report_if_input(reader: Reader, weakness: str, node: ast.AST, value: Value) -> None:
    if value.taint is not None:
        report(reader, weakness, node, value)


_AS_HTML = frozenset({"flask", "bottle", "web", "cherrypy", "webapp2", "quart", "pyramid"})


def check_return(reader: Reader, node: ast.Return, value: Value) -> None:
    """Look at what a view returns: text goes out as HTML, an error's text reveals too much."""
    if not reader.scope.is_route or value.taint is None:
        return
    given = node.value.elts[0] if isinstance(node.value, ast.Tuple) and node.value.elts else node.value
    if given is not node.value:
        value = reader.value(given)
    if value.taint is None:
        return
    if value.taint.is_error:
        report(reader, "error-leak", node, value)
        return
    if isinstance(given, ast.Dict | ast.List | ast.ListComp | ast.DictComp) or not reader.roots & _AS_HTML:
        return
    if value.taint.is_direct and not value.is_number and value.level == REMOTE and not value.is_request:
        if isinstance(given, ast.Call) and reader.dotted(given.func) in CALLS:
            return  # reported where it was called
        report(reader, "xss", node, value)
