"""One line of the client's pipe: what it means, or what to answer when it means nothing.

The SDK drops what it can't parse, and the client then waits half an hour for an answer. Here a request
that can be recognised as one is answered, whatever is wrong with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from mcp.types import ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCNotification, jsonrpc_message_adapter
from pydantic import ValidationError

from fanout_mcp.clean import clean_text
from fanout_mcp.types import Json

MAX_LINE: Final = 16 * 1024 * 1024
"""As the client's own limit for a line (docs/operations.md)."""

MAX_ID: Final = 200
"""Longer ids are not worth the echo."""

PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS = -32700, -32600, -32602


@dataclass(frozen=True, slots=True)
class Refusal:
    """What to send back instead of passing the line on."""

    error: JSONRPCError


def refusal(number: int | str | None, code: int, message: str) -> Refusal:
    if isinstance(number, str):
        number = clean_text(number)[:MAX_ID]
    return Refusal(JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=code, message=message)))


TOO_LONG: Final = refusal(None, INVALID_REQUEST, f"A message may have at most {MAX_LINE:,} bytes.")


def parse(line: bytes) -> JSONRPCMessage | Refusal | None:
    """Return the message, a refusal to be sent back, or None for what is noise."""
    line = line.strip().removeprefix(b"\xef\xbb\xbf")
    if not line:
        return None
    try:
        message: JSONRPCMessage = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except (ValidationError, RecursionError, ValueError):
        return _second_look(line)
    if isinstance(message, JSONRPCNotification) and b'"id"' in line:
        return _second_look(line)  # the SDK takes a request with an unusable id for a notification
    return message


def _second_look(line: bytes) -> JSONRPCMessage | Refusal | None:
    try:
        value = json.loads(line.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return None  # no JSON at all: noise has no id to answer to
    if isinstance(value, list):
        return refusal(
            None, INVALID_REQUEST, "Batches are not part of the protocol; send one message a line."
        )
    if not isinstance(value, dict):
        return None
    if "id" in value and "method" in value and not _is_id(value["id"]):
        return refusal(None, INVALID_REQUEST, "The id of a request must be text or a whole number.")
    try:
        message: JSONRPCMessage = jsonrpc_message_adapter.validate_python(_cleaned(value), by_name=False)
    except (ValidationError, RecursionError, ValueError):
        return _refuse(value)
    return message


def _refuse(value: dict[str, Json]) -> Refusal | None:
    if not isinstance(value.get("method"), str) or "id" not in value:
        return None  # a notification or an answer: nobody waits for us
    number = value["id"]
    if not isinstance(value.get("params", {}), dict):
        return refusal(number, INVALID_PARAMS, "params must be an object.")
    return refusal(number, INVALID_REQUEST, "This is no JSON-RPC 2.0 request.")


def _is_id(value: Json) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _cleaned(value: Json) -> Json:
    """Lone surrogates are legal in JSON's escapes, and a prompt may hold one: replace, don't drop."""
    if isinstance(value, str):
        return clean_text(value, keep_nul=True)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): _cleaned(item) for key, item in value.items()}
    return value
