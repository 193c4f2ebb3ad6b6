"""What must never leave the machine: files that are secrets, and key-shaped strings in files that are not.

`is_secret_path` decides before anything is read; `redact` scrubs what is about to leave and keeps every line
where it is, so that citations still fit. A provider's key is known by its shape (secret_values.py). All else
is known by the name it is given to: `redact` looks for names that mean a secret, reads what stands behind
them (`_NOTATIONS`, one row each), and secret_values.py judges the pair. Commands whose passwords have no
name (`mysql -pX`, `curl -u bob:X`) are rows of `_COMMANDS`.

Takes linear time: all patterns are RE2's, and what follows one name is read for MAX_VALUE bytes at most.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from itertools import islice
from typing import Final, NamedTuple

from fanout_mcp.linear import Linear, Match
from fanout_mcp.source import secret_values as values
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.types import Json

SECRET_NAMES: Final = tuple(
    """
    .env .env.* *.env .envrc *.pem *.key *.p8 *.p12 *.pfx *.jks *.keystore *.kdbx *.ppk id_rsa* id_dsa*
    id_ecdsa* id_ed25519* .netrc _netrc .npmrc .pypirc .pgpass .htpasswd .git-credentials .dockercfg
    *.tfstate *.tfstate.* *.tfvars service-account*.json service_account*.json credentials
    credentials.json client_secret*.json secrets.* .secrets* *.ovpn *.asc *.gpg *.kubeconfig kubeconfig
    *.keytab .*_history .lesshst .my.cnf .mylogin.cnf .s3cfg .boto .terraformrc .vault-token
    .vault_pass* .vault-pass* vault_pass* vault-pass* .passwd* .smbcredentials *.htpasswd master.key
    shadow *.secrets chap-secrets pap-secrets sasl_passwd passwd.client ntp.keys chrony.keys
    .erlang.cookie .authinfo* .cvspass .fetchmailrc .rediscli_auth .pg_service.conf .htdigest
    """.split()
)
NOT_SECRET: Final = tuple(
    """
    *.example *.sample *.template *.dist *.pub secrets.py secrets.go secrets.rs vault_pass*.py
    vault-pass*.sh
    """.split()
)
"""Templates say which variables exist; modules that are named secrets are code, and are scrubbed as such."""

SECRET_FOLDERS: Final = frozenset(
    {".aws", ".ssh", ".gnupg", ".git", ".kube", ".docker", ".azure", ".gcloud", ".password-store"}
)

_SECRET_NAME: Final = re.compile("|".join(map(translate, SECRET_NAMES)))
_NO_SECRET_NAME: Final = re.compile("|".join(map(translate, NOT_SECRET)))

_PEM: Final = Linear(r"-----BEGIN ((?:[\w ]|-\w)*\b(?i:key)\b[\w ]*)-----")
_PEM_END: Final = Linear(r"-?-----END (?:[\w ]|-\w)*\b(?i:key)\b[\w ]*-----")
"""A sixth dash is a difference's."""

_PEM_BESIDE: Final = Linear(
    r"(?:\\{1,2}[nrt]|[\s\"'`+,.&|>#*\\/;%:-]){0,200}(?:(M(?:I[IG]|Hc|C4))|([A-Za-z0-9+/=]{16,}))"
)
"""A key that begins right after its marker, which no name does."""

_PEM_LINE: Final = Linear(r"[A-Za-z0-9+/=]{16,}")
_PEM_LAST: Final = Linear(
    r"[^\nA-Za-z0-9+/=]{0,40}[A-Za-z0-9+/=]{0,80}[0-9+/=][A-Za-z0-9+/=]{0,80}[^\nA-Za-z0-9+/=]{0,8}(?:\n|\z)"
)
"""The short rest that ends a key."""

PEM_BEFORE: Final = 400
"""Bytes up to a key's first line: headers, and what a log, a comment or a program puts before each line."""

PEM_AMID: Final = 4
PEM_GAP: Final = 2
"""Lines among a key's that may have none of it: in all, and two more for each that has; at once, in a key
without an end."""

_PEM_REST: Final = Linear(
    r"(?m)(?:^[ \t\"'>#+;%|/*-]{0,16}[A-Za-z0-9+/=]{16,120}[\"'\\n,+ \t]{0,8}\r?\n)+[ \t\"'>#+;%|/*-]{0,16}"
    r"-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|Private-Lines: \d+\s{1,4}(?:[A-Za-z0-9+/=]{4,80}\r?\n?)+"
)
"""A key whose beginning was cut off, and PuTTY's."""

_XML_KEY: Final = Linear(r"<(?:D|P|Q|DP|DQ|InverseQ)>[A-Za-z0-9+/=\s]{16,}</")
"""The private parts of .NET's `<RSAKeyValue>`."""

_SHAPED: Final = tuple(
    (name, frozenset(word.encode() for word in words), Linear(pattern))
    for name, words, pattern in values.SHAPES
)
_SHAPE_WORDS: Final = Linear("|".join(re.escape(word) for shape in values.SHAPES for word in shape.words))
_PGPASS: Final = Linear(r"(?m)^([\w.*-]{1,100}:(?:\d{4,5}|\*):[^\s:]{1,60}:[^\s:]{1,60}:)([^\s:]{8,128})$")
"""PostgreSQL's own file of passwords: host, port, database, user, password."""
_HEADERS: Final = Linear(
    r"(?i)(\b(?:proxy-)?authorization\b(?:[\"'\])]{0,3}\s{0,4}(?:=>|[:=,])\s{0,4}[\"'`]?(?:value[\"']?\s?[:=]\s?[\"'])?"
    r"|[ \t]{1,4}[\"'])"
    r"(?:[a-z][\w-]{1,15} (?:token=)?)?)"
    r"((?:[A-Za-z0-9+/_.~-]|%[0-9A-F]{2}){16,}={0,2}|[A-Za-z0-9+/]{8,15}={1,2})"
)
_BEARER: Final = Linear(
    r"(?i)(\bbearer |[\"'`]basic )((?:[A-Za-z0-9+/_.~-]|%[0-9A-F]{2}){20,}={0,2}|[A-Za-z0-9+/]{8,19}={1,2})"
)
_SCHEMES: Final = tuple(b"bearer basic token token= apikey digest negotiate ssws geniekey".split())
_COOKIES: Final = Linear(
    r"(?i)\bcookie2?[\"']?\s?[:,]\s{0,20}(?:[\"']value[\"']\s?:\s?)?[\"']?([^\s=;:,\"']{1,80}=[^\n\"']{8,900})"
)
_COOKIE: Final = Linear(r"([^\s=;]{1,80}=)([^\s=;]{16,600}={0,2})")
_URL: Final = Linear(
    r"(://[^\s:/@\"'<>{}$%]{0,100}:)(?:([^\s/@\"'<>{}$]{3,200})@|([^\s@\"'<>{}$?#]{3,200})@[\w.\[-])"
    r"|://([\w-]{20,200})@[\w.\[-]"
)
"""A password in an address, with a slash in it only before a host; a token for a user."""

_PORT: Final = re.compile(rb"(?:\d{1,5}|port)(?:/|\Z)")
_URL_PLACE: Final = frozenset(
    [b"", *b"password pass pwd passwd secret secure redacted token pw user guest".split()]
)
_DSN: Final = Linear(r"(\b[\w.-]{1,60}:)([^\s:@/\"'`<>{}$]{4,100})@(?:tcp|unix|udp)?\(")
_ACCOUNT: Final = Linear(r"(?m):([^\s:@/\"'`<>{}$]{7,64})(?:[@\"']|$)")
_NO_USER: Final = re.compile(rb"(?i)(?:sha\d{1,3}|md5|\d{4}-\d\d-\d\d)\Z")
_USER: Final = re.compile(rb"(?:^|[\s\"'])(?:- )?[\w.-]{1,60}(?:@[\w-]{1,60}\.[\w.-]{1,60})?\Z")
"""`user:password` where no scheme says what it is, and what stands before it."""

_NAME: Final = Linear(
    r"(?i)[\w.-]*(?:pass|pwd|secret|token|key|cred|auth|pepper|psk|pw|session|cookie|bearer|salt|login|assword|kennwort"
    r"|senha|heslo|haslo|wachtwoord|parola|mdp|app_?id|accounts|sessid|connect\.sid|identified by"
    r"|contrase\xc3\xb1a|l\xc3\xb6senord|has\xc5\x82o|\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c|\xe5\xaf\x86\xe7(?:\xa0\x81|\xa2\xbc)"
    r"|\xe3\x83\x91\xe3\x82\xb9\xe3\x83\xaf\xe3\x83\xbc\xe3\x83\x89|\xeb\xb9\x84\xeb\xb0\x80\xeb\xb2\x88\xed\x98\xb8|\xce\xba\xcf\x89\xce\xb4\xce\xb9\xce\xba\xcf\x8c\xcf\x82|\x6a\x65\x6c\x73\x7a\xc3\xb3|\xc5\x9f\x69\x66\x72\x65|parool|salasana|adgangskode|lozinka|geslo)[\w.-]*"
)
"""A name that may be a secret's; secret_values.py reads it word by word."""

_PARTS: Final = {
    "QUOTED": r"(?:\"([^\"\n]+)\"|'([^'\n]+)'|`([^`\n]+)`|\\\"([^\"\\\n]+)\\\")",
    "BETWEEN": (
        r"(?:\s{0,8}:[ \t]{0,4}(?:&'?)?[\w<>\[\]&'? .]{1,40}|\s{1,4}(?:(?:As|as)\s)?(?:string|String|str)"
        r"|\s?\[\d{0,4}\]|\s?\{\s?get;[^}\n]{0,30}\})?"
    ),
    "EQUALS": r"\s{0,16}(?:=>|:=|\?=|\|\|=?|\?\?=?|===?|!==?|:::?|[:=])\s{0,8}(?:\(\s{0,40})?",
    "BLOCK": r"(?:by\s\w{1,20}\s?|[:=]?=?>?\s?)(?:\([^()\n]{0,40}\)\s?)?(?:=>|->)?\s?\{\s{0,20}(?:return\s)?",
    "WRAP": (
        r"(?:[brufL@$]{1,2}|\"\"|''|<<|&?'?static str|\[\]byte\(|[bB]uffer\.from\("
        r"|(?:Some|Just|Ok|Right|Sensitive|Optional\.of|(?:std::)?(?i:lit|(?:q?(?:latin1)?)str(?:ing)?(?:literal|_?view)?|literal|_?te?xt|_t|plain(?:text)?|secret(?:str(?:ing)?)?)(?:\.from|::new)?"
        r"|(?:\w{1,20}\.)?(?i:md5|sha\d{1,3}|\w{0,8}crypt|hash\w{0,4}|\w{0,9}password(?:_hash)?|encode))\("
        r"|(?:[\w.]{1,40}(?:\.|::))?(?i:get_?env|env(?:iron)?)(?:\.\w{1,40})?(?:[(\[]\s?[\"'][^\"'\n]{1,60}[\"']\s?[)\]]?)?\s?"
        r"(?:\|\||\?\?|\?:|or|,)\s?|\(\s?\"[^\"\n]{1,40}\"\s?,\s?"
        r"|(?:(?:new\s)?[\w.:<>]{1,60}\(\s?){0,3}[\w.:]{0,40}(?:[gG]et_?[bB]ytes|SecretStr|[fF]rom_?[hH]ex|b64decode|unhexlify|atob)\()?"
    ),
    "ARRAY": r"(?:new\s)?[\w.:&!<>\[\]]{0,30}[ (]{0,2}[\[{(]\s*(BYTE(?:\s*,\s*BYTE){7,})\s*,?\s*[\]})]",
    "BYTE": r"(?:0[xX][0-9A-Fa-f]{1,2}|\d{1,3})(?:u8)?",
}
_NOTATIONS: Final = (
    # What decides about a value, and what stands between its name and it: env.SECRET || 'x'
    (values.is_given, r"(?:\\?[\"'`])?[\])]{0,2}\s{0,20}(?:\|\|=?|\?\?=?|\?:|or\s)\s{0,20}QUOTED"),
    # signingKey = []byte("a b c d")
    (
        values.is_worded,
        r"(?:\\?[\"'`])?[\])]{0,2}[\"']?BETWEENEQUALS(?:b|\[\]byte\(|[bB]uffer\.from\()QUOTED",
    ),
    # password: str = "x", 'password' => 'x', ['password'] == "x"
    (values.is_literal, r"(?:\\?[\"'`])?[\])]{0,2}[\"']?BETWEENEQUALSWRAPQUOTED"),
    # token: String by lazy { "x" }, let(:token) { "x" }, () => { return "x" }
    (values.is_literal, r"[\"'`]?[\])]{0,2}BETWEEN\s{0,4}BLOCKQUOTED\s?;?\s{0,20}\}"),
    # {"name": …, "value": …}, <add key=… value=…>
    (values.is_literal, r"[\"']?\s?(?:,\s{0,30}|\s{1,30})[\"']?(?:value|content)[\"']?\s?[:=]\s?QUOTED"),
    # ('API_KEY', 'x')
    (values.is_paired, r"[\"'] {0,4}, {0,20}(?:b|\[\]byte\(|[\"']\\?)?QUOTED(?:\s{0,4}[^\s:=]|\s{0,4}\z)"),
    (values.is_literal, r",\s?(?:<<)?QUOTED(?:>>)?\s?\}"),  # {password, <<"x">>}
    # 05 DB-PASSWD PIC X(08) VALUE 'x', password VARCHAR(20) DEFAULT 'x'
    (
        values.is_literal,
        r"\s{1,20}\w{1,12}(?:\s?\S{1,12})?(?i: not null)?\s{1,8}(?i:value|default)\s{1,4}QUOTED",
    ),
    (values.is_secret, r"\s?[=:]\s?\{\s{0,40}[\w\"']{1,30}\s?[=:]\s?QUOTED"),  # tokens = { agent = "x"
    (values.is_secret, r"\"=hex(?:\(\d\))?:([0-9a-f]{2}(?:,[0-9a-f]{2}){7,300})"),
    # get("#password").type("x"), expect "assword:" send "x\r"
    (
        values.is_literal,
        r"[\"'`\])]{1,4}\s{0,20}\.(?:perform\(\s{0,20})?(?i:(?:type|enter|replace)_?text|type|send_?keys|fill|set_?value)\(\s?QUOTED",
    ),
    (values.is_literal, r"[:;\"'* ]{0,6}\s{1,40}(?:\{\s{0,20})?send\s(?:--\s)?QUOTED"),
    (values.is_set, r"\s?\(\s?WRAPQUOTED\s?\)"),  # setPassword("x")
    (values.is_passed, r"\s?[({]\s?WRAPQUOTED"),  # token{"x"}
    (values.is_given, r"[ \t]{1,8}QUOTED[ \t]{0,4}(?:\r?\n|\z)"),  # password "a b c"
    (values.is_shouted, r"\s{1,8}(?:is|was):? `([^`\n]+)`"),  # the password is `x!`
    (values.is_quoted, r"\s{1,8}(?:to )?`([^`\n]+)`"),  # the password `x`
    # ENV SECRET_KEY "x", IDENTIFIED BY 'x', --token "x", the password is `x`
    (values.is_literal, r"\s{1,8}(?:is |was |to )?QUOTED"),
    # Postman's "apikey": [{"key": "value", "value": …}]
    (values.is_secret, r"\"\s?:\s?\[[^\]]{0,300}?\"key\"\s?:\s?\"value\",\s{1,30}\"value\"\s?:\s?QUOTED"),
    # variable "x" { default = … }, "x": {"type": "string", "defaultValue": …}
    (
        values.is_literal,
        r"[\"']?\s?:?\s?\{[^{}]{0,200}?\b(?:default(?:Value)?|value)[\"']?\s{0,8}[:=]\s?QUOTED",
    ),
    (values.is_secret, r"\s?[:=][ \t]{0,8}((?:[a-z]{4} ){3}[a-z]{4})[ \t]*(?:\r?\n|\z)"),
    # password: |, password db 'x', <password><![CDATA[x]]>
    (values.is_literal, r":\s?[|>][+-]?[ \t]?\r?\n\s{1,40}([^\s]{4,200})[ \t\r]{0,8}(?:\n|\z)"),
    (values.is_literal, r":?\s{1,8}(?i:db|\.?asciz|\.string|dc\.b)\s{1,8}QUOTED"),
    (values.is_literal, r">\s{0,40}<!\[CDATA\[([^\]<>\n]+)\]\]>"),
    # <password>x, <data name="password"><value>x, property lists
    (values.is_literal, r">\s{0,40}(?:<[vV]alue>\s{0,20})?([^<>\s]+)\s{0,4}</"),
    (values.is_secret, r"[\"']?(?:\s[^<>\n]{0,60})?>\s{0,40}(?:<\w{1,20}>\s{0,20})?([^<>\s]+)\s{0,4}</"),
    (values.is_literal, r"</key>\s{0,20}<string>([^<>\n]+)</string>"),
    (values.is_secret, r"=\{([^{};\n\"']{0,60};[^{}\n\"']{0,60})\}"),  # Password={a;b};
    # add_argument("--password", default="x"), $password = q{x}, password = [[x]]
    (values.is_literal, r"[\"'],\s?[^()\n]{0,120}?\bdefault\s?=\s?QUOTED"),
    (values.is_secret, r"\s{0,4}=>?\s?(?:q{1,2}[{(\[|/]|\[\[)([^{}()\[\]\s]{5,200})[})\]|/]"),
    # KEY: [u8; 16] = [0x90, 0xcb, …], key: [144, 203, …]
    (values.is_byte_string, r"[\"']?(?:\s?\[\w{0,20}\]|\s?:\s?&?[^=\n]{1,40})?\s{0,4}(?::?=|:)\s{0,8}ARRAY"),
)


def _written(pattern: str) -> Linear:
    for part, meaning in _PARTS.items():
        pattern = pattern.replace(part, meaning)
    return Linear(pattern)


_FOLLOWS: Final = tuple(
    ("QUOTED" in pattern or "`(" in pattern, judge, _written(pattern)) for judge, pattern in _NOTATIONS
)


def _any_of(patterns: Iterable[Linear]) -> Linear:
    """Return what tells whether one of many fits, which most often none does, at the price of one."""
    return Linear("|".join(f"(?:{one.pattern})" for one in patterns), never_captures=True)


_ANY_FOLLOWS: Final = _any_of(follows for _, _, follows in _FOLLOWS)

_NEAR: Final = Linear(
    r"(?:[^\n\"'`;{}]{1,80}|[\w\]:?)*]{0,10}[\"'`](?:[\])]{1,3}[\"'`])?[^\"'`;{}]{1,40})[\"'`]([^\s\"'`]{7,600})[\"'`\\]"
)
"""The next quoted text after a name, whatever is between."""

_COPULAS: Final = frozenset(
    "is are was = : - lautet ist est es e är er on to with still now again plaintext 0 5 7 8".encode().split()
)
"""Words after which what is announced stands, in some languages."""

_LEADS_ON: Final = frozenset("to on with 0 5 7 8".split())
"""Those of them after which a plain word is most often none."""

_NOT_SECRET_BEFORE: Final = re.compile(rb"</\Z|(?i:\.svg\?|\bpublic )\Z|\?\s[\"']\Z")
"""Before a name: the end of an element, a picture's address (a badge's), half of a key, a choice."""

_SIGNING: Final = re.compile(rb"(?i)\b(?:gpg:?|(?:open)?pgp|using (?:rsa|dsa|eddsa|ecdsa)) \Z")
"""Before `key`: of those that sign, as GnuPG's messages name them."""

_URN: Final = re.compile(rb"\b[au]rn:[^\s]{0,100}\Z")
_SPACE: Final = re.compile(rb"[ \t:=>|*`(]{1,6}")
_TOKEN: Final = re.compile(rb"[^\s\"'`<>]{1,128}")
MAX_WORDS: Final = 7

_MORE: Final = Linear(
    r"[\"'`]\s{0,8}(?:(?:[+.&]|\.\.|<>)\s{0,4}\\?\s{0,60}[bruf]?|\\?\r?\n\s{1,60}[bruf]?)"
    r"(?:\"([^\"\n]+)\"|'([^'\n]+)')(?:\s{0,20}[^\s:=]|\s{0,20}\z)"
)
"""The next piece of a text that is put together, from the quote on that ends the last."""

_NOTHING: Final = Linear(r"[^\s\"'`\\\])>:=|?{(\[<,\xef]|,\s?[^\s\"'`<]|[)\]](?:[^\s\"'`:=|?)]|\)[^.]|\z)|\z")
"""After a name that is given nothing: what most names are told by at once."""

_SENTENCE: Final = Linear(r":[ \t]{1,4}([A-Za-z][^\s\"'#:{]* [^\r\n\"'#:{]*[^\s\"'#:{])[ \t]*(?:\r?\n|\z)")
"""All of a line, where a passphrase needs no quotes."""

_TITLE: Final = re.compile(rb"[\"'](?:[^\s\"'=:]{1,40} ){2,20}\Z")
_TITLE_END: Final = re.compile(rb"[.?!:]{0,2}[\"']")
_ASIDE: Final = Linear(r"\s+(?:to )?[\"'`]")
_LOGIN: Final = r"(?:user(?:[ _]?name|[ _]?id)?|uid|login|e?mail)"
_BESIDE: Final = re.compile(
    (
        rf"(?i){_LOGIN}(?:[\"']?\s?(?:=>|:=|[:=])\s?[\"']?([^\s\"',;&<>]{{1,60}})[\"']?[,;& \t]{{1,8}}"
        rf"|>([^\s<>]{{1,60}})</\w{{1,20}}>\s{{0,20}}<)[\"':]{{0,2}}\Z|[\"']{_LOGIN}[\"'],\s?[\"']([^\"']{{1,60}})[\"'],\s?[\"']\Z"
        rf"|{_LOGIN}:? [*\"'`]{{1,3}}([^\s*\"'`]{{1,60}})[*\"'`]{{1,3}}(?:,| and| /| with)[\w ]{{0,20}} \Z"
        rf"|\bwith(?: the)?(?: [a-z]{{2,12}})? \Z|{_LOGIN}\([\"']([^\"']{{1,60}})[\"']\)\s{{0,20}}\.?\Z"
    ).encode()
)
"""An account, right before its password."""

_NEXT_WORD: Final = Linear(r"[ \t]+(\w+)")
_LEADING: Final = frozenset(
    b"db pic char varchar nvarchar text string str as by is was to or value content default".split()
)
"""Words that may stand between a name and what it is given."""

_REST: Final = re.compile(rb";?[ \t]*(?:#[^\n]{0,200})?\r?(?:\n|\Z)")
_SETS_APART: Final = re.compile(rb"[\s&;\"'`\\]|\Z")
_ENDS: Final = re.compile(rb"[\"'`]|[*.,;!)]{1,3}(?:\s|\Z)|[ \t]*\r?(?:\n|\Z)")
"""What is after a word that is all a name is given: in a line, among others of its kind, in a sentence."""

_PUTS: Final = re.compile(
    rb"(?i)\b(?:define|put(?:_?env)?|append|option|fill|set(?:_?(?:property|env|param\w{0,7}|value|item|option|config|header"
    rb"|field|secret|string))?|flag\.string)\(\s{0,4}[\"']#?\Z"
    rb"|<(?:entry|property|setting|param)\s{1,4}(?:key|name)=[\"']\Z"
)
"""Before a name in quotes: what gives it a value."""

_SET: Final = (
    # The same without quotes: settings, shells, notes. What ends a value there is a space or a separator.
    Linear(
        r"[\"']?\s?(?:=>|:[=-]|\?=|::[ \t]|[:=]|\xef\xbc\x9a)[ \t]{0,8}"
        r"((?:[^\s\"'`<>&;,]|&(?:amp|lt|gt|#\d{1,4});\w)+)"
    ),
    Linear(r"[ \t]{1,8}=?[ \t]{0,8}((?:[^\s\"'`<>&;,]|&[^\s\"'`<>&;,])+)"),
    Linear(
        r":?\s?\n(?:\s{1,40}\w{1,20}:[^\n]{0,80}\n){0,3}?\s{1,40}(?:value|[dD]efault):[ \t]{1,4}"
        r"[\"']?([^\s\"'`]+)"
    ),
)
_BEGINS: Final = tuple(
    frozenset(bytes((byte,)) for byte in some) for some in (b"\"' \t\n=:?\xef", b" \t", b" \t\r\n:")
)
_ARG: Final = r"(?:\"([^\"\n]{3,200})\"|'([^'\n]{3,200})'|([^\s\"'`|;&<>)-](?:&?[^\s\"'`|;&<>)]){2,199}))"
_AFTER_USER: Final = r"([^\s\"'`|;&]{3,200})"


def _is_literal(value: str) -> bool:
    return values.is_literal("password", value) or values.is_argument(value)


def _is_noted(name: str, value: str) -> bool:
    return values.is_announced(name, value, is_sure=True)


def _is_shared(value: str) -> bool:
    """Tell the password of `admin / x` in notes."""
    is_long = len(value) >= MIN_SHARED and re.search(r"\d", value) is not None
    return _is_noted("password", value) or (is_long and values.is_argument(value))


MIN_SHARED: Final = 8


# What decides about the value, and commands up to it; "~": any of its options.
_COMMANDS: Final = (
    (
        values.is_argument,
        r"""
        \b(?:mysql|mariadb)\w{0,12}\b~\s-p ARG
        \b(?:unzip|zip|7z|oc|docker|podman|helm|oras|az)\b~\s(?:-p|-P) ?ARG
        \b(?:svn|useradd|usermod)\b~\s(?:-p|-P) ?ARG
        \becho\s~ARG\s*\|\s*(?:gpg|su)\b
        \s(?:-u|--user)[ =][\"']?[\w.@+-]{1,80}:AFTER
        \s(?:-[uU]|--user\w{0,5})[ =]~\s(?:-p|-P|-w|-pw) ?ARG
        """,
    ),
    (
        _is_literal,
        r"""
        (?:\bload|\bstore|\binit|get(?:Key|Entry)|Key(?:Entry|Spec)|Password\w{0,20})\(~\"([^\"\n]{3,99})\"\.toCharArray
        \b(?:mysql|mariadb)\w{0,12}\b~\s-pARG
        \b(?:7z\w?|rar)\b~\s-pARG
        \b(?:plink|pscp|psftp)\b~\s-pw ARG
        \b(?:sshpass|ipmitool|(?:docker|podman|helm|oras|oc|az)\s(?:registry )?login|twine)\b~\s(?:-p|-P) ?ARG
        \b(?:mongo\w{0,8}|sqlcmd|osql|bcp|zip|unzip)\b~\s-P ?ARG
        \bmongo\w{0,8}\b~\s-p ?ARG
        \b[nN][eE][tT]\s+[uU][sS][eE]\s~\\\\[\w.$\\-]{1,80}\s+ARG\s+/
        \b(?i:sp_\w{0,20}login|sp_password)\b~,\s?N?'([^'\n]{3,100})'\s*(?:;|\r|$)
        \b(?:curl|wget|https?|lftp|open)\s~-(?:[uaU]|-(?:proxy-)?user|-auth) ?=?[\"']?[\w.@+-]{1,80}[:,]AFTER
        \bvault\s+login(?:\s+-[^\s]{1,40}){0,6}\s+[\"']?([\w.][\w.-]{3,199})(?:[\s\"'`;|&)]|$)
        \b(?:redis-cli|iredis)\b~\s-a ARG
        \b(?:nmcli|iwctl|netsh)\b~\s(?:password|passphrase|psk)\s+ARG
        \bwpa_passphrase\s+\S{1,60}\s+ARG
        \b(?:poll|machine)\s~\spass(?:word)?\s+ARG
        \bcreateUser\s+\S{1,60}\s+(?:MD5|SHA[\d-]*)\s+ARG
        \becho\s~ARG\s*\|\s*(?:sudo\s+-\w*S|docker\s+login|(?:smb)?passwd|kinit|cryptsetup)\b
        \b(?:sudo\s+-\w*S|\w{0,5}passwd|kinit|gpg|su|cryptsetup)\b~<<<\s?ARG
        \b(?:echo|printf)\s~[\w.-]{1,60}:AFTER[\"']?\s*\|\s*(?:sudo\s+)?chpasswd
        \bopenssl\b~\s-(?:k|K) ARG
        \s(?:--?|/)(?:passin|passout|pass|storepass|keypass)[ :=](?:pass:)?AFTER
        \bhtpasswd(?:\s+-\w+){0,3}\s+-\w*b\w*(?:\s+-\w+){0,3}\s+[^\s-]\S*\s+\S+\s+ARG
        \bsnmp\w{0,12}\b~\s-A ARG
        \bsnmp\w{0,12}\b~\s-(?:X|c) ?ARG
        \bldap\w{0,12}\b~\s-w ARG
        \b(?:smbclient|rpcclient|net)\b~\s-U ?[\"']?[\w.\\/-]{1,80}%AFTER
        \b[nN][eE][tT]\s+(?:user|User)\s+\S{1,80}\s+ARG\s*/
        \b[cC]onvert[tT]o-[sS]ecure[sS]tring\s(?:~\s)??ARG
        \bstats\s+auth\s+[^\s:]{1,60}:AFTER
        \b(?:thin|CONNECT)\b~[ :]\w{1,30}/([^\s:@/\"'`<>{}$]{3,64})@
        \b(?:sqlplus|rman|expdp|impdp)\b~[ :=]\w{1,30}/([^\s:@/\"'`<>{}$]{3,64})(?:@|\s|$)
        \b(?i:connect\s+to)\s~\b(?i:user)\s+\S{1,40}\s+(?i:using)\s+ARG
        \.(?i:logon)\s+[\w./-]{1,60}/\w{1,30},ARG
        \s/[rR]?[uU][: ]~\s/[rR]?[pP][: ]ARG
        \b(?i:signtool|certutil|pvk2pfx)\b~\s[/-]p[io]? ARG
        \+login\s+\S{1,60}\s+ARG
        \bHMAC_?(?:SHA)?_?(?:256|384|512)\(\s?[\"']([^\"'\n]{3,99})[\"']
        \s/(?:u|U|user):\S{1,80}\s+ARG
        \b(?:snmp(?:-server)?\s+community|r[ow]community6?)\s+ARG
        \b(?:password|secret|key|community)\s[0578]\s+ARG
        \b(?:isakmp|(?:tacacs|radius)-server)\b~\skey\s+(?:\d\s+)?ARG
        \brootpw\s+(?:--\w+\s+)?([^\s]{3,200})
        \brabbitmqctl\s+(?:add_user|change_password)\s+\S{1,60}\s+ARG
        \bd-i\s+\S{1,60}\s+password\s+ARG
        \b(?:psexec|ncftp\w{0,3}|cqlsh|mosquitto_\w{3})\b~\s-(?:p|P) ?ARG
        \b(?:authentication-key|(?:ascii|hex)\s\d)\s+ARG
        \b[uU]n[pP]rotect\s?\(?\"([^\"\n]{3,60})\"
        (?i:\bnickserv\s+identify)\s+ARG
        \b(?i:create|alter|grant)\s~\b(?i:identified\s+by|password)\s*=?\s*'([^'\n]{3,200})'
        \{(?i:plain|cleartext|noop)\}([\w.-]{3,100})
        \bon\s+>ARG
        \bNEO4J_AUTH[:=]\s?\w{1,40}/ARG
        \b(?i:login|creds?|credentials)(?:\s?[:=]|\sis)\s?[`'\"*]{0,2}[\w.@-]{1,40}[`'\"*]{0,2}(?:\s?/\s?|:)`?ARG
        """,
    ),
    (values.is_striking, r"\b(?:add_?user|user_?add|create_?user|change_?password)\s+\S{1,60}\s+ARG"),
    (_is_shared, r"(?:^|[\s:(])(?:[aA]dmin(?:istrator)?|root)\s/\sARG"),
    (lambda value: _is_noted("password", value), r"(?:^|[\s:(])(?:[aA]dmin(?:istrator)?|root):ARG"),
    (lambda value: values.is_argument(value) and "auth" not in value.lower(), r"\s--auth[ =]ARG"),
    (values.is_token, "\\s-[tkaTK]\\s+ARG\n\\s(?:auth|login|authtoken|setapikey)\\s+ARG"),
)
_READ: Final = tuple(
    (
        judge,
        Linear(
            row.strip().replace("AFTER", _AFTER_USER).replace("ARG", _ARG).replace("~", r"[^\n|;&]{0,200}?")
        ),
    )
    for judge, rows in _COMMANDS
    for row in rows.strip().splitlines()
)
_ANY_READ: Final = _any_of(command for _, command in _READ)
_HEAD: Final = _any_of(
    Linear(re.split(r"(?:\(\?:)?~|ARG|AFTER|=\(|\\S|\(\[", row.strip())[-1 if "echo" in row else 0])
    for _, rows in _COMMANDS
    for row in rows.strip().splitlines()
)
"""What a line has that is read for commands: their beginnings, and what `echo` is piped into."""

_CALL: Final = Linear(
    r"(?i)(?:(getconnection|dbi->connect|\bpdo|mysqli|mysqli?_p?connect|(?:pymysql|mysqldb|psycopg2?|pymssql|mariadb)\.connect)"
    r"|(login|log_?on|auth\(\)(?:\.preemptive\(\))?\.basic|auth|authenticat(?:e|ion)|\w{0,60}_with_pass(?:word|phrase)?|auth_?password|passwordtoken|credentials?(?:provider)?|createconnection|epgsql:connect|(?:wi_?fi|wlan|sta(?:tion|_if)?|nic|radio)\.(?:begin|connect|softap)|pw_set"
    r"|(?:crypto\.)?create_?hmac|hash_hmac|pgp_sym_\w{2}crypt|ftp(?:\.open)?|smtp|imap|(?:jwt|jsonwebtoken|jws|jose)\.(?:sign|verify|encode|decode))"
    r"|(bind|connect|open|dial|session|transport|database|unlock|unprotect|encrypt|decrypt|aes|ssh|ldap)"
    r"|(client|provider|fernet|twilio|pusher|algolia(?:search)?|oauth2?|strategy|signer|hmac|cipher|crypt(?:o|er|or)?|sdk|api"
    r"|gateway|wallet|[th]?otp|account|bot|run|key(?:pair|spec)|init(?:ialize)?|configure|setup|forroot|cookieparser))"
    r"(?:(?:::|\.|->|_)(?:new|of|create|s3|db)\w{0,12})?(?:\s?=?\s?\(|\s:\w{1,40},|[ \t][\"'])"
)
"""What is given an account's secrets without a name: connections (the password is the third), logins (not the
first), what may be one, and what is made of keys."""

_LITERAL: Final = re.compile(
    rb"\"([^\"\n]{0,300})\"|'([^'\n]{0,300})'|`([^`\n]{0,300})`|[][(){},]|=>|\bfunction\b"
)
_PASSED: Final = re.compile(rb"[(,\[][\s@$bru\\]{0,20}\Z")
"""What stands before a literal that is an argument itself, rather than a part of one."""

_TAKES_TWO: Final = re.compile(
    rb"(?i)(?:log_?[io]n|auth|\)\.basic|credentials?|create_?hmac|sign|verify|encode|decode|(?:fi|lan|sta|station|sta_if|nic|radio)\.(?:begin|connect|softap)|pw_set)\W{1,4}\Z"
)
_CLOSES: Final = re.compile(rb"\s{0,20}[,)]|[ \t]*\r?(?:\n|\Z)")
"""What is given an account or a text, and then its password, a word as well."""

MAX_CALL: Final = 400
MAX_DEPTH: Final = 6
MAX_PARTS: Final = 40
_LOOSE: Final = Linear(
    r"[\"'`](?:-p)?([A-Za-z0-9+/_-]{20,128}={0,2}|[A-Za-z0-9][\w.-]{1,40}[!&^%][\w!&^%.-]{0,40})[\"'`]"
    r"|(?:^|[\s(:/])([A-Z][\w.-]{1,40}![A-Za-z0-9][\w!.-]{0,40})(?:[\s)]|$)"
)
_SEED: Final = Linear(
    r"(?m)(?:^|[\"'`:=>])[ \t]{0,8}((?:[a-z]{3,8} ){11,24}[a-z]{3,8})[ \t\r]{0,2}(?:[\"'`<;,.]|$)"
)

_INSERT: Final = Linear(
    r"(?i)\b(?:insert|replace)\s+(?:ignore\s+)?into\s+[^\s(]{1,100}\s*\(([^()]{1,900})\)\s*values\s*"
)
_CELL: Final = Linear(
    r"(?:\s*,?\s*\()?\s*(?:[NEB]?'((?:[^'\\]|\\.|'')*)'|[^',()\s]+(?:\([^()']*\))?|)\s*(,|\))"
)
"""One value of a row, and what ends it."""

_COLUMN: Final = Linear(
    r"(?im)(?:^|([|,;\t]))[\"` *]{0,3}[\w .-]{0,30}(?:pass\w{0,8}|pwd|pw|secret|token|key|kennwort)"
    r"[\"` *]{0,40}(?:([|,;\t])|\r?$)"
)
"""The head of a column whose cells are secrets."""

_ACCOUNTS: Final = re.compile(rb"(?i)user|login|mail|account|name")
"""The head of one beside it that has their owners: what else is said of a password, it isn't said there."""

_HEADING: Final = Linear(r"(?i)\b(?:recovery|backup|scratch)[ _-]codes?\b[^\n]{0,200}\r?\n")
_LINE: Final = Linear(r"([^\n]{0,200})(?:\n|\z)")
_CODES: Final = Linear(
    r"[ \t>#*\d.)\[\]-]{0,12}?\b"
    r"([a-zA-Z0-9]{4,10}(?:[ -][a-zA-Z0-9]{4,10}){1,7}|[a-zA-Z0-9]{8,16})[ \t\r*]*\z"
)
MAX_MANIFEST: Final = 2_000
_SECRET_KIND: Final = Linear(r"(?m)^kind: Secret\b")
_SECRET_DATA: Final = Linear(r"(?m)^(?:data|stringData):[ \t]*\n((?:[ \t]+[^\n]*\n?){1,200})")
_ENTRY: Final = Linear(r"(?m)^[ \t]+[\w.-]+:[ \t]+[\"']?([^\s\"'|>]{4,600})[\"']?[ \t\r]*$")
MAX_CODES: Final = 24
"""Lines that are read below a heading."""

_PROGRAMS: Final = re.compile(
    r"(?i)\.(?:pyi?|ps[dm]?1|go|[mc]?[jt]s|[jt]sx|java|kts?|cs|rs|rb|php|[chm]|cc|[ch]pp|swift|dart|scala|exs?|erl|lua|pl|r|jl|tf|hcl|nix|gql|graphql|proto"
    r"|vb|fs|hs|elm|clj|vue|svelte|zig|groovy|gradle)\Z"
)
_PROSE: Final = re.compile(
    r"(?i)\.(?:mdx?|markdown|rst|a?doc|adoc|txt|html?|org|tex|log|eml|(?:ba|z|fi)?sh|bat|cmd|sql|s?css|csv|tsv)\Z"
    r"|(?<!docker)(?<!container)file\Z"
)
"""Sentences and commands, where a word after a name is most often the next of them."""
_LOCK: Final = re.compile(r"[./-]lock(?:\.(?:json|ya?ml|hcl|toml))?\Z|\.sum\Z")
"""What package managers write: names with checksums."""

_BEFORE_SPACE: Final = re.compile(
    rb"(?i)(?:^|[\s\"'])(?:--?[\w-]{1,60}|requirepass|masterauth|identified by|set [\w.]{1,60})\Z"
    rb"|^\s*[\w.-]{1,80}\Z"
    rb"|^\s*(?:env|arg|export|password|username|enable|neighbor|user\s\S{1,40}|login\s\S{1,60}\spassword|machine\s[^\n]{0,120}password)\b[^\n]{0,80}\Z"
)
"""What a line has up to a name whose value follows after a space alone."""

MADE_CHARS: Final = 24
MAX_INNER: Final = 4
"""Names that are looked at inside one value."""

_QUOTED: Final = re.compile(r"""(["'`])[^"'`\n]{3,600}\1""")


def is_secret_path(path: str) -> bool:
    """Tell a file whose very name says that it holds secrets; `path` is relative, with slashes."""
    *folders, name = path.rstrip("/").split("/")  # pathlib would be a third of the price of finding files
    if not SECRET_FOLDERS.isdisjoint(folders):
        return True
    name = name.lower()
    return bool(_SECRET_NAME.match(name)) and not _NO_SECRET_NAME.match(name)


def redact(text: str, path: str = "") -> tuple[str, int]:
    """Return the text with each secret as `<redacted:kind>`, and how many there were; lines stay in place.

    `path`: whose text it is, where that is known.
    """
    whole = data = text.encode("utf-8", "surrogatepass")
    if b"-----BEGIN" in data:
        data = _without(data, list(_in_pem(data)), b"<redacted:pem>")
    if (b"PRIVATE KEY" in data and b"-----END" in data) or b"Private-Lines" in data:
        data = _PEM_REST.sub(_shaped("pem"), data)
    # Most of a text is in words too short for any key: a hundred searches cost a quarter in what is left.
    long = b" ".join([word for word in data.split() if len(word) >= values.SHORTEST])
    found = {word.group() for word in _SHAPE_WORDS.finditer(long)} if long else set()
    for name, words, shape in _SHAPED if long else ():
        if not found.isdisjoint(words) if words else shape.search(long):
            data = shape.sub(_shaped(name), data)
    lower = data.lower()
    for marks, place, put in _PLACES:
        if any(mark in lower for mark in marks):
            data = place.sub(put, data)
    origin = Origin.of(path)
    finders = (_named, _in_commands, _in_rows, _in_tables, _in_lists, _in_manifests)
    for find in finders if not _LOCK.search(path) else ():
        data = _without(data, list(find(data, origin)))
    if data == whole:
        return text, 0
    return data.decode("utf-8", "surrogatepass"), max(1, data.count(_SIGN) - whole.count(_SIGN))


_SIGN: Final = b"<redacted:"


def masked(text: str) -> str:
    """Return words that hold a secret, without it: where no shape tells which, no quoted text is shown."""
    clean, count = redact(text)
    return clean if count else _QUOTED.sub(r"\1<redacted:value>\1", text)


Span = tuple[int, int]


class Origin(NamedTuple):
    """What a text is from."""

    is_program: bool | None
    """None: from who knows where."""
    is_settings: bool
    """A line of nothing but a name and a word is a setting there: not prose, nor a command."""
    has_labels: bool

    @staticmethod
    def of(path: str) -> Origin:
        is_program = _PROGRAMS.search(path[-12:]) is not None if path else None
        is_settings = path != "" and not (is_program or _PROSE.search(path[-12:]))
        return Origin(is_program, is_settings, values.has_labels(path))


def _without(data: bytes, spans: list[Span], sign: bytes = b"<redacted:value>") -> bytes:
    parts, done = [], 0
    for start, end in spans:
        parts += [data[done:start], sign, b"\n" * data.count(b"\n", start, end)]
        done = end
        while done < len(data) and data[done] & 0xC0 == 0x80:  # a bounded pattern may end amid a character
            done += 1
    return b"".join([*parts, data[done:]]) if spans else data


def _in_pem(data: bytes) -> Iterator[Span]:
    """Yield where private keys are, whatever is put before their lines; where one is cut off, its lines."""
    done = 0
    for begin in _PEM.finditer(data):
        if begin.start() < done or b"PUBLIC" in begin[1]:
            continue
        stop = data.find(b"-----", begin.end())
        last = _PEM_END.match(data, stop) if stop >= 0 else None
        stop = stop if stop >= 0 else len(data)
        at = _pem_body(data, begin.end(), stop, has_hex=last is not None or b"tatic" in begin[1])
        if at is None:
            continue
        lines, others, gap, end = 0, 0, 0, at
        while at < stop and (last or gap <= PEM_GAP):
            line, at = at, min(stop, _line_end(data, at) + 1)
            if any(values.is_encoded(run) or values.is_random(run) for run in _runs(data, line, at)):
                lines += 1
                if gap <= PEM_GAP:
                    gap, end = 0, at
            else:
                others, gap = others + 1, gap + 1
        if last and others <= PEM_AMID + 2 * lines:
            end = last.end()
        elif rest := _PEM_LAST.match(data, end, stop):
            end = rest.end()
        done = end - (data[end - 1 : end] == b"\n")
        yield begin.start(), done


def _pem_body(data: bytes, start: int, stop: int, *, has_hex: bool) -> int | None:
    """Return where a key begins after its marker, which programs and prose have as well."""
    beside = _PEM_BESIDE.match(data, start, stop)
    if beside and (
        beside.lastindex == 1 or values.is_encoded(_text(beside[2])) or values.is_random(_text(beside[2]))
    ):
        return beside.start(beside.lastindex)
    for line in _PEM_LINE.finditer(data[start : min(stop, start + PEM_BEFORE)]):
        run = _text(line.group())
        is_hex = has_hex and run.islower() and values.is_random(run)
        if len(run) >= MADE_CHARS and (is_hex or values.is_encoded(run)):
            return start + line.start()
    return None


def _runs(data: bytes, start: int, end: int) -> Iterator[str]:
    return (_text(run.group()) for run in _PEM_LINE.finditer(data[start:end]))


def _shaped(name: str) -> Callable[[Match], bytes]:
    # A key over several lines leaves as many line ends behind.
    def shaped(match: Match) -> bytes:
        whole = match.group()
        if name != "pem" and values.is_shown(_text(whole)):
            return whole
        return f"<redacted:{name}>".encode() + b"\n" * whole.count(b"\n")

    return shaped


def _header(match: Match) -> bytes:
    """After a scheme all is a credential; without one `request.headers.get` stands there as well."""
    value = _text(match[2])
    has_scheme = match[1].lower().rstrip().endswith(_SCHEMES)
    is_field = value[:-1].isalpha() and value.islower() and value[-1] == "="  # Digest username="bob"
    is_one = values.is_random(value) or (has_scheme and not values.is_shown(value) and not is_field)
    return match[1] + b"<redacted:header>" if is_one else match.group()


def _second(kind: str, judge: Callable[[str], bool]) -> Callable[[Match], bytes]:
    """Take out the second group of a match if it is a secret."""

    def second(match: Match) -> bytes:
        is_one = judge(_text(match[2][: values.MAX_VALUE]))
        rest = match.group()[match.end(2) - match.start() :]
        return match[1] + f"<redacted:{kind}>".encode() + rest if is_one else match.group()

    return second


_FTP: Final = Linear(
    r"(?m)^((?:open )?[\w-]{1,40}(?:\.[\w-]{1,40}){1,5}(?: \d{1,5})?[ \t\r]{0,9}\n"
    r"[\w.@-]{1,40}[ \t\r]{0,9}\n)"
    r"([^\s]{3,60})[ \t\r]{0,9}\n(?:(?i:ascii|bin|binary|l?cd|m?put|m?get|prompt|quit|bye)\b)"
)
"""What a client is fed: a host, a user, a password, and what to do then."""

_bearer: Final = _second("header", values.is_random)
_line: Final = _second("value", values.is_argument)
_fed: Final = _second("value", _is_literal)


def _cookies(match: Match) -> bytes:
    return match.group().replace(match[1], _COOKIE.sub(_bearer, match[1]), 1)


def _address(match: Match) -> bytes:
    group = match.lastindex
    value = match[group]
    if group == 4 and not values.is_random(_text(value)):
        return match.group()
    place = value.lower().strip(b"[]*.") in _URL_PLACE or not value.strip(b"x")
    if place or (group == 3 and _PORT.match(value)):
        return match.group()
    start, end = (at - match.start() for at in match.span(group))
    whole = match.group()
    return whole[:start] + b"<redacted:url-password>" + whole[end:]


def _dsn(match: Match) -> bytes:
    return match.group().replace(match[2], b"<redacted:url-password>", 1)


_PLACES: Final = (
    # (what a text has, in lower case, that has such places; the place; what replaces it)
    ((b"<rsakeyvalue>",), _XML_KEY, _shaped("xml-key")),
    ((b"://",), _URL, _address),
    ((b"@tcp(", b"@unix(", b"@("), _DSN, _dsn),
    ((b":",), _PGPASS, _line),
    ((b"\nput ", b"\nget ", b"\nmput ", b"\nmget "), _FTP, _fed),
    ((b"authorization",), _HEADERS, _header),
    ((b"bearer ", b"basic "), _BEARER, _bearer),
    ((b"cookie",), _COOKIES, _cookies),
)


def _named(data: bytes, origin: Origin) -> Iterator[Span]:
    """Yield where the values are that are given to names of secrets."""
    done, inner, secret = 0, 0, 0
    for found in _NAME.finditer(data):
        start, end = found.span()
        if end - start > values.MAX_NAME:
            continue
        if start < done:
            # Names within what was a value, too: `url?key=…`. A text that is nothing but names stops here.
            inner += 1
            if inner > MAX_INNER:
                continue
        name = _text(found.group())
        if name.lower().endswith("identified by") or not name.isascii():
            name = "password"
        if name == "key" and _SIGNING.search(data, max(0, start - 20), start):
            name = "gpg-key"
        if values.kind_of(name) is None or _NOT_SECRET_BEFORE.search(data, max(0, start - 9), start):
            continue
        if data[start - 1 : start] == b":" and _URN.search(data, max(0, start - 120), start):
            continue
        spans, is_one = _value(data, (start, end), name, origin)
        if is_one and spans[0][0] >= secret:
            yield from spans
            secret = spans[-1][1]
        if start >= done:
            done, inner = spans[-1][1], 0


def _value(data: bytes, at: Span, name: str, origin: Origin) -> tuple[list[Span], bool]:
    """Return where the value of a name is, piece by piece, and whether it is a secret."""
    start, end = at
    limit, seen = min(len(data), end + values.MAX_VALUE), [(end, end)]
    is_checked = data[start - 2 : start] == b"${" and data[end : end + 2] in {b":?", b":+"}
    if is_checked or _NOTHING.match(data, end, limit):
        return seen, False
    word = None if data[start - 1 : start] == b"<" else _NEXT_WORD.match(data, end, limit)
    if word and word[1] == data[start:end]:
        return seen, False  # "password password": the second may have a value
    can_follow = (word is None or word[1].lower() in _LEADING) and _ANY_FOLLOWS.match(data, end, limit)
    for is_quoted, judge, follows in _FOLLOWS if can_follow else ():
        match = follows.match(data, end, limit)
        if match is None:
            continue
        seen = [match.span(match.lastindex)]
        while is_quoted and (more := _MORE.match(data, seen[-1][1], limit)):
            seen.append(more.span(more.lastindex))
        given = "".join(_text(data[slice(*span)]) for span in seen).strip("\\\"'")
        is_put = judge in {values.is_paired, values.is_secret} and _PUTS.search(
            data, max(0, start - 40), start
        )
        decides = _is_noted if _is_aside(data, at, name) else values.is_literal if is_put else judge
        is_vague = values.is_word(name, given) and _is_vague(data[end : seen[0][0]], name, origin)
        is_one = (decides(name, given) and not is_vague) or _is_beside(data, start, name, given)
        if is_quoted or is_one:
            return seen, is_one
    line = _SENTENCE.match(data, end, limit) if name.isupper() or name.endswith("phrase") else None
    if line and values.is_given(name, _text(line[1])):
        return [line.span(1)], True
    for number, setting in enumerate(_SET):
        match = setting.match(data, end, limit) if data[end : end + 1] in _BEGINS[number] else None
        if match is None or (number == 1 and not _takes_a_space(data, start, end)):
            continue
        before = data[max(0, start - 40) : start]
        if before.rfind(b"{{") > before.rfind(b"}}"):
            break
        value = match[1] if number == 1 else match[1].partition(b")](")[0].rstrip(b").]}").lstrip(b"[")
        first = match.start(1) + match[1].find(value)
        seen = [(first, first + len(value))]
        # Of a text from who knows where, `password = x` with spaces is taken for a program's.
        is_code = data[end : end + 2] == b" =" if origin.is_program is None else origin.is_program
        is_type = is_code or not (name.islower() or name.isupper() or name[:1] == "-")
        is_name = number == 1 and is_type and values.is_name_of_secret(_text(value))  # `Type name`
        is_bare = is_code and name[:1] != "-" and not _is_inside(data, start, end)
        is_one = values.is_secret(name, _text(value), is_bare=is_bare) and not is_name
        if is_one or (not is_bare and _is_beside(data, start, name, _text(value))):
            return seen, True
        if not is_bare and values.is_word(name, _text(value)) and _is_all(data, at, seen[0], name, origin):
            return seen, True
    near = _near(data, at, name, origin)
    return ([near], True) if near else (seen, False)


def _is_vague(sign: bytes, name: str, origin: Origin) -> bool:
    """Tell names after which a word is most often none: a label's, `pass`, `secret "x"`."""
    is_named = values.kind_of(name) == "secret" and not sign.strip(b" \t\"'`")
    is_named = is_named or sign.strip(b" \"'`").endswith(b"to")
    return origin.has_labels or is_named or name.lower().lstrip(".") == "pass"


def _is_all(data: bytes, at: Span, value: Span, name: str, origin: Origin) -> bool:
    """Tell a word that is all a name is given from the first of a sentence, a type and a reference."""
    sign = data[at[1] : value[0]].strip(b"\"'")
    if _is_vague(sign, name, origin) or (values.kind_of(name) == "secret" and b"=" not in sign):
        return False
    is_default = sign in {b":", b":-"} and data[value[1] : value[1] + 1] == b"}"  # ${DB_PASSWORD:-x}
    is_identified = data[max(0, at[1] - 13) : at[1]].lower() == b"identified by" and _REST.match(
        data, value[1]
    )
    is_option = name[:1] == "-" or (sign == b":" and data[at[0] - 1 : at[0]] == b"/")
    if (
        is_default
        or is_identified
        or ((sign == b"=" or is_option) and (origin.is_settings or _SETS_APART.match(data, value[1])))
    ):
        return True
    is_setting = b":" in sign or b"=" in sign or origin.is_settings
    return is_setting and not origin.is_program and _REST.match(data, value[1]) is not None


def _near(data: bytes, at: Span, name: str, origin: Origin) -> Span | None:
    """Return where a secret is that stands in the words or quotes after its name, and looks like one."""
    start, end = at
    match = _NEAR.match(data, end, min(len(data), end + values.MAX_VALUE))
    value = match[1].partition(b"\\")[0] if match else b""
    if match and values.is_near(name, _text(value)):
        return match.start(1), match.start(1) + len(value)
    space = _SPACE.match(data, end)
    if (
        space is None
        or data[space.end() : space.end() + 2] in {b"${", b"{{"}
        or (origin.is_program and not _is_inside(data, start, end))
    ):
        return None
    stop = data.find(b"\n", end, end + 160)
    is_next, before, is_sure = True, name, b":" in space.group()
    for number, word in enumerate(_TOKEN.finditer(data, space.end(), stop if stop >= 0 else end + 160)):
        value = word.group().rstrip(b".,;:!?)|*")
        is_one = values.is_near(name, _text(value)) and (is_next or not values.is_uuid(_text(value)))
        if is_next and not is_one:
            is_said = is_sure and not (origin.is_program or _is_vague(b"", name, origin))
            is_said = is_said and before.lower() not in _LEADS_ON
            is_said = is_said and data[word.start() - 1 : word.start()] in b" \t"
            is_last = is_said and _ENDS.match(data, word.start() + len(value)) is not None
            is_one = values.is_announced(name, _text(value), is_sure=is_sure) or (
                is_last and values.is_told(name, _text(value))
            )
        if is_one and not values.is_key_id(before, _text(value)):  # apt-key adv --recv-keys 4EF576EF…
            return word.start(), word.start() + len(value)
        before = _text(word.group())
        is_next_name = "pass" in before.lower()  # which is read by itself
        if number == MAX_WORDS or word.group()[-1:] in b";.|)" or is_next_name:
            break
        is_sure, is_next = True, word.group().lower() in _COPULAS or word.group().endswith(b":")
    return None


def _is_aside(data: bytes, at: Span, name: str) -> bool:
    """Tell `pass "x" to it` and the last word of a title: all kinds of words follow."""
    start, end = at
    is_title = _TITLE.search(data, max(0, start - 120), start) and _TITLE_END.match(data, end)
    return bool(is_title or (name.lower().lstrip(".") == "pass" and _ASIDE.match(data, end)))


def _is_beside(data: bytes, start: int, name: str, value: str) -> bool:
    """Tell a word that is a password from all else that its name is given: it is beside an account."""
    can_be = values.kind_of(name) in {"password", "secret"} and values.is_literal("password", value)
    user = _BESIDE.search(data, max(0, start - 120), start) if can_be else None
    return user is not None and value.encode() not in user.groups()


def _takes_a_space(data: bytes, start: int, end: int) -> bool:
    line = data.rfind(b"\n", max(0, start - 200), start) + 1 or max(0, start - 200)
    return _BEFORE_SPACE.search(data[line:end]) is not None


def _is_inside(data: bytes, start: int, end: int) -> bool:
    """Tell a name in an address, a form or a string, where values have no quotes around them."""
    if data[start - 1 : start] in {b"?", b"&", b";", b"-"}:
        return True
    if data[end : end + 1] in {b'"', b"'"}:  # {"password": x}
        return False
    line = data[max(0, start - 200) : start].rpartition(b"\n")[2]
    return any(line.count(quote) % 2 for quote in (b'"', b"'", b"`"))


def _line_end(data: bytes, start: int) -> int:
    end = data.find(b"\n", start)
    return len(data) if end < 0 else end


def _in_commands(data: bytes, _origin: Origin) -> Iterator[Span]:
    """Yield where passwords are that commands and calls take without a name, in order."""
    spans, done = list[Span](), 0
    for head in _HEAD.finditer(data):
        if head.start() >= done:
            start = data.rfind(b"\n", 0, head.start()) + 1
            done = _line_end(data, head.end())
            spans += _in_command(data[start:done], start)
    for call in _CALL.finditer(data):
        spans += _in_call(data, call)
    for account in _ACCOUNT.finditer(data):
        value, before = _text(account[1]), data[max(0, account.start() - 150) : account.start()]
        user = None if _NO_USER.search(before) else _USER.search(before)
        is_entry = user and (b"@" in user.group() or b"passwd" in before)
        if user and (values.is_striking(value) or (is_entry and values.is_random(value))):
            spans.append(account.span(1))
    for loose in _LOOSE.finditer(data):
        before = data[max(0, loose.start() - 80) : loose.start()].rpartition(b"\n")[2]
        if values.is_loose(_text(loose[loose.lastindex]), _text(before)):
            spans.append(loose.span(loose.lastindex))
    spans += [seed.span(1) for seed in _SEED.finditer(data) if values.is_seed(_text(seed[1]).split())]
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            yield start, end
            done = end


def _in_command(line: bytes, offset: int) -> Iterator[Span]:
    for judge, command in _READ if _ANY_READ.search(line) else ():
        for match in command.finditer(line):
            if judge(_text(match[match.lastindex])):
                yield match.start(match.lastindex) + offset, match.end(match.lastindex) + offset


def _in_call(data: bytes, call: Match) -> list[Span]:
    """Return where the secrets are among the literal arguments of a call: the striking ones, if any are."""
    kind = call.lastindex
    start, end = call.end(), min(len(data), call.end() + MAX_CALL)
    if call.group()[-1:] in {b'"', b"'"}:  # without parentheses, as in Ruby and Basic
        start, end = start - 1, min(end, _line_end(data, start))
    depth, commas, has_account = 1, int(call.group()[-1:] == b","), False
    found, skipped = list[Span](), MAX_DEPTH + 1
    for part in islice(_LITERAL.finditer(data, start, end), MAX_PARTS):
        sign = part.group()
        commas += sign == b"," and depth == 1
        depth += (sign in b"({[") - (sign in b")}]")
        if depth < 1:
            break
        if depth < skipped or (sign == b"," and depth == skipped):
            skipped = MAX_DEPTH + 1
        if sign in {b"=>", b"function"}:
            skipped = min(skipped, depth)  # what a callback does, a call is not given
        if depth >= skipped:
            continue
        is_passed_on = _PASSED.search(data, part.start() - 20, part.start())
        if sign in b"][(){}," or not (is_passed_on or part.start() == start):
            continue
        literal = sign[1:-1].rstrip(b"\\")
        value = _text(literal)
        # MQTT's: a client, a user, a password.
        is_third = commas == 2 and call[kind].lower() == b"connect"
        is_open = kind == 3 and not (has_account or is_third)
        has_account = has_account or values.is_account(value)
        is_sure = kind == 1 and commas == 2
        is_one = (
            kind < 4
            and (commas or is_open)
            and values.is_password_of(value, is_sure=is_sure, is_open=is_open)
        )
        if depth == commas == 1 and _TAKES_TWO.search(call.group()) and _CLOSES.match(data, part.end()):
            is_one = is_one or values.is_credential(value)
        if is_one or (len(value) >= MADE_CHARS and values.is_token(value)):
            found.append((part.start() + 1, part.start() + 1 + len(literal)))
    return [span for span in found if values.is_striking(_text(data[slice(*span)]))] or found


def _in_rows(data: bytes, _origin: Origin) -> Iterator[Span]:
    """Yield the values that SQL inserts into columns that are named as secrets."""
    at = 0
    for insert in _INSERT.finditer(data) if b"nsert" in data or b"NSERT" in data else ():
        if insert.start() < at:
            continue
        columns = [_text(column).strip(' \t\r\n`"[]') for column in insert[1].split(b",")]
        at, number = insert.end(), 0
        while cell := _CELL.match(data, at):
            name = columns[number] if number < len(columns) else ""
            value = _text(cell[1] or b"").replace(" ", "")
            if values.kind_of(name) is not None and (
                values.is_secret(name, value) or values.is_word(name, value)
            ):
                yield cell.span(1)
            at, number = cell.end(), number + 1 if cell[2] == b"," else 0


def _in_tables(data: bytes, origin: Origin) -> Iterator[Span]:
    """Yield the cells below a column that is named as a secret's, in Markdown and separated values."""
    done = 0
    for head in _COLUMN.finditer(data) if not origin.is_program else ():
        mark, at = head[1] or head[2], _line_end(data, head.end() - 1) + 1
        if not mark or head.start() < done:
            continue
        columns = data[data.rfind(b"\n", max(0, head.start() - 2_000), head.start()) + 1 : at].split(mark)
        # In separated values no blank follows a comma; in prose one does.
        heads = ((n, _text(name)) for n, name in enumerate(columns) if mark == b"|" or name[:1] != b" ")
        names = {n: name for n, name in heads if values.kind_of(name) and len(name.split()) <= 3}
        is_secret = values.is_literal if any(map(_ACCOUNTS.search, columns)) else values.is_secret
        done = at
        while names and sum(map(bool, map(bytes.strip, columns))) > 1 and at < len(data):
            line, start = data[at : _line_end(data, at) + 1], at
            cells = line.split(mark)
            if len(cells) != len(columns):
                break
            for n, cell in enumerate(cells):
                value = cell.strip(b" \r\n\"'`*")
                if n in names and is_secret(names[n], _text(value)):
                    yield start + cell.find(value), start + cell.find(value) + len(value)
                start += len(cell) + 1
            at = done = at + len(line)


def _in_lists(data: bytes, origin: Origin) -> Iterator[Span]:
    """Yield the codes below a heading that calls them so."""
    done = 0
    for heading in _HEADING.finditer(data) if not origin.is_program else ():
        at, seen = max(done, heading.end()), False
        for _ in range(MAX_CODES if heading.end() >= done else 0):
            line = _LINE.match(data, at)
            codes = _CODES.match(line[1]) if line else None
            if line is None or (codes is None and seen):
                break
            if codes is not None and re.search(rb"\d", codes[1]):
                seen = True
                yield at + codes.start(1), at + codes.end(1)
            at = done = line.end()


def _in_manifests(data: bytes, _origin: Origin) -> Iterator[Span]:
    """Yield what a Kubernetes manifest of a secret has below `data`, whatever it is called."""
    for block in _SECRET_DATA.finditer(data) if b"kind: Secret" in data else ():
        document = data[max(0, block.start() - MAX_MANIFEST) : block.start()].rpartition(b"\n---")[2]
        if _SECRET_KIND.search(document) or _SECRET_KIND.match(data, block.end()):
            for entry in _ENTRY.finditer(block[1]):
                if values.is_secret("secret", _text(entry[1])):
                    yield block.start(1) + entry.start(1), block.start(1) + entry.end(1)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


# --- Redaction of foreign text away from the server's loop: in a worker process once it is over SMALL. ------
# A hostile file or answer then costs a worker its time limit. Cancels, deadlines and hook events are obeyed
# meanwhile, which a thread that holds the interpreter's lock would not allow.

SMALL: Final = 64_000
"""Characters that are redacted in the caller's thread: a second at most, "token secret: " repeated."""

REDACT: Final = "fanout_mcp.source.secrets:redact_item"
Scrubbed = tuple[str, int]
"""The text, and how many secrets were taken out."""


def redact_item(item: Json) -> Json:
    """`[path, text]` -> `[text, count]`; the function that workers are asked for."""
    path, text = item
    return list(redact(text, path))


def scrub(
    workers: Workers | None, texts: Sequence[tuple[str, str]], stop: threading.Event | None = None
) -> list[Scrubbed | Failure]:
    """Redact texts given as (path, text), in their order, for a thread that may wait; `stop` ends it early.

    A Failure's text must not leave. Without workers all is done where it is.
    """
    if workers is None or sum(len(text) for _, text in texts) <= SMALL:
        return [redact(text, path) for path, text in texts]
    results = workers.map_now(REDACT, [list(one) for one in texts], stop=stop)
    return [result if isinstance(result, Failure) else (result[0], result[1]) for _, result in results]
