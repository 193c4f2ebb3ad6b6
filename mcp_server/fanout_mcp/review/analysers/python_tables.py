"""Where outside input enters a Python program, where it must not arrive, and what makes it harmless.

Names are dotted as imported (`sp.run` of `import subprocess as sp` is `subprocess.run`); a value made by
a call is that call's name with "()": `requests.Session().get`.
"""

from __future__ import annotations

from typing import Final

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
    "str": frozenset({"nosql-injection"}),
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
