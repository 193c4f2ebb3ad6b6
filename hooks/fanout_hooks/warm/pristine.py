"""Put an interpreter back to its fresh state after a hook, and notice what can't be put back (taint).

Prices: listing descriptors 0.06 ms, a garbage collection after `gc.freeze` 0.01 ms (4 ms without).

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import _locale
import _socket
import _thread
import _warnings
import builtins
import sys
import types
from collections.abc import Iterable
from operator import is_ as _is
from typing import TYPE_CHECKING, Any

from fanout_hooks.warm.messages import gc, os, time
from fanout_hooks.warm.messages import (
    signal as _signal,  # the module `signal` wraps every answer in an enum, sixty times
)

# --- What programs patch: a picture of every loaded module, and what a hook changed in it. ------------------
# A look at everything (every module, every class in it, every container) costs about 1 ms with 126 modules:
# class mappings are compared as they are, for copying them first costs three times as much. program.py says
# which hooks need it at once; for the others it waits until the event's answer is out.

STANDARD = os.path.dirname(os.__file__) + os.sep
"""The standard library: it stays loaded, as does what is installed; everything else belongs to hooks."""
VOLATILE = frozenset(("__warningregistry__", "__annotations__"))
"""Written by the interpreter itself; harmless to the next hook."""
SYS_SET_PER_HOOK = (
    "argv path stdin stdout stderr __stdin__ __stdout__ __stderr__ last_type last_value last_traceback "
    "last_exc path_importer_cache modules executable orig_argv"
).split()
SET_BY_SITE = ("prefix", "exec_prefix", "_home", "__interactivehook__")
"""In sys, by each start. In all modules it makes these absolute:"""
PATHS = ("__file__", "__cached__")
STARTED_WITH = frozenset(("sys", "builtins", "_imp"))
"""Made by the interpreter before it can say where a module is from; Python 3.8 doesn't say it later."""
OWN_NAMES = frozenset(("__main__", "__mp_main__"))

if TYPE_CHECKING:
    Pictured = dict[str, tuple[types.ModuleType, dict[str, Any]]]
    """By name a module and its namespace as it was."""


class Environment:
    """What a start in one virtual environment makes of an interpreter: its places, and its own modules."""

    __slots__ = ("finders", "importers", "installed", "modules", "own", "path", "values")

    def __init__(self) -> None:
        self.values = {name: value for name, value in vars(sys).items() if name in SET_BY_SITE}
        self.path = list(sys.path)
        self.finders = list(sys.meta_path)
        self.importers = dict(sys.path_importer_cache)
        self.installed = tuple({path + os.sep for path in sys.path if path.endswith("-packages")})
        below = os.path.join(str(self.values["prefix"]), "")
        self.own = frozenset(path for path in self.installed if path.startswith(below))
        """Without PYTHONPATH's, which every environment has."""
        self.modules: Pictured = {}

    def has(self, name: str, module: Any) -> bool:
        """Say whether a module is installed here, or made by each start."""
        return name == "site" or str(getattr(module, "__file__", None)).startswith(self.installed)


class Picture:
    """Every module that may stay loaded, as it was before any hook ran."""

    def __init__(self, here: Environment) -> None:
        self.here = here
        self.modules: Pictured = {}
        """Of the standard library."""
        self._classes: dict[int, tuple[type, Any, dict[str, Any]]] = {}
        self._containers: dict[int, tuple[str, Any, Any]] = {}
        self.accept()
        self.drop_foreign()  # what a start brought that no folder of ours holds: not a hook's doing

    def accept(self) -> None:
        """Take what is loaded now as the base: the standard library's and installed modules stay loaded."""
        for name in self.new():
            module = sys.modules[name]
            if not self._is_kept(name, module):
                continue
            namespace = dict(vars(module))
            (self.here.modules if self.here.has(name, module) else self.modules)[name] = (module, namespace)
            for key, value in namespace.items():
                if isinstance(value, type) and id(value) not in self._classes:
                    self._classes[id(value)] = (value, vars(value), dict(vars(value)))
                elif type(value) in (dict, list, set) and not _is_cache(name, key):
                    self._containers[id(value)] = (f"{name}.{key}", value, value.copy())
        gc.collect()
        gc.freeze()

    def drop_foreign(self) -> bool:
        """Forget the modules of hooks (equal helper names, edited files); say whether there were any."""
        foreign = [name for name in self.new() if not self._is_kept(name, sys.modules[name])]
        for name in foreign:
            del sys.modules[name]
        return bool(foreign)

    def new(self) -> list[str]:
        """Return the modules that we have no picture of."""
        known, here = self.modules, self.here.modules
        return [name for name in sys.modules if not (name in known or name in here or name in OWN_NAMES)]

    def has_new_standard(self) -> bool:
        """Say whether there are any of the standard library's among them."""
        found = ((name, sys.modules[name]) for name in self.new())
        return any(is_standard(name, module) and not self.here.has(name, module) for name, module in found)

    def bound(self) -> str:
        """Name a new module of the standard library that holds something of this environment, or ""."""
        return next((name for name in self.new() if self._is_bound(name, sys.modules[name])), "")

    def _is_bound(self, name: str, module: Any) -> bool:
        if self.here.has(name, module):
            return False
        values = [*vars(module).values()]
        for kind in [value for value in values if isinstance(value, type) and value.__module__ == name]:
            values += vars(kind).values()
        return any(map(self._is_ours, values))

    def _is_ours(self, value: Any) -> bool:
        prefix = self.here.values["prefix"]
        kind = type(value)
        some = value.values() if kind is dict else value if kind in (list, tuple, set) else (value,)
        if any(prefix in one for one in some if type(one) is str):
            return True
        if any(os.fsencode(prefix) in one for one in some if type(one) is bytes):
            return True
        name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
        # What this very hook has loaded is not accepted yet.
        return isinstance(name, str) and (
            name in self.here.modules or (name in sys.modules and self.here.has(name, sys.modules[name]))
        )

    def changed_anywhere(self, aside: Iterable[Environment]) -> str:
        """Name the first change in any module (of other environments, too), class or container, or ""."""
        found = _changed_module(self.modules, sys.modules) or _changed_module(self.here.modules, sys.modules)
        for one in aside:
            loaded = {name: module for name, (module, _) in one.modules.items()}
            found = found or _changed_module(one.modules, loaded)
        if found:
            return found
        for kind, now, namespace in self._classes.values():
            if not _same(now, namespace):
                keys = set(now) | set(namespace)
                kept = [key for key in keys if now.get(key) is not namespace.get(key)]
                patched = sorted(set(kept) - CLASS_VOLATILE)
                if patched:
                    return f"changed {kind.__module__}.{kind.__qualname__}.{patched[0]}"
        for where, container, copy in self._containers.values():
            if len(container) != len(copy) or not _same_content(container, copy):
                return f"changed {where}"
        return ""

    def _is_kept(self, name: str, module: Any) -> bool:
        return is_standard(name, module) or (is_module(name, module) and self.here.has(name, module))


CLASS_VOLATILE = frozenset(
    ("__abstractmethods__", "_abc_impl", "__annotations__", "__doc__", "__match_args__", "__signature__")
)
"""Filled in by Python when first asked for."""


def is_module(name: str, module: Any) -> bool:
    return isinstance(module, types.ModuleType) and name.partition(".")[0] != "fanout_hooks"


def is_standard(name: str, module: Any) -> bool:
    """Say whether a module is the interpreter's own."""
    if not is_module(name, module):
        return False
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    if origin in ("built-in", "frozen") or name in STARTED_WITH:
        return True
    return str(getattr(module, "__file__", None)).startswith(STANDARD)


def _is_cache(module: str, key: str) -> bool:
    return (
        "cache" in key.lower() or key.startswith("__") or key in HARMLESS.get(module, ()) or module == "sys"
    )


def _same_content(container: Any, copy: Any) -> bool:
    try:
        return bool(container == copy)
    except Exception:  # noqa: BLE001 - foreign __eq__ may raise anything
        return False


def _same(now: Any, namespace: dict[str, Any]) -> bool:
    """Say whether two namespaces hold the same objects; not asked of them, for they may claim to be equal."""
    return len(now) == len(namespace) and all(map(_is, now.values(), namespace.values()))


def _changed_module(pictured: Pictured, loaded: dict[str, Any]) -> str:
    for name, (module, namespace) in pictured.items():
        if loaded.get(name) is not module:
            return f"replaced the module {name}"
        now = module.__dict__
        if not _same(now, namespace):
            changed = _changed(name, now, namespace, loaded)
            if changed:
                return f"changed {changed}"
    return ""


def _changed(name: str, now: dict[str, Any], namespace: dict[str, Any], loaded: dict[str, Any]) -> str:
    """Name the first change that matters; a submodule that became an attribute of its package doesn't."""
    for key in set(now) | set(namespace):
        value = now.get(key)
        if value is namespace.get(key) and (key in now) == (key in namespace):
            continue
        if key in VOLATILE or (name == "sys" and key in SYS_SET_PER_HOOK):
            continue
        if isinstance(value, types.ModuleType) and loaded.get(f"{name}.{key}") is value:
            continue
        if key in HARMLESS.get(name, ()):
            if key in namespace:
                now[key] = namespace[key]
            else:
                del now[key]
            continue
        return f"{name}.{key}"
    return ""


HARMLESS: dict[str, tuple[str, ...]] = {
    "builtins": ("_",),
    "logging": ("_handlerList",),
    "posix": ("environ",),
    "re": ("_cache", "_cache2"),
    "tempfile": ("_name_sequence", "tempdir"),
    "warnings": ("onceregistry", "filters"),
    "linecache": ("cache",),
    "mimetypes": ("inited", "_db", "suffix_map", "encodings_map", "types_map", "common_types"),
    "_strptime": ("_TimeRE_cache", "_regex_cache"),
    "locale": ("_encoding_alias",),
    "posixpath": ("_varprog", "_varprogb"),
    "uuid": ("_node", "_last_timestamp"),
    "platform": ("_uname_cache", "_sys_version_cache", "_platform_cache"),
    "threading": ("_counter",),
    "typing": ("Pattern", "Match", "ContextManager", "AsyncContextManager"),
}
"""What a module keeps of what it computed; put back, so that no hook's value stays."""


# --- A process put back to how it was -----------------------------------------------------------------------

SIGNALS = tuple(int(sig) for sig in _signal.valid_signals() if sig not in (_signal.SIGKILL, _signal.SIGSTOP))
FIRST_FDS = range(3, 10)
"""Where a hook's own descriptors begin: a look at these costs a twentieth of listing all."""
TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)


class Pristine:
    """A picture of this process before any hook ran; `put_back` and `taint` compare with it."""

    def __init__(self, kept_fds: frozenset[int]) -> None:
        self.kept_fds = kept_fds
        self.here = self.first = Environment()
        self.environments = {(sys.prefix, ""): self.here}
        """By prefix and version: what is installed there may change meanwhile."""
        self.is_shared = False
        """This interpreter serves more than one of them."""
        self.path_hooks = list(sys.path_hooks)
        self.given: dict[str, str] = {}
        self.raw: dict[bytes, bytes] = {}
        self._given: dict[bytes, bytes] = {}
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
        self.picture = Picture(self.here)
        self.had_foreign = False
        """The last hook brought modules of its own, whose code was not looked at."""

    # --- putting back ----------------------------------------------------------------------------------

    def put_back(self) -> None:
        """Undo what a hook did to everything that can be set."""
        self.had_foreign = self.picture.drop_foreign()
        self._put_back_places()
        sys.path_hooks[:] = self.path_hooks
        sys.excepthook = sys.__excepthook__
        sys.displayhook = sys.__displayhook__
        sys.unraisablehook = sys.__unraisablehook__
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

    def _put_back_places(self) -> None:
        sys.path[:] = self.here.path
        sys.meta_path[:] = self.here.finders
        if sys.path_importer_cache.keys() != self.here.importers.keys():
            sys.path_importer_cache.clear()
            sys.path_importer_cache.update(self.here.importers)

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
        """Let no hook inherit a seed."""
        if _is_loaded("random"):
            sys.modules["random"].seed()

    def put_back_variables(self, names: Iterable[bytes]) -> None:
        """Undo what was set behind `os.environ`, by `os.putenv`."""
        for name in names:
            if name in self.raw:
                os.putenv(name, self.raw[name])
            else:
                os.unsetenv(name)

    def set_environ(self, env: dict[str, str], own: dict[str, str]) -> None:
        """Make `os.environ`, and what children and C code see, exactly an event's variables and a hook's."""
        environ = os.environ
        if env is not self.given:
            self.given, self._given = env, _raw(env)
        self.raw = {**self._given, **_raw(own)} if own else self._given
        if getattr(environ, "_data", None) == self.raw:
            return
        env = {**env, **own}
        zone = environ.get("TZ")
        for name in [name for name in environ if name not in env]:
            del environ[name]
        for name, value in env.items():
            if environ.get(name) != value:
                environ[name] = value
        if env.get("TZ") != zone:
            time.tzset()

    # --- one interpreter for several environments -------------------------------------------------------
    # Virtual environments of one Python differ in what `site` does at a start: it sets the prefix and the
    # path, and runs their .pth files. So the interpreter is put into another by having `site` do that once
    # more, without the modules that are installed in the first; then both are kept, and changed over.
    # uv.py says which environments may; a module of the standard library that has taken over something of one
    # (sysconfig, say) would be wrong in the next, and is taint.

    def enter(self, exe: str, version: str) -> None:
        """Be as if started as `exe`, the Python of one of these environments, which has this version now."""
        self.is_shared = True
        prefix = os.path.dirname(os.path.dirname(exe))
        key = (prefix, version)
        if (prefix, "") in self.environments:  # as it was started: no hook has loaded anything there yet
            self.environments[key] = self.environments.pop((prefix, ""))
        if self.environments.get(key) is self.here:
            return
        if self.picture.new():
            self.picture.accept()
        for name in self.here.modules:
            sys.modules.pop(name, None)
        if key not in self.environments:
            self.environments[key] = self._started(exe, prefix)
        self.here = self.picture.here = self.environments[key]
        self._put_back_places()
        for namespace in (vars(sys), self.picture.modules["sys"][1]):
            namespace.update(self.here.values)
        for name, (module, _) in self.here.modules.items():
            sys.modules[name] = module
        if self.picture.new():
            self.picture.accept()

    def _started(self, exe: str, prefix: str) -> Environment:
        first = self.first
        sys.executable, sys.prefix, sys.exec_prefix = exe, prefix, prefix
        sys.path[:] = [path for path in first.path if path + os.sep not in first.own]
        sys.meta_path[:] = [
            one for one in first.finders if getattr(one, "__module__", "") not in first.modules
        ]
        sys.path_importer_cache.clear()
        sys.path_importer_cache.update(
            (path, one) for path, one in first.importers.items() if path + os.sep not in first.own
        )
        kept = dict(vars(builtins))
        import site  # noqa: F401 - it is what a start runs

        vars(builtins).update(kept)  # `exit`, `help` and their like, which it makes again
        for module, namespace in self.picture.modules.values():
            vars(module).update((name, namespace[name]) for name in PATHS if name in namespace)
        return Environment()

    # --- what stayed behind ----------------------------------------------------------------------------

    def taint(self, *, deep: bool) -> str:
        """Return what a hook left that can't be put back, or "". `deep` looks at everything there is."""
        if _thread._count() > self.threads:
            return "left a thread running"
        if not gc.isenabled() or gc.callbacks:
            return "changed the garbage collector"
        if (deep or any(map(_is_open, FIRST_FDS))) and open_fds() - self.kept_fds:
            return "left a file open"
        bound = self.picture.bound() if self.is_shared else ""
        if bound:
            return f"loaded {bound}, which keeps the path of its environment"
        return self._deep_taint() if deep else ""

    def _deep_taint(self) -> str:
        changed = self.picture.changed_anywhere(
            one for one in self.environments.values() if one is not self.here
        )
        if changed:
            return changed
        if _limits() != self.limits:
            return "changed the process's limits"
        return "left a thread running" if _tasks() > self.tasks else ""


def _is_loaded(name: str) -> bool:
    """Say whether the standard library's own module is there, wherever it was imported."""
    return name in sys.modules and is_standard(name, sys.modules[name])


def _raw(env: dict[str, str]) -> dict[bytes, bytes]:
    return {os.fsencode(name): os.fsencode(value) for name, value in env.items()}


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
