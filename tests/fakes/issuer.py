"""An issuer of tokens on loopback: its metadata document, its keys, and tokens of every kind.

with issuing() as issuer:
    issuer.token(scope="ask")           # a good one; keywords change its claims
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE: Final = "https://mcp.example.com/mcp"


@dataclass
class Issuer:
    url: str = ""
    documents: dict[str, Any] = field(default_factory=dict)
    """What it answers, by path; all else is 404."""
    asked: list[str] = field(default_factory=list)
    rsa: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    ec: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def publish(self, **renamed: str) -> None:
        """Offer both keys; `renamed`: key ids instead of `rsa` and `ec`."""
        keys = [
            {**as_jwk(key), "kid": renamed.get(name, name), "use": "sig"}
            for name, key in (("rsa", self.rsa), ("ec", self.ec))
        ]
        self.documents["/keys"] = {"keys": keys}

    def token(self, algorithm: str = "RS256", key: Any = None, *, head: Any = None, **claims: Any) -> str:
        now = int(time.time())
        usual = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "erin",
            "iat": now,
            "exp": now + 600,
            "scope": "ask",
        }
        named = {"kid": "ec" if algorithm.startswith("ES") else "rsa", **(head or {})}
        given = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        signing = key if key is not None else self.ec if algorithm.startswith("ES") else self.rsa
        return jwt.encode(given, signing, algorithm, {one: value for one, value in named.items() if value})

    def public_pem(self) -> bytes:
        return self.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def as_jwk(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Mapping[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)


@contextmanager
def issuing() -> Iterator[Issuer]:
    issuer = Issuer()

    class Answering(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            found = issuer.documents.get(self.path)
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    issuer.documents["/.well-known/openid-configuration"] = {
        "issuer": issuer.url,
        "jwks_uri": f"{issuer.url}/keys",
    }
    issuer.publish()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
