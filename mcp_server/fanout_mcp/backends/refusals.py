"""What a provider's refusal means: a status and a body become the most specific error, with no key in it.

| status             | error        | tried again |
| 401, 403           | AuthRejected | no; its body is never shown, providers echo parts of the key |
| 429                | RateLimited  | yes, after Retry-After |
| 503, 529           | Overloaded   | yes, after Retry-After |
| 408, 409, 425, 5xx | ServerFault  | yes |
| all others         | Rejected     | no |
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from fanout_mcp.clean import printable
from fanout_mcp.errors import AuthRejected, BackendError, Overloaded, RateLimited, Rejected, ServerFault
from fanout_mcp.types import Json

SHOWN: Final = 300
MAX_READ: Final = 4_000
"""Characters of a message that are looked at; SHOWN of them are shown."""
_KEY = re.compile(
    r"(?i)\b(?:sk|pk|rk|key|gsk|xai|api|tok|ghp|glpat|hf|nvapi)[-_][\w*.…-]{4,}|Bearer\s{1,9}\S+"
)
_MASKED = re.compile(r"[\w-]{0,80}(?:\*{2,}|…|(?<=[\w-])\.{3,}(?=[\w-])|[xX•]{4,})[\w*•.…-]{0,80}")
_LONG = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_ENDING = re.compile(
    r"(?i)(\b(?:ending|ends|starting|starts|beginning|begins)\s(?:in|with)\W{1,3})([\w-]{2,80})"
)
_PART = re.compile(r"[A-Za-z0-9]{4,}")


def redact(text: str, key: str | None) -> str:
    """Blank the key, each part of it from four characters on, and whatever looks like one, also half masked.

    Providers echo keys whole, cut, masked in the middle, or as their last four characters.
    """
    text = text[:MAX_READ]
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
    """Tell a key from a model's name: letters and digits that take turns."""
    return len(re.findall(r"\d[A-Za-z]|[A-Za-z]\d", word)) >= 3 and not re.fullmatch(
        r"\w+(?:-[a-z]+\d{0,3})+", word
    )


def refusal(
    status: int, message: str, host: str, key: str | None, headers: Mapping[str, str] | None = None
) -> BackendError:
    headers = headers or {}
    said = f"{host} answered {status}"
    if status in {401, 403}:
        return AuthRejected(
            f"{said}: the key is missing, wrong, or may not use this model. Check OPENROUTER_API_KEY or "
            "FANOUT_API_KEY."
        )
    shown = " ".join(printable(redact(message, key)).split())[:SHOWN]
    text = f"{said}: {shown}" if shown else f"{said}."
    if status == 429:
        return RateLimited(text, retry_after(headers))
    if status in {503, 529}:
        return Overloaded(text, retry_after(headers))
    if status in {408, 409, 425} or 500 <= status < 600:
        return ServerFault(text)
    if 300 <= status < 400:
        return Rejected(f"{said}, a redirect. None is followed: set the base URL to where it leads.")
    return Rejected(text)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds to wait as the provider said them; None when it said nothing that makes sense."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - (time.time() if now is None else now))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def error_in(body: Json) -> tuple[int | None, str] | None:
    """Find an error object in a body: (its HTTP status if it names one, its message)."""
    error = body.get("error") if isinstance(body, dict) else None
    if not error:
        return None
    if not isinstance(error, dict):
        return None, str(error)
    code = error.get("code")
    is_status = isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600
    return (code if is_status else None), str(error.get("message") or "an error without a message")
