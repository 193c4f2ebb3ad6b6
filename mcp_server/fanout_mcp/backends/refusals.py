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
_KEY = re.compile(r"\b(?:sk|pk|rk|key|gsk|xai)[-_][\w*.…-]{4,}|Bearer\s+\S+", re.IGNORECASE)


def redact(text: str, key: str | None) -> str:
    """Blank the key and whatever looks like one, also half masked."""
    if key:
        text = text.replace(key, "[key]")
    return _KEY.sub("[key]", text)


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
