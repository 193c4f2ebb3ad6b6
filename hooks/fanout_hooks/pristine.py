"""What a fresh interpreter looks like, how to get back there, and what can't be put back (taint).

Prices, 126 modules loaded: comparing every module's namespace 0.05 ms, listing descriptors 0.09 ms, a garbage
collection after `gc.freeze` 0.001 ms (4 ms without), every class in every module 1.7 ms (so that look is the
one that waits until the answer is out).

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Iterable
from typing import Any

KEPT = tuple(
    {os.path.dirname(os.__file__) + os.sep}
    | {path + os.sep for path in sys.path if path.endswith("-packages")}
)
"""The standard library and what is installed beside it; everything else belongs to hooks."""
SIGNALS = tuple(int(sig) for sig in signal.valid_signals() if sig not in (signal.SIGKILL, signal.SIGSTOP))
# signal.getsignal wraps every answer in an enum: sixty of them, each time.
getsignal: Callable[[int], Any] = importlib.import_module("_signal").getsignal
PATCHED_MOST = (
    "builtins os posix posixpath time json json.decoder json.encoder re io random pathlib subprocess shutil"
    " tempfile datetime socket threading"
).split()
"""Looked at after each hook (0.02 ms); the others (0.15 ms) after each event."""
VOLATILE = frozenset(("__warningregistry__", "__annotations__"))
"""Written by the interpreter itself; harmless to whoever comes next."""
SYS_SET_PER_HOOK = (
    "argv path stdin stdout stderr __stdin__ __stdout__ __stderr__ last_type last_value last_traceback"
    " last_exc path_importer_cache modules executable orig_argv"
).split()
OWN_NAMES = frozenset(("__main__", "__mp_main__"))


def _shallow(module: types.ModuleType) -> dict[str, Any]:
    return dict(vars(module))


class Pristine:
    """A picture of this process before any hook ran; `put_back` and `taint` compare with it."""

    def __init__(self, kept_fds: frozenset[int]) -> None:
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
        self.handlers = {sig: getsignal(sig) for sig in SIGNALS}
        self.threads = _threads()
        self.modules: dict[str, tuple[types.ModuleType, dict[str, Any]]] = {}
        self.classes: dict[int, tuple[type, dict[str, Any]]] = {}
        self.containers: dict[int, tuple[str, Any, Any]] = {}
        self.limits = _limits()
        self.filters = list(getattr(sys.modules.get("warnings"), "filters", ()))
        self.accept()

    # --- a module that stays ---------------------------------------------------------------------------

    def accept(self) -> None:
        """Take what is loaded now as the base: the standard library's and installed modules stay loaded."""
        for name, module in list(sys.modules.items()):
            if name in self.modules or name in OWN_NAMES or not is_kept(name, module):
                continue
            namespace = _shallow(module)
            self.modules[name] = (module, namespace)
            for key, value in namespace.items():
                if isinstance(value, type) and id(value) not in self.classes:
                    self.classes[id(value)] = (value, dict(vars(value)))
                elif type(value) in (dict, list, set) and not _is_cache(name, key):
                    self.containers[id(value)] = (f"{name}.{key}", value, value.copy())
        gc.collect()
        gc.freeze()

    def drop_foreign(self) -> None:
        """Forget the modules that belong to hooks: equal helper names, edited files."""
        for name in [name for name in sys.modules if name not in self.modules]:
            module = sys.modules[name]
            if not is_kept(name, module):
                del sys.modules[name]

    # --- putting back ----------------------------------------------------------------------------------

    def put_back(self) -> None:
        """Undo what a hook did to everything that can be set."""
        self.drop_foreign()
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
        for sig, handler in self.handlers.items():
            if getsignal(sig) is not handler and handler is not None:
                signal.signal(sig, handler)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if sys.getprofile() is not None:  # asked first: setting it costs 3 ms
            sys.setprofile(None)
        if sys.gettrace() is not None:
            sys.settrace(None)
        if "random" in self.modules:
            sys.modules["random"].seed()
        if "warnings" in self.modules:
            self._put_back_warnings(sys.modules["warnings"])
        if "logging" in self.modules:
            _put_back_logging(sys.modules["logging"])
        if "weakref" in self.modules:
            sys.modules["weakref"].finalize._registered_with_atexit = False  # its registration was just run

    def _put_back_warnings(self, warnings: Any) -> None:
        filters = self.modules["warnings"][1]["filters"]
        if warnings.filters is filters and self.filters != filters:
            filters[:] = self.filters
            getattr(warnings, "_filters_mutated", lambda: None)()

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

    def taint(self) -> str:
        """Return what a hook left that can't be put back, or ""."""
        changed = self._changed_module(PATCHED_MOST)
        if changed:
            return changed
        if _threads() > self.threads:
            return "left a thread running"
        extra = open_fds() - self.kept_fds
        if extra:
            gc.collect()
            if open_fds() - self.kept_fds:
                return "left a file open"
        if not gc.isenabled() or gc.callbacks:
            return "changed the garbage collector"
        return ""

    def _changed_module(self, names: Iterable[str]) -> str:
        loaded = sys.modules
        for name in names:
            if name not in self.modules:
                continue
            module, namespace = self.modules[name]
            if loaded.get(name) is not module:
                return f"replaced the module {name}"
            now = module.__dict__
            if len(now) != len(namespace) or not _same(now, namespace):
                changed = _changed(name, now, namespace)
                if changed:
                    return f"changed {changed}"
        return ""

    def deep_taint(self) -> str:
        """Return what only a look at everything shows: patched methods, limits, priorities, time-outs."""
        changed_module = self._changed_module(self.modules)
        if changed_module:
            return changed_module
        for kind, namespace in self.classes.values():
            now = dict(vars(kind))
            if len(now) != len(namespace) or not _same(now, namespace):
                changed = [key for key in set(now) | set(namespace) if now.get(key) is not namespace.get(key)]
                kept = [key for key in changed if key not in CLASS_VOLATILE]
                if kept:
                    return f"changed {kind.__module__}.{kind.__qualname__}.{kept[0]}"
        for where, container, copy in self.containers.values():
            if len(container) != len(copy) or not _same_content(container, copy):
                return f"changed {where}"
        if _limits() != self.limits:
            return "changed the process's limits"
        socket = sys.modules.get("socket")
        if socket is not None and socket.getdefaulttimeout() is not None:
            return "changed the default time-out of sockets"
        return ""


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


CLASS_VOLATILE = frozenset(
    ("__abstractmethods__", "_abc_impl", "__annotations__", "__doc__", "__match_args__", "__signature__")
)
"""Filled in by Python when first asked for."""


def is_kept(name: str, module: Any) -> bool:
    """Say whether a module may stay for the next hook: the interpreter's own, and what is installed in it."""
    if not isinstance(module, types.ModuleType):
        return False
    if name.partition(".")[0] == "fanout_hooks":
        return False
    spec = getattr(module, "__spec__", None)
    origin = getattr(spec, "origin", None)
    if origin in ("built-in", "frozen"):
        return True
    file = getattr(module, "__file__", None) or ""
    return file.startswith(KEPT)


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


def _threads() -> int:
    return len(sys._current_frames())


def _limits() -> tuple[Any, ...]:
    try:
        import resource
    except ImportError:
        return ()
    names = ("RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NPROC")
    kinds = [getattr(resource, name) for name in names if hasattr(resource, name)]
    return (os.getpriority(os.PRIO_PROCESS, 0), *(resource.getrlimit(kind) for kind in kinds))


def _is_cache(module: str, key: str) -> bool:
    return (
        "cache" in key.lower() or key.startswith("__") or key in HARMLESS.get(module, ()) or module == "sys"
    )


def _same_content(container: Any, copy: Any) -> bool:
    try:
        return bool(container == copy)
    except Exception:  # noqa: BLE001 - as in _same
        return False


def _same(now: dict[str, Any], namespace: dict[str, Any]) -> bool:
    try:
        return bool(now == namespace)
    except Exception:  # noqa: BLE001 - foreign __eq__ may raise anything; then the slow look decides
        return False


def _changed(name: str, now: dict[str, Any], namespace: dict[str, Any]) -> str:
    """Name the first change that matters; a submodule that became an attribute of its package doesn't."""
    for key in set(now) | set(namespace):
        value = now.get(key)
        if value is namespace.get(key) and (key in now) == (key in namespace):
            continue
        if key in VOLATILE or (name == "sys" and key in SYS_SET_PER_HOOK):
            continue
        if isinstance(value, types.ModuleType) and sys.modules.get(f"{name}.{key}") is value:
            continue
        if key in HARMLESS.get(name, ()):
            _restore(now, key, namespace)
            continue
        return f"{name}.{key}"
    return ""


def _restore(now: Any, key: str, namespace: dict[str, Any]) -> None:
    if key in namespace:
        now[key] = namespace[key]
    else:
        del now[key]


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
}
"""What a module keeps of what it computed; put back, so that nobody's value stays."""
