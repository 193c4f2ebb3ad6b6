"""What an interpreter's start decides, and how a fork of ours comes to the same.

Of two processes of one binary, one started as `python script`, the other as ours (`python -I -S`), these
differ: the flags, the prefixes, the path, the site packages and what their .pth files do. `become` catches
up on all of that, in the order in which the interpreter does it; `facts` is what a really started one looks
like. Only a fork whose facts are exactly those may run hooks (ahead.py).

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import builtins
import os
import sys
from typing import Any

NAMES = (
    "path",
    "prefix",
    "exec_prefix",
    "base_prefix",
    "base_exec_prefix",
    "executable",
    "_base_executable",
    "platlibdir",
    "pycache_prefix",
    "dont_write_bytecode",
    "warnoptions",
    "_xoptions",
    "version",
)
FIELDS = frozenset(("n_fields", "n_sequence_fields", "n_unnamed_fields", "count", "index"))


def facts() -> dict[str, Any]:
    """Return what this interpreter's start decided, as JSON can hold it."""
    found = {name: getattr(sys, name, None) for name in NAMES}
    found["path"] = list(sys.path)
    found["flags"] = _flags()
    found["streams"] = [
        None if stream is None else [stream.encoding, stream.errors]
        for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    ]
    found["encoding"] = [sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()]
    found["digits"] = getattr(sys, "get_int_max_str_digits", int)()
    found["importers"] = [repr(type(one)) for one in sys.meta_path]
    given = vars(builtins)
    found["builtins"] = [len(given), *(name for name in sorted(given) if _is_of_site(given[name]))]
    return found


def become(known: dict[str, Any], ours: str) -> str:
    """Make this process, a fork of ours, what `python script` starts; say in what it differs still, or "".

    `ours` is the folder that holds our own package, for which we put the path right.
    """
    vars(sys)["flags"] = _flags_like(known["flags"])
    sys.path[:] = [folder for folder in sys.path if folder != ours]
    sys.executable = known["executable"]
    vars(sys)["_base_executable"] = known["_base_executable"]  # of which site.py finds a venv
    sys.dont_write_bytecode = known["dont_write_bytecode"]
    import site

    site.main()
    now = facts()
    return next((name for name in known if now.get(name) != known[name]), "")


def _is_of_site(value: Any) -> bool:
    return type(value).__module__ == "_sitebuiltins"


def _flags() -> dict[str, int]:
    return {
        name: getattr(sys.flags, name)
        for name in dir(sys.flags)
        if not name.startswith("_") and name not in FIELDS
    }


def _flags_like(values: dict[str, int]) -> Any:
    """Return flags of these values: those of the interpreter can't be made a second time."""
    kind = type(sys.flags)
    shown = getattr(kind, "__match_args__", ())

    def text(_: Any) -> str:
        return "sys.flags(" + ", ".join(f"{name}={values[name]!r}" for name in shown) + ")"

    own: dict[str, Any] = {
        **values,
        "__module__": "sys",
        "__slots__": (),
        "__repr__": text,
        "__match_args__": shown,
    }
    own.update((name, getattr(kind, name)) for name in ("n_fields", "n_sequence_fields", "n_unnamed_fields"))
    return type("flags", (tuple,), own)(values[name] for name in shown)


def is_same_binary(executable: str) -> bool:
    """Say whether a program is the interpreter that runs now."""
    return os.path.realpath(executable) == os.path.realpath(sys.executable)
