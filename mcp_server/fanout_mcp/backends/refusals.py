"""What a provider's refusal means: a status and a body become the most specific error, with no key in it.

Two readings. `error_in` finds the error in whatever body a provider sent it in: an object, a list of them,
a bare string, another provider's error quoted as text inside a gateway's own. `refusal` decides what it is,
by the first row of CAUSES (refusals.toml) whose codes or words it holds, else by its status (BY_STATUS).

Shapes and words come from the documentation and public bug reports of OpenAI, Azure, Anthropic, Gemini, xAI,
Mistral, Groq, DeepSeek, OpenRouter, LiteLLM, vLLM, llama.cpp, LM Studio and Ollama (docs/providers.md).
"""

from __future__ import annotations

import json
import math
import re
import time
import tomllib
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.resources import files
from typing import Final, NamedTuple

from fanout_mcp import errors
from fanout_mcp.text import clip, printable
from fanout_mcp.types import Json

SHOWN: Final = 300
MAX_WORDS: Final = 4_000
MAX_DEPTH: Final = 5
"""Errors quoted in errors; a gateway before a gateway makes three."""

_KEY = re.compile(
    r"(?i)\b(?:sk|pk|rk|key|gsk|xai|api|tok|ghp|glpat|hf|nvapi|fw|tgp)[-_][\w*.…-]{4,}|\bAIza[\w-]{8,}"
    r"|Bearer\s{1,9}\S+|(?<=provided: )\S+|(?<=api key: )\S+"
)
_MASKED = re.compile(r"[\w-]{0,80}(?:\*{2,}|…|(?<=[\w-])\.{3,}(?=[\w-])|[xX•]{4,})[\w*•.…-]{0,80}")
_LONG = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_ENDING = re.compile(
    r"(?i)(\b(?:ending|ends|starting|starts|beginning|begins)\s(?:in|with)\W{1,3})([\w-]{2,80})"
)
_PART = re.compile(r"(?=[A-Za-z]{0,40}\d)[A-Za-z0-9]{4,}|[A-Za-z0-9]{8,}")
"""Parts of a key: short ones only with a digit in them, for a name such as `acme` is also a word."""


def redact(text: str, key: str | None) -> str:
    """Blank the key, each part of it from four characters on, and whatever looks like one, also half masked.

    Providers echo keys whole, cut, masked in the middle, or as their last four characters.
    """
    text = text[:MAX_WORDS]
    if key:
        text = text.replace(key, "[key]")
    for shape in (_KEY, _MASKED):
        text = shape.sub("[key]", text)
    text = _ENDING.sub(r"\1[key]", text)
    text = _LONG.sub(lambda found: "[key]" if _is_drawn(found.group()) else found.group(), text)
    if key:
        text = _PART.sub(lambda found: "[key]" if found.group() in key else found.group(), text)
    return text


def _is_drawn(word: str) -> bool:
    """Distinguish a key from a model's name: letters and digits that take turns."""
    return len(re.findall(r"\d[A-Za-z]|[A-Za-z]\d", word)) >= 3 and not re.fullmatch(
        r"\w+(?:-[a-z]+\d{0,3})+", word
    )


# --- finding the error in a body ---------------------------------------------------------------------------


class Reported(NamedTuple):
    """What a provider reported of its refusal."""

    status: int | None
    """The HTTP status that the body names, which may differ from the one it came with."""
    codes: str
    """Its code, type and status words, in lower case, separated by spaces."""
    words: str
    wait_s: float | None = None
    limit: int | None = None
    """Tokens of context, where the body counts them."""
    prompt: int | None = None
    upstream: str = ""
    """The provider behind a gateway."""


_TABLES: Final = tomllib.loads(files("fanout_mcp.backends").joinpath("refusals.toml").read_text("utf-8"))
STATUS_OF: Final = {
    code: int(status) for status, codes in _TABLES["statuses"].items() for code in codes.split()
}
"""What a body's code means as a status; the first code that is listed counts."""

_NAMES: Final = ("code", "type", "status", "reason", "error_code", "error_type", "__type")
_WORDS: Final = (
    *("message", "msg", "detail", "details", "error_description", "reason", "Message", "title"),
    "description",
)


def error_in(body: Json, depth: int = MAX_DEPTH, *, is_refusal: bool = False) -> Reported | None:
    """Find an error in a body. `is_refusal`: the status says that it is one, so a bare message counts too."""
    if depth == 0:
        return None
    if isinstance(body, list):
        found = (error_in(one, depth - 1, is_refusal=is_refusal) for one in body[:3])
        return next((one for one in found if one is not None), None)
    if isinstance(body, str):
        return Reported(None, "", body) if is_refusal and body.strip() else None
    if not isinstance(body, dict):
        return None
    for name in ("error", "errors", "fault", "base_resp" if is_refusal else "error"):
        if body.get(name):
            return _described(body[name], body, depth - 1)
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict):
        if choice.get("error"):
            return _described(choice["error"], {}, depth - 1)
        if choice.get("finish_reason") == "error":
            return Reported(502, "", "the provider failed in the middle of its answer")
    if "error" in {body.get("object"), body.get("type")} or is_refusal:
        return _described(body, {}, depth - 1)
    return None


def _described(error: Json, around: Mapping[str, Json], depth: int) -> Reported | None:
    """Read an error's own object; `around` is the body it stands in, which may hold what it lacks."""
    if isinstance(error, list):
        return _described(error[0], around, depth) if error else None
    if not isinstance(error, dict):
        # {"code": "...", "error": "..."} of xAI: the code stands beside it.
        return _reported({**around, "message": str(error)} if isinstance(error, str) else dict(around), depth)
    return _reported(error if any(map(error.get, _WORDS)) else {**around, **error}, depth)


def _reported(error: Mapping[str, Json], depth: int) -> Reported | None:
    metadata = _dict(error.get("metadata"))
    words = next((_flat(error[name]) for name in _WORDS if error.get(name)), "")
    codes = [str(error[name]).lower() for name in _NAMES if isinstance(error.get(name), str | int)]
    inner = error.get("innererror", error.get("inner_error"))
    if isinstance(inner, dict) and isinstance(inner.get("code"), str):
        codes.append(inner["code"].lower())
    details = _listed(error, "details")
    codes += [str(one["reason"]).lower() for one in details if one.get("reason")]
    codes += [str(one.get("quotaId")).lower() for part in details for one in _listed(part, "violations")]
    limit, prompt = (count(error.get(name)) for name in ("n_ctx", "n_prompt_tokens"))
    upstream = str(metadata.get("provider_name") or "")
    reported = Reported(_status(codes), " ".join(codes), words, _delay(error), limit, prompt, upstream)
    for quoted in (metadata.get("raw"), words, error.get("error")):
        within = _quoted(quoted, depth)
        if within is not None and within.words and within.words != words:
            reported = _merged(reported, within)
            break
    reasons = metadata.get("reasons")
    if isinstance(reasons, list) and reasons:
        reported = reported._replace(words=f"{reported.words} ({', '.join(str(one) for one in reasons[:5])})")
    if not reported.words and not reported.codes:
        return None
    return reported if reported.words else reported._replace(words=reported.codes)


def _dict(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _quoted(value: Json, depth: int) -> Reported | None:
    """Read an error that another one quotes, as an object or as text."""
    if isinstance(value, str):
        begin = min((at for at in (value.find("{"), value.find("[")) if at >= 0), default=-1)
        if begin < 0:
            return Reported(None, "", value) if value else None
        try:
            value, _ = json.JSONDecoder().raw_decode(value[begin:])
        except (ValueError, RecursionError):
            return Reported(None, "", value) if isinstance(value, str) else None
    return error_in(value, depth, is_refusal=True)


def _merged(outer: Reported, cause: Reported) -> Reported:
    return Reported(
        cause.status or outer.status,
        f"{outer.codes} {cause.codes}".strip(),
        cause.words,
        cause.wait_s if cause.wait_s is not None else outer.wait_s,
        cause.limit or outer.limit,
        cause.prompt or outer.prompt,
        outer.upstream or cause.upstream,
    )


def _flat(value: Json) -> str:
    """Return a message; FastAPI's is a list of objects with `msg` and the place they are about."""
    if isinstance(value, list):
        return "; ".join(filter(None, (_flat(one) for one in value[:5])))
    if isinstance(value, dict):
        place = value.get("loc")
        about = f" ({'.'.join(str(one) for one in place)})" if isinstance(place, list) else ""
        text = next((_flat(value[name]) for name in _WORDS if value.get(name)), "")
        return f"{text}{about}" if text else ""
    return str(value) if value is not None else ""


def _status(codes: list[str]) -> int | None:
    for code in codes:
        if code.isdecimal() and 400 <= int(code) < 600:
            return int(code)
    return next((STATUS_OF[code] for code in codes if code in STATUS_OF), None)


def _listed(error: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    given = error.get(name)
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _delay(error: Mapping[str, Json]) -> float | None:
    """Read Google's RetryInfo, `"retryDelay": "34s"`, and the bare fields of others, in seconds."""
    fields = [one.get("retryDelay") for one in _listed(error, "details")]
    fields += [error.get(name) for name in ("retryDelay", "retry_after", "retry_after_seconds")]
    metadata = _dict(error.get("metadata"))
    fields += [metadata.get("retry_after_seconds"), _dict(metadata.get("headers")).get("Retry-After")]
    found = (_seconds(str(value)) for value in fields if value is not None)
    return next((value for value in found if value is not None), None)


def count(value: Json) -> int | None:
    """Return a whole number above 0; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


# --- what it means -----------------------------------------------------------------------------------------


class Cause(NamedTuple):
    """A kind of refusal, by any of its codes or by its words, whatever status it came with."""

    kind: type[errors.BackendError]
    codes: frozenset[str]
    words: re.Pattern[str]


CAUSES: Final = tuple(
    Cause(
        getattr(errors, row["kind"]),
        frozenset(row["codes"].split()),
        re.compile(row["words"].replace("\n", ""), re.IGNORECASE),
    )
    for row in _TABLES["causes"]
)

WHOLE_ACCOUNT: Final = re.compile(
    r"all models|free-models-per|per[- ](?:key|account)\b|(?:account|key)(?:'s)? (?:rate )?limit|"
    r"(?:for|on) (?:this|your) (?:account|api key|key)\b",
    re.IGNORECASE,
)
"""Words of a 429 that close the whole provider. An organisation's limit is one by model at OpenAI and
Anthropic, so that word is not among them."""

NEVER_FITS: Final = re.compile(r"request too large for", re.IGNORECASE)
"""A 429 or 413 for a question larger than a minute's tokens: no waiting helps."""

_LIMIT: Final = re.compile(
    r"(?:context (?:length|size|window)(?: (?:of|is|limit))*|context|max_model_len|n_ctx|limit|maximum|be <=)"
    r"\W{0,4}(?:is|of|was)?\W{0,4}\(?(\d[\d,_]{2,})",
    re.IGNORECASE,
)
_PROMPT: Final = re.compile(
    r"(?<!at least )\b(\d[\d,_]*) (?:tokens? )?"
    r"(?:`?inputs?`? tokens|in (?:the |your )?(?:messages|prompt|input)|prompt tokens)|"
    r"(?:prompt|input|request|messages) (?:\w+ ){0,3}?(?:has|contains?|is|resulted in) "
    r"(\d[\d,_]*) (?:input )?tokens",
    re.IGNORECASE,
)


def refusal(
    status: int,
    reported: Reported | str,
    host: str,
    key: str | None,
    headers: Mapping[str, str] | None = None,
) -> errors.BackendError:
    """Return the error; `status` is the one it came with, 200 where it stood in an answer."""
    reported = Reported(None, "", reported) if isinstance(reported, str) else reported
    headers = headers or {}
    if status < 300:
        status = reported.status or (404 if NO_PATH.search(reported.words) else 502)
    whole = " ".join(printable(redact(reported.words, key)).split())[:MAX_WORDS]
    by = f", {printable(reported.upstream)[:40]}" if reported.upstream else ""
    head = f"{host}{by} answered {status}"
    shown = clip(whole, SHOWN)
    error = _meant(status, reported, f"{head}: {shown}" if shown else f"{head}.", whole, headers)
    error.words = whole
    return error


MAX_RESET_S: Final = 1e9
"""More is a date that a gateway sends in place of seconds."""


def _meant(
    status: int, reported: Reported, text: str, whole: str, headers: Mapping[str, str]
) -> errors.BackendError:
    waits = (retry_after(headers), reported.wait_s, asked_for(whole))
    wait = next((seconds for seconds in waits if seconds is not None), None)
    cause = _cause(status, reported, whole, wait)
    kind = cause or _by_status(status, reported)
    if wait is None and kind is errors.RateLimited:
        # It comes with every answer: of another fault it says nothing.
        reset = _number(headers.get("ratelimit-reset"))
        wait = reset if reset and reset < MAX_RESET_S else None
    if kind is errors.ContextTooSmall:
        return errors.ContextTooSmall(
            text, reported.limit or _number_in(_LIMIT, whole), reported.prompt or _number_in(_PROMPT, whole)
        )
    if kind is errors.AuthRejected:
        return errors.AuthRejected(
            f"{text.rstrip('.')}. Check the key: it is missing, wrong, or may not do this."
        )
    if kind is errors.RateLimited:
        is_whole = not reported.upstream and bool(WHOLE_ACCOUNT.search(whole))
        return errors.RateLimited(text, wait, for_all_models=is_whole)
    if kind is errors.Overloaded:
        return errors.Overloaded(text, wait)
    if 300 <= status < 400:
        return errors.Rejected(
            f"{text.rstrip('.')}, a redirect. None is followed: set the base URL to where it leads."
        )
    error = kind(text)
    error.is_by_status = cause is None
    return error


def _cause(
    status: int, reported: Reported, words: str, wait: float | None
) -> type[errors.BackendError] | None:
    """Return what its codes or its words say; None where they say nothing, or only that it is busy."""
    codes = set(reported.codes.split())
    if NEVER_FITS.search(words):
        return errors.ContextTooSmall
    for cause in CAUSES:
        has_code = bool(codes & cause.codes)
        if not has_code and not cause.words.search(words):
            continue
        if cause.kind is errors.QuotaSpent and wait is not None and 429 in {status, reported.status}:
            # Gemini calls a minute's limit a quota, and says when it is over; of a day's it says seconds too.
            return cause.kind if "perday" in reported.codes else errors.RateLimited
        if cause.kind is errors.ModelGone and BUSY & {status, reported.status}:
            return None
        is_fault = status >= 500 or status == 408
        if cause.kind is errors.ModelGone and is_fault and not has_code and not FOR_GOOD.search(words):
            return None
        return cause.kind
    return None


def _by_status(status: int, reported: Reported) -> type[errors.BackendError]:
    meant = reported.status if status in {200, 400, 422, 500, 502} and reported.status else status
    return BY_STATUS.get(meant, errors.ServerFault if 500 <= meant < 600 else errors.Rejected)


BY_STATUS: Final[Mapping[int, type[errors.BackendError]]] = {
    **dict.fromkeys((401, 403), errors.AuthRejected),
    402: errors.QuotaSpent,
    404: errors.ModelGone,
    **dict.fromkeys((408, 409, 425), errors.ServerFault),
    429: errors.RateLimited,
    **dict.fromkeys((498, 503, 529), errors.Overloaded),
}
BUSY: Final = frozenset({429, 502, 503, 504, 529})
"""With one of these, a model that "is not available" is busy and not gone."""
FOR_GOOD: Final = re.compile(
    r"not found|not exist|n't exist|decommissioned|retired|been removed|been shut down|"
    r"requires more (?:system )?memory",
    re.IGNORECASE,
)
"""What a server's own fault must say of a model that no second try would find; else it may be a moment's."""

NO_PATH: Final = re.compile(
    r"^$|page not found|^(?:404 )?not[ _]found\.?$|cannot post|resource not found|no such (?:path|route)|"
    r"\b(?:endpoint|url|route\b.{0,80}?)(?: was)? not found|static resource|"
    r"unexpected endpoint|"
    r"(?:unknown|invalid) (?:url|endpoint|path|request url)|method not allowed|no route(?! to host)",
    re.IGNORECASE,
)
"""What servers say of a path that they don't have; of a model they say more."""


def _number_in(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    found = next(filter(None, match.groups()), None) if match else None
    return int(re.sub(r"\D", "", found)) if found else None


# --- how long to wait --------------------------------------------------------------------------------------

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SPAN: Final = re.compile(
    r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)?(?![a-z])"
)
_AGAIN_IN: Final = re.compile(
    r"(?:try|retry)(?:ing)? (?:again )?(?:in|after)\s*((?:\d+(?:\.\d+)?\s*"
    r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)?(?![a-z])\s*)+)",
    re.IGNORECASE,
)


def asked_for(words: str) -> float | None:
    """Return the seconds of "Please try again in 1m2.5s"."""
    match = _AGAIN_IN.search(words)
    return _seconds(match[1].strip()) if match else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait as the headers say them; None when they say nothing that makes sense."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _seconds(text or "")
    if seconds is not None or not text:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - time.time())


def _seconds(text: str) -> float | None:
    """Read 34, "34s", "1m2.5s", "250ms", "20 seconds"; None for anything else."""
    plain = _number(text)
    if plain is not None:
        return plain
    text = text.strip().lower()
    spans = _SPAN.findall(text)
    if not spans or re.sub(_SPAN, "", text).strip():
        return None
    return sum(
        float(value) * _UNITS["ms" if unit.startswith(("ms", "mil")) else unit[:1] or "s"]
        for value, unit in spans
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
