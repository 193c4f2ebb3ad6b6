"""Transcripts as Claude Code 2.1.330 writes them, made line by line, with sequences seeded on purpose."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Writer:
    """Writes one conversation; each step moves its clock."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock, self.count = path, START, 0
        self.lines: list[str] = []

    def prompt(self, text: str) -> Writer:
        return self._line({"type": "user", "message": {"role": "user", "content": text}}, 1)

    def say(self, text: str) -> Writer:
        return self._assistant([{"type": "text", "text": text}])

    def tools(self, *uses: tuple[str, dict[str, Any], str], takes: float = 1.0) -> Writer:
        """One assistant message with these (tool, input, result) calls."""
        blocks = []
        for tool, fields, _ in uses:
            self.count += 1
            blocks.append({"type": "tool_use", "id": f"toolu_{self.count}", "name": tool, "input": fields})
        self._assistant(blocks)
        self.clock += timedelta(seconds=takes)
        for block, (tool, _, result) in zip(blocks, uses, strict=True):
            response: dict[str, Any] = {"stdout": result}
            if tool == "Agent":
                content = [{"type": "text", "text": result}]
                response = {"status": "completed", "agentId": f"a{block['id']}", "content": content}
            self._result(str(block["id"]), result, response)
        return self

    def agents(self, *uses: tuple[str, str], takes: float = 10.0) -> Writer:
        """One assistant message with these (task, answer) foreground agents."""
        calls = [
            ("Agent", {"description": task, "prompt": task, "subagent_type": "Explore"}, got)
            for task, got in uses
        ]
        return self.tools(*calls, takes=takes)

    def background_agent(self, task: str) -> Writer:
        self.count += 1
        use = {
            "type": "tool_use",
            "id": f"toolu_{self.count}",
            "name": "Agent",
            "input": {"description": task, "prompt": task},
        }
        self._assistant([use])
        response = {"isAsync": True, "status": "async_launched", "agentId": f"b{self.count}"}
        return self._result(f"toolu_{self.count}", "Async agent launched successfully.", response)

    def notification(self, answer: str, after: float = 10.0) -> Writer:
        self.clock += timedelta(seconds=after)
        return self.prompt(
            f"<task-notification>\n<task-id>b{self.count}</task-id>\n<status>completed</status>\n<result>{answer}</result>"
        )

    def hook(self, name: str, command: str, ms: float) -> Writer:
        note = {
            "type": "hook_success",
            "hookName": name,
            "command": command,
            "durationMs": ms,
            "exitCode": 0,
            "stdout": "x",
        }
        return self._line({"type": "attachment", "attachment": note}, 0)

    def write(self) -> str:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        return str(self.path)

    def _assistant(self, blocks: list[dict[str, Any]]) -> Writer:
        self.clock += timedelta(seconds=2)
        message_id = f"msg_{len(self.lines)}"
        for block in blocks:
            self._line(
                {"type": "assistant", "message": {"id": message_id, "role": "assistant", "content": [block]}},
                0,
            )
        return self

    def _result(self, use: str, text: str, response: dict[str, Any]) -> Writer:
        block = {"type": "tool_result", "tool_use_id": use, "content": text}
        return self._line(
            {"type": "user", "message": {"role": "user", "content": [block]}, "toolUseResult": response}, 0
        )

    def _line(self, record: dict[str, Any], seconds: float) -> Writer:
        self.clock += timedelta(seconds=seconds)
        stamp = self.clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.lines.append(json.dumps({**record, "timestamp": stamp, "sessionId": "s"}))
        return self
