"""nginx in front of replicas, as docs/service.md has an operator configure it, on a port of loopback."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"
NGINX: Final = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/bin")
MISSING: Final = "nginx is not installed (apt-get install nginx-light)"
WAIT_S: Final = 120
WRAPPED: Final = """
{user}
error_log {folder}/error.log;
pid {folder}/nginx.pid;
daemon off;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {config}
}}
"""


def block(kind: str, page: str = "service") -> str:
    [found] = re.findall(rf"```{kind}\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    return str(found)


def configuration(port: int, replicas: Sequence[str], pem: Path | None = None) -> str:
    """Return the page's configuration for this port and two replicas; without a certificate, without TLS."""
    config = block("nginx")
    for documented, own in zip(("127.0.0.1:8080", "127.0.0.1:8081"), replicas, strict=True):
        config = config.replace(documented, own)
    if pem is not None:
        return re.sub(r"/etc/ssl/\S+;", f"{pem};", config.replace("listen 443", f"listen 127.0.0.1:{port}"))
    named, _, _ = config.partition("server {                                 # any other name")
    return re.sub(r"ssl_.*\n", "\n", named.replace("listen 443 ssl", f"listen 127.0.0.1:{port}"))


@contextmanager
def nginx(folder: Path, config: str) -> Iterator[subprocess.Popen[bytes]]:
    user = "user root;" if Path("/proc/self").stat().st_uid == 0 else ""
    (folder / "nginx.conf").write_text(WRAPPED.format(folder=folder, config=config, user=user))
    process = subprocess.Popen([NGINX or "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        until = time.monotonic() + WAIT_S
        while not (folder / "nginx.pid").exists():
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.01)
        yield process
    finally:
        process.terminate()
        process.wait()
