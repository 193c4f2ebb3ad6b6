"""Hooks that do to their process whatever a program can, and a probe that sees what they left there.

Each hostile hook says "before" on stdout, does its worst, and says "after" where it still can. What it has to
leave behind (exit code, output) is what the same program leaves when it runs alone; only those that the
runtime itself must stop say so here.
"""

from __future__ import annotations

from typing import NamedTuple

BEFORE = 'import os, sys\nprint("before", flush=True)\n'
AFTER = '\nprint("after")\n'


class Hostile(NamedTuple):
    """One misdeed. `cut`: only the deadline ends it."""

    name: str
    source: str
    cut: bool = False

    @property
    def program(self) -> str:
        return BEFORE + self.source + AFTER


def _lines(*lines: str) -> str:
    return "\n".join(lines)


HOSTILE = (
    Hostile("exit with a code", "sys.exit(3)"),
    Hostile("exit with a text", 'sys.exit("no way")'),
    Hostile("exit beyond a byte", "sys.exit(257)"),
    Hostile("exit with None", "sys.exit(None)"),
    Hostile("raise", 'raise ValueError("broken")'),
    Hostile("raise KeyboardInterrupt", "raise KeyboardInterrupt"),
    Hostile("os._exit", "os._exit(5)"),
    Hostile("os._exit 0", 'os.write(1, b"raw\\n"); os._exit(0)'),
    Hostile("segfault", "import signal; os.kill(os.getpid(), signal.SIGSEGV)"),
    Hostile("kill itself", "os.kill(os.getpid(), 9)"),
    Hostile("abort", "os.abort()"),
    Hostile("endless loop", "while True: pass", cut=True),
    Hostile("sleep past the time limit", "import time; time.sleep(600)", cut=True),
    Hostile(
        "ignore SIGTERM and sleep",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
        cut=True,
    ),
    Hostile("change the environment", 'os.environ["LEAK"] = "1"; os.environ.pop("HOME", None)'),
    Hostile("putenv behind os.environ", 'os.putenv("LEAK", "1")'),
    Hostile("change the folder", 'os.chdir("/")'),
    Hostile("change the umask", "os.umask(0o777)"),
    Hostile(
        "write to fd 1 and let a child write",
        'os.write(1, b"raw\\n"); import subprocess; subprocess.run(["echo", "child"])',
    ),
    Hostile("write to fd 2", 'os.write(2, b"raw error\\n")'),
    Hostile("patch json.loads", "import json; json.loads = lambda *a, **k: {}"),
    Hostile("patch a method", "import pathlib; pathlib.Path.exists = lambda self: True"),
    Hostile("patch a class of json", "import json; json.JSONEncoder.default = lambda self, o: 'x'"),
    Hostile("patch builtins", "import builtins; builtins.open = None"),
    Hostile("delete a builtin", "import builtins; del builtins.len"),
    Hostile(
        "leave a thread that ends late",
        "import threading, time; threading.Timer(0.05, print, ['late']).start()",
    ),
    Hostile(
        "leave a daemon thread",
        "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    ),
    Hostile("a raw thread", "import _thread, time; _thread.start_new_thread(time.sleep, (60,))"),
    Hostile(
        "signal handlers", "import signal; signal.signal(signal.SIGALRM, lambda *a: None); signal.alarm(100)"
    ),
    Hostile("ignore SIGPIPE and SIGINT", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"),
    Hostile(
        "block signals",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})",
    ),
    Hostile("an interval timer", "import signal; signal.setitimer(signal.ITIMER_PROF, 1000)"),
    Hostile("close stdout", "sys.stdout.close(); os.close(1)"),
    Hostile("close every descriptor", "os.closerange(0, 1024)"),
    Hostile("close descriptors far up", "os.closerange(3, 4096)"),
    Hostile("replace stdout", "import io; sys.stdout = io.StringIO()"),
    Hostile("point fd 1 elsewhere", 'fd = os.open("/dev/null", os.O_WRONLY); os.dup2(fd, 1)'),
    Hostile("stdout without flush", 'sys.stdout.write("unflushed")'),
    Hostile("atexit", 'import atexit; atexit.register(print, "at the end")'),
    Hostile("atexit that raises", "import atexit; atexit.register(lambda: 1 / 0)"),
    Hostile("a background child", 'import subprocess; subprocess.Popen(["sleep", "2"])'),
    Hostile(
        "a child that keeps stdout",
        'import subprocess; subprocess.Popen(["sh", "-c", "sleep 2"], stderr=subprocess.DEVNULL)',
    ),
    Hostile("os.system", 'sys.stdout.flush(); os.system("echo system; exit 3")'),
    Hostile(
        "fork and let both go on",
        "sys.stdout.flush()\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)",
    ),
    Hostile(
        "fork and let the child go on as us",
        _lines("sys.stdout.flush()", "if os.fork() == 0:", "    sys.exit(9)", "os.wait()"),
    ),
    Hostile("recursion bomb", "def f(): f()\nf()"),
    Hostile("recursion limit", "sys.setrecursionlimit(123456)"),
    Hostile("switch interval", "sys.setswitchinterval(3.0)"),
    Hostile("random seed", "import random; random.seed(1); random.random()"),
    Hostile(
        "dataclass",
        _lines(
            "from dataclasses import dataclass",
            "@dataclass",
            "class Point:",
            "    x: int = 1",
            "print(Point())",
        ),
    ),
    Hostile(
        "pickle",
        _lines(
            "import pickle",
            "class Own:",
            "    def __init__(self): self.x = 4",
            "print(pickle.loads(pickle.dumps(Own())).x)",
        ),
    ),
    Hostile(
        "equal helper names",
        "import helper; print(helper.__file__); helper.x = 1; sys.modules['json'] = helper",
    ),
    Hostile("sys.path", 'sys.path.insert(0, "/tmp"); sys.path.remove(sys.path[-1])'),
    Hostile(
        "meta path",
        "F = type('F', (), {'find_spec': staticmethod(lambda *a: None)})\nsys.meta_path.insert(0, F)",
    ),
    Hostile("empty sys.meta_path", "sys.meta_path.clear()"),
    Hostile("big output", 'sys.stdout.write("x" * 3_000_000)'),
    Hostile("stdin not read", "sys.stdin.close()"),
    Hostile("stdin read to the end", "print(len(sys.stdin.read()) > 10)"),
    Hostile("stdin by descriptor", "print(len(os.read(0, 1 << 20)) > 10)"),
    Hostile(
        "logging", 'import logging; logging.basicConfig(level=0); logging.info("told"); logging.disable(50)'
    ),
    Hostile("warnings", 'import warnings; warnings.simplefilter("error"); warnings.showwarning = None'),
    Hostile("a file left open", 'leak = open("/dev/null"); sys.leak = leak'),
    Hostile("gc off", "import gc; gc.disable()"),
    Hostile("gc hook", "import gc; gc.callbacks.append(print)"),
    Hostile("trace and profile", "sys.settrace(lambda *a: None); sys.setprofile(lambda *a: None)"),
    Hostile("excepthook", 'sys.excepthook = lambda *a: print("hooked")\nraise ValueError'),
    Hostile(
        "a cycle with a destructor",
        _lines("class D:", "    def __del__(self): print('gone')", "d = D(); d.me = d"),
    ),
    Hostile(
        "nice and limits", "import resource; os.nice(5); resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
    ),
    Hostile("locale", "import locale; locale.setlocale(locale.LC_ALL, 'C')"),
    Hostile("decimal context", "import decimal; decimal.getcontext().prec = 3"),
    Hostile("socket timeout", "import socket; socket.setdefaulttimeout(0.001)"),
    Hostile("time zone", "import time; os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()"),
    Hostile("leave the process group", "os.setpgid(0, 0) if os.getpgrp() != os.getpid() else None"),
    Hostile("syntax it has not", "eval('1 +')"),
    Hostile("exec another program", 'sys.stdout.flush(); os.execvp("echo", ["echo", "other"])'),
    Hostile("rewrite __main__", "sys.modules['__main__'] = None; sys.modules['__main__'] = sys"),
    Hostile("import lock", "import threading; lock = threading.Lock(); lock.acquire(); sys.lock = lock"),
    Hostile("memory error", "raise MemoryError"),
    Hostile("context of contextvars", "import contextvars; v = contextvars.ContextVar('v'); v.set(3)"),
    Hostile("non UTF-8 output", 'sys.stdout.flush(); os.write(1, b"\\xff\\xfe\\n")'),
    Hostile("no newline at the end", 'sys.stdout.write("x"); sys.stderr.write("y")'),
    Hostile("async main", "import asyncio\nasync def m(): print('a')\nasyncio.run(m())"),
    Hostile(
        "multiprocessing",
        _lines(
            "from multiprocessing import Process",
            "if __name__ == '__main__':",
            "    p = Process(target=print, args=('m',)); p.start(); p.join()",
        ),
    ),
    Hostile(
        "concurrent.futures",
        "from concurrent.futures import ThreadPoolExecutor\nprint(list(ThreadPoolExecutor().map(abs, [-1])))",
    ),
)

PROBE = r"""
import gc, os, signal, sys
umask = os.umask(0o22)
os.umask(umask)
import builtins, decimal, json, locale, logging, pathlib, random, resource, socket, threading, time, warnings
sys.stdin.read()
state = random.Random(1).random()
numbers = [random.random() for _ in range(2)]
try:
    import helper
    helped = helper.__file__, getattr(helper, "x", None)
except ImportError:
    helped = "no helper"
def raw_environment():
    import ctypes
    found = ctypes.CDLL(None).getenv
    found.restype = ctypes.c_char_p
    return [str(found(name)) for name in (b"LEAK", b"HOME")]
def deep(n):
    return 0 if n == 0 else deep(n - 1)
try:
    deep(5000)
    deepest = "no limit"
except RecursionError:
    deepest = "limit"
fds = []
for name in os.listdir("/proc/self/fd"):
    try:
        os.fstat(int(name))
    except OSError:
        continue
    fds.append(int(name))
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
print(json.dumps({
    "umask": umask,
    "cwd": os.getcwd(),
    "env": dict(sorted(os.environ.items())),
    "raw env": raw_environment(),
    "argv": sys.argv,
    "path": sys.path,
    "meta": [getattr(one, "__name__", type(one).__name__) for one in sys.meta_path],
    "loads": json.loads('{"a": 1}') == {"a": 1},
    "exists": pathlib.Path("/nowhere/at/all").exists(),
    "builtins": sorted(vars(builtins)),
    "open": open is not None and builtins.open is open,
    "json class": json.JSONEncoder.default.__qualname__,
    "threads": threading.active_count(),
    "raw threads": status["Threads"].strip(),
    "blocked": status["SigBlk"].strip(),
    "ignored": status["SigIgn"].strip(),
    "caught": int(status["SigCgt"], 16) & ~(3 << 31),  # glibc's own two, there since the first thread
    "timers": [signal.getitimer(one) for one in range(3)],
    "alarm": signal.alarm(0),
    "fds": sorted(fd for fd in fds if fd < 100),
    "recursion": [sys.getrecursionlimit(), deepest],
    "switch": sys.getswitchinterval(),
    "random": state,
    "random differs": numbers[0] != numbers[1],
    "logging": [logging.getLogger().level, len(logging.getLogger().handlers), logging.root.manager.disable],
    "warnings": [str(one) for one in warnings.filters],
    "gc": [gc.isenabled(), len(gc.callbacks)],
    "trace": [sys.gettrace() is None, sys.getprofile() is None],
    "excepthook": sys.excepthook is sys.__excepthook__,
    "nice": os.nice(0),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "timeout": socket.getdefaulttimeout(),
    "zone": time.tzname,
    "leaks": [name for name in ("leak", "lock") if hasattr(sys, name)],
    "main": [__name__, sorted(name for name in globals() if name.startswith("__"))],
    "helper": helped,
    "session leader": os.getsid(0) == os.getpid() or True,
    "stdout": [sys.stdout.encoding, sys.stdout.errors, sys.stdout.line_buffering, sys.stderr.errors],
    "decimal": decimal.getcontext().prec,
    "locale": locale.setlocale(locale.LC_ALL),
}, sort_keys=True))
"""
