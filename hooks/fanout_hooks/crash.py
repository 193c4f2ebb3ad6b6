"""Turn an error of ours into a sentence for a user or a model, and keep its trace in a report file.

    explain(what, error, env)         the sentence; the name of an exception is never in it
    explain_alike(what, error, env)   the same where many may fail and are counted by their reason

What the system refuses (a full disk, a folder that can't be written) is explained by the system's own words.
Everything else is a defect of fanout: the sentence names a file that holds the trace, with the environment's
secrets blanked. Only when something failed is anything here imported or read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping

MAX_REPORTS = 50
"""The oldest make room: a defect at every event must not fill the disk."""
OWN = ("fanout_hooks.", "fanout_mcp.")
MIN_SECRET = 8
SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def explain(what: str, error: BaseException, env: Mapping[str, str]) -> str:
    """Return why `what` failed and where the trace is; `what` begins the sentence.

    The text of an exception of our own (NoSuchGuard, Refused ...) is a sentence already.
    """
    if type(error).__module__.startswith(OWN) and str(error):
        return str(error)
    path = keep(error, env)
    trace = f"The trace is in {path}" if path else "The trace could not be kept"
    refused = system_refusal(error)
    if refused:
        return f"{what}: {refused}. {trace}." if path else f"{what}: {refused}."
    if is_of_kind(error, MemoryError):
        return f"{what} ran out of memory. {trace}."
    if is_of_kind(error, RecursionError):
        return f"{what} met something nested too deeply. {trace}."
    return f"{what} failed, which is a defect of fanout. {trace}; please report it."


def explain_alike(what: str, error: BaseException, env: Mapping[str, str]) -> str:
    """Return a sentence that is the same for each failure of one kind: it names the folder of traces."""
    refused = system_refusal(error)
    kept = keep(error, env)
    if refused:
        return f"{what}: {refused}"
    traces = f"; traces are in {os.path.dirname(kept)}" if kept else ""
    return f"{what} failed, which is a defect of fanout{traces}"


def system_refusal(error: BaseException) -> str:
    """Return what the system refused and on which file ("/x/y: No space left on device"), else ""."""
    if not isinstance(error, OSError) or not error.strerror:
        return ""
    named = [os.fsdecode(name) for name in (error.filename,) if isinstance(name, str | bytes)]
    return ": ".join([*named, error.strerror])


def is_of_kind(error: BaseException, kind: type[BaseException]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(is_of_kind(inner, kind) for inner in error.exceptions)
    return isinstance(error, kind)


def keep(error: BaseException, env: Mapping[str, str]) -> str:
    """Write the trace into a file that only its user can read; return its path, "" when it can't be."""
    import traceback

    from fanout_hooks.client import files
    from fanout_hooks.client.home import state_folder

    folder = os.path.join(os.path.dirname(state_folder(env)), "crashes")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = os.path.join(folder, f"{stamp}-{os.getpid()}-{time.monotonic_ns() % 10**9:09}.txt")
    try:
        text = blanked("".join(traceback.format_exception(error)), secrets_of(env))
        files.replace(path, text.encode("utf-8", "backslashreplace"))
        for old in sorted(os.listdir(folder))[:-MAX_REPORTS]:
            os.unlink(os.path.join(folder, old))
    except (OSError, MemoryError, RecursionError):
        return ""
    return path


def secrets_of(env: Mapping[str, str]) -> list[str]:
    """Return the values of variables that are named like secrets, the longest first."""
    found = {
        value
        for name, value in env.items()
        if len(value) >= MIN_SECRET and any(word in name.upper() for word in SECRET_WORDS)
    }
    return sorted(found, key=len, reverse=True)


def blanked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    return text
