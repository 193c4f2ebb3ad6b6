# ruff: noqa: E501 - a program a line reads better than one that is broken up
"""What well-kept code writes and rules took for a defect, each beside the defect that it looks like."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from fanout_mcp.review.finding import Severity, from_json, is_at_least
from fanout_mcp.review.static.analyse import analyse, lint_batch


class Kind(NamedTuple):
    rule: str
    path: str
    bad: str
    good: str


KINDS = {
    "an address that is parsed beside templates": Kind(
        "template-injection",
        "a.go",
        'package a\nimport "html/template"\nfunc f(r *http.Request) { template.Must(template.New("a").Parse(r.FormValue("a"))) }\n',
        'package a\nimport "html/template"\nfunc f(r *http.Request) { u, _ := url.Parse(r.FormValue("a")); g(u) }\n',
    ),
    "certificates that are checked by another name": Kind(
        "no-certificate-check",
        "a.go",
        "package a\nfunc f() { return &tls.Config{\n\tInsecureSkipVerify: true,\n} }\n",
        "package a\nfunc f() { return &TLS{\n\tInsecureSkipVerify: true,\n\tPeerCertSANs: []SAN{{Value: id}},\n} }\n",
    ),
    "a hash that a format prescribes, named below": Kind(
        "weak-hash",
        "a.go",
        'package a\nfunc f(password []byte) string {\n\thash := sha1.New()\n\thash.Write(password)\n\tsum := encode(hash.Sum(nil))\n\treturn "a:" + sum\n}\n',
        'package a\nfunc f(password []byte) string {\n\thash := sha1.New()\n\thash.Write(password)\n\tsum := encode(hash.Sum(nil))\n\treturn "a:{SHA}" + sum\n}\n',
    ),
    "a message that is sent, not where to": Kind(
        "ssrf",
        "A.cs",
        "class AController : Controller {\n public Task B([FromQuery] string a) { return _http.GetAsync(a); } }\n",
        "class AController : Controller {\n public Task B([FromQuery] string a) { return _socket.SendAsync(new Message { Data = a }); } }\n",
    ),
    "one time through of several": Kind(
        "hardcoded-secret",
        "A.cs",
        'class A { string adminPass = "q7RzK2mVx9Tb"; }\n',
        'class A { string firstPass = "scale_a=w=iw:afbc=1"; }\n',
    ),
    "a container's question to itself": Kind(
        "no-certificate-check",
        "Dockerfile",
        "FROM a:1\nRUN curl -k -o b https://example.com/b\n",
        "FROM a:1\nHEALTHCHECK CMD curl -k -f https://localhost:8443/health\n",
    ),
    "modules that a loader is asked for": Kind(
        "path-traversal",
        "a.js",
        "app.get('/', (req, res) => { require('./a/' + req.query.a); });\n",
        "app.get('/', (req, res) => { require(['./a', req.query.a], b); });\n",
    ),
    "all that is awaited is caught": Kind(
        "async-void",
        "A.cs",
        "class A { async void B() { if (c) return; await d(); } }\n",
        "class A { async void B() { if (c) return; try { await d(); } catch (Exception e) { log(e); } } }\n",
    ),
    "an executor that catches all": Kind(
        "async-promise",
        "a.js",
        "new Promise(async (resolve) => { resolve(await f()); });\n",
        "new Promise(async (resolve, reject) => { try { resolve(await f()); } catch (e) { reject(e); } });\n",
    ),
    "a program that is fixed, its arguments in a list": Kind(
        "command-injection",
        "a.js",
        "const { spawn } = require('child_process');\nspawn(req.query.a, ['-c']);\n",
        "const { spawn } = require('child_process');\nspawn('ping', ['-c', req.query.a]);\n",
    ),
    "the same in Go": Kind(
        "command-injection",
        "a.go",
        'package a\nfunc f(r *http.Request) { exec.Command("sh", "-c", r.FormValue("a")) }\n',
        'package a\nfunc f(r *http.Request) { exec.Command("ping", r.FormValue("a")) }\n',
    ),
    "an expression that was checked": Kind(
        "command-injection",
        "a.js",
        "const { exec } = require('child_process');\nif (!/^a+$/.test(req.body.b)) return;\nexec('ping ' + req.body.a);\n",
        "const { exec } = require('child_process');\nif (!/^a+$/.test(req.body.a)) return;\nexec('ping ' + req.body.a);\n",
    ),
    "input as a value beside the query": Kind(
        "sql-injection",
        "a.js",
        "const TABLE = 'a';\npool.query(`SELECT a FROM ${TABLE} WHERE b = ${req.query.b}`);\n",
        "const TABLE = 'a';\npool.query(`SELECT a FROM ${TABLE} WHERE b = $1`, [req.query.b]);\n",
    ),
    "a query with a constant's name in it": Kind(
        "sql-injection",
        "a.go",
        'package a\nfunc f(db *sql.DB, r *http.Request) { db.Query(fmt.Sprintf("SELECT a FROM %s", r.FormValue("a"))) }\n',
        'package a\nconst table = "a"\nfunc f(db *sql.DB, r *http.Request) {\n\tq := fmt.Sprintf("SELECT a FROM %s WHERE b = $1", table)\n\tdb.Query(q, r.FormValue("a"))\n}\n',
    ),
    "a page from a table of pages": Kind(
        "path-traversal",
        "a.php",
        '<?php\n$page = $_GET["p"];\ninclude "pages/" . $page;\n',
        '<?php\n$pages = ["a" => "a.php"];\n$page = $pages[$_GET["p"]] ?? "a.php";\ninclude __DIR__ . "/pages/" . $page;\n',
    ),
    "what is written, not where": Kind(
        "path-traversal",
        "a.js",
        "fs.writeFileSync(req.body.name, 'a');\n",
        "fs.writeFileSync('a.txt', req.body.text);\n",
    ),
    "an argument of a script": Kind("path-traversal", "a.sh", 'cat "/data/$QUERY_STRING"\n', 'cat "$1"\n'),
    "the length of a secret": Kind(
        "secret-in-log",
        "a.py",
        "import logging\nlogging.getLogger('a').info('%s', password)\n",
        "import logging\nlogging.getLogger('a').info('%d', len(password))\n",
    ),
    "a check that a setting switches off": Kind(
        "no-certificate-check",
        "a.py",
        "import ssl\ncontext = ssl.create_default_context()\ncontext.check_hostname = False\n",
        "import ssl\ndef f(verify):\n    context = ssl.create_default_context()\n    if not verify:\n        context.check_hostname = False\n    return context\n",
    ),
    "the same in Java": Kind(
        "no-certificate-check",
        "A.java",
        "class A { void f(HttpsURLConnection c) { c.setHostnameVerifier((h, s) -> true); } }\n",
        "class A { void f(HttpsURLConnection c) {\n if (options.isInsecure()) {\n  c.setHostnameVerifier((h, s) -> true);\n }\n} }\n",
    ),
    "an address without another site": Kind(
        "open-redirect",
        "a.py",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a')\ndef f():\n    return redirect(request.args['n'])\n",
        "from urllib.parse import urlsplit\nfrom flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a')\ndef f():\n    to = request.args['n']\n    parts = urlsplit(to)\n    if parts.netloc or parts.scheme:\n        to = '/'\n    return redirect(to)\n",
    ),
    "the page that the user came from": Kind(
        "open-redirect", "a.rb", "def f\n  redirect params[:to]\nend\n", "def f\n  redirect request.referer\nend\n"
    ),
    "an object that reads itself": Kind(
        "deserialization",
        "A.java",
        "import java.net.Socket;\nclass A { Object f(Socket s) { return new ObjectInputStream(s.getInputStream()).readObject(); } }\n",
        "class A { private void readObject(ObjectInputStream in) { this.id = (Id) in.readObject(); } }\n",
    ),
    "an action that names what it may do": Kind(
        "permissions", "a.tf", 'statement {\n  actions = ["*"]\n}\n', 'statement {\n  actions = ["s3:List*"]\n  resources = ["*"]\n}\n'
    ),
    "text inside a template": Kind(
        "hardcoded-secret",
        "a.ts",
        "const password = 'Tr0ub4dor-and-3';\n",
        "const usage = `\n  password = 'Tr0ub4dor-and-3'\n`;\n",
    ),
    "a pattern of keys": Kind(
        "hardcoded-secret", "a.py", 'TOKEN = "q7RzK2mVx9TbN4cLwY8sHdJ3pF6gEa1U"\n', 'TOKEN = r"[a-zA-Z_-][a-zA-Z0-9_-]*=[0-9]+"\n'
    ),
    "a callback that looks at its error": Kind(
        "lost-error",
        "a.js",
        "fs.readFile(a, (err, text) => { done(text); });\n",
        "fs.readFile(a, (err, text) => { if (err) throw err; done(text); });\nbus.on('error', (err) => { stop(); });\n",
    ),
    "a walk that goes on": Kind(
        "lost-error",
        "a.go",
        "package a\nfunc f() ([]byte, error) {\n\ta, err := g()\n\tif err != nil {\n\t\treturn nil, nil\n\t}\n\treturn a, nil\n}\n",
        "package a\nvar f = func(path string, d os.DirEntry, err error) error {\n\tif err != nil {\n\t\treturn nil\n\t}\n\treturn g(path)\n}\n",
    ),
    "an answer that is closed": Kind(
        "unclosed-file",
        "a.go",
        "package a\nfunc f() ([]byte, error) {\n\tr, err := http.Get(u)\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\treturn io.ReadAll(r.Body)\n}\n",
        "package a\nfunc f() ([]byte, error) {\n\tr, err := http.Get(u)\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\tdefer r.Body.Close()\n\treturn io.ReadAll(r.Body)\n}\n",
    ),
    "a function of the file that is not async": Kind(
        "missing-await",
        "a.js",
        "async function a() { return g(); }\nasync function b() { if (a()) c(); }\n",
        "function a() { try { return g(); } catch { return false; } }\nasync function b() { if (a()) c(); }\n",
    ),
    "an iterator's own return": Kind(
        "return-in-finally",
        "a.js",
        "function f() { try { g(); } finally { return 1; } }\n",
        "function f() { try { g(); } finally { if (i.return !== undefined) i.return(); } }\n",
    ),
    "NaN, the only one that differs from itself": Kind(
        "compared-with-itself", "a.js", "const c = a.x == a.x;\n", "const c = a != a\n  ? b == b\n  : a !== b;\n"
    ),
    "a dict that is changed and left": Kind(
        "B909",
        "a.py",
        "def f(d):\n    for k, v in d.items():\n        if v:\n            del d[k]\n",
        "def f(d):\n    for k, v in d.items():\n        if v:\n            del d[k]\n            break\n    for k in list(d):\n        d.pop(k)\n",
    ),
    "a file that is closed later": Kind(
        "SIM115",
        "a.py",
        "def f(p):\n    file = open(p, 'w')\n    file.write('a')\n",
        "def f(p):\n    file = open(p, 'w')\n    try:\n        file.write('a')\n    finally:\n        file.close()\n",
    ),
    "modules that a package lists": Kind("F822", "a.py", "__all__ = ['b']\n", "__all__ = ['b']\ndef __getattr__(name): ...\n"),
    "a logger of one's own": Kind(
        "PLE1205", "a.py", "import logging\nlogging.error('a', 1)\n", "app.log.error('a', 1)\n"
    ),
    "a delay by chance": Kind(
        "weak-random", "a.js", "const token = Math.random();\n", "const delay = base * Math.random();\n"
    ),
    "a port for everyone that is meant for everyone": Kind(
        "open-network",
        "a.ts",
        "import * as ec2 from 'aws-cdk-lib/aws-ec2';\ng.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(22));\n",
        "import * as ec2 from 'aws-cdk-lib/aws-ec2';\ng.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(443));\n",
    ),
    "what a database answers": Kind(
        "xss",
        "a.js",
        "router.get('/a', async (ctx) => { ctx.body = '<p>' + ctx.query.a; });\n",
        "router.get('/a', async (ctx) => {\n  const [rows] = await conn.execute('SELECT a FROM b WHERE c = ?', [ctx.query.a]);\n  ctx.body = rows;\n});\n",
    ),
    "a path that is compared with its folder": Kind(
        "path-traversal",
        "b.js",
        "const app = express();\nconst file = path.resolve(ROOT, '.' + req.url);\nfs.readFile(file, done);\n",
        "const file = path.resolve(ROOT, '.' + req.url);\nif (!file.startsWith(ROOT + path.sep)) return;\nfs.readFile(file, done);\n",
    ),
    "a password in a connection string": Kind(
        "hardcoded-secret",
        "A.cs",
        'class A { const string C = "Server=db;User Id=sa;Password=Sommer#2023x;"; }\n',
        'class A { string C(string p) => $"Server=db;User Id=sa;Password={p};"; }\n',
    ),
    "a function for everyone": Kind(
        "missing-auth",
        "a.tf",
        'resource "aws_lambda_function_url" "a" {\n  authorization_type = "NONE"\n}\n',
        'resource "aws_lambda_function_url" "a" {\n  authorization_type = "AWS_IAM"\n}\n',
    ),
    "keys that a loop copies": Kind(
        "prototype-pollution",
        "a.ts",
        "const keys = path.split('.');\nlet node = target;\nfor (const key of keys) node = node[key] ??= {};\nnode[lastKey] = value;\n",
        "const keys = path.split('.');\nconst shape = {};\nfor (const key of keys) shape[key] = known[key];\n",
    ),
    "a text of several lines": Kind(
        "hardcoded-secret",
        "a.py",
        "FORMAT_KEY = 'q7RzK2mVx9TbN4cLwY8sHdJ3pF6gEa1U'\n",
        'FORMAT_KEY = """\nUnknown format %{0} in {1!r}: %%N -> %N.\nWas it escaped (use \'%%{0!r}\')?\n""".strip()\n',
    ),
    "a media type by its file's ending": Kind(
        "hardcoded-secret", "a.rb", "M = { 'db_pw' => 'Holz#Wurm3' }\n", "M = { '.xpw' => 'application/vnd.intercon.formnet' }\n"
    ),
    "a program that starts itself again": Kind(
        "command-injection", "a.py", "import os, sys\nos.system(' '.join(sys.argv))\n", "import os, sys\nos.execv(sys.executable, [sys.executable] + sys.argv)\n"
    ),
    "a shell that takes another's place": Kind(
        "command-injection",
        "a.py",
        "import os\nfrom flask import request\nos.execv('/bin/sh', ['sh', '-c', request.args['a']])\n",
        "import os\nfrom flask import request\nos.execv('/bin/ls', ['ls', '--', request.args['a']])\n",
    ),
    "arguments of whoever starts it": Kind(
        "argument-injection",
        "a.py",
        "import subprocess\nfrom flask import request\nsubprocess.run(['ls', request.args['a']])\n",
        "import subprocess, sys\nsubprocess.run(['ls', sys.argv[1]])\n",
    ),
    "a file that is only made": Kind(
        "SIM115", "a.py", "def f(p):\n    open(p, 'a').write('a')\n", "def f(p):\n    open(p, 'a').close()\n"
    ),
    "a loop that is left after it": Kind(
        "defer-in-loop",
        "a.go",
        "package a\nfunc f() {\n\tfor _, p := range ps {\n\t\tfile := g(p)\n\t\tdefer file.Close()\n\t\tuse(file)\n\t}\n}\n",
        "package a\nfunc f() {\n\tfor _, p := range ps {\n\t\tfile := g(p)\n\t\tdefer file.Close()\n\t\tuse(file)\n\t\tbreak\n\t}\n}\n",
    ),
    "async void in a text": Kind(
        "async-void", "A.cs", "class A { async void Save() { await B(); } }\n", 'class A { string F() => "Don\'t use an async void method."; }\n'
    ),
    "a log of fields": Kind(
        "log-injection",
        "a.go",
        'package a\nimport "log"\nfunc f(r *http.Request) { log.Printf("got %s", r.FormValue("a")) }\n',
        'package a\nimport "go.uber.org/zap"\nfunc f(r *http.Request) { if c := logger.Check(1, r.FormValue("a")); c != nil { c.Write() } }\n',
    ),
    "a cookie whose mark follows": Kind(
        "insecure-cookie",
        "a.go",
        'package a\nfunc f(w http.ResponseWriter) { http.SetCookie(w, &http.Cookie{Name: "a", Secure: false}) }\n',
        'package a\nfunc f(w http.ResponseWriter) {\n\tc := &http.Cookie{Name: "a", Secure: false}\n\tc.Secure = isTLS\n\thttp.SetCookie(w, c)\n}\n',
    ),
    "a message that is no error's": Kind(
        "error-leak",
        "A.java",
        "class A { void f() { try { g(); } catch (IOException e) { response.getWriter().println(e.getMessage()); } } }\n",
        'class A { void f() { out.println(mode.getMessage() + " " + name);\n System.out.println(e.getMessage()); } }\n',
    ),
    "what PHP says of itself, kept": Kind(
        "debug-mode", "a.php", "<?php\nphpinfo();\n", "<?php\nob_start();\nphpinfo(INFO_GENERAL);\n$text = ob_get_clean();\n"
    ),
    "a browser's own log": Kind(
        "log-injection",
        "a.js",
        "app.get('/a', (req, res) => { console.log('got ' + req.query.a); });\n",
        "const q = new URLSearchParams(location.search).get('q');\ndocument.querySelector('p').textContent = q;\nconsole.error('failed: ' + location.search);\n",
    ),
    "what a function of the file makes of it": Kind(
        "xss",
        "a.js",
        "const q = location.hash;\nlist.innerHTML = '<b>' + q;\n",
        "function shown(q) { return `<b>${escapeHTML(q)}</b>`; }\nconst q = location.hash;\nlist.innerHTML = shown(q);\n",
    ),
    "a merge into a copy": Kind(
        "prototype-pollution",
        "a.js",
        "function merge(a, b) {\n  for (const k in b) { a[k] = merge(a[k], b[k]); }\n  return a;\n}\n",
        "function merge(a, b) {\n  const c = { ...a };\n  for (const k in b) { c[k] = merge(c[k], b[k]); }\n  return c;\n}\n",
    ),
    "a result that is no task's": Kind(
        "blocked-task",
        "A.cs",
        "class A { int F() { return LoadAsync(1).Result; } int G(Task<int> task) { task.Wait(); return 1; } }\n",
        "class A { int F(Outcome o) { return o.Result; } int G() { gate.Wait(); return args.Outcome.Result; } }\n",
    ),
    "a query that a page puts together": Kind(
        "ssrf",
        "a.ts",
        "const load = async ({ params }) => { await fetch(params.url); };\n",
        "const load = ({ prefix, path, params }) => async () => {\n  const q = new URLSearchParams();\n  q.append('a', 'b');\n  await fetch(`${prefix}/${path}?${q}`);\n};\n",
    ),
    "a page of a site of one's own": Kind(
        "ssrf", "a.js", "fetch(`${req.query.site}/users`);\n", "fetch(`${API}/users/${req.params.id}`);\nfetch(base + '/users/' + req.params.id);\n"
    ),
    "what another site answered": Kind(
        "ssrf",
        "a.js",
        "const to = req.query.to;\nfetch(to);\n",
        "const css = await (await fetch('https://a.example/css?f=' + req.query.f, { headers: { 'X': one(two(3)) } })).text();\nfetch(css);\n",
    ),
    "what a function makes of a request": Kind(
        "xss",
        "a.js",
        "app.get('/a', (req, res) => { const name = req.query.a; res.send('<p>' + name); });\n",
        "app.get('/a', async (req, res) => { const page = await render(req.query.a); res.send(page); });\n",
    ),
    "an object that another's keys fill": Kind(
        "prototype-pollution",
        "a.ts",
        "const keys = path.split('.');\nlet node = target;\nfor (const key of keys) node = node[key] ??= {};\nnode[lastKey] = value;\n",
        "const all = list.reduce(f, 0);\nfunction step(from) {\n  const out = empty();\n  for (const [key, item] of Object.entries(from)) { out[key] = item; }\n  return out;\n}\n",
    ),
    "markup in a text": Kind(
        "xss", "a.jsx", "const a = <p dangerouslySetInnerHTML={{ __html: `<b>${body}` }} />;\n", "const a = `<p dangerouslySetInnerHTML={{ __html: ${body} }} />`;\n"
    ),
    "names in a list": Kind(
        "hardcoded-secret", "a.json", '{"db_pass": "Holz#Wurm3"}\n', '{"files": [\n  "ssrPrepass",\n  "!**/*.test.*"\n]}\n'
    ),
    "a key that pages show": Kind(
        "hardcoded-secret",
        "a.ts",
        "const c = {\n  apiKey: 'ed8b3896f8e3e2b421e4c38834b915a8',\n};\n",
        "const c = {\n  appId: 'BTGPSR4MOE',\n  apiKey: 'ed8b3896f8e3e2b421e4c38834b915a8',\n  indexName: 'docs',\n};\n",
    ),
    "what is matched, not the pattern": Kind(
        "regex-injection",
        "a.php",
        "<?php\npreg_match('/' . $_GET['p'] . '/', $text);\n",
        "<?php\npreg_match('{' . $this->pattern . '}', rawurldecode($_GET['p']));\n",
    ),
    "values in an array of their own": Kind(
        "mass-assignment",
        "a.php",
        "<?php\nparse_str($_SERVER['QUERY_STRING']);\n",
        "<?php\nfunction f($request) { parse_str($request->getContent(), $data); }\n",
    ),
    "a check of none, by its own name": Kind(
        "no-certificate-check",
        "A.java",
        "class A { void f() { builder.setSSLHostnameVerifier(new NoopHostnameVerifier()); } }\n",
        "public class NoopHostnameVerifier implements HostnameVerifier {\n  public static final NoopHostnameVerifier INSTANCE = new NoopHostnameVerifier();\n}\n",
    ),
    "the least length of a password": Kind(
        "hardcoded-secret", "a.cnf", "db_password = Holz#Wurm3\n", "challengePassword = A challenge password\nchallengePassword_min = 4\nchallengePassword_max = 20\n"
    ),
    "names of fields": Kind(
        "hardcoded-secret", "a.py", "log_in('db_password', 'Holz#Wurm3')\nPASSWORD = 'Holz#Wurm3'\n", "FIELDS = ('username', 'usable_password', 'password1', 'password2')\n"
    ),
    "a program that its user names": Kind(
        "command-injection",
        "a.py",
        "import subprocess, sys\nsubprocess.run('ls ' + sys.argv[1], shell=True)\n",
        "import subprocess, sys\nargs = sys.argv[1:]\nsubprocess.run(args)\n",
    ),
    "the address that was asked for": Kind(
        "open-redirect",
        "a.py",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a')\ndef f():\n    return redirect(request.args['n'])\n",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(request.path + '/')\n",
    ),
    "a part of the address that was asked for": Kind(
        "open-redirect",
        "a.py",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(request.url.split('next=')[1])\n",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(request.full_path + '#top')\n",
    ),
    "a value of the address that was asked for": Kind(
        "open-redirect",
        "a.py",
        "from urllib.parse import parse_qs, urlparse\nfrom flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(parse_qs(urlparse(request.url).query)['next'][0])\n",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(request.full_path + '#top')\n",
    ),
    "the address that was asked for, with input behind it": Kind(
        "open-redirect",
        "a.py",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(request.url + request.args['n'])\n",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(request.full_path + '#top')\n",
    ),
    "the page that the client came from": Kind(
        "open-redirect",
        "a.py",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(request.referrer)\n",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(request.full_path + '#top')\n",
    ),
    "the page that the client came from, or the one it names": Kind(
        "open-redirect",
        "a.py",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    to = request.referrer or request.args.get('next')\n    return redirect(to)\n",
        "from flask import Flask, request, redirect\napp = Flask('a')\n@app.get('/a/<n>')\ndef f(n):\n    return redirect(request.full_path + '#top')\n",
    ),
    "markup with a value in it": Kind(
        "xss",
        "a.jsx",
        "const a = <p dangerouslySetInnerHTML={{ __html: `<b>${user.bio}</b>` }} />;\n",
        "const a = <p dangerouslySetInnerHTML={{ __html: `<b>a</b>` }} />;\n",
    ),
    "an error that is called ioe": Kind(
        "error-leak",
        "A.java",
        "class A { void f() { try { g(); } catch (IOException ioe) { response.getWriter().println(ioe.getMessage()); } } }\n",
        "class A { void f() { response.getWriter().println(node.getMessage()); } }\n",
    ),
    "an error that is called sqle": Kind(
        "error-leak",
        "A.java",
        "class A { void f() { try { g(); } catch (IOException sqle) { response.getWriter().println(sqle.getMessage()); } } }\n",
        "class A { void f() { response.getWriter().println(node.getMessage()); } }\n",
    ),
    "an error that is called se": Kind(
        "error-leak",
        "A.java",
        "class A { void f() { try { g(); } catch (IOException se) { response.getWriter().println(se.getMessage()); } } }\n",
        "class A { void f() { response.getWriter().println(node.getMessage()); } }\n",
    ),
    "an error that is called failed": Kind(
        "error-leak",
        "A.java",
        "class A { void f() { try { g(); } catch (IOException failed) { response.getWriter().println(failed.getMessage()); } } }\n",
        "class A { void f() { response.getWriter().println(node.getMessage()); } }\n",
    ),
    "a secret beside a key that pages show": Kind(
        "hardcoded-secret",
        "a.js",
        "const c = { apiKey, authDomain: 'x.firebaseapp.com', clientSecret: 'Xk9mQ2vR8tYb4LpN7wZc' };\n",
        "const c = { apiKey: 'Xk9mQ2vR8tYb4LpN7wZc', authDomain: 'x.firebaseapp.com' };\n",
    ),
    "another key of a search": Kind(
        "hardcoded-secret",
        "a.js",
        "const c = { indexName: 'docs', adminApiKey: 'ed8b3896f8e3e2b421e4c38834b915a8' };\n",
        "const c = { indexName: 'docs', 'apiKey': 'ed8b3896f8e3e2b421e4c38834b915a8' };\n",
    ),
    "a key that is handed over": Kind(
        "hardcoded-secret",
        "b.js",
        "const jwt = require('jsonwebtoken');\njwt.sign({ id: 1 }, 'our-own-k3y-of-2024');\n",
        "const jwt = require('jsonwebtoken');\njwt.sign({ id: 1 }, process.env.KEY);\n",
    ),
    "numbers of a page's parts": Kind(
        "weak-random", "b.js", "const resetToken = Math.random();\n", "const row = { cells: 1 };\n"
    ),
    "a check of one's own beside the one that is off": Kind(
        "no-certificate-check",
        "a.go",
        "package a\nvar c = tls.Config{InsecureSkipVerify: true}\n",
        "package a\nvar c = tls.Config{InsecureSkipVerify: true, VerifyPeerCertificate: verify}\n",
    ),
    "a mode of a connection": Kind(
        "no-certificate-check",
        "b.go",
        "package a\nfunc f(mode string) {\n\tc.InsecureSkipVerify = false\n\tg(&tls.Config{InsecureSkipVerify: true})\n}\n",
        'package a\nfunc f(mode string) {\n\tswitch mode {\n\tcase "skip-verify":\n\t\tg(&tls.Config{InsecureSkipVerify: true})\n\t}\n}\n',
    ),
    "a choice within a line": Kind(
        "no-certificate-check",
        "a.rb",
        "http.verify_mode = OpenSSL::SSL::VERIFY_NONE\n",
        "http.verify_mode = options[:verify] ? OpenSSL::SSL::VERIFY_PEER : OpenSSL::SSL::VERIFY_NONE\n",
    ),
    "a variable that is asked for": Kind(
        "no-certificate-check",
        "c.js",
        "process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';\n",
        "if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === '0') warn('checks are off');\n",
    ),
    "the padding of RSA": Kind(
        "weak-cipher",
        "A.java",
        'class A { void f() { Cipher.getInstance("AES/ECB/PKCS5Padding"); } }\n',
        'class A { void f() { Cipher.getInstance("RSA/ECB/OAEPWithSHA-256AndMGF1Padding"); } }\n',
    ),
    "a signature by HMAC": Kind(
        "weak-hash",
        "a.ts",
        "const signature = createHash('md5').update(secret + body).digest('hex');\n",
        "const signature = createHmac('sha1', secret).update(body).digest('hex');\n",
    ),
    "a message that speaks of updates": Kind(
        "hardcoded-secret",
        "a.c",
        'int f(char *password) { return strcmp(password, "letmein") == 0; }\n',
        'int f(char *token) { return strcmp(token, "endif") == 0; }\n',
    ),
    "text about a comparison": Kind(
        "text-identity",
        "A.java",
        'class A { boolean f(String a) { return a == "b"; } }\n',
        'class A { String f(String a, String b) { return "expected " + a + " != " + b; } }\n',
    ),
    "a mask that is set back": Kind(
        "permissions",
        "b.c",
        "void f(void) {\n umask(0);\n open_log();\n}\n",
        "void f(void) {\n mode_t old = umask(0);\n make();\n umask(old);\n}\n",
    ),
    "memory that both branches allocate again": Kind(
        "use-after-free",
        "g.c",
        "void f(char *p) {\n free(p);\n if (g()) p = h();\n use(p);\n}\n",
        "void f(char *p) {\n free(p);\n if (g()) p = h(); else p = k();\n use(p);\n}\n",
    ),
    "an answer of its own that ends it": Kind(
        "path-traversal",
        "e.php",
        "<?php\n$f = get_name($_GET['f']);\nif (!is_valid_path($f)) { log_it($f); }\nreadfile($_GET['f']);\n",
        "<?php\n$f = $_GET['f'];\nif (!is_valid_path($f)) { sendBadRequestResponse('no'); }\nreadfile($f);\n",
    ),
    "a way out beside another": Kind(
        "double-free",
        "e.c",
        "int f(char *p) {\n free(p);\n if (g()) h();\n free(p);\n return 0;\n}\n",
        "int f(char *p) {\n if (g()) goto fail;\n free(p);\n return 0;\nfail:\n free(p);\n return 1;\n}\n",
    ),
    "what a table of records answers": Kind(
        "open-redirect",
        "c.rb",
        "def f\n  redirect_to params[:to]\nend\n",
        "def f\n  story = Story.find_by(id: params[:id])\n  redirect_to story.page\nend\n",
    ),
    "one of two ways to compile it": Kind(
        "double-free",
        "d.c",
        "void f(char *p) {\n free(p);\n free(p);\n}\n",
        "void f(char *p) {\n#ifdef A\n free(p);\n#else\n free(p);\n#endif\n}\n",
    ),
    "a function's own parameters": Kind(
        "code-injection",
        "b.rb",
        "def f\n  eval(params[:a])\nend\n",
        "def f(url, params)\n  eval(params[:a])\nend\n",
    ),
    "values that a constant function cleans": Kind(
        "code-injection",
        "a.php",
        "<?php\ncall_user_func($_GET['f'], 1);\n",
        "<?php\n$all = array_map('trim', $_POST['all']);\n",
    ),
    "a method that is called eval": Kind(
        "code-injection",
        "b.php",
        "<?php\neval($_GET['a']);\n",
        "<?php\n$redis->eval($script, $keys);\n",
    ),
    "a hash of a password": Kind(
        "hardcoded-secret", "d.go", 'package a\nconst apiKey = "q7RzK2mVx9TbN4cLwY8sHdJ3pF6gEa1U"\n', 'package a\nconst dummyHash = "$2a$10$O4mEMeOL/nit6zqe.WQXauLRbRlzb3IgLHsa26Pf0N/GiU9b.wK1m"\n'
    ),
    "words, in any script": Kind(
        "hardcoded-secret", "d.php", "<?php\n$a = ['db_password' => 'Holz#Wurm3'];\n", "<?php\nreturn ['password' => '密码', 'forgot_password' => '忘记密码?'];\n"
    ),
    "a password of a network of containers": Kind(
        "hardcoded-secret", "settings.yaml", "environment:\n  URL: mysql://shop:Holz2Wurm3x@db.shop.net/a\n", "environment:\n  URL: mysql://shop:Holz2Wurm3x@db/a\n"
    ),
    "a secret's name": Kind(
        "secret-in-log",
        "b.py",
        "import logging\nlogging.getLogger('a').info('%s', f'login {user.password}')\n",
        "import logging\nlogging.getLogger('a').info('%s %s %s', secret.name, 'set' if password else 'unset', has_password)\n",
    ),
    "what another module may do": Kind(
        "privileges",
        "a.yaml",
        "securityContext:\n  capabilities:\n    add:\n      - ALL\n",
        "securityContext:\n  capabilities:\n    add:\n      - NET_BIND_SERVICE\n    drop:\n      - ALL\n",
    ),
    "a commit that is only named": Kind(
        "foreign-code",
        ".github/workflows/a.yml",
        "on: pull_request_target\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n        with:\n          ref: ${{ github.event.pull_request.head.sha }}\n",
        "on: pull_request_target\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: report\n        env:\n          SHA: ${{ github.event.pull_request.head.sha }}\n",
    ),
    "files of an archive that is made": Kind(
        "archive-slip",
        "c.go",
        "package a\nfunc f(r *zip.Reader) {\n\tfor _, f := range r.File {\n\t\tg(filepath.Join(dir, f.Name))\n\t}\n}\n",
        'package a\nimport "archive/zip"\nfunc f(w *zip.Writer, info os.FileInfo) { g(filepath.Join(dir, info.Name())) }\n',
    ),
    "a callback of a socket": Kind(
        "message-origin",
        "e.js",
        "window.addEventListener('message', (e) => { run(e.data); });\n",
        "socket.addEventListener('message', (e) => { run(e.data); });\nwindow.addEventListener('load', f);\n",
    ),
    "a value that only NaN lacks": Kind(
        "PLR0124", "b.py", "def f(x):\n    return x == x\n", "def f(x):\n    return x != x\n"
    ),
    "a name of Python 2": Kind("F821", "b.py", "print(undefined_name)\n", "PY2 = str is bytes\nif PY2:\n    text = unicode\n"),
    "what was tested is what was assigned": Kind(
        "assignment-in-condition", "f.js", "if (a = 'b') c();\n", "if (a = b) c();\n"
    ),
    "how long a project has been that way": Kind(
        "blocked-task",
        "B.cs",
        "class A { int F() { return LoadAsync(1).Result; } }\n",
        "class A { async Task<int> F() { await Task.WhenAll(aTask, bTask); return aTask.Result; } int G() { return Read(1).Result; } }\n",
    ),
    "a key beside the pattern that finds such keys": Kind(
        "hardcoded-secret",
        "a.rs",
        'const T: &str = "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";\n',
        'const P: (&str, &str) = (\n    "ghp_[a-zA-Z0-9]{36}",\n    "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",\n);\n',
    ),
    "words in the place of a key": Kind(
        "hardcoded-secret",
        "e.rb",
        "URL = 'https://hooks.slack.com/services/T02AB3CDE/B04FG5HIJ/" + "kX9vQ2mR7tYb4LpN8wZcJ3sD'\n",
        "URL = 'https://hooks.slack.com/services/random1/random2/token'\n",
    ),
    "the name of a variable of the environment": Kind(
        "hardcoded-secret",
        "e.go",
        'package a\nfunc f() { c.password = "Holz2Wurm3x" }\n',
        'package a\nfunc f() { c.passwordEnv = "SHOP_PASSWORD2" }\n',
    ),
    "a key that the program wrote down": Kind(
        "unsafe-reflection",
        "f.js",
        "app.use((req, res) => { actions[req.query.name](req, res); });\n",
        "app.use((req, res) => { actions['/p/:pad'](req, res); });\n",
    ),
    "a key in a table of the file": Kind(
        "unsafe-reflection",
        "f.js",
        "app.use((req, res) => { this[req.body.name](); });\n",
        "const actions = { a: f, b: g };\napp.use((req, res) => { actions[req.query.name](); });\n",
    ),
    "a name that the route takes of three": Kind(
        "unsafe-reflection",
        "a.py",
        "import tornado.web\nclass Show(tornado.web.RequestHandler):\n    def get(self, part):\n        part = getattr(self.flow, part)\nROUTES = [(r'/a/(?P<part>.+)', Show)]\n",
        "import tornado.web\nclass Show(tornado.web.RequestHandler):\n    def get(self, part):\n        part = getattr(self.flow, part)\nROUTES = [(r'/a/(?P<part>request|answer)', Show)]\n",
    ),
    "an answer that is not a page": Kind(
        "xss",
        "b.js",
        "app.get('/a', (req, res) => {\n  if (req.query.j) { res.setHeader('Content-Type', 'application/json'); }\n  res.send('<p>' + req.query.a);\n});\n",
        "app.get('/a', (req, res) => {\n  res.setHeader('Content-Type', 'application/json; charset=utf-8');\n  if (req.query.j) { res.send(`{\"a\": \"${req.query.a}\"}`); }\n});\n",
    ),
    "a file that is downloaded": Kind(
        "xss",
        "b.js",
        "app.get('/a', (req, res) => {\n  res.type('html');\n  res.send(req.query.a);\n});\n",
        "app.get('/a', (req, res) => {\n  res.attachment('a.txt');\n  const text = req.query.a;\n  res.send(text);\n});\n",
    ),
    "a record that is sent": Kind(
        "xss",
        "b.js",
        "app.get('/a', async (req, res) => { res.send(req.params.id); });\n",
        "app.get('/a', async (req, res) => { const row = await db.get(`a:${req.params.id}`); res.send(row); });\n",
    ),
    "a page of one's own site": Kind(
        "open-redirect",
        "d.js",
        "window.location.href = location.href.split('next=')[1];\n",
        "window.location.href = window.location.href + '/..';\ndocument.location = `${document.location.pathname}/b`;\nconst to = `${window.location.href}p/${pad.name}`;\nwindow.location.href = to;\ndocument.location = document.location.href.substring(0, document.location.href.lastIndexOf('/'));\n",
    ),
    "what one's own server answers": Kind(
        "open-redirect",
        "d.js",
        "location.href = new URLSearchParams(location.search).get('to');\n",
        "const q = location.search;\nconst response = await send('/login', q);\nconst data = await response.json();\nlocation.href = data.to;\n",
    ),
    "a route's own table": Kind(
        "open-redirect",
        "d.js",
        "app.get('/a', (req, res) => { res.redirect(req.params.to); });\n",
        "const { params } = req;\nconst to = route.meta.redirect(req.params);\n",
    ),
    "errors that a user asks to ignore": Kind(
        "no-certificate-check",
        "c.go",
        "package a\nfunc f() { t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} }\n",
        "package a\nfunc f() {\n\tif r.ignoreTLSErrors {\n\t\tt.TLSClientConfig = &tls.Config{\n\t\t\tInsecureSkipVerify: true,\n\t\t}\n\t}\n}\n",
    ),
    "a server, whose peers have no certificate": Kind(
        "no-certificate-check",
        "b.py",
        "from OpenSSL import SSL\ndef f(s):\n    c = SSL.Context(SSL.TLS_METHOD)\n    o = SSL.Connection(c, s)\n    o.set_connect_state()\n",
        "from OpenSSL import SSL\ndef f(s):\n    c = SSL.Context(SSL.TLS_METHOD)\n    o = SSL.Connection(c, s)\n    o.set_accept_state()\n",
    ),
    "clients that are asked for a certificate": Kind(
        "no-certificate-check",
        "b.py",
        "from OpenSSL import SSL\ndef yes(*a):\n    return True\ndef f(c):\n    c.set_verify(SSL.VERIFY_PEER, yes)\n",
        "from OpenSSL import SSL\ndef yes(*a):\n    return True\ndef f(c, request_client_cert):\n    if request_client_cert:\n        c.set_verify(SSL.VERIFY_PEER, yes)\n",
    ),
    "a function that is written down": Kind(
        "code-injection",
        "d.php",
        "<?php\n$all = array_map($_GET['f'], $all);\n",
        "<?php\n$a = $_GET['a'];\n$all = array_map(static fn (string $ip): string => \"{$a}:{$ip}\", $all);\n",
    ),
    "an argument that the next place would have taken": Kind(
        "F523",
        "c.py",
        "a = 'b {0}'.format(c, d)\n",
        "a = 'b {0,2:X}'.format(c)\n",
    ),
    "what is filled in where it is known": Kind(
        "lost-error",
        "c.go",
        "package a\nfunc (l *Lock) save() error {\n\tu, err := user.Current()\n\tif err != nil {\n\t\treturn nil\n\t}\n\treturn l.put(u)\n}\n",
        "package a\nfunc (l *Lock) fillUserInfo() error {\n\tu, err := user.Current()\n\tif err != nil {\n\t\treturn nil\n\t}\n\treturn l.put(u)\n}\n",
    ),
    "an error that is meant for users": Kind(
        "error-leak",
        "d.py",
        "from flask import Flask, jsonify\napp = Flask('a')\n@app.get('/a')\ndef f():\n    try:\n        g()\n    except Exception as e:\n        return jsonify(error=str(e))\n",
        "from flask import Flask, jsonify\napp = Flask('a')\nclass Refused(Exception): ...\n@app.get('/a')\ndef f():\n    try:\n        g()\n    except (Refused, pydantic.ValidationError) as e:\n        return jsonify(error=str(e))\n",
    ),
    "a search that is not a directory's": Kind(
        "ldap-injection",
        "g.js",
        "import ldap from 'ldapjs';\napp.get('/a', (req, res) => { client.search(base, { filter: `(uid=${req.query.a})` }, done); });\n",
        "import ldap from './ldap';\napp.get('/a', (req, res) => { res.json(messages.search(req.query.a)); });\n",
    ),
    "a password that is asked for": Kind(
        "secret-in-log",
        "g.js",
        "log.info({ password }, 'made');\n",
        "log.prompt({ text: 'Password:' }, (err, password) => { add(password); });\n",
    ),
    "a worker, whose messages come from its own pages": Kind(
        "message-origin",
        "g.js",
        "window.addEventListener('message', function (e) { show(e.data); });\n",
        "self.addEventListener('push', f);\nself.addEventListener('message', function (e) { show(e.data, e.window); });\n",
    ),
    "a commit by its hash": Kind(
        "command-injection",
        ".github/workflows/b.yml",
        "on: workflow_run\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo ${{ github.event.workflow_run.head_branch }}\n",
        "on: workflow_run\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo ${{ github.event.workflow_run.head_sha }}\n",
    ),
    "a hash that a protocol asks for": Kind(
        "weak-hash",
        "e.go",
        "package a\nfunc f() { h := md5.Sum([]byte(user.Password + salt)) }\n",
        "package a\nfunc f() { digestAuth := md5.Sum([]byte(user.Password + salt)) }\n",
    ),
    "a value without blanks that the script itself sets": Kind(
        "unquoted-expansion", "a.sh", "#!/bin/sh\nDIR='my files'\nrm -rf $DIR\n", '#!/bin/sh\nDIR=files\nTMP=$(mktemp)\nrm -rf $DIR\ntrap "rm -f $TMP" 0\n'
    ),
    "an error that a comment says is ignored": Kind(
        "lost-error",
        "a.go",
        "package a\nfunc f() error {\n\t// Get the version.\n\tv, err := g()\n\tif err != nil {\n\t\treturn nil\n\t}\n\treturn h(v)\n}\n",
        "package a\nfunc f() error {\n\t// Without a version, ignore the check.\n\tv, err := g()\n\tif err != nil {\n\t\treturn nil\n\t}\n\treturn h(v)\n}\n",
    ),
    "what is called as a request is": Kind(
        "ssrf",
        "a.go",
        "package a\nfunc f(w http.ResponseWriter, r *http.Request) { client.Post(r.Host+path, kind, body) }\n",
        "package a\nfunc (r Captcha) f(w http.ResponseWriter, answer string) { client.Post(r.Host+path, kind, body) }\n",
    ),
    "one's own page with a mark in it": Kind(
        "open-redirect",
        "a_controller.rb",
        "class A < ApplicationController\n  def f\n    redirect_to params[:path]\n  end\nend\n",
        "class A < ApplicationController\n  def f\n    redirect_to title_path story, anchor: params[:id]\n  end\nend\n",
    ),
    "another part of the session": Kind(
        "open-redirect",
        "b_controller.rb",
        "class A < ApplicationController\n  def f\n    session[:to] = params[:to]\n    redirect_to session[:to]\n  end\nend\n",
        "class A < ApplicationController\n  def f\n    session[:name] = params[:name]\n    redirect_to session[:to]\n  end\nend\n",
    ),
    "an address that a library makes": Kind(
        "open-redirect",
        "a.php",
        "<?php\nheader('Location: ' . $_GET['to']);\n",
        "<?php\n$url = $provider->getLoginUrl(['name' => $_GET['name']]);\nheader('Location: ' . $url);\n",
    ),
    "a site that does not change, in a name": Kind(
        "ssrf",
        "a.js",
        "app.get('/', (req, res) => { const u = 'https://' + req.query.h; fetch(u); });\n",
        "app.get('/', (req, res) => { const u = 'https://a.example.com/' + req.query.h; fetch(u); });\n",
    ),
    "input in plain text": Kind(
        "xss",
        "a.php",
        "<?php\nexit($_REQUEST['a'] ?? '');\n",
        "<?php\nheader('Content-Type: text/plain; charset=UTF-8');\nexit($_REQUEST['a'] ?? '');\n",
    ),
    "the length of a key": Kind(
        "weak-password-hash",
        "a.js",
        "crypto.pbkdf2Sync(password, salt, 1000, 32, 'sha512');\n",
        "crypto.pbkdf2Sync(password, salt, 600000, 32, 'sha512');\n",
    ),
    "a text of one's own taken apart": Kind(
        "buffer-overflow",
        "a.c",
        'int main(int argc, char **argv) { char s[9]; return sscanf(argv[1], "%s", s); }\n',
        'int f(const char *key) { char s[9]; return sscanf(key, "%s", s); }\n',
    ),
    "a type that is asked for": Kind(
        "deserialization",
        "D.cs",
        "class D { object F(string s) { return Read(s, new S { TypeNameHandling = TypeNameHandling.Objects }); } }\n",
        "class D { bool F() { return ShouldWrite(TypeNameHandling.Objects, contract); } }\n",
    ),
    "a signature of OAuth": Kind(
        "weak-hash",
        "E.cs",
        "class E { byte[] F(string password) { return SHA1.HashData(Bytes(password)); } }\n",
        "class E { byte[] F(string consumerSecret) { return SHA1.HashData(Bytes(signatureBase)); } }\n",
    ),
    "the name of a place": Kind(
        "hardcoded-secret", "a.json", '{\n  "db": {"psk": "q7RzK2mVx9TbN4cLwY8s"}\n}\n', '{\n  "RU-PER": "Permskiy kray",\n  "RU-PSK": "Pskovskaya oblast\'"\n}\n'
    ),
    "another site behind input": Kind(
        "open-redirect",
        "b.js",
        "app.get('/', (req, res) => { res.redirect(req.protocol + '://' + req.query.host); });\n",
        "app.get('/', (req, res) => { res.redirect(base + req.query.page); });\n",
    ),
    "a check of the site": Kind(
        "open-redirect",
        "a.go",
        'package a\nfunc f(w http.ResponseWriter, r *http.Request) {\n\tto := r.FormValue("to")\n\tif !isUpper(to) {\n\t\tto = "/"\n\t}\n\thttp.Redirect(w, r, to, 302)\n}\n',
        'package a\nfunc f(w http.ResponseWriter, r *http.Request) {\n\tto := r.FormValue("to")\n\tif !IsSameSite(to) {\n\t\tto = "/"\n\t}\n\thttp.Redirect(w, r, to, 302)\n}\n',
    ),
    "another part of what a function is given": Kind(
        "open-redirect",
        "b.go",
        'package a\nfunc f(c *gin.Context) {\n\tc.Data.Link = c.Query("link")\n\tc.Redirect(302, c.Data.Link)\n}\n',
        'package a\nfunc f(c *gin.Context) {\n\tc.Data.Name = c.Query("name")\n\tc.Redirect(302, c.Repo.Link)\n}\n',
    ),
    "an address without a site": Kind(
        "open-redirect",
        "c.go",
        'package a\nfunc f(w http.ResponseWriter, r *http.Request) {\n\tu := url.URL{Host: r.FormValue("h")}\n\thttp.Redirect(w, r, u.String(), 302)\n}\n',
        'package a\nfunc f(w http.ResponseWriter, r *http.Request) {\n\tu := url.URL{RawQuery: r.FormValue("q")}\n\thttp.Redirect(w, r, u.String(), 302)\n}\n',
    ),
    "a check by its keyword": Kind(
        "open-redirect",
        "a_view.py",
        "from django.shortcuts import redirect\ndef f(request):\n    to = request.POST['next']\n    if to and is_upper(url=to):\n        return redirect(to)\n",
        "from django.shortcuts import redirect\ndef f(request):\n    to = request.POST['next']\n    if to and url_has_allowed_host_and_scheme(url=to, allowed_hosts=HOSTS):\n        return redirect(to)\n",
    ),
    "a view's function that its own methods call": Kind(
        "unsafe-reflection",
        "b_view.py",
        "from django.views import View\nclass A(View):\n    def get(self, request, name):\n        return getattr(self.object, name)\n",
        "from django.views import View\nclass A(View):\n    def shown(self, name):\n        return getattr(self.object, name)\n",
    ),
    "a program that its user names again": Kind(
        "command-injection",
        "c.py",
        "import os, sys\nos.execv('/bin/sh', ['sh', '-c', sys.argv[1]])\n",
        "import os, sys\nos.execv(sys.argv[1], sys.argv[1:])\n",
    ),
    "a cipher of a class that is called as its protocol": Kind(
        "weak-cipher",
        "F.java",
        'class Sealer { Object f() { return Cipher.getInstance("DES/ECB/NoPadding"); } }\n',
        'class NtlmEngine { Object f() { return Cipher.getInstance("DES/ECB/NoPadding"); } }\n',
    ),
    "a message about an asynchronous call": Kind(
        "floating-task",
        "G.cs",
        "class G { async Task F() { await A(); SaveAsync(b); } }\n",
        "class G { async Task F() { await A(); log?.ConnectingAsync(b); } }\n",
    ),
    "a method of a class that input names": Kind(
        "code-injection",
        "b.php",
        "<?php\ncall_user_func($_GET['f'], $a);\n",
        "<?php\ncall_user_func([$_GET['kind'], 'logoutUrl'], $a);\n",
    ),
    "a switch that is called as a password is": Kind(
        "secret-in-log",
        "d.go",
        'package a\nfunc f() { log.Info("start", "p", config.BindPassword) }\n',
        'package a\nfunc f() { log.Info("start", "p", config.fallbackToPassword) }\n',
    ),
    "a name that says what it is called": Kind(
        "hardcoded-secret",
        "c.php",
        "<?php\nconst SLUG_V5_PASSWORD = 'q7RzK2mVx9Tb';\n",
        "<?php\nconst SLUG_V5_PASSWORD = 'v5-password';\n",
    ),
    "a sample in base64": Kind(
        "hardcoded-secret", "a.yaml", "client:\n  secret: q7RzK2mVx9TbN4cLwY8sHdJ3\n", "client:\n  secret: ZXhhbXBsZS1hcHAtc2VjcmV0\n"
    ),
    "what an event of a page holds": Kind(
        "unsafe-reflection",
        "c.ts",
        "app.get('/', (req, res) => { this[req.query.by](); });\n",
        "class C { run(event) { const by = event.params?.by; this[by](); } }\n",
    ),
    "a document in JSON": Kind(
        "deserialization",
        "H.java",
        "class H { Object f(HttpServletRequest request) { return new ObjectInputStream(request.getInputStream()).readObject(); } }\n",
        "class H { Object f(HttpServletRequest request) { return Json.createReader(request.getReader()).readObject(); } }\n",
    ),
    "what a method is given that its program names": Kind(
        "unsafe-reflection",
        "b.rb",
        "class A < ApplicationController\n  def f\n    scope.send params[:by], 1\n  end\nend\n",
        "class A < ApplicationController\n  def f\n    scope.send finder, params[:id]\n  end\nend\n",
    ),
    "a block that is given input": Kind(
        "code-injection",
        "c.rb",
        "class A < ApplicationController\n  def f\n    instance_eval params[:code]\n  end\nend\n",
        "class A < ApplicationController\n  def f\n    instance_exec params[:ids], &action\n  end\nend\n",
    ),
    "a text that grows": Kind(
        "lost-error",
        "b.go",
        "package a\nfunc f() error {\n\terr := g()\n\terr = h()\n\treturn err\n}\n",
        "package a\nfunc f() string {\n\terr := g()\n\terr += h()\n\treturn err\n}\n",
    ),
    "what is made of it": Kind(
        "compared-with-itself", "c.ts", "const c = name === name;\n", "const c = name === name?.trim();\nconst d = this.#name === name;\n"
    ),
    "a login that is meant to be anonymous": Kind(
        "weak-login",
        "c.php",
        "<?php\nclass A {\n  function login() {\n    return ldap_bind($this->ldap);\n  }\n}\n",
        "<?php\nclass A {\n  function useAnonymousLogin() {\n    return ldap_bind($this->ldap);\n  }\n}\n",
    ),
    "one sign again and again": Kind(
        "hardcoded-secret", "I.java", 'class I { static final String PASSWORD = "q7RzK2mV"; }\n', 'class I { static final String PASSWORD = "00000000"; }\n'
    ),
    "a site whose scripts may ask with cookies": Kind(
        "cors",
        "d.py",
        "from fastapi.middleware.cors import CORSMiddleware\napp.add_middleware(CORSMiddleware, allow_origins=['*'], allow_credentials=True)\n",
        "from fastapi.middleware.cors import CORSMiddleware\napp.add_middleware(CORSMiddleware, allow_origins=ORIGINS, allow_credentials=True, allow_methods=['*'])\n",
    ),
    "a text for a password": Kind(
        "hardcoded-secret", "b.json", '{"password": "q7RzK2mVx9Tb"}\n', '{"password": "pw: {password}"}\n'
    ),
    "the key of an element": Kind(
        "hardcoded-secret", "a.vue", '<p api-key="q7RzK2mVx9TbN4cLwY8sHdJ3">\n', "<p :key=\"(nav.key || nav.title) + 'multi-item'\">\n"
    ),
    "a header of a table": Kind("xss", "b.vue", '<p v-html="`${raw}`">${param.name}</p>\n', "<slot #[`item.${header.value}`] />\n"),
    "a token that is read before its signature is checked": Kind(
        "unverified-token",
        "e.go",
        "package a\nfunc VerifyToken(t string) error {\n\t_, _, err := jwt.NewParser().ParseUnverified(t, claims)\n\treturn err\n}\n",
        "package a\nfunc f(t string) error {\n\t_, _, err := jwt.NewParser().ParseUnverified(t, claims)\n\tif err != nil {\n\t\treturn err\n\t}\n\treturn jwk.ValidateTokenSignature(t, site)\n}\n",
    ),
    "an error that the next call's takes the place of": Kind(
        "lost-error",
        "c.go",
        "package a\nfunc f() error {\n\ta, err := g()\n\tb, err := h(a)\n\treturn err\n}\n",
        "package a\nfunc f() error {\n\ta, err := g()\n\tb, err := h(a, err)\n\treturn err\n}\n",
    ),
    "a promise that nothing follows": Kind(
        "floating-promise",
        "d.ts",
        "async function load() { await a(); }\nasync function f() { if (b) { load(); show(); } return c; }\n",
        "async function load() { await a(); }\nasync function f() { if (b) { load(); } return c; }\n",
    ),
    "all fields of one's own choice": Kind(
        "mass-assignment",
        "d.rb",
        "class A < ApplicationController\n  def f\n    User.create(params.require(:user).permit!)\n  end\nend\n",
        "class A < ApplicationController\n  def f\n    query = params.slice(:q, :scope)\n    query = query.permit!.to_h\n  end\nend\n",
    ),
    "the key of a protocol": Kind(
        "hardcoded-secret", "e.py", 'WS_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B12"\n', 'WS_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"\n'
    ),
    "a merge that leaves out the prototype": Kind(
        "prototype-pollution",
        "e.ts",
        "import { merge } from './merge';\napp.post('/', (req, res) => { merge(state, req.body); });\n",
        "import { merge } from 'lodash';\napp.post('/', (req, res) => { merge(state, req.body); });\n",
    ),
    "types that a binder allows": Kind(
        "deserialization",
        "C.cs",
        "class A { void F() { s.TypeNameHandling = TypeNameHandling.Auto; } }\n",
        "class A { void F() { s.TypeNameHandling = TypeNameHandling.Auto;\n s.SerializationBinder = new Known(); } }\n",
    ),
    "a password of a run on one's own machine": Kind(
        "hardcoded-secret",
        "Makefile",
        "run:\n\tSTRIPE_KEY=sk_live_" + "4eC39HqLyjWDarjtT1zd go run main.go\n",
        "run:\n\tADMIN_PASSWORD=Holz2Wurm3x go run main.go\n",
    ),
}  # fmt: skip


LOW = {"weak-random", "SIM115", "log-injection", "prototype-pollution"}
"""Rules whose findings are low: what is sound must have none at all."""


def severe(path: str, text: str, rule: str) -> bool:
    found = [
        row
        for focus in ("security", "bugs")
        for row in analyse({"path": path, "text": text, "focus": focus})["findings"]
    ]
    if path.endswith(".py"):
        found += lint_batch({"files": [(path, text)], "focus": "bugs"})["findings"]
    bar: Severity = "low" if rule in LOW else "medium"
    return any(row["rule"] == rule and is_at_least(from_json(row).severity, bar) for row in found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_is_reported_and_what_only_looks_like_it_is_not(kind: str) -> None:
    rule, path, bad, good = KINDS[kind]
    assert (severe(path, bad, rule), severe(path, good, rule)) == (True, False)


@pytest.mark.parametrize(
    ("path", "text", "place"),
    [
        ("a.js", "const p = path.join(root, req.params.n);\nfs.createReadStream(p).pipe(res);\n", 2),
        (
            "A.cs",
            'class FilesController : Controller {\n public IActionResult Get([FromQuery] string n) {\n  var p = Path.Combine("a", n);\n  return File(System.IO.File.ReadAllBytes(p), "a/b");\n } }\n',
            4,
        ),
        ("main.tf", 'resource "aws_ebs_volume" "a" {\n  size = 1\n  encrypted = false\n}\n', 3),
        (
            "main.tf",
            'resource "aws_opensearch_domain" "a" {\n  node_to_node_encryption {\n    enabled = false\n  }\n}\n',
            3,
        ),
        (
            "main.tf",
            'resource "aws_kms_key" "a" {\n  description = "a"\n  enable_key_rotation = false\n}\n',
            3,
        ),
    ],
    ids=[
        "a path that is used",
        "a path that is used in C#",
        "a setting that is off",
        "a part of a resource",
        "a key that stays",
    ],
)
def test_one_defect_is_one_finding_at_its_place(path: str, text: str, place: int) -> None:
    found = {row["line"] for row in analyse({"path": path, "text": text, "focus": "security"})["findings"]}
    assert found == {place}


STAYS = {
    "input whose ends are cut": ("command-injection", "a.php", "<?php\nsystem(rtrim($_GET['c']));\n"),
    "input in lower case": ("command-injection", "a.php", "<?php\nsystem(strtolower($_GET['c']));\n"),
    "input whose ends are cut, in Go": (
        "command-injection",
        "a.go",
        'package a\nfunc f(w http.ResponseWriter, r *http.Request) {\n\texec.Command("sh", "-c", strings.TrimSpace(r.FormValue("c"))).Run()\n}\n',
    ),
    "input in one form of its letters, in Python": (
        "command-injection",
        "a.py",
        "import os, unicodedata\nfrom flask import request\ndef f():\n    os.system(unicodedata.normalize('NFC', request.args['c']))\n",
    ),
    "a password's hash in a folder of a protocol": (
        "weak-hash",
        "src/oauth/users.js",
        "const crypto = require('crypto');\nfunction f(password) { return crypto.createHash('md5').update(password).digest('hex'); }\n",
    ),
    "a check that only counts": (
        "command-injection",
        "a.js",
        "const cp = require('child_process');\napp.get('/', (req, res) => {\n  const c = req.query.c;\n  if (!allowed.includes(c)) { metrics.deniedCount++; }\n  cp.exec(c);\n});\n",
    ),
    "a user's password in a log": (
        "secret-in-log",
        "a.go",
        'package a\nfunc f() { log.Printf("login %s %s", name, userPassword) }\n',
    ),
    "an upload under its own name": (
        "path-traversal",
        "A.java",
        '@RestController\nclass A {\n  @PostMapping("/a")\n  void up(@RequestParam MultipartFile file) throws Exception {\n    Files.copy(file.getInputStream(), root.resolve(file.getOriginalFilename()));\n  }\n}\n',
    ),
    "a target by input in Ruby": (
        "path-traversal",
        "a_controller.rb",
        "class AController < ApplicationController\n  def f\n    FileUtils.cp('/srv/x', params[:dst])\n  end\nend\n",
    ),
    "a page beside a function that answers JSON": (
        "xss",
        "a.go",
        'package a\nfunc j(w http.ResponseWriter, r *http.Request) {\n\tw.Header().Set("Content-Type", "application/json")\n\tw.Write(b)\n}\nfunc f(w http.ResponseWriter, r *http.Request) {\n\tfmt.Fprintf(w, "<p>%s", r.FormValue("a"))\n}\n',
    ),
    "the same in JavaScript": (
        "xss",
        "a.js",
        "module.exports = (app) => {\n  app.get('/j', (req, res) => { res.type('text').send(req.query.a); });\n  app.get('/', (req, res) => { res.send('<p>' + req.query.a); });\n};\n",
    ),
    "a token that is read beside a signature that is checked": (
        "unverified-token",
        "a.go",
        "package a\nfunc g(s S) error { return s.Verify(x) }\nfunc f(t string) Claims {\n\ttoken, _, _ := new(jwt.Parser).ParseUnverified(t, c)\n\treturn token.Claims\n}\n",
    ),
    "one client of two without a check": (
        "no-certificate-check",
        "a.go",
        "package a\nfunc g() *tls.Config { return &tls.Config{InsecureSkipVerify: true, VerifyPeerCertificate: v} }\nfunc f() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }\n",
    ),
    "one type of two that a binder allows": (
        "deserialization",
        "C.cs",
        "class C {\n  object A(string s) { return Read(s, new S { TypeNameHandling = TypeNameHandling.All, SerializationBinder = b }); }\n  object B(string s) { return Read(s, new S { TypeNameHandling = TypeNameHandling.All }); }\n}\n",
    ),
    "an archive beside a prefix": (
        "archive-slip",
        "a.go",
        'package a\nfunc g(s string) bool { return strings.HasPrefix(s, "a") }\nfunc f(p string) {\n\tr, _ := zip.OpenReader(p)\n\tfor _, e := range r.File {\n\t\tos.Create(filepath.Join(out, e.Name))\n\t}\n}\n',
    ),
    "a request of a server that also writes scripts": (
        "ssrf",
        "a.js",
        "const page = `<script>window.x = 1</script>`;\napp.get('/', async (req, res) => { await fetch(req.query.u); });\n",
    ),
    "input that a framework's function returns": (
        "command-injection",
        "a.go",
        'package a\nfunc f(c *gin.Context) {\n\tname := c.Query("name")\n\texec.Command("sh", "-c", name).Run()\n}\n',
    ),
    "input that text is added to": (
        "command-injection",
        "a.go",
        'package a\nfunc f(w http.ResponseWriter, r *http.Request) {\n\tc := r.FormValue("c")\n\tc += " -v"\n\texec.Command("sh", "-c", c).Run()\n}\n',
    ),
    "input without its empty parts": (
        "command-injection",
        "a.php",
        "<?php\n$c = array_filter($_GET['c']);\nsystem(implode(' ', $c));\n",
    ),
    "a function that input names": ("code-injection", "a.php", "<?php\nusort($rows, $_GET['by']);\n"),
    "a header that was put together before": (
        "open-redirect",
        "a.php",
        "<?php\n$u = $_GET['to'];\n$l = \"Location: $u\";\nheader($l);\n",
    ),
    "a drawn password of this machine's database": (
        "hardcoded-secret",
        "a.py",
        "URL = 'mysql://root:q7RzK2mVx9Tb@localhost/a'\n",
    ),
    "input that is wrapped in lines": (
        "command-injection",
        "a.py",
        "import os, textwrap\nfrom flask import request\ndef f():\n    os.system(textwrap.fill(request.args['c'], 80))\n",
    ),
    "a method that input names and that is called at once": (
        "unsafe-reflection",
        "a.py",
        "from flask import Flask\napp = Flask('a')\n@app.get('/a/<part>')\ndef f(part):\n    return getattr(flow, part)()\n",
    ),
    "a password's hash in a function that is called native": (
        "weak-hash",
        "a.py",
        "import hashlib\ndef native_login(password):\n    return hashlib.md5(password.encode()).hexdigest()\n",
    ),
    "what was freed, behind &&": (
        "use-after-free",
        "a.c",
        "#include <stdlib.h>\nint f(struct a *p, int ok) {\n  free(p);\n  return ok && p->len;\n}\n",
    ),
    "what was freed, in an #else": (
        "use-after-free",
        "a.c",
        "#include <stdlib.h>\nint f(struct a *p) {\n#ifdef _WIN32\n  return 0;\n#else\n  free(p);\n  return p->len;\n#endif\n}\n",
    ),
    "a host key that is not checked, beside a tunnel": (
        "",
        "a.sh",
        "#!/bin/bash\nssh -o StrictHostKeyChecking=no -L 8080:localhost:80 deploy@prod.example.com\n",
    ),
}


@pytest.mark.parametrize("kind", STAYS)
def test_what_looks_like_well_kept_code_and_is_not_stays_reported(kind: str) -> None:
    rule, path, text = STAYS[kind]
    found = analyse({"path": path, "text": text, "focus": "security"})["findings"]
    assert any(is_at_least(row["severity"], "medium") and rule in (row["rule"], "") for row in found), found
