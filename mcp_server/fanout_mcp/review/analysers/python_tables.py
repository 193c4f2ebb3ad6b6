"""Where outside input enters a Python program, where it must not arrive, and what makes it harmless.

Names are dotted as imported (`sp.run` of `import subprocess as sp` is `subprocess.run`); a value made by
a call is that call's name with "()": `requests.Session().get`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fanout_mcp.review.analysers.weaknesses import WEAKNESSES


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


REMOTE, LOCAL, PARAM = 3, 2, 1
"""Who sends the input: somebody beyond this machine, who starts the program, who calls the function."""

FRAMEWORKS: Final = names(
    "flask django starlette fastapi bottle tornado aiohttp sanic falcon pyramid quart cherrypy webob "
    "werkzeug web webapp2 rest_framework flask_restful litestar"
)
REQUEST_NAMES: Final = frozenset({"request", "req"})
REQUEST_SAFE: Final = names(
    "method user app endpoint blueprint scope session state is_secure is_ajax is_json resolver_match "
    "content_length max_content_length environ_base auth id start_time loop transport version"
)
ROUTE_DECORATORS: Final = names(
    "route get post put delete patch head options websocket api_route view_config api_view expose "
    "errorhandler view add_url_rule require_http_methods csrf_exempt login_required require_POST "
    "require_GET"
)
REQUEST_HANDLERS: Final = ("HTTPRequestHandler", "StreamRequestHandler", "BaseRequestHandler")
"""Bases from the standard library's servers; what they put into `self` of a request:"""
HANDLED: Final = frozenset({"path", "headers", "rfile", "requestline", "request"})
VIEW_BASES: Final = ("View", "Resource", "RequestHandler", "APIView", "ViewSet", "Handler", "Endpoint")
SOURCE_CALLS: Final[dict[str, int]] = {
    "input": LOCAL,
    "raw_input": LOCAL,
    "sys.stdin.read": LOCAL,
    "sys.stdin.readline": LOCAL,
    "sys.stdin.readlines": LOCAL,
    "os.getenv": PARAM,
    "os.environ.get": PARAM,
    "cgi.FieldStorage": REMOTE,
    "cgi.parse": REMOTE,
    "web.input": REMOTE,
    "bottle.request.query.get": REMOTE,
    "self.get_argument": REMOTE,
    "self.get_arguments": REMOTE,
    "self.get_query_argument": REMOTE,
    "self.get_body_argument": REMOTE,
    "self.get_cookie": REMOTE,
    "argparse.ArgumentParser().parse_args": LOCAL,
    "getpass.getpass": LOCAL,
}
ERROR_CALLS: Final = frozenset({"traceback.format_exc", "traceback.format_exception", "sys.exc_info"})
ARCHIVED: Final = "a name in the archive"
ARCHIVES: Final = frozenset({"zipfile", "tarfile", "rarfile", "py7zr"})
ARCHIVE_METHODS: Final = frozenset({"infolist", "namelist", "getmembers", "getnames"})
NETWORK: Final = (
    "urllib.request.urlopen()",
    "urllib2.urlopen()",
    "requests.get()",
    "requests.post()",
    "requests.Session().get()",
    "httpx.get()",
    "httpx.post()",
)
"""Values that came over the network begin so."""
JSON_ANSWERS: Final = names(
    "flask.jsonify jsonify django.http.JsonResponse starlette.responses.JSONResponse "
    "fastapi.responses.JSONResponse aiohttp.web.json_response rest_framework.response.Response "
    "fastapi.HTTPException flask.abort"
)
SOURCE_METHODS: Final = frozenset({"recv", "recvfrom", "receive_text", "receive_json", "receive_bytes"})
SOURCE_NAMES: Final[dict[str, int]] = {"sys.argv": LOCAL, "os.environ": PARAM, "sys.stdin": LOCAL}


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
        "bottle.static_file sqlite3.connect dbm.open os.stat os.path.getsize "
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
    "smtplib.SMTP().sendmail": Sink("header-injection", (1, 2)),
}
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
            "find",
            "find_one",
            "aggregate",
            "delete_one",
            "delete_many",
            "update_one",
            "count_documents",
            "find_one_and_update",
        ),
        (Sink("nosql-injection", (), needs="pymongo"), Sink("nosql-injection", (), needs="flask_pymongo")),
    ),
    **dict.fromkeys(
        ("search_s", "search_ext", "search_ext_s", "search_st", "simple_bind_s", "modify_s"),
        (Sink("ldap-injection", (), needs="ldap"),),
    ),
    "search": (Sink("ldap-injection", (), ("search_filter", "search_base"), needs="ldap3"),),
    **dict.fromkeys(("xpath", "XPath"), (Sink("xpath-injection", ()),)),
    **dict.fromkeys(
        ("findall", "find", "iterfind", "findtext"),
        (Sink("xpath-injection", (0,), needs="xml"), Sink("xpath-injection", (0,), needs="lxml")),
    ),
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
    "set_header": (Sink("header-injection", (1,)),),
    "add_header": (Sink("header-injection", (1,)),),
}
LOGGER_NAMES: Final = ("log", "logger", "logging", "_logger", "_log", "LOG", "LOGGER")
RECEIVER_PATHS: Final = names(
    "read_text read_bytes write_text write_bytes unlink rmdir mkdir rename iterdir open touch"
)

CLEANS_ALL: Final = names(
    "int float bool len ord hash isinstance hasattr callable id type complex uuid.UUID decimal.Decimal "
    "round abs min max sum range any all hashlib.md5 hashlib.sha1 hashlib.sha256 hashlib.sha512 hmac.new "
    "hmac.compare_digest datetime.datetime.strptime datetime.date.fromisoformat ipaddress.ip_address "
    "ast.literal_eval flask.jsonify jsonify django.http.JsonResponse flask.render_template "
    "render_template django.shortcuts.render django.shortcuts.get_object_or_404 json.dumps "
    "secrets.token_hex werkzeug.security.generate_password_hash werkzeug.security.check_password_hash "
    "os.path.exists os.path.isfile os.path.isdir re.escape print flask.url_for url_for "
    "django.urls.reverse"
)
STILL_NUMBERS: Final = frozenset({"int", "float", "complex", "decimal.Decimal"})
"""Their results are harmless as text, but still decide sizes and divisions."""
HARMLESS_AS_NUMBER: Final = frozenset(WEAKNESSES) - {"resource-exhaustion", "zero-division"}
CLEANS: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(
        names(
            "html.escape markupsafe.escape flask.escape cgi.escape bleach.clean django.utils.html.escape "
            "escape django.utils.html.conditional_escape xml.sax.saxutils.escape nh3.clean "
            "markupsafe.Markup.escape tornado.escape.xhtml_escape helpers.utils.escape_for_html "
            "django.utils.html.format_html"
        ),
        frozenset({"xss"}),
    ),
    **dict.fromkeys(("shlex.quote", "pipes.quote"), frozenset({"command-injection"})),
    **dict.fromkeys(
        names(
            "os.path.basename werkzeug.utils.secure_filename secure_filename werkzeug.utils.safe_join "
            "werkzeug.security.safe_join flask.safe_join django.utils._os.safe_join"
        ),
        frozenset({"path-traversal", "command-injection"}),
    ),
    **dict.fromkeys(
        names("ldap.filter.escape_filter_chars ldap3.utils.conv.escape_filter_chars ldap.dn.escape_dn_chars"),
        frozenset({"ldap-injection"}),
    ),
    **dict.fromkeys(
        names("urllib.parse.quote urllib.parse.quote_plus urllib.parse.urlencode"),
        frozenset({"xss", "ssrf", "open-redirect", "header-injection", "log-injection", "path-traversal"}),
    ),
    "repr": frozenset({"log-injection", "header-injection"}),
    "ascii": frozenset({"log-injection", "header-injection"}),
}
CLEANING_TESTS: Final = names(
    "isdigit isalnum isalpha isnumeric isdecimal isidentifier is_relative_to match fullmatch "
    "url_has_allowed_host_and_scheme is_safe_url allowed_file startswith"
)
GROWS: Final = names(
    "append add insert extend update set setdefault put put_nowait appendleft write writelines push send "
    "__setitem__ read_string read_dict"
)
"""Methods that put what they are given into their receiver."""
KEEPS_TEXT: Final = names(
    "format join strip lstrip rstrip replace lower upper title capitalize encode decode split rsplit "
    "splitlines partition rpartition get getlist get_all pop copy read readline items values keys zfill "
    "ljust center swapcase expandtabs format_map to_dict first getvalue setdefault translate removeprefix "
    "removesuffix"
)
KEEPS_CALLS: Final = names(
    "str bytes repr format urllib.parse.unquote urllib.parse.unquote_plus base64.b64decode "
    "base64.b64encode os.path.join os.path.normpath os.path.abspath os.path.realpath os.path.expanduser "
    "pathlib.Path list tuple dict set sorted reversed iter next copy.copy copy.deepcopy json.loads "
    "codecs.decode codecs.encode textwrap.dedent bytearray io.StringIO io.BytesIO urllib.parse.urljoin "
    "html.unescape string.Template map filter zip enumerate posixpath.join base64.urlsafe_b64decode "
    "binascii.unhexlify"
)
