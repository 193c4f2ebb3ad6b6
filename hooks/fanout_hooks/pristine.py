"""What a fresh interpreter looks like, how to get back there, and what can't be put back (taint).

Prices: listing descriptors 0.06 ms, a garbage collection after `gc.freeze` 0.01 ms (4 ms without). What hooks
patch in modules and classes is tamper.py's.

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import _locale
import _socket
import _thread
import _warnings
import sys
from collections.abc import Iterable
from typing import Any

from fanout_hooks.own import gc, os, time
from fanout_hooks.own import (
    signal as _signal,
)  # the module `signal` wraps every answer in an enum, sixty times
from fanout_hooks.tamper import Picture, is_kept

SIGNALS = tuple(int(sig) for sig in _signal.valid_signals() if sig not in (_signal.SIGKILL, _signal.SIGSTOP))
FIRST_FDS = range(3, 10)
"""Where a hook's own descriptors begin: a look at these costs a twentieth of listing all."""
TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)


class Pristine:
    """A picture of this process before any hook ran; `put_back` and `taint` compare with it."""

    def __init__(self, kept_fds: frozenset[int], *, is_late: bool = False) -> None:
        self.kept_fds = kept_fds
        self.path = list(sys.path)
        self.meta_path = list(sys.meta_path)
        self.path_hooks = list(sys.path_hooks)
        self.importers = frozenset(sys.path_importer_cache)
        self.given: dict[str, str] = {}
        self.raw: dict[bytes, bytes] = {}
        self.umask = os.umask(0o22)
        os.umask(self.umask)
        self.recursion = sys.getrecursionlimit()
        self.switch = sys.getswitchinterval()
        self.handlers = {sig: _signal.getsignal(sig) for sig in SIGNALS}
        self.blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        self.locale = _locale.setlocale(_locale.LC_ALL)
        self.socket_timeout = _socket.getdefaulttimeout()
        self.threads = _thread._count()
        self.tasks = _tasks()
        self.limits = _limits()
        self.filters = (_warnings.filters, list(_warnings.filters))
        self.picture = Picture(is_late=is_late)
        self.had_foreign = False
        """The last hook brought modules of its own, whose code nobody has looked at."""

    # --- putting back ----------------------------------------------------------------------------------

    def put_back(self) -> None:
        """Undo what a hook did to everything that can be set."""
        self.had_foreign = self.picture.drop_foreign()
        sys.path[:] = self.path
        sys.meta_path[:] = self.meta_path
        sys.path_hooks[:] = self.path_hooks
        sys.excepthook = sys.__excepthook__
        sys.displayhook = sys.__displayhook__
        sys.unraisablehook = sys.__unraisablehook__
        if len(sys.path_importer_cache) != len(self.importers):
            for key in [key for key in sys.path_importer_cache if key not in self.importers]:
                del sys.path_importer_cache[key]
        os.umask(self.umask)
        if sys.getrecursionlimit() != self.recursion:
            sys.setrecursionlimit(self.recursion)
        if sys.getswitchinterval() != self.switch:
            sys.setswitchinterval(self.switch)
        self._put_back_signals()
        if _socket.getdefaulttimeout() != self.socket_timeout:
            _socket.setdefaulttimeout(self.socket_timeout)
        if _locale.setlocale(_locale.LC_ALL) != self.locale:
            _locale.setlocale(_locale.LC_ALL, self.locale)
        if sys.getprofile() is not None:  # asked first: setting it costs 3 ms
            sys.setprofile(None)
        if sys.gettrace() is not None:
            sys.settrace(None)
        if _is_loaded("warnings"):
            self._put_back_warnings(sys.modules["warnings"])
        if _is_loaded("logging"):
            _put_back_logging(sys.modules["logging"])
        if _is_loaded("weakref"):
            sys.modules["weakref"].finalize._registered_with_atexit = False  # its registration was just run

    def _put_back_signals(self) -> None:
        for sig, handler in self.handlers.items():
            if _signal.getsignal(sig) is not handler and handler is not None:
                _signal.signal(sig, handler)
        if _signal.pthread_sigmask(_signal.SIG_BLOCK, ()) != self.blocked:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, self.blocked)
        for timer in TIMERS:
            _signal.setitimer(timer, 0)

    def _put_back_warnings(self, warnings: Any) -> None:
        filters, kept = self.filters
        if warnings.filters is filters and kept != filters:
            filters[:] = kept
            getattr(warnings, "_filters_mutated", lambda: None)()

    def reseed(self) -> None:
        """Let nobody inherit a seed."""
        if _is_loaded("random"):
            sys.modules["random"].seed()

    def put_back_variables(self, names: Iterable[bytes]) -> None:
        """Undo what was set behind `os.environ`, by `os.putenv`."""
        for name in names:
            if name in self.raw:
                os.putenv(name, self.raw[name])
            else:
                os.unsetenv(name)

    def set_environ(self, env: dict[str, str]) -> None:
        """Make `os.environ`, and what children and C code see, exactly this."""
        environ = os.environ
        if env is not self.given:
            self.given = env
            self.raw = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
        if getattr(environ, "_data", None) == self.raw:
            return
        zone = environ.get("TZ")
        for name in [name for name in environ if name not in env]:
            del environ[name]
        for name, value in env.items():
            if environ.get(name) != value:
                environ[name] = value
        if env.get("TZ") != zone:
            time.tzset()

    # --- what stayed behind ----------------------------------------------------------------------------

    def taint(self, *, deep: bool) -> str:
        """Return what a hook left that can't be put back, or "". `deep` looks at everything there is."""
        if _thread._count() > self.threads:
            return "left a thread running"
        if not gc.isenabled() or gc.callbacks:
            return "changed the garbage collector"
        if (deep or any(map(_is_open, FIRST_FDS))) and open_fds() - self.kept_fds:
            return "left a file open"
        return self._deep_taint() if deep else ""

    def _deep_taint(self) -> str:
        changed = self.picture.changed_anywhere()
        if changed:
            return changed
        if _limits() != self.limits:
            return "changed the process's limits"
        return "left a thread running" if _tasks() > self.tasks else ""


def _is_loaded(name: str) -> bool:
    """Say whether the standard library's own module is there, whoever imported it."""
    return name in sys.modules and is_kept(name, sys.modules[name])


def _put_back_logging(logging: Any) -> None:
    """Make the logging module as just imported: its own end (shutdown) has closed the handlers already."""
    import atexit

    root = logging.getLogger()
    root.handlers.clear()
    root.filters.clear()
    root.setLevel(logging.WARNING)
    root.disabled = False
    root.manager.disable = 0
    root.manager.loggerDict.clear()
    logging._handlers.clear()
    logging._handlerList.clear()
    atexit.register(logging.shutdown)


def open_fds() -> set[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        # One of them was the listing's own, and is closed by now.
        return {int(name) for name in names if _is_open(int(name))}
    return set()


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _tasks() -> int:
    """Return how many threads the system sees, those of C libraries too."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0


def _limits() -> tuple[Any, ...]:
    try:
        import resource
    except ImportError:
        return ()
    names = ("RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NPROC")
    kinds = [getattr(resource, name) for name in names if hasattr(resource, name)]
    return (os.getpriority(os.PRIO_PROCESS, 0), *(resource.getrlimit(kind) for kind in kinds))
