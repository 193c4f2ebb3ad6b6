"""Server-sent events, cut out of bytes that arrive in any pieces. Pure: bytes in, the events' data out.

Lines end in LF, CRLF or CR; an empty line ends an event; comments (keep-alives) and other fields are skipped,
and so are events whose data is empty (keep-alives of some gateways). One field more than the HTML standard
(section 9.2.6) knows is read: llama.cpp sends `error: {...}` and nothing else when a stream fails.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

_LINE_END = re.compile(rb"\r\n|\n|\r(?!$)")
"""A CR at the very end waits: the LF that belongs to it may come with the next bytes."""


@dataclass(slots=True)
class EventStream:
    _rest: bytearray = field(default_factory=bytearray)
    _data: list[bytes] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[str]:
        """Take the next bytes; return the data of every event that they complete."""
        has_held_cr = self._rest.endswith(b"\r")
        self._rest += chunk
        if not has_held_cr and b"\n" not in chunk and b"\r" not in chunk:
            return []  # a long line in many small pieces must not be searched again for each of them
        *lines, rest = _LINE_END.split(bytes(self._rest))
        self._rest = bytearray(rest)
        return [event for line in lines if (event := self._line(line)) is not None]

    def end(self) -> list[str]:
        """Return what a last event without its empty line holds; some servers forget it."""
        return self.feed(b"\n\n")

    def _line(self, line: bytes) -> str | None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            return None
        if line.startswith(b"error:"):
            said = line[6:].strip().decode("utf-8", "replace")
            return f'{{"error": {said if said[:1] == "{" else json.dumps(said)}}}'
        if line or not self._data:
            return None
        event = b"\n".join(self._data).decode("utf-8", "replace")
        self._data.clear()
        return event if event.strip() else None
