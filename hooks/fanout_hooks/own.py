"""The standard library's functions as they were before any hook ran.

What runs after a hook in the hook's process must not stand on what that hook could replace: `json.dumps`,
`os.write`, `os._exit`. So our code there takes modules from here: copies of their namespaces, made when the
worker starts. What a patched module does inside still counts; then the worker fails, and its end is the loss
of that hook's verdict alone (interpreter.py).

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

__all__ = ["atexit", "gc", "io", "os", "signal", "time"]

if TYPE_CHECKING:
    import atexit
    import gc
    import io
    import os
    import signal
    import time
else:
    import _signal
    import atexit
    import gc
    import io
    import os
    import time

    def _copy(module: Any) -> Any:
        return types.SimpleNamespace(**vars(module))

    path = _copy(os.path)
    atexit, gc, io, os, time, signal = map(_copy, (atexit, gc, io, os, time, _signal))
    os.path = path
