# ruff: noqa: E501 - a program a line reads better than one that is broken up
"""Kinds of programs that were judged wrongly: each with a sound one that must raise no alarm, or a bad one."""

from __future__ import annotations

import pytest

from fanout_mcp.review.merge import same_weakness
from fanout_mcp.review.static.patterns import format_of, review_patterns, review_plain
from fanout_mcp.review.static.python.security import read_python

VIEW = "import os, flask\nfrom flask import request\napp = flask.Flask(__name__)\n\n@app.route('/a')\ndef view():\n"


def weaknesses(name: str, text: str) -> set[int]:
    language = {"py": "python", "js": "javascript", "ts": "typescript", "rb": "ruby", "cs": "csharp"}.get(
        name.rpartition(".")[2], name.rpartition(".")[2]
    )
    if language == "python":
        found = read_python(name, text).findings
    elif form := format_of(name):
        found = list(review_plain(name, text, form))
    else:
        found = review_patterns(name, text, language).findings
    return {finding.cwe for finding in found if finding.cwe}


def view(*lines: str) -> str:
    return VIEW + "".join(f"    {line}\n" for line in lines) + "    return 'ok'\n"


CLEAN = {
    "system random, kept in a name": ("a.py", "import random\nrng = random.SystemRandom()\ntoken = rng.choice('ab')\n"),
    "a branch that constants decide": (
        "a.py",
        view("size = 4", "if size * 2 < 7:", "    name = request.args['n']", "else:", "    name = 'date'", "os.system(name)"),
    ),
    "another key of a mapping": ("a.py", view("row = {}", "row['a'] = 'ls'", "row['b'] = request.args['n']", "os.system(row['a'])")),
    "another element of a list": ("a.py", view("row = ['ls', request.args['n']]", "os.system(row[0])")),
    "an element taken from the end": (
        "a.py",
        view("row = [request.args['n']]", "row.append('ls')", "os.system(row[-1])"),
    ),
    "a quote is refused": (
        "a.py",
        view("import lxml.etree", "name = request.args['n']", "if '\"' in name:", "    flask.abort(400)", "tree = lxml.etree.parse('a')", "tree.xpath(f'/a[@b=\"{name}\"]')"),
    ),
    "folders above are refused": ("a.py", view("name = request.args['n']", "if '..' in name:", "    return 'no'", "open('/srv/' + name)")),
    "one of two texts is refused": (
        "a.py",
        view("name = request.args['n']", "if not name or '..' in name:", "    return 'no'", "open('/srv/' + name)"),
    ),
    "a fixed address's own path": (
        "a.py",
        VIEW.replace("'/a'", "'/shop/list'") + "    os.system('log ' + request.path.split('/')[2])\n    return 'ok'\n",
    ),
    "a converter makes it a number": (
        "a.py",
        VIEW.replace("'/a'", "'/a/<int:number>'").replace("view()", "view(number)") + "    os.system('log ' + number)\n    return 'ok'\n",
    ),
    "a header beside a constant body": (
        "a.py",
        "from flask import Flask, request\napp = Flask('a')\n@app.get('/a')\ndef f():\n    return 'fine', 200, {'X-A': request.args['a'].replace('\\n', '')}\n",
    ),
    "a program prints its own arguments": ("a.js", "const name = process.argv[2];\nconsole.log(`Hello ${name}`);\n"),
    "the word password in a message": ("a.js", 'console.log("Please give a password and a secret");\n'),
    "a redirect to a page of one's own site": (
        "a.js",
        "app.get('/a', (req, res) => { res.redirect(`https://shop.example.org/${req.params.id}`); });\n",
    ),
    "a request to a constant host": (
        "a.ts",
        "app.get('/a', async (req, res) => { await fetch(`https://api.example.org/v1/${req.params.id}`); res.end(); });\n",
    ),
    "a query of constants alone": ("a.go", 'package a\nfunc f(db *sql.DB) {\n\tdb.Exec(fmt.Sprintf("DELETE FROM a WHERE b = 2"))\n}\n'),
    "a query with a number": (
        "a.go",
        'package a\nfunc f(db *sql.DB, n int) {\n\tdb.QueryRow(fmt.Sprintf("SELECT a FROM b WHERE c = %d LIMIT %d", n, 5))\n}\n',
    ),
    "a key for a sound cipher": ("A.java", 'class A { void f() { KeyGenerator.getInstance("AES").init(256); } }\n'),
    "a redirect that stays on the site": ("a.rb", "def go\n  redirect_to params[:to], allow_other_host: false\nend\n"),
    "text that is escaped": ("a.php", "<?php\necho '<a title=\"' . esc_attr($_GET['t']) . '\">';\n"),
    "a question about input": ("a.php", "<?php\necho count($_POST['rows']);\n"),
    "a way out": ("a.tf", 'resource "aws_security_group_rule" "a" {\n  type        = "egress"\n  cidr_blocks = ["0.0.0.0/0"]\n}\n'),
    "an encrypted disk": ("a.tf", 'resource "aws_ebs_volume" "a" {\n  encrypted = true\n}\n'),
    "a route out": ("a.tf", 'resource "azurerm_route" "out" {\n  address_prefix = "0.0.0.0/0"\n  destination_cidr_block = "0.0.0.0/0"\n}\n'),
    "a redirect to the address that was asked for": ("a.js", "app.get('/a', (req, res) => { res.sendFile(req.params.n, { root: __dirname }); });\n"),
    "a page of the program's own host": ("a.ts", "import { chromium } from 'playwright';\nasync function f(port: string) { await page.goto(`http://localhost:${process.env.PORT}`); }\n"),
    "constant markup": ("a.tsx", "const a = <div dangerouslySetInnerHTML={{ __html: '<p>a</p>' }} />;\n"),
    "a server's own address": ("a.go", 'package a\nfunc f(server *Server) {\n\thttp.Get(server.URL + "/a")\n}\n'),
    "whether others may enter": ("a.js", "app.get('/a', async (req, res) => { if (await acl.access(req.query.a)) { res.end(); } });\n"),
    "parts of an address": ("a.go", 'package a\nfunc f(w http.ResponseWriter, r *http.Request) {\n\tr.URL.Path = path.Join("/a", r.URL.Path)\n}\n'),
    "fields of a structured log": ("a.go", 'package a\nfunc f(r *http.Request) {\n\tlogger.Info("a", zap.String("b", r.Host))\n}\n'),
    "a parser that refuses doctypes, far down": (
        "A.java",
        "class A { void f() { DocumentBuilderFactory f = DocumentBuilderFactory.newInstance();\n" + "// a line of words\n" * 30 + 'f.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true); } }\n',
    ),
    "a class's own destructor": ("a.cpp", "void f() { struct W { ~W() { delete rep_; }\n const char* n() { return rep_->n(); } }; }\n"),
    "the name of a password in a log": ("a.go", 'package a\nfunc f() { log.Printf("the password has %d letters", n) }\n'),
    "an action pinned by its commit": (
        "ci.yml",
        f"jobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: some/one@{'a1' * 20}\n      - uses: actions/checkout@v5\n",
    ),
    "a model's noise under a key's name": ("a.py", "import jax\nkey = jax.random.PRNGKey(0)\n"),
    "activations of a model": ("a.py", "import numpy as np\nactivations = np.random.randn(10)\n"),
    "a test of recovery": ("a.py", "import torch\ndef test_recover():\n    x = torch.randn(3)\n"),
    "a field without a check": ("a.py", "from marshmallow import fields\nx = fields.Str(validate=None)\n"),
    "a join that is not validated": ("a.py", "import pandas as pd\ndef f(a, b):\n    return a.merge(b, validate='none')\n"),
    "a mode of no connection": ("a.py", "x = check(verify_mode=None)\n"),
    "a constant of another function": ("a.js", "function g() {\n  const u = 'http://a.example.com/';\n  use(u);\n}\nfunction h(u) {\n  return fetch(u);\n}\n"),
    "a parameter named like a constant": ("a.js", "const u = 'http://a.example.com/';\nconst h = (u) => fetch(u);\nconst g = u => fetch(u);\n"),
    "a cookie that a client sends": ("a.go", 'package a\nfunc f(req *http.Request) {\n\treq.AddCookie(&http.Cookie{Name: "session", Value: "b"})\n}\n'),
    "a cookie made secure afterwards": ("a.go", 'package a\nfunc f(w http.ResponseWriter) {\n\tc := &http.Cookie{Name: "sid", Value: "b", HttpOnly: true}\n\tc.Secure = true\n\thttp.SetCookie(w, c)\n}\n'),
    "a client's cookie by its name": ("a.go", 'package a\nfunc f(req *http.Request) {\n\tc := &http.Cookie{Name: "session", Value: "b"}\n\treq.AddCookie(c)\n}\n'),
    "a cookie of a servlet made secure": ("A.java", 'class A { void f(HttpServletResponse r) {\n  Cookie c = new Cookie("a", "b");\n  c.setSecure(true);\n  r.addCookie(c);\n} }\n'),
    "an option of a page": ("a.rb", 'def f(n)\n  select("Option #{n}", from: "x")\nend\n'),
    "a lock by its name": ("a.rb", 'def f(id)\n  redis.lock("key-#{id}", 2000)\nend\n'),
    "an entry of a cache": ("a.rb", 'def f(id)\n  Rails.cache.fetch("update/#{id}") { 1 }\nend\n'),
    "a step of an installation": ("a.rb", 'def f(id)\n  run("apt-get update #{id}")\nend\n'),
    "a sender's address": ("a.rb", 'def f(name)\n  mail.from("#{name} <x@y.org>")\nend\n'),
    "a post of a blog": ("a.js", "app.post('/', (req, res) => {\n  fs.appendFile(blogPath, req.body.x, done);\n});\n"),
    "a line of a catalog": ("a.php", "<?php\nfile_put_contents('catalog.txt', $_POST['x']);\n"),
    "a token of a parser": ("a.js", "function f(token) {\n  console.log('unexpected', token);\n}\n"),
    "the name of a schema": ("a.js", "const uri = 'http://schemas.xmlsoap.org/wsdl/';\nconst url = 'http://purl.org/dc/terms/';\nconst href = 'http://json-schema.org/draft-07/schema#';\n"),
}  # fmt: skip

BAD = {
    "a token from a distribution": ("a.py", "import random\ndef new_token():\n    return random.uniform(0, 1) + random.expovariate(2)\n", 330),
    "a later element of a list": ("a.py", view("row = ['ls']", "row.append(request.args['n'])", "os.system(row[1])"), 78),
    "a branch that may be taken": (
        "a.py",
        view("size = len(os.listdir('.'))", "name = 'date' if size > 7 else request.args['n']", "os.system(name)"),
        78,
    ),
    "a key that is the asked one": ("a.py", view("row = {}", "row['a'] = request.args['n']", "os.system(row['a'])"), 78),
    "a quote is refused, of another kind of text": (
        "a.py",
        view("name = request.args['n']", "if \"'\" in name:", "    return 'no'", "os.system('ls ' + name)"),
        78,
    ),
    "a loop changes what decides": (
        "a.py",
        view("size = 1", "name = 'ls'", "for n in range(3):", "    if size > 2:", "        name = request.args['n']", "    size += 1", "os.system(name)"),
        78,
    ),
    "whether a file is there": ("a.py", view("return str(os.path.isfile('/srv/' + request.args['n']))"), 22),
    "a header that is added": (
        "a.py",
        "from flask import Flask, request, make_response\napp = Flask('a')\n@app.get('/a')\ndef f():\n    r = make_response('a')\n    r.headers.add('X-A', request.args['a'])\n    return r\n",
        113,
    ),
    "one element too many": ("a.py", "def f(row):\n    for i in range(1, len(row) + 1):\n        row[i] = 0\n", 193),
    "a loop that nothing ends": ("a.py", "def f(limit):\n    n = 1\n    while n <= limit:\n        print(n)\n", 835),
    "a database without a password": ("a.py", "import psycopg2\nc = psycopg2.connect(host='a', user='b', password='')\n", 521),
    "a context that verifies nothing": ("a.py", "import OpenSSL.SSL\nc = OpenSSL.SSL.Context(OpenSSL.SSL.TLS_CLIENT_METHOD)\n", 295),
    "a browser sent anywhere": (
        "a.ts",
        "import { chromium } from 'playwright';\napp.get('/a', async (req, res) => { const p = await b.newPage(); await p.goto(`${req.query.u}`); });\n",
        918,
    ),
    "a sandbox that is none": ("a.js", "const ivm = require('isolated-vm');\napp.post('/a', async (req) => { await isolate.compileScript(req.body.code); });\n", 94),
    "a request in the clear": ("a.js", "const r = await fetch('http://prices.shop.net/v1/today');\n", 319),
    "trust without a check": ("a.ts", "class A { f(u: string) { return this.san.bypassSecurityTrustUrl(u); } }\n", 79),
    "a disk that is not encrypted": ("a.ts", "import * as rds from 'aws-cdk-lib/aws-rds';\nnew rds.DatabaseInstance(s, 'a', { storageEncrypted: false });\n", 311),
    "a path from a parameter": ("a.go", 'package a\nimport "os"\nfunc Load(dir, name string) ([]byte, error) { return os.ReadFile(dir + "/" + name) }\n', 22),
    "a script for a database": (
        "A.java",
        'import org.bson.Document; import com.mongodb.client.*;\nclass A { void f(HttpServletRequest r) { c.find(Document.parse("{a: \'" + r.getParameter("a") + "\'}")); } }\n',
        943,
    ),
    "an action's own parameter": ("A.cs", "public class HomeController : Controller { public string Go(string to) { return client.GetStringAsync(to).Result; } }\n", 918),
    "a login without a password": ("a.php", "<?php\n$ok = ldap_bind($c, 'cn=a', '');\n", 287),
    "a password in a log": ("a.go", 'package a\nfunc f(password string) { log.Printf("login %s", password) }\n', 532),
    "a password in a log of C#": ("A.cs", 'class A { void F(string password) { _logger.LogInformation("login " + password); } }\n', 532),
    "a password in a log of Java": ("A.java", 'class A { void f(String password) { log.info("login " + password); } }\n', 532),
    "a password in a log of PHP": ("a.php", "<?php\nerror_log('login ' . $password);\n", 532),
    "a password in a log of Ruby": ("a.rb", 'def f(password)\n  logger.info("login #{password}")\nend\n', 532),
    "two keys of a request": ("a.js", "app.post('/a', (req, res) => { rows[req.body.a][req.body.b] = req.body.c; });\n", 1321),
    "a cookie without a word on TLS": ("a.go", 'package a\nfunc f(w http.ResponseWriter) { http.SetCookie(w, &http.Cookie{Name: "s"}) }\n', 614),
    "a cookie beside a secure one": ("a.go", 'package a\nfunc f(w http.ResponseWriter) {\n\tc := &http.Cookie{Name: "a"}\n\tc.Secure = true\n\thttp.SetCookie(w, c)\n\td := &http.Cookie{Name: "b"}\n\thttp.SetCookie(w, d)\n}\n', 614),
    "a server's cookie beside a client's": ("a.go", 'package a\nfunc f(req *http.Request, w http.ResponseWriter) {\n\treq.AddCookie(&http.Cookie{Name: "a"})\n\thttp.SetCookie(w, &http.Cookie{Name: "s"})\n}\n', 614),
    "a cookie of a servlet": ("A.java", 'class A { void f(HttpServletResponse r) { Cookie c = new Cookie("a", "b"); r.addCookie(c); } }\n', 614),
    "an open port": ("a.tf", 'resource "aws_security_group" "a" {\n  ingress {\n    cidr_blocks = ["0.0.0.0/0"]\n  }\n}\n', 284),
    "a disk without encryption": ("a.tf", 'resource "aws_ebs_volume" "a" {\n  size = 1\n}\n', 311),
    "a bucket for everyone": ("a.tf", 'resource "google_storage_bucket_iam_member" "a" {\n  member = "allUsers"\n}\n', 284),
    "a policy for everything": ("a.tf", 'resource "aws_iam_policy" "a" {\n  policy = jsonencode({ Statement = [{ Action = "*", Resource = "*" }] })\n}\n', 732),
    "an action by its tag": ("ci.yml", "jobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: some/one@v1.2.3\n", 829),
    "a code of letters": ("a.py", "import random, string\ndef f():\n    code = ''.join(random.choice(string.ascii_letters) for _ in range(8))\n    return code\n", 330),
    "a serial number": ("a.py", "import random\nserial_number = random.getrandbits(64)\n", 330),
    "a directory's certificate": ("a.py", "import ldap3\nt = ldap3.Tls(validate=None)\n", 295),
    "a broker's certificate": ("a.py", "import redis\nr = redis.Redis(ssl=True, ssl_cert_reqs='none')\n", 295),
    "a constant of the file": ("a.js", "const u = 'http://a.shop.net/';\nfunction h() {\n  return fetch(u);\n}\n", 319),
    "columns of a query": ("a.rb", 'def f(c)\n  User.select("name, #{c}")\n  Order.where(a: 1).sum("#{c}")\nend\n', 89),
    "what a query leaves out": ("a.rb", "def f(n)\n  User.where.not(\"name = '#{n}'\")\nend\n", 89),
    "an update that is run": ("a.rb", 'def f(x)\n  DB.run("update t set a = #{x}")\nend\n', 89),
    "a line of a log": ("a.js", "app.post('/', (req, res) => {\n  fs.appendFile(accessLog, req.body.x, done);\n});\n", 117),
    "a line of a log of PHP": ("a.php", "<?php\nfile_put_contents('app.log', $_POST['x']);\n", 117),
    "a token of a session": ("a.js", "const jwt = require('jsonwebtoken');\nfunction f(token) {\n  console.log('got', token);\n}\n", 532),
}  # fmt: skip


@pytest.mark.parametrize("kind", CLEAN)
def test_what_is_sound_raises_no_alarm(kind: str) -> None:
    assert weaknesses(*CLEAN[kind]) == set()


@pytest.mark.parametrize("kind", BAD)
def test_what_is_bad_is_found_in_its_class(kind: str) -> None:
    name, text, cwe = BAD[kind]
    assert any(same_weakness(found, cwe) for found in weaknesses(name, text))
