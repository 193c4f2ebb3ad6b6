"""Post stdin to a URL and print the answer: an `http` hook as a command.

As the client does it: 2xx with JSON or nothing is an answer, anything else is a failure that changes nothing.
`FANOUT_POST='{"url": ..., "headers": [[name, value], ...]}' python -I -S post.py`; `$NAME` and `${NAME}` in
headers come from the environment, which holds only what the hook was allowed. Redirects aren't followed.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
from urllib.parse import urlsplit

_VARIABLE = re.compile(r"\$(?:\{([A-Z_][A-Z0-9_]*)\}|([A-Z_][A-Z0-9_]*))")
_BREAKS = re.compile(r"[\r\n\x00]")
_COUNTED = ("content-length", "transfer-encoding")
"""The length is worked out from the body, whatever a hook's header says."""


def main() -> int:
    given = json.loads(os.environ.pop("FANOUT_POST"))
    url, headers = given["url"], given["headers"]
    parts = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        return _fail(f"{url} is not an http address")
    connection = kinds[parts.scheme](parts.hostname, parts.port)
    sent = {"Content-Type": "application/json"} | {
        name: _BREAKS.sub("", _filled(value))
        for name, value in headers
        if name.strip().lower() not in _COUNTED
    }
    target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    try:
        connection.request("POST", target, sys.stdin.buffer.read(), sent)
        response = connection.getresponse()
        body = response.read(16 << 20).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return _fail(str(error))
    if not 200 <= response.status < 300:
        return _fail(f"HTTP {response.status} from {parts.hostname}")
    if body.strip() and not body.lstrip().startswith("{"):
        return _fail(f"{parts.hostname} answered something that isn't JSON")
    sys.stdout.write(body)
    return 0


def _filled(value: str) -> str:
    return _VARIABLE.sub(lambda match: os.environ.get(match.group(1) or match.group(2), ""), value)


def _fail(why: str) -> int:
    sys.stderr.write(why + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
