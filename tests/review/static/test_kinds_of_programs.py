# ruff: noqa: E501 - a program a line reads better than one that is broken up
"""Programs of the kinds that reviews meet, sound ones beside bad ones, in several languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fanout_mcp.review.finding import from_json, is_at_least
from fanout_mcp.review.merge import same_weakness
from fanout_mcp.review.static.analyse import analyse

FLASK = "import os, subprocess, logging\nfrom flask import Flask, Response, abort, make_response, request\napp = Flask(__name__)\n\n"


def view(*lines: str, head: str = FLASK, route: str = "/a", params: str = "") -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"{head}@app.route('{route}')\ndef view({params}):\n{body}"


ASKED = "asked = request.args.get('q', '')"

PYTHON = {
    "chance: a token of numpy": (330, "import numpy as np\ndef new_token():\n    return np.random.default_rng().integers(0, 10**9)\n"),
    "chance: a generator that an object keeps": (330, "import random\nclass Keys:\n    def __init__(self):\n        self.rng = random.Random(4)\n    def new_session_id(self):\n        return self.rng.getrandbits(64)\n"),
    "chance: a voucher's code": (330, "import random, string\ndef new_voucher():\n    code = ''.join(random.sample(string.ascii_letters, 8))\n    return code\n"),
    "chance: a token of the time": (330, "import hashlib, time\ndef reset_token(user):\n    return hashlib.sha256(f'{user}{time.time()}'.encode()).hexdigest()\n"),
    "chance: a token of where and when": (330, "import uuid\ndef new_session_token():\n    return str(uuid.uuid1())\n"),
    "chance: secure, kept by an object": (0, "import random\nclass Keys:\n    def __init__(self):\n        self.rng = random.SystemRandom()\n    def new_session_id(self):\n        return self.rng.getrandbits(64)\n"),
    "chance: a shuffled list": (0, "import random\ndef play(songs):\n    random.shuffle(songs)\n    return songs\n"),
    "chance: noise for a model": (0, "import numpy as np\ndef noisy(x):\n    return x + np.random.normal(0, 1, x.shape)\n"),
    "constants: a case of a text": (0, view(ASKED, "mode = 'ab'[1]", "match mode:", "    case 'a':", "        name = asked", "    case _:", "        name = 'date'", "os.system(name)", "return 'ok'")),
    "constants: a flag": (0, view(ASKED, "open_to_all = False", "name = 'date'", "if open_to_all:", "    name = asked", "os.system(name)", "return 'ok'")),
    "constants: both conditions": (0, view(ASKED, "n = 4", "if n > 3 and not n == 5:", "    name = 'date'", "else:", "    name = asked", "os.system(name)", "return 'ok'")),
    "constants: a text's length": (0, view(ASKED, "word = 'abc'", "name = asked if len(word) > 5 else 'date'", "os.system(name)", "return 'ok'")),
    "constants: one of some": (0, view(ASKED, "n = 3", "if n in (1, 2, 3):", "    name = 'date'", "else:", "    name = asked", "os.system(name)", "return 'ok'")),
    "constants: a flag that a loop sets": (78, view(ASKED, "seen = False", "name = 'date'", "for part in asked.split():", "    if seen:", "        name = part", "    seen = True", "os.system(name)", "return 'ok'")),
    "constants: a flag that an error sets": (78, view(ASKED, "bad = False", "try:", "    int(asked)", "except ValueError:", "    bad = True", "if bad:", "    os.system(asked)", "return 'ok'")),
    "elements: a display": (0, view("box = {'tool': 'date', 'note': request.args['q']}", "os.system(box['tool'])", "return 'ok'")),
    "elements: a display, the other one": (78, view("box = {'tool': 'date', 'note': request.args['q']}", "os.system(box['note'])", "return 'ok'")),
    "elements: get and update": (0, view("box = {}", "box.update(tool='date', note=request.args['q'])", "os.system(box.get('tool'))", "return 'ok'")),
    "elements: of an element": (0, view("box = {'a': {}}", "box['a']['tool'] = 'date'", "box['a']['note'] = request.args['q']", "os.system(box['a']['tool'])", "return 'ok'")),
    "elements: a field of an object": (0, view("job = SimpleNamespace(tool='date', note=request.args['q'])", "os.system(job.tool)", "return 'ok'", head="from types import SimpleNamespace\n" + FLASK)),
    "elements: the other field": (78, view("job = SimpleNamespace(tool='date', note=request.args['q'])", "os.system(job.note)", "return 'ok'", head="from types import SimpleNamespace\n" + FLASK)),
    "elements: a section's option": (0, view("c = configparser.ConfigParser()", "c.set('a', 'tool', 'date')", "c.set('a', 'note', request.args['q'])", "os.system(c.get('a', 'tool'))", "return 'ok'", head="import configparser\n" + FLASK)),
    "elements: a section's other option": (78, view("c = configparser.ConfigParser()", "c.set('a', 'tool', 'date')", "c.set('a', 'note', request.args['q'])", "os.system(c.get('a', 'note'))", "return 'ok'", head="import configparser\n" + FLASK)),
    "elements: the whole": (78, view("box = {'tool': 'date'}", "box['note'] = request.args['q']", "os.system('{tool} {note}'.format(**box))", "return 'ok'")),
    "queues: first in, first out": (0, view("q = queue.Queue()", "q.put('date')", "q.put(request.args['q'])", "os.system(q.get())", "return 'ok'", head="import queue\n" + FLASK)),
    "queues: last in, first out": (78, view("q = queue.LifoQueue()", "q.put('date')", "q.put(request.args['q'])", "os.system(q.get())", "return 'ok'", head="import queue\n" + FLASK)),
    "queues: from the left": (0, view("d = deque([request.args['q'], 'date'])", "d.popleft()", "os.system(d.popleft())", "return 'ok'", head="from collections import deque\n" + FLASK)),
    "queues: to the left": (78, view("d = deque(['date'])", "d.appendleft(request.args['q'])", "os.system(d[0])", "return 'ok'", head="from collections import deque\n" + FLASK)),
    "queues: taken off": (0, view("row = [request.args['q'], 'date']", "del row[0]", "os.system(row[0])", "return 'ok'")),
    "queues: extended": (78, view("row = ['date']", "row.extend([request.args['q']])", "os.system(row[-1])", "return 'ok'")),
    "queues: a row's other name": (0, view("row = [request.args['q'], 'date']", "other = row", "other.pop(0)", "os.system(row[0])", "return 'ok'")),
    "queues: a copy of a row": (78, view("row = [request.args['q'], 'date']", "other = list(row)", "other.pop(0)", "os.system(row[0])", "return 'ok'")),
    "elements: a box's other name": (78, view("box = {'tool': 'date'}", "other = box", "other['tool'] = request.args['q']", "os.system(box['tool'])", "return 'ok'")),
    "elements: a copy of a box": (0, view("box = {'tool': 'date'}", "other = box.copy()", "other['tool'] = request.args['q']", "os.system(box['tool'])", "return 'ok'")),
    "queues: joined after it is gone": (0, view("row = ['date', '-u']", "row.append(request.args['q'])", "row.pop()", "os.system(' '.join(row))", "return 'ok'")),
    "quotes: the other kind": (643, view(ASKED, "if '\"' in asked:", "    abort(400)", "return str(TREE.xpath(f\"/a[@b='{asked}']\"))", head="import lxml.etree\nTREE = lxml.etree.parse('a')\n" + FLASK)),
    "quotes: the very kind": (0, view(ASKED, "if \"'\" in asked:", "    abort(400)", "return str(len(TREE.xpath(f\"/a[@b='{asked}']\")))", head="import lxml.etree\nTREE = lxml.etree.parse('a')\n" + FLASK)),
    "quotes: any of some signs": (0, view(ASKED, "if any(sign in asked for sign in '\\'\"<>'):", "    abort(400)", "return str(len(TREE.xpath(f\"/a[@b='{asked}']\")))", head="import lxml.etree\nTREE = lxml.etree.parse('a')\n" + FLASK)),
    "quotes: doubled": (643, view(ASKED, "asked = asked.replace(\"'\", \"''\")", "return str(TREE.xpath(f\"/a[@b='{asked}']\"))", head="import lxml.etree\nTREE = lxml.etree.parse('a')\n" + FLASK)),
    "quotes: all but letters taken out": (0, view(ASKED, "asked = re.sub(r'[^a-z0-9]', '', asked)", "return str(len(TREE.xpath(f\"/a[@b='{asked}']\")))", head="import re, lxml.etree\nTREE = lxml.etree.parse('a')\n" + FLASK)),
    "folders: taken out once": (22, view(ASKED, "return open('/srv/' + asked.replace('../', '')).read()")),
    "folders: taken out until none is left": (0, view(ASKED, "while '../' in asked:", "    asked = asked.replace('../', '')", "return open('/srv/' + asked).read()")),
    "folders: decoded after the check": (22, view(ASKED, "if '..' in asked:", "    abort(400)", "return open('/srv/' + unquote(asked)).read()", head="from urllib.parse import unquote\n" + FLASK)),
    "folders: among the parts": (0, view(ASKED, "if '..' in asked.split('/'):", "    abort(400)", "return open('/srv/' + asked).read()")),
    "folders: the name alone": (0, view(ASKED, "return open('/srv/' + Path(asked).name).read()", head="from pathlib import Path\n" + FLASK)),
    "folders: a match that only begins well": (22, view(ASKED, "if not re.match('[a-z]+', asked):", "    abort(400)", "return open('/srv/' + asked).read()", head="import re\n" + FLASK)),
    "folders: checked by a function": (0, view(ASKED, "check(asked)", "return open('/srv/' + asked).read()", head=FLASK + "def check(name):\n    if '..' in name:\n        abort(400)\n\n")),
    "folders: checked by a function that goes on": (22, view(ASKED, "check(asked)", "return open('/srv/' + asked).read()", head=FLASK + "def check(name):\n    if '..' in name:\n        print('odd')\n\n")),
    "addresses: the rule's own text": (0, view("os.system('log ' + request.url_rule.rule)", "return 'ok'")),
    "addresses: with a query": (78, view("os.system('log ' + request.full_path)", "return 'ok'")),
    "addresses: a part that varies": (78, view("os.system('log ' + request.path.split('/')[-1])", "return 'ok'", route="/a/<name>", params="name")),
    "field names: a query's": (78, view("for name in request.args:", "    os.system('grep ' + name)", "return 'ok'")),
    "field names: JSON's": (89, view("for name, value in request.get_json().items():", "    DB.execute('UPDATE a SET ' + name + ' = ?', (value,))", "return 'ok'", head="import sqlite3\nDB = sqlite3.connect('a')\n" + FLASK)),
    "field names: in a set": (0, view("for name in request.args:", "    if name in {'a', 'b'}:", "        os.system('grep ' + name)", "return 'ok'")),
    "whether there: a size": (22, view(ASKED, "return str(os.path.getsize(os.path.join('/srv', asked)))")),
    "whether there: a method": (22, view(ASKED, "return str((ROOT / asked).exists())", head="from pathlib import Path\nROOT = Path('/srv')\n" + FLASK)),
    "whether there: links": (22, view(ASKED, "return str(os.path.islink('/srv/' + asked))")),
    "whether there: within its folder": (0, view(ASKED, "path = (ROOT / asked).resolve()", "if not path.is_relative_to(ROOT):", "    abort(404)", "return str(path.exists())", head="from pathlib import Path\nROOT = Path('/srv')\n" + FLASK)),
    "answers: HTML by its type": (79, "from sanic import Sanic\nfrom sanic.response import HTTPResponse\napp = Sanic('a')\n@app.get('/a')\nasync def f(request):\n    return HTTPResponse('<p>' + request.args.get('a'), content_type='text/html')\n"),
    "answers: plain by its type": (0, view(ASKED, "return Response('you said ' + asked, mimetype='text/plain')")),
    "answers: plain by its headers": (0, view(ASKED, "return Response('you said ' + asked, headers={'Content-Type': 'text/plain'})")),
    "answers: plain, as is said later": (0, view(ASKED, "answer = make_response('you said ' + asked)", "answer.content_type = 'text/plain'", "return answer")),
    "answers: HTML of a handler": (79, "import tornado.web\nclass A(tornado.web.RequestHandler):\n    def get(self):\n        self.write('<p>' + self.get_argument('a'))\n"),
    "answers: text of aiohttp": (0, "from aiohttp import web\nasync def f(request):\n    return web.Response(text='you said ' + request.query['a'])\n"),
    "headers: sent by hand": (113, "from http.server import BaseHTTPRequestHandler\nfrom urllib.parse import parse_qs, urlsplit\nclass A(BaseHTTPRequestHandler):\n    def do_GET(self):\n        q = parse_qs(urlsplit(self.path).query)\n        self.send_header('X-A', q['a'][0])\n"),
    "headers: in raw text": (113, "from urllib.parse import unquote\nimport socketserver\nclass A(socketserver.StreamRequestHandler):\n    def handle(self):\n        tag = unquote(self.rfile.readline().decode())\n        self.wfile.write(('HTTP/1.1 200 OK\\r\\nX-Tag: ' + tag + '\\r\\n\\r\\n').encode())\n"),
    "headers: a number": (0, view("answer = make_response('ok')", "answer.headers['X-A'] = str(int(request.args['a']))", "return answer")),
    "headers: line ends taken out": (0, view(ASKED, "answer = make_response('ok')", "answer.headers['X-A'] = asked.replace('\\r', '').replace('\\n', '')", "return answer")),
    "logs: a file of one's own": (117, view(ASKED, "with open('/var/log/audit.log', 'a') as out:", "    out.write('asked ' + asked + '\\n')", "return 'ok'")),
    "logs: printed into one": (117, view(ASKED, "log = open('a.log', 'a')", "print('asked', asked, file=log)", "return 'ok'")),
    "logs: a file that is none": (0, view(ASKED, "with open('/srv/notes.txt', 'a') as out:", "    out.write(asked)", "return 'ok'")),
    "logs: in quotes": (0, view(ASKED, "logging.getLogger('a').info('asked %s', repr(asked))", "return 'ok'")),
    "logs: cleaned by a function": (0, view(ASKED, "logging.getLogger('a').info('asked ' + clean(asked))", "return 'ok'", head=FLASK + "def clean(text):\n    return text.replace('\\n', ' ')\n\n")),
    "positions: an element that is doubled": (193, "def f(row):\n    i = 0\n    while i <= len(row):\n        row[i] *= 2\n        i += 1\n"),
    "positions: the next of the last": (193, "def f(row):\n    for i in range(len(row)):\n        if row[i] > row[i + 1]:\n            return i\n"),
    "positions: of an attribute": (193, "class A:\n    def f(self):\n        for i in range(1, len(self.rows) + 1):\n            print(self.rows[i])\n"),
    "positions: backwards": (193, "def f(row):\n    for i in range(len(row), 0, -1):\n        print(row[i])\n"),
    "positions: the next, but for the last": (0, "def f(row):\n    for i in range(len(row) - 1):\n        if row[i] > row[i + 1]:\n            return i\n"),
    "positions: the next, where there is one": (0, "def f(row):\n    for i in range(len(row)):\n        if i + 1 < len(row) and row[i] > row[i + 1]:\n            return i\n"),
    "positions: the next of the last, by a size": (193, "def f(row):\n    n = len(row)\n    for i in range(n):\n        print(row[i] - row[i + 1])\n"),
    "positions: swapped with the next of the last": (193, "def f(row):\n    n = len(row)\n    for _ in range(n):\n        for j in range(n):\n            if row[j] > row[j + 1]:\n                row[j], row[j + 1] = row[j + 1], row[j]\n"),
    "positions: at the size": (193, "def f(row):\n    n = len(row)\n    return row[n]\n"),
    "positions: by a size, then grown": (0, "def f(row):\n    n = len(row)\n    row.append(0)\n    return [row[n]] + [row[i + 1] for i in range(n)]\n"),
    "positions: by a size, then filled by a function": (0, "def f(code):\n    n = len(code)\n    emit(code)\n    return code[n]\n"),
    "positions: filled in later": (0, "def f(code):\n    at = len(code)\n    code.append(None)\n    body(code)\n    code[at] = len(code)\n"),
    "positions: a new word's number": (0, "def f(words, word):\n    n = len(words)\n    words[n] = word\n    return n\n"),
    "positions: at what has the size's name": (0, "def f(words, node):\n    n = len(words)\n    return words[node.n], n\n"),
    "positions: the size of parts, some of them odd": (0, "def f(data):\n    n = len(data.split(b'\\x00'))\n    for i in range(n):\n        print(i)\n"),
    "positions: the size asked for first": (0, "def f(row):\n    for i in range(len(row)):\n        if len(row) > i + 1 and row[i + 1] == 0:\n            return i\n"),
    "positions: written by number": (0, "def f(seen, counts):\n    for i in range(len(seen)):\n        counts[i + 1] = seen[i]\n    for i in range(len(counts)):\n        counts[i + 1] += 1\n"),
    "loops: on, unmoved": (835, "def f(rows):\n    i = 0\n    while i < len(rows):\n        if not rows[i]:\n            continue\n        print(rows[i])\n        i += 1\n"),
    "loops: half of two": (835, "def f(a, x):\n    low, high = 0, len(a)\n    while low < high:\n        mid = (low + high) // 2\n        if a[mid] < x:\n            low = mid\n        else:\n            high = mid\n    return low\n"),
    "loops: away": (835, "def f(n):\n    i = 0\n    while i < n:\n        print(i)\n        i -= 1\n"),
    "loops: nothing taken": (835, "def f(jobs):\n    while jobs:\n        run(jobs[0])\n"),
    "loops: ever longer": (835, "def f(rows):\n    for row in rows:\n        rows.append(row * 2)\n"),
    "loops: half of some": (0, "def f(a, x):\n    low, high = 0, len(a)\n    while low < high:\n        mid = (low + high) // 2\n        if a[mid] < x:\n            low = mid + 1\n        else:\n            high = mid\n    return low\n"),
    "loops: each round the same number": (835, "def f(n):\n    i = 1\n    while i < n:\n        print(i)\n        i = -1\n"),
    "loops: half of two, or found": (835, "def f(a, x):\n    low, high = 0, len(a)\n    while low < high:\n        mid = (low + high) // 2\n        if a[mid] == x:\n            return mid\n        if a[mid] < x:\n            low = mid\n        else:\n            high = mid\n    return low\n"),
    "loops: a list that its size was taken of": (835, "def f(rows):\n    i, seen = 0, sorted(rows)\n    while i < len(seen):\n        if not seen[i]:\n            continue\n        i += 1\n"),
    "loops: until a signal": (0, "import signal, time\nrunning = True\ndef stop(number, frame):\n    global running\n    running = False\ndef main():\n    signal.signal(signal.SIGTERM, stop)\n    while running:\n        time.sleep(1)\n"),
    "loops: until it is called back": (0, "def f(loop):\n    done = False\n    def end():\n        nonlocal done\n        done = True\n    loop.later(end)\n    while not done:\n        loop.run_once()\n"),
    "loops: until all have ended": (0, "pending = 3\ndef end():\n    global pending\n    pending -= 1\ndef f(loop):\n    while pending > 0:\n        loop.run_once()\n"),
    "loops: emptied by an inner function": (0, "def f(tree):\n    todo = [tree]\n    def step():\n        todo.extend(todo.pop().children)\n    while todo:\n        step()\n"),
    "loops: emptied by a function, in a script": (0, "todo = [1]\ndef step():\n    todo.pop()\nwhile todo:\n    step()\n"),
    "loops: filled by a thread": (0, "import threading, time\ndef f():\n    state = {}\n    threading.Thread(target=fill, args=(state,)).start()\n    while not state:\n        time.sleep(1)\n"),
    "loops: filled by a thread, up to a number": (0, "import time\ndef f(n):\n    rows = []\n    start(rows.append)\n    while len(rows) < n:\n        time.sleep(1)\n"),
    "loops: until a key is there": (0, "import time\ndef f(key):\n    seen = {}\n    start(seen)\n    while key not in seen:\n        time.sleep(1)\n"),
    "loops: an object's own list": (0, "class A:\n    def f(self):\n        todo = self.todo\n        while todo:\n            self.step()\n"),
    "loops: on with the next of a queue": (0, "def f(q, running):\n    while running:\n        item = q.get()\n        if item is None:\n            continue\n        if item == STOP:\n            break\n        run(item)\n"),
    "loops: on with the next page": (0, "def f(client):\n    more = True\n    while more:\n        page = client.get('/a')\n        if not page:\n            continue\n        more = page.more\n"),
    "loops: until it is ready": (0, "def f(job):\n    ready = False\n    while ready == False:\n        ready = not job.pending()\n"),
    "loops: away, until one is found": (0, "def f(a, i, n):\n    while i < n:\n        i -= 1\n        if not a[i]:\n            return i\n"),
    "no password: an address": (521, "from sqlalchemy import create_engine\nengine = create_engine('mysql://root:@db.shop.internal/shop')\n"),
    "no password: parts of an address": (521, "from sqlalchemy import URL\nurl = URL.create('postgresql', username='a', password='', host='db')\n"),
    "no password: a table of settings": (521, "DB = {'host': 'db.internal', 'user': 'shop', 'password': ''}\n"),
    "no password: where the environment has none": (521, "import os, psycopg2\nc = psycopg2.connect(host='db', user='a', password=os.environ.get('PW', ''))\n"),
    "no password: a file": (0, "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'a', 'PASSWORD': ''}}\n"),
    "no password: one that was sent": (0, "def f(request):\n    return authenticate(username=request.POST['name'], password=request.POST.get('password', ''))\n"),
    "no password: where Django's environment has none": (0, "import os\nDATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'HOST': 'db', 'USER': 'a', 'PASSWORD': os.environ.get('DB_PASSWORD', '')}}\n"),
    "certificates: of a session": (295, "import requests\ns = requests.Session()\ns.verify = False\n"),
    "certificates: of a pool": (295, "import urllib3\np = urllib3.PoolManager(cert_reqs='CERT_NONE')\n"),
    "certificates: of a database": (295, "import pymongo\nc = pymongo.MongoClient('mongodb://db', tls=True, tlsAllowInvalidCertificates=True)\n"),
    "certificates: for all": (295, "import ssl\nssl._create_default_https_context = ssl._create_unverified_context\n"),
    "certificates: asked for": (0, "import ssl, urllib3\np = urllib3.PoolManager(cert_reqs=ssl.CERT_REQUIRED)\n"),
    "shells: of anyio": (78, "import anyio\nfrom fastapi import FastAPI\napp = FastAPI()\n@app.get('/a')\nasync def f(name: str):\n    await anyio.run_process(f'convert {name}')\n"),
    "shells: in a thread": (78, "import asyncio, os\nfrom aiohttp import web\nasync def f(request):\n    await asyncio.to_thread(os.system, 'ping ' + request.query['h'])\n"),
    "shells: named": (78, "import asyncio\nfrom aiohttp import web\nasync def f(request):\n    await asyncio.create_subprocess_exec('sh', '-c', 'ping ' + request.query['h'])\n"),
    "shells: none": (0, "import anyio, ipaddress\nfrom fastapi import FastAPI\napp = FastAPI()\n@app.get('/a')\nasync def f(host: str):\n    await anyio.run_process(['ping', '-c', '1', str(ipaddress.ip_address(host))])\n"),
    "queries: a part of Django's": (89, "from django.http import HttpResponse\nfrom a.models import A\ndef f(request):\n    return HttpResponse(A.objects.extra(select={'n': 'name = ' + request.GET['n']}).count())\n"),
    "queries: Django's, with parameters": (0, "from django.http import HttpResponse\nfrom a.models import A\ndef f(request):\n    return HttpResponse(A.objects.extra(where=['n = %s'], params=[request.GET['n']]).count())\n"),
    "queries: a column in words": (89, "from sqlalchemy import literal_column, select\n" + view("return str(S.execute(select(A).order_by(literal_column(request.args['by']))).all())")),
    "queries: of databases": (89, "from databases import Database\nfrom fastapi import FastAPI\napp = FastAPI()\ndb = Database('a')\n@app.get('/a')\nasync def f(name: str):\n    return await db.fetch_all(query=f\"SELECT a FROM b WHERE c = '{name}'\")\n"),
    "queries: of peewee": (89, "from peewee import SQL\n" + view("return str(list(A.select().where(SQL('name = ' + request.args['n']))))")),
    "queries: bound": (0, "from sqlalchemy import text\n" + view("return str(len(S.execute(text('SELECT a FROM b WHERE c = :c'), {'c': request.args['c']}).all()))")),
}  # fmt: skip

OTHERS = {
    "prints: its own arguments": (0, "a.mjs", "import { argv, stdout } from 'node:process';\nstdout.write(`Hello ${argv[2]}\\n`);\n"),
    "words: how a secret is given": (0, "a.js", "console.log('export TOKEN=<your token>, then log in with your password');\n"),
    "words: a secret itself": (532, "a.js", "function f(user) { logger.debug(`new user ${user.name} ${user.password}`); }\n"),
    "words: on standard output": (532, "a.js", "process.stdout.write('key: ' + apiKey + '\\n');\n"),
    "words: a token": (532, "a.ts", "const { accessToken } = await login();\nthis.logger.log(`got ${accessToken}`);\n"),
    "browsers: a picture of anything": (918, "a.js", "const { chromium } = require('playwright');\nfastify.get('/s', async (request) => { const p = await b.newPage(); await p.goto(request.query.u); });\n"),
    "browsers: a page of one's own": (918, "a.js", "const puppeteer = require('puppeteer');\napp.post('/s', async (req, res) => { await page.setContent(req.body.html); res.end(); });\n"),
    "browsers: one of some": (0, "a.js", "const puppeteer = require('puppeteer');\nconst PAGES = { a: 'https://a.example.org/' };\napp.get('/s', async (req, res) => { const to = PAGES[req.query.p]; if (!to) return res.sendStatus(404); await page.goto(to); res.end(); });\n"),
    "code: a function": (94, "a.js", "app.post('/s', (req, res) => { const f = new Function('x', req.body.code); res.json(f(1)); });\n"),
    "code: by its short name": (94, "a.js", "const { runInNewContext } = require('node:vm');\napp.post('/s', (req, res) => { res.json(runInNewContext(req.body.code)); });\n"),
    "code: of a worker": (94, "a.js", "const { Worker } = require('node:worker_threads');\napp.post('/s', (req, res) => { new Worker(req.body.code, { eval: true }); res.end(); });\n"),
    "code: one of some functions": (0, "a.js", "const OPS = new Map([['add', (a, b) => a + b]]);\napp.post('/s', (req, res) => { const f = OPS.get(req.body.op); if (!f) return res.sendStatus(400); res.json(f(1, 2)); });\n"),
    "clear: a socket": (319, "a.js", "const socket = new WebSocket('ws://feed.example.com/v1');\n"),
    "clear: where all requests go": (319, "a.ts", "const api = axios.create({ baseURL: 'http://api.example.com/v1' });\n"),
    "clear: a name for it": (319, "a.js", "const FEED = 'http://feed.example.com/today';\nfetch(FEED);\n"),
    "clear: at home": (0, "a.js", "fetch('http://localhost:8080/health');\n"),
    "clear: not": (0, "a.js", "const socket = new WebSocket('wss://feed.example.com/v1');\n"),
    "keys: a session's": (798, "a.js", "const session = require('express-session');\napp.use(session({ secret: 'tiger-lily-88-north', resave: false }));\n"),
    "keys: a strategy's": (798, "a.js", "const { Strategy } = require('passport-jwt');\nnew Strategy({ secretOrKey: 'q8Xw0zk4hh1', jwtFromRequest: f }, g);\n"),
    "keys: by name": (798, "a.js", "const jwt = require('jsonwebtoken');\nconst KEY = 'q8Xw0zk4-hh1-7f';\njwt.sign({ id: 1 }, KEY);\n"),
    "keys: of the environment": (0, "a.js", "const jwt = require('jsonwebtoken');\nconst KEY = process.env.JWT_KEY;\njwt.sign({ id: 1 }, KEY);\n"),
    "pages: an element": (79, "a.ts", "import { ElementRef } from '@angular/core';\nclass A { f(text: string) { this.el.nativeElement.innerHTML = '<b>' + text; } }\n"),
    "pages: by a renderer": (79, "a.ts", "import { Renderer2 } from '@angular/core';\nclass A { f(text: string) { this.renderer.setProperty(this.el, 'innerHTML', text); } }\n"),
    "pages: of lit": (79, "a.ts", "import { unsafeHTML } from 'lit/directives/unsafe-html.js';\nconst page = (text: string) => html`<p>${unsafeHTML(text)}</p>`;\n"),
    "pages: text": (0, "a.ts", "import { Renderer2 } from '@angular/core';\nclass A { f(text: string) { this.renderer.setProperty(this.el, 'textContent', text); } }\n"),
    "disks: of a table": (311, "a.ts", "import * as sqs from 'aws-cdk-lib/aws-sqs';\nnew sqs.Queue(this, 'a', { encryption: sqs.QueueEncryption.UNENCRYPTED });\n"),
    "disks: as nothing is said": (311, "a.ts", "import * as rds from 'aws-cdk-lib/aws-rds';\nnew rds.DatabaseInstance(this, 'a', { vpc, engine });\n"),
    "disks: at rest": (311, "a.ts", "import * as aws from '@pulumi/aws';\nnew aws.elasticache.ReplicationGroup('a', { atRestEncryptionEnabled: false });\n"),
    "disks: encrypted": (0, "a.ts", "import * as rds from 'aws-cdk-lib/aws-rds';\nnew rds.DatabaseInstance(this, 'a', { vpc, engine, storageEncrypted: true });\n"),
    "ciphers: by name": (327, "a.js", "const ALGORITHM = 'des-ede3';\ncrypto.createCipheriv(ALGORITHM, key, iv);\n"),
    "ciphers: weak suites": (327, "a.js", "https.createServer({ key, cert, ciphers: 'RC4-SHA:DES-CBC3-SHA' }, app);\n"),
    "ciphers: TLS of old": (327, "a.js", "tls.connect({ host, maxVersion: 'TLSv1.1' });\n"),
    "ciphers: sound": (0, "a.js", "const ALGORITHM = 'aes-256-gcm';\ncrypto.createCipheriv(ALGORITHM, key, iv);\n"),
    "sites: a constant's page": (0, "a.js", "const SHOP = 'https://shop.example.com/item/';\napp.get('/g', (req, res) => res.redirect(SHOP + req.query.id));\n"),
    "sites: a constant's lookalike": (601, "a.js", "const SHOP = 'https://shop.example.com';\napp.get('/g', (req, res) => res.redirect(SHOP + req.query.id));\n"),
    "sites: behind one slash": (601, "a.js", "app.get('/g', (req, res) => res.redirect('/' + req.query.next));\n"),
    "sites: below a page": (0, "a.js", "app.get('/g', (req, res) => res.redirect('/item/' + req.query.id));\n"),
    "hosts: begun with": (918, "a.ts", "app.get('/g', async (req, res) => { res.json(await fetch('https://' + req.query.region + '.api.example.com/v1')); });\n"),
    "hosts: lookalike": (918, "a.ts", "app.get('/g', async (req, res) => { res.json(await axios.get('https://api.example.com' + req.query.path)); });\n"),
    "hosts: constant by name": (0, "a.ts", "const API = 'https://api.example.com/v1/';\napp.get('/g', async (req, res) => { res.json(await axios.get(API + req.params.id)); });\n"),
    "hosts: what is sent": (0, "a.ts", "app.post('/g', async (req, res) => { res.json(await axios.post(API_URL, { name: req.body.name })); });\n"),
    "hosts: of an object": (918, "a.ts", "app.post('/g', async (req, res) => { res.json(await axios({ method: 'get', url: req.body.callback })); });\n"),
    "hosts: compared": (0, "a.ts", "app.get('/g', async (req, res) => { const u = new URL(req.query.u); if (u.hostname !== 'api.example.com') return res.sendStatus(400); res.json(await fetch(u)); });\n"),
    "numbers: tried, then refused": (0, "a.go", 'package a\nimport ("database/sql"; "net/http"; "strconv")\nfunc f(db *sql.DB, w http.ResponseWriter, r *http.Request) {\n\tid := r.FormValue("id")\n\tif _, err := strconv.Atoi(id); err != nil {\n\t\treturn\n\t}\n\tdb.Query("SELECT a FROM b WHERE c = " + id)\n}\n'),
    "numbers: tried, and on": (89, "a.go", 'package a\nimport ("database/sql"; "net/http"; "strconv")\nfunc f(db *sql.DB, w http.ResponseWriter, r *http.Request) {\n\tid := r.FormValue("id")\n\tif _, err := strconv.Atoi(id); err != nil {\n\t\tlog.Print("odd")\n\t}\n\tdb.Query("SELECT a FROM b WHERE c = " + id)\n}\n'),
    "numbers: of gin": (0, "a.go", 'package a\nimport ("fmt"; "strconv"; "github.com/gin-gonic/gin")\nfunc f(c *gin.Context) {\n\tn, err := strconv.Atoi(c.Query("n"))\n\tif err != nil {\n\t\treturn\n\t}\n\tdb.Raw(fmt.Sprintf("SELECT a FROM b LIMIT %d", n))\n}\n'),
    "query: put together in parts": (89, "a.go", 'package a\nimport ("database/sql"; "net/http"; "strings")\nfunc f(db *sql.DB, r *http.Request) {\n\tvar b strings.Builder\n\tb.WriteString("SELECT a FROM b WHERE c = \'" + r.FormValue("c") + "\'")\n\tdb.Query(b.String())\n}\n'),
    "query: of sqlx": (89, "a.go", 'package a\nimport ("net/http"; "github.com/jmoiron/sqlx")\nfunc f(db *sqlx.DB, r *http.Request) {\n\tvar rows []Row\n\tdb.Select(&rows, "SELECT a FROM b ORDER BY "+r.FormValue("by"))\n}\n'),
    "query: constants": (0, "a.go", 'package a\nimport ("database/sql"; "fmt")\nconst table = "visits"\nfunc f(db *sql.DB, since string) {\n\tq := fmt.Sprintf("SELECT a FROM %s WHERE d >= $1", table)\n\tdb.Query(q, since)\n}\n'),
    "files: a name in a body": (22, "a.go", 'package a\nimport ("encoding/json"; "net/http"; "os"; "path/filepath")\nfunc f(w http.ResponseWriter, r *http.Request) {\n\tvar in struct{ Name string }\n\tjson.NewDecoder(r.Body).Decode(&in)\n\tos.Remove(filepath.Join("/srv", in.Name))\n}\n'),
    "files: bound by a framework": (22, "a.go", 'package a\nimport ("os"; "github.com/gin-gonic/gin")\nfunc f(c *gin.Context) {\n\tvar in Job\n\tif err := c.ShouldBindJSON(&in); err != nil {\n\t\treturn\n\t}\n\tos.WriteFile("/srv/"+in.Name, nil, 0o600)\n}\n'),
    "files: a parameter, put together before": (22, "a.go", 'package a\nimport ("os"; "path/filepath")\nfunc f(dir, name string) ([]byte, error) {\n\tp := filepath.Join(dir, name)\n\treturn os.ReadFile(p)\n}\n'),
    "files: folders above refused": (0, "a.go", 'package a\nimport ("net/http"; "os"; "strings")\nfunc f(w http.ResponseWriter, r *http.Request) {\n\tname := r.FormValue("n")\n\tif strings.Contains(name, "..") {\n\t\treturn\n\t}\n\tos.ReadFile("/srv/" + name)\n}\n'),
    "cookies: of gin": (1004, "a.go", 'package a\nfunc f(c *gin.Context, id string) { c.SetCookie("session", id, 60, "/", "", true, false) }\n'),
    "cookies: of fiber": (1004, "a.go", 'package a\nfunc f(c *fiber.Ctx, id string) { c.Cookie(&fiber.Cookie{Name: "session", Value: id, Secure: true, HTTPOnly: false}) }\n'),
    "cookies: as nothing is said": (1004, "a.go", 'package a\nfunc f(w http.ResponseWriter, id string) {\n\tk := &http.Cookie{Name: "session", Value: id, Secure: true}\n\thttp.SetCookie(w, k)\n}\n'),
    "cookies: set later": (1004, "a.go", "package a\nfunc f(s *scs.SessionManager) { s.Cookie.HttpOnly = false }\n"),
    "cookies: sound": (0, "a.go", 'package a\nfunc f(c *gin.Context, id string) { c.SetCookie("session", id, 60, "/", "", true, true) }\n'),
    "trust: any chain": (295, "A.java", "import org.apache.http.ssl.SSLContextBuilder;\nclass A { SSLContext f() { return SSLContextBuilder.create().loadTrustMaterial(null, (chain, type) -> true).build(); } }\n"),
    "trust: any name": (295, "A.java", "import okhttp3.OkHttpClient;\nclass A { OkHttpClient f() { return new OkHttpClient.Builder().hostnameVerifier((h, s) -> true).build(); } }\n"),
    "trust: netty's": (295, "A.java", "class A { SslContext f() { return SslContextBuilder.forClient().trustManager(InsecureTrustManagerFactory.INSTANCE).build(); } }\n"),
    "trust: a store": (0, "A.java", 'class A { void f(KeyStore s) { TrustManagerFactory t = TrustManagerFactory.getInstance("PKIX"); t.init(s); SSLContext.getInstance("TLSv1.3").init(null, t.getTrustManagers(), null); } }\n'),
    "lengths: by name": (326, "A.java", 'class A { static final int BITS = 1024; void f() { KeyPairGenerator g = KeyPairGenerator.getInstance("RSA"); g.initialize(BITS); } }\n'),
    "lengths: of a curve": (326, "A.java", 'class A { void f(KeyPairGenerator g) { g.initialize(new ECGenParameterSpec("secp160r1")); } }\n'),
    "lengths: enough": (0, "A.java", 'class A { static final int BITS = 3072; void f() { KeyPairGenerator g = KeyPairGenerator.getInstance("RSA"); g.initialize(BITS); } }\n'),
    "documents: read from a body": (943, "A.java", 'import org.bson.Document;\nimport com.mongodb.client.*;\nclass A { @PostMapping("/a") Object f(@RequestBody String body) { return c.find(Document.parse(body)); } }\n'),
    "documents: a script": (943, "A.java", 'import org.bson.Document;\nimport com.mongodb.client.*;\nclass A { Object f(Context ctx) { return c.find(new Document("$where", "this.a > " + ctx.queryParam("a"))); } }\n'),
    "documents: a value": (0, "A.java", 'import org.bson.Document;\nimport com.mongodb.client.*;\nclass A { @GetMapping("/a") Object f(@RequestParam String name) { return c.find(new Document("name", name)); } }\n'),
    "records: a text of its own": (89, "a.rb", "class A < ApplicationController\n  def f\n    sql = \"SELECT * FROM a WHERE b = '#{params[:b]}'\"\n    A.find_by_sql(sql)\n  end\nend\n"),
    "records: a text of several lines": (89, "a.rb", "class A < ApplicationController\n  def f\n    sql = <<~SQL\n      SELECT * FROM a\n      WHERE b = '#{params[:b]}'\n    SQL\n    A.connection.execute(sql)\n  end\nend\n"),
    "records: of Sequel": (89, "a.rb", "require 'sinatra'\nget '/a' do\n  DB[\"SELECT a FROM b WHERE c = '#{params[:c]}'\"].all.to_json\nend\n"),
    "records: grouped as asked": (89, "a.rb", "class A < ApplicationController\n  def f\n    A.group(params[:g]).count\n  end\nend\n"),
    "records: bound": (0, "a.rb", "class A < ApplicationController\n  def f\n    A.where('b = ?', params[:b]).order(created_at: :desc)\n  end\nend\n"),
    "markup: a route's": (79, "a.rb", "require 'sinatra'\nget '/a' do\n  \"<h1>Hello #{params[:name]}</h1>\"\nend\n"),
    "markup: marked safe": (79, "a.rb", 'module A\n  def f\n    label = params[:label]\n    "<b>#{label}</b>".html_safe\n  end\nend\n'),
    "markup: escaped, then safe": (0, "a.rb", 'module A\n  def f(name)\n    "<b>#{h(name)}</b>".html_safe\n  end\nend\n'),
    "markup: a constant": (0, "a.rb", "module A\n  def f\n    '<br>'.html_safe\n  end\nend\n"),
    "ways: anywhere": (601, "a.rb", "class A < ApplicationController\n  def f\n    redirect_to params[:to]\n  end\nend\n"),
    "ways: one's own actions": (0, "a.rb", "class A < ApplicationController\n  def f\n    redirect_to action: params[:a]\n  end\nend\n"),
    "ways: the path alone": (0, "a.rb", "class A < ApplicationController\n  def f\n    redirect_to URI.parse(params[:to]).path\n  end\nend\n"),
    "targets: a lambda's parameter": (918, "A.cs", 'var app = builder.Build();\napp.MapGet("/a", async (string u, IHttpClientFactory f) => await f.CreateClient().GetStringAsync(u));\n'),
    "targets: JSON": (918, "A.cs", "public class AController : ControllerBase { [HttpPost] public async Task<IActionResult> F([FromBody] Hook h) { await _http.PostAsJsonAsync(h.Url, 1); return Ok(); } }\n"),
    "targets: in a message": (918, "A.cs", "public class AController : ControllerBase { [HttpGet] public Task F(string u) { return _http.SendAsync(new HttpRequestMessage(HttpMethod.Get, u)); } }\n"),
    "targets: a constant host": (0, "A.cs", 'public class AController : ControllerBase { [HttpGet] public Task F(string name) { return _http.GetStringAsync($"https://api.example.com/v1/{Uri.EscapeDataString(name)}"); } }\n'),
    "targets: below the base": (0, "A.cs", 'public class AController : ControllerBase { [HttpGet] public Task F(string name) { return _http.GetStringAsync($"v1/stations/{name}"); } }\n'),
    "escapes: tags alone": (79, "a.php", "<?php\n$q = strip_tags($_GET['q']);\n?>\n<input value=\"<?= $q ?>\">\n"),
    "escapes: but the quotes": (79, "a.php", "<?php\necho \"<a title='\" . htmlspecialchars($_GET['q'], ENT_NOQUOTES) . \"'>\";\n"),
    "escapes: all": (0, "a.php", "<?php\necho '<a title=\"' . htmlspecialchars($_GET['q'], ENT_QUOTES) . '\">';\n"),
    "logins: any password": (287, "a.php", "<?php\nfunction f($c, $dn) { return ldap_bind($c, $dn, $_POST['password']); }\n"),
    "logins: nobody": (287, "a.php", "<?php\nldap_bind($this->connection, null, null);\n"),
    "logins: refused without one": (0, "a.php", "<?php\nfunction f($c, $dn, $password) { if ($password === '') { return false; } return ldap_bind($c, $dn, $password); }\n"),
    "containers: all files": (250, "compose.yaml", "services:\n  a:\n    image: a:1\n    volumes:\n      - /:/host\n"),
    "containers: the host's settings": (250, "compose.yaml", "services:\n  a:\n    image: a:1\n    volumes:\n      - /etc:/etc-of-host\n"),
    "containers: the host's processes": (250, "compose.yaml", "services:\n  a:\n    image: a:1\n    pid: host\n"),
    "containers: data": (0, "compose.yaml", "services:\n  a:\n    image: a:1\n    volumes:\n      - ./data:/data\n"),
    "actions: of others": (829, ".github/workflows/a.yml", "jobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: docker://alpine:3\n"),
    "actions: a whole workflow": (829, ".github/workflows/a.yml", "jobs:\n  a:\n    uses: some/one/.github/workflows/a.yml@v1\n    secrets: inherit\n  b:\n    runs-on: x\n"),
    "users: of the first stage alone": (250, "Dockerfile", 'FROM a:1 AS build\nUSER build\nRUN make\nFROM b:1\nCOPY --from=build /a /a\nCMD ["/a"]\n'),
    "users: root at last": (250, "Dockerfile", 'FROM a:1\nUSER app\nUSER root\nCMD ["/a"]\n'),
    "users: of the last stage": (0, "Dockerfile", 'FROM a:1 AS build\nRUN make\nFROM b:1\nUSER app\nCMD ["/a"]\n'),
    "ports: beside a way out": (284, "a.tf", 'resource "aws_security_group" "a" {\n  ingress {\n    from_port   = 22\n    to_port     = 22\n    cidr_blocks = ["0.0.0.0/0"]\n  }\n  egress {\n    cidr_blocks = ["0.0.0.0/0"]\n  }\n}\n'),
    "ports: a way out": (0, "a.tf", 'resource "aws_security_group" "a" {\n  ingress {\n    from_port   = 22\n    cidr_blocks = ["10.0.0.0/8"]\n  }\n  egress {\n    cidr_blocks = ["0.0.0.0/0"]\n  }\n}\n'),
    "ports: of a group of rules": (284, "a.tf", 'resource "azurerm_network_security_group" "a" {\n  security_rule {\n    direction             = "Inbound"\n    access                = "Allow"\n    destination_port_range = "22"\n    source_address_prefix = "*"\n  }\n}\n'),
    "ports: of a site": (0, "a.tf", 'resource "aws_vpc_security_group_ingress_rule" "a" {\n  from_port = 443\n  cidr_ipv4 = "0.0.0.0/0"\n}\n'),
}  # fmt: skip


def listed() -> dict[str, tuple[int, str, str]]:
    """Read `=== CWE PATH` and the program below it; 0 is a sound one."""
    text = (Path(__file__).parent / "programs.txt").read_text("utf-8")
    parts = re.findall(r"^=== (\d+) (\S+)\n(.*?)(?=^=== |\Z)", text, re.DOTALL | re.MULTILINE)
    return {f"{at} {path} {cwe}": (int(cwe), path, body) for at, (cwe, path, body) in enumerate(parts)}


PROGRAMS = {**{name: (cwe, "a.py", text) for name, (cwe, text) in PYTHON.items()}, **OTHERS, **listed()}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_is_judged_by_what_it_does(kind: str) -> None:
    cwe, path, text = PROGRAMS[kind]
    found = [from_json(row) for row in analyse({"path": path, "text": text, "focus": "security"})["findings"]]
    if cwe:
        assert any(same_weakness(finding.cwe, cwe) for finding in found)
    else:
        assert not [finding.rule for finding in found if is_at_least(finding.severity, "medium")]


@pytest.mark.parametrize(
    "kind", [name for name, (cwe, _) in PYTHON.items() if not cwe and name.startswith(("positions", "loops"))]
)
def test_a_sound_loop_or_position_is_not_reported_at_all(kind: str) -> None:
    found = [
        from_json(row)
        for row in analyse({"path": "a.py", "text": PYTHON[kind][1], "focus": "security"})["findings"]
    ]
    assert not {finding.cwe for finding in found} & {193, 835}


def test_a_password_that_the_environment_may_lack_is_less_than_one_that_is_empty() -> None:
    settings = "import os\nDB = {'HOST': 'db', 'USER': 'a', 'PASSWORD': PASSWORD}\n"
    given = ("''", "os.environ.get('PW', '')", "os.getenv('PW', '')")
    texts = [settings.replace("PASSWORD}", f"{one}}}") for one in given]
    found = [analyse({"path": "a.py", "text": text, "focus": "security"})["findings"] for text in texts]
    written, *read = [from_json(rows[0]) for rows in found]
    assert {one.cwe for one in (written, *read)} == {521}
    assert all(one.severity == "low" and one.confidence < written.confidence for one in read)
