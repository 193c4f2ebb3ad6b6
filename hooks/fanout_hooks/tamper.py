"""What programs patch: a picture of every loaded module, and what a hook changed in it.

A look at everything (every module, every class in it, every container) costs about 1 ms with 126 modules:
class mappings are compared as they are, for copying them first costs three times as much. program.py says
which hooks need it at once; for the others it waits until the event's answer is out.

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import sys
import types
from operator import is_ as _is
from typing import Any

from fanout_hooks.own import gc, os

KEPT = tuple(
    {os.path.dirname(os.__file__) + os.sep}
    | {path + os.sep for path in sys.path if path.endswith("-packages")}
)
"""The standard library and what is installed beside it; everything else belongs to hooks."""
VOLATILE = frozenset(("__warningregistry__", "__annotations__"))
"""Written by the interpreter itself; harmless to whoever comes next."""
SYS_SET_PER_HOOK = (
    "argv path stdin stdout stderr __stdin__ __stdout__ __stderr__ last_type last_value last_traceback"
    " last_exc path_importer_cache modules executable orig_argv"
).split()
STARTED_WITH = frozenset(("sys", "builtins", "_imp"))
"""Made by the interpreter before it can say where a module is from; Python 3.8 doesn't say it later."""
OWN_NAMES = frozenset(("__main__", "__mp_main__"))


class Picture:
    """Every module that may stay loaded, as it was before any hook ran."""

    def __init__(self, *, is_late: bool = False) -> None:
        """`is_late`: only names now; the rest when a look is first needed (`complete`)."""
        self.is_late = is_late
        self.modules: dict[str, tuple[types.ModuleType, dict[str, Any]]] = {}
        self._classes: dict[int, tuple[type, Any, dict[str, Any]]] = {}
        self._containers: dict[int, tuple[str, Any, Any]] = {}
        self.accept()
        self.drop_foreign()  # what a start brought that no folder of ours holds: not a hook's doing

    def accept(self) -> None:
        """Take what is loaded now as the base: the standard library's and installed modules stay loaded."""
        for name, module in list(sys.modules.items()):
            if name in self.modules or name in OWN_NAMES or not is_kept(name, module):
                continue
            namespace = {} if self.is_late else dict(vars(module))
            self.modules[name] = (module, namespace)
            for key, value in namespace.items():
                if isinstance(value, type) and id(value) not in self._classes:
                    self._classes[id(value)] = (value, vars(value), dict(vars(value)))
                elif type(value) in (dict, list, set) and not _is_cache(name, key):
                    self._containers[id(value)] = (f"{name}.{key}", value, value.copy())
        if not self.is_late:
            gc.collect()
        gc.freeze()

    def complete(self) -> None:
        """Take the picture that was put off, before the first program that could change what is in it."""
        if self.is_late:
            self.is_late = False
            self.modules.clear()
            self.accept()

    def drop_foreign(self) -> bool:
        """Forget the modules of hooks (equal helper names, edited files); say whether there were any."""
        foreign = [
            name
            for name, module in sys.modules.items()
            if name not in self.modules and name not in OWN_NAMES and not is_kept(name, module)
        ]
        for name in foreign:
            del sys.modules[name]
        return bool(foreign)

    def has_new(self) -> bool:
        """Say whether modules were loaded that we have no picture of."""
        return any(name not in self.modules and name not in OWN_NAMES for name in sys.modules)

    def changed_anywhere(self) -> str:
        """Name the first change in any module, class or container, or ""."""
        found = self._changed_module()
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

    def _changed_module(self) -> str:
        loaded = sys.modules
        for name, (module, namespace) in self.modules.items():
            if loaded.get(name) is not module:
                return f"replaced the module {name}"
            now = module.__dict__
            if not _same(now, namespace):
                changed = _changed(name, now, namespace)
                if changed:
                    return f"changed {changed}"
        return ""


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
    if origin in ("built-in", "frozen") or name in STARTED_WITH:
        return True
    file = getattr(module, "__file__", None) or ""
    return file.startswith(KEPT)


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
