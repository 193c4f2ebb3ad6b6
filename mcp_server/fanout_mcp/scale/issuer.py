"""Bearer tokens of an issuer (OAuth, OpenID Connect): JWTs, checked with the keys that it publishes.

Rules:
1. A token counts only if it names this issuer and this audience, has not ended, and is signed (RS256, ES256)
   by a key of the issuer's own set; what the token says of keys itself (`jku`, `jwk`) is not looked at.
2. The issuer's document must name the issuer as the operator did, and keys over TLS (or on loopback).
3. Keys are read again when they are old, or when a token names one that is not there: at most every AGAIN_S.
   While the issuer can't be reached those that are known stay good; without any, no one can be judged.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx2
import jwt
from mcp.client.auth.utils import build_oauth_authorization_server_metadata_discovery_urls as places

from fanout_mcp.errors import SettingsError
from fanout_mcp.state.settings import LOOPBACK_HOSTS
from fanout_mcp.types import Json

ALGORITHMS: Final = ("RS256", "ES256")
KEYS_S: Final = 600.0
AGAIN_S: Final = 20.0
WAIT_S: Final = 5.0
LEEWAY_S: Final = 30
"""Clocks of two machines."""
MAX_TOKEN: Final = 16_384
MAX_SUBJECT: Final = 255

log = logging.getLogger("fanout")


@dataclass(slots=True)
class Issuer:
    url: str
    resource: str
    """The service's own URL, as its clients know it."""
    audience: str
    _keys: Mapping[str, jwt.PyJWK] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _tried_at: float = float("-inf")
    _reading: anyio.Lock = field(default_factory=anyio.Lock)

    async def claims_of(self, token: str) -> Mapping[str, Json] | None:
        """Return what a token says, None for one that doesn't count. Raises SettingsError without keys."""
        if len(token) > MAX_TOKEN or token.count(".") != 2:
            return None
        try:
            head = jwt.get_unverified_header(token)
            key = await self._key(str(head.get("kid"))) if head.get("alg") in ALGORITHMS else None
            if key is None:
                return None
            claims: dict[str, Json] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self.audience,
                issuer=self.url,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        return claims if 0 < len(claims["sub"]) <= MAX_SUBJECT else None

    def _is_fresh(self, name: str) -> bool:
        return name in self._keys and time.monotonic() - self._read_at <= KEYS_S

    async def _key(self, name: str) -> jwt.PyJWK | None:
        if self._is_fresh(name):  # not behind a stranger's key, which a slow issuer is asked for
            return self._keys[name]
        async with self._reading:
            now = time.monotonic()
            if not self._is_fresh(name) and now - self._tried_at > AGAIN_S:
                try:
                    with anyio.fail_after(WAIT_S):
                        self._keys, self._read_at = await self._read(), now
                except (SettingsError, TimeoutError) as error:
                    log.warning("the issuer %s: %s", self.url, str(error) or f"no answer within {WAIT_S:g} s")
                self._tried_at = time.monotonic()
            if not self._keys:
                raise SettingsError(f"No key of the issuer {self.url} could be read yet.")
            return self._keys.get(name)

    async def _read(self) -> dict[str, jwt.PyJWK]:
        """Read the issuer's document and its keys. Raises SettingsError."""
        why = "no document"
        async with httpx2.AsyncClient(timeout=WAIT_S, trust_env=False) as client:
            for place in places(self.url, self.url):
                try:
                    document = await _json(client, place)
                    if document.get("issuer") != self.url:
                        why = f"{place} is about another issuer"
                        continue
                    keys = await _json(client, must_be_private(str(document.get("jwks_uri"))))
                    found = jwt.PyJWKSet.from_dict(keys)
                except (httpx2.HTTPError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
                    why = f"{place}: {type(error).__name__} {error}"
                    continue
                return {one.key_id: one for one in found.keys if one.key_id and one.key_type in {"RSA", "EC"}}
        raise SettingsError(f"its keys can't be read: {why}")


async def _json(client: httpx2.AsyncClient, url: str) -> dict[str, Json]:
    reply = await client.get(url)
    reply.raise_for_status()
    data: dict[str, Json] = json.loads(reply.content)
    return data


def must_be_private(url: str) -> str:
    """Return a URL that no one on the way can change. Raises ValueError."""
    found = urlsplit(url)
    is_private = found.scheme == "https" or (found.scheme == "http" and found.hostname in LOOPBACK_HOSTS)
    if not found.hostname or not is_private or found.query or found.fragment:
        raise ValueError(f"{url!r} must be an https URL without a query")
    return url
