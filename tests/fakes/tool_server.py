"""A server of tools for the real client: each returns another kind of result. `python tool_server.py`

Speaks the protocol by hand, so that what is returned is exactly this, whatever an SDK would make of it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

RESULTS: dict[str, dict[str, Any]] = {
    "blocks": {"content": [{"type": "text", "text": '{"a": 1}'}, {"type": "text", "text": "plain"}]},
    "list": {"content": [{"type": "text", "text": "[1, 2]"}]},
    "nothing": {"content": []},
    "structured": {"content": [{"type": "text", "text": '{"b": 2}'}], "structuredContent": {"b": 2}},
}


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            answer = {"jsonrpc": "2.0", "id": request["id"]} | _answer(request)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    given = request.get("params", {})
    if request["method"] == "initialize":
        about = {"name": "kinds", "version": "1"}
        version = given["protocolVersion"]
        return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}}
    if request["method"] == "tools/list":
        return {"result": {"tools": [_tool(name) for name in RESULTS]}}
    if request["method"] == "tools/call":
        return {"result": RESULTS[given["name"]]}
    return {"error": {"code": -32601, "message": "unknown"}}


def _tool(name: str) -> dict[str, Any]:
    loaded = {"_meta": {"anthropic/alwaysLoad": True}}
    return {"name": name, "description": name, "inputSchema": {"type": "object", "properties": {}}} | loaded


if __name__ == "__main__":
    main()
