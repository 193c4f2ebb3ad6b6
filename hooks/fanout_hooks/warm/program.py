"""Run one Python program from its source to its exit code, as `python script` would.

Everything that an interpreter does at its end is done here: threads joined, atexit run, objects dropped,
buffers flushed. What a hook did to the builtins is undone at once, for this code stands on them itself.

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import builtins
import errno
import opcode
import sys
import types
from _contextvars import Context
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from typing import Any

from fanout_hooks.warm.messages import atexit, gc, io, os, signal

BUILTINS = vars(builtins)
OWN_BUILTINS = dict(BUILTINS)


PATCHING = frozenset(
    (
        "setattr delattr __setattr__ __dict__ vars exec eval patch nice setpriority setrlimit "
        "prlimit sched_setaffinity ctypes __builtins__ _getframe f_locals f_globals get_objects "
        "get_referrers start_new_thread modules seed setstate"
    ).split()
)
"""Names by which code reaches into what others share, or into what the process is allowed."""
REACHING = frozenset(
    (
        "_getframe _current_frames currentframe f_back f_globals f_locals tb_frame gi_frame "
        "cr_frame ag_frame get_objects get_referrers get_referents __globals__ __closure__ "
        "cell_contents ctypes _ctypes settrace setprofile monitoring _xxsubinterpreters _testcapi "
        "_testinternalcapi"
    ).split()
)
"""Names by which code may reach what runs it: nothing such a process says later is believed."""
STORES = frozenset(opcode.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
IMPORT, EXTENDED = opcode.opmap["IMPORT_NAME"], opcode.EXTENDED_ARG


def may_patch(code: types.CodeType) -> bool:
    """Say whether code could change a class or a limit: those are expensive to look at after every hook."""
    if not PATCHING.isdisjoint(code.co_names):
        return True
    its_own = code.co_argcount and code.co_varnames[0] == "self"
    if not its_own and not STORES.isdisjoint(code.co_code[::2]):
        return True
    return any(may_patch(one) for one in code.co_consts if isinstance(one, types.CodeType))


def reaches_in(code: types.CodeType) -> bool:
    """Say whether code could change this very program."""
    if not REACHING.isdisjoint(code.co_names):
        return True
    return any(
        reaches_in(one) if isinstance(one, types.CodeType) else one in REACHING
        for one in code.co_consts
        if isinstance(one, (types.CodeType, str))
    )


class Programs:
    """Compiled scripts, by file and what the file system says of it: an edited hook is the new code."""

    def __init__(self) -> None:
        self._compiled: dict[str, tuple[tuple[int, ...], types.CodeType, bool, bool]] = {}
        self._folders: dict[str, str] = {}

    def load(self, file: str, script: str) -> types.CodeType:
        """Return a script's code, named as its command names it; OSError, SyntaxError, ValueError."""
        about = os.stat(file)
        version = (about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino)
        known = self._compiled.get(file)
        if known is not None and known[0] == version and known[1].co_filename == script:
            return known[1]
        with io.FileIO(file) as opened:
            source = opened.readall()
        code = compile(source, script, "exec", dont_inherit=True)
        self._compiled[file] = (version, code, may_patch(code), reaches_in(code))
        return code

    def version(self, file: str) -> tuple[int, ...]:
        known = self._compiled.get(file)
        return known[0] if known is not None else ()

    def may_patch(self, file: str) -> bool:
        known = self._compiled.get(file)
        return known is not None and known[2]

    def reaches_in(self, file: str, script: str) -> bool:
        """Say whether a program could change what runs it, before it has run."""
        try:
            self.load(file, script)
        except (OSError, SyntaxError, ValueError):
            return False  # it will not run
        return self._compiled[file][3]

    def folder(self, script: str) -> str:
        """Return what python puts first on the path: the script's real folder."""
        if script not in self._folders or os.path.islink(script):
            self._folders[script] = os.path.dirname(os.path.realpath(script))
        return self._folders[script]


def start(programs: Programs, file: str, script: str, begin: Callable[[], None]) -> int:
    """Compile a script and run it to its end; return its exit code, negative for a signal.

    `begin` is called right before: what fails until then is our fault, and costs the script nothing.
    """
    try:
        code = programs.load(file, script)
    except OSError as error:
        begin()
        return _cannot_open(script, error)
    except (SyntaxError, ValueError):
        begin()
        return _guarded(lambda: programs.load(file, script))
    return _run(code, script, begin)


def _run(code: types.CodeType, script: str, begin: Callable[[], None]) -> int:
    main = types.ModuleType("__main__")
    loader = SourceFileLoader("__main__", script)
    vars(main).update(
        __file__=script, __builtins__=sys.modules["builtins"], __loader__=loader, __cached__=None
    )
    if sys.version_info < (3, 14):
        vars(main).update(__annotations__={})
    sys.modules["__main__"] = main
    begin()
    status = _guarded(lambda: exec(code, vars(main)))  # noqa: S102 - running hooks is what this file is for
    _guarded(_join_threads)
    _guarded(atexit._run_exitfuncs)
    if not _flushed():
        status = status or 120
    main.__dict__.clear()
    gc.collect()  # objects in circles end here, as at an interpreter's end: their last words are this hook's
    _flushed()
    return status


def _with_builtins(call: Any) -> None:
    """Call it; whatever it did to `len` or `isinstance`, we go on with ours.

    In a context of its own: decimal's precision and other context variables end with it.
    """
    try:
        Context().run(call)
    finally:
        # Always, and not asked first: what stands there may say of itself that it equals anything.
        BUILTINS.clear()
        BUILTINS.update(OWN_BUILTINS)


def _guarded(call: Any) -> int:
    try:
        _with_builtins(call)
    except SystemExit as end:
        return _exit_status(end)
    except KeyboardInterrupt:
        _show(sys.exc_info())
        return -int(signal.SIGINT)  # what the interpreter does to itself then
    except BaseException:  # noqa: BLE001 - this is the top level of another person's program
        _show(sys.exc_info())
        return 1
    return 0


def _exit_status(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    if sys.stderr is not None:
        _guarded(lambda: sys.stderr.write(f"{end.code}\n"))
    return 1


OUR_FRAMES = 3
"""Between `_guarded` and the program: `_guarded`, `_with_builtins`, the function that is called."""


def _show(raised: Any) -> None:
    """Print a traceback as the interpreter would: without the frames that are ours."""
    kind, value, trace = raised
    for _ in range(OUR_FRAMES):
        trace = trace.tb_next if trace is not None else None
    try:
        sys.excepthook(kind, value.with_traceback(trace), trace)
    except BaseException:  # noqa: BLE001 - the hook's own excepthook, or a closed stderr
        return


def _join_threads() -> None:
    threading = sys.modules.get("threading")
    if threading is None:
        return
    for call in reversed(getattr(threading, "_threading_atexits", ())):
        call()
    this = threading.current_thread()
    for thread in threading.enumerate():
        if thread is not this and not thread.daemon:
            thread.join()


def _flushed() -> bool:
    good = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:  # noqa: BLE001 - whatever a hook put there; the interpreter, too, goes on
            good = stream is sys.stderr and good
    return good


def _cannot_open(script: str, error: OSError) -> int:
    reason = os.strerror(error.errno or errno.ENOENT)
    sys.stderr.write(f"{sys.executable}: can't open file {script!r}: [Errno {error.errno}] {reason}\n")
    _flushed()
    return 2
