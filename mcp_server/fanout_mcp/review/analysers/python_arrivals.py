"""Where outside input must not arrive in a Python program: calls and methods, and what it does there."""

from __future__ import annotations

from typing import Final, NamedTuple


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
