"""Tokens of an issuer: which count, what is read of the issuer, and what the service does with them."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fakes.issuer import AUDIENCE, as_jwk, issuing
from fakes.issuer import Issuer as Fake
from fakes.load import stretched
from fakes.service import Service, running, said
from fanout_mcp.cli import main
from fanout_mcp.errors import SettingsError
from fanout_mcp.scale import issuer as subject
from fanout_mcp.scale.issuer import Issuer

pytestmark = pytest.mark.anyio

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with issuing() as made:
        yield made


def issuer_of(fake: Fake) -> Issuer:
    return Issuer(fake.url, AUDIENCE, AUDIENCE)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_token_that_the_issuer_signed_for_this_service_counts(fake: Fake, algorithm: str) -> None:
    claims = await issuer_of(fake).claims_of(fake.token(algorithm, scope="ask read"))
    assert claims is not None
    assert (claims["sub"], claims["scope"]) == ("erin", "ask read")


def unsigned(fake: Fake) -> str:
    def packed(part: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    body = {"iss": fake.url, "aud": AUDIENCE, "sub": "erin", "exp": int(time.time()) + 600}
    return f"{packed({'alg': 'none', 'kid': 'rsa'})}.{packed(body)}."


def with_another_end(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body}.{signature[:-6]}{'A' * 6}"


def with_another_body(fake: Fake) -> str:
    mine, theirs = fake.token(sub="mallory").split("."), fake.token().split(".")
    return f"{theirs[0]}.{mine[1]}.{theirs[2]}"


OTHER_RSA = rsa.generate_private_key(65537, 2048)
OTHER_EC = ec.generate_private_key(ec.SECP256R1())
FORGED: dict[str, Callable[[Fake], str]] = {
    "that has ended": lambda fake: fake.token(exp=int(time.time()) - 60),
    "without an end": lambda fake: fake.token(exp=None),
    "that has not begun": lambda fake: fake.token(nbf=int(time.time()) + 600),
    "issued in the future": lambda fake: fake.token(iat=int(time.time()) + 600),
    "of another issuer": lambda fake: fake.token(iss="https://evil.example"),
    "of the issuer with a slash": lambda fake: fake.token(iss=f"{fake.url}/"),
    "of no issuer": lambda fake: fake.token(iss=None),
    "for another audience": lambda fake: fake.token(aud="https://other.example.com/mcp"),
    "for a longer audience": lambda fake: fake.token(aud=f"{AUDIENCE}/x"),
    "for no audience": lambda fake: fake.token(aud=None),
    "for an empty list of audiences": lambda fake: fake.token(aud=[]),
    "of no one": lambda fake: fake.token(sub=None),
    "of an empty name": lambda fake: fake.token(sub=""),
    "of a very long name": lambda fake: fake.token(sub="x" * 300),
    "signed by another's key of that name": lambda fake: fake.token(key=OTHER_RSA),
    "signed by another's curve": lambda fake: fake.token("ES256", OTHER_EC),
    "signed by the public key as a password": lambda fake: fake.token("HS256", "x" * 32),
    "of an algorithm that is not taken": lambda fake: fake.token("RS384"),
    "of PSS": lambda fake: fake.token("PS256"),
    "of an unknown key": lambda fake: fake.token(head={"kid": "unknown"}),
    "of no key": lambda fake: fake.token(head={"kid": None}),
    "of a key of another kind": lambda fake: fake.token("ES256", head={"kid": "rsa"}),
    "that brings its own key": lambda fake: fake.token(
        key=OTHER_RSA, head={"kid": "mine", "jwk": dict(as_jwk(OTHER_RSA))}
    ),
    "that names where its key lies": lambda fake: fake.token(
        key=OTHER_RSA, head={"jku": "http://127.0.0.1:1/keys"}
    ),
    "with a part that must be understood": lambda fake: fake.token(head={"crit": ["x"], "x": 1}),
    "that is not signed": unsigned,
    "whose signature was changed": lambda fake: with_another_end(fake.token()),
    "whose body was changed": with_another_body,
    "that was cut": lambda fake: fake.token()[:-40],
    "that is no token": lambda _: "a.b.c",
    "that is empty": lambda _: "",
    "that is huge": lambda fake: fake.token(x="y" * 20_000),
}


@pytest.mark.parametrize("what", FORGED)
async def test_no_token_counts(fake: Fake, what: str) -> None:
    assert await issuer_of(fake).claims_of(FORGED[what](fake)) is None


async def test_keys_are_read_once_and_again_when_a_token_names_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subject, "AGAIN_S", 0.0)
    with issuing() as fake:
        issuer = issuer_of(fake)
        for _ in range(3):
            assert await issuer.claims_of(fake.token())
        assert fake.asked.count("/keys") == 1
        fake.rsa = OTHER_RSA
        fake.publish(rsa="rsa-2")
        assert await issuer.claims_of(fake.token(head={"kid": "rsa-2"}))
        assert fake.asked.count("/keys") == 2


async def test_unknown_keys_do_not_make_the_service_ask_the_issuer_each_time() -> None:
    with issuing() as fake:
        issuer = issuer_of(fake)
        for number in range(20):
            assert await issuer.claims_of(fake.token(head={"kid": f"k{number}"})) is None
        assert fake.asked.count("/keys") == 1


async def test_keys_that_are_known_stay_good_while_the_issuer_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subject, "AGAIN_S", 0.0)
    monkeypatch.setattr(subject, "KEYS_S", -1.0)
    with issuing() as fake:
        issuer = issuer_of(fake)
        assert await issuer.claims_of(fake.token())
        fake.documents.clear()
        assert await issuer.claims_of(fake.token())


async def test_a_known_key_does_not_wait_for_an_issuer_that_is_asked_about_a_stranger_s(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer, is_asked = issuer_of(fake), anyio.Event()
    assert await issuer.claims_of(fake.token())

    async def never(_: Issuer) -> dict[str, Any]:
        is_asked.set()
        await anyio.sleep_forever()
        return {}

    monkeypatch.setattr(subject, "AGAIN_S", 0.0)
    monkeypatch.setattr(Issuer, "_read", never)
    with anyio.fail_after(4):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(issuer.claims_of, fake.token(head={"kid": "a stranger's"}))
            await is_asked.wait()
            assert await issuer.claims_of(fake.token())
            tasks.cancel_scope.cancel()


async def test_an_issuer_that_never_answers_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "WAIT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=8) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        issuer = Issuer(url, AUDIENCE, AUDIENCE)
        token = Fake(url).token()
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(SettingsError, match="No key of the issuer"):
                await issuer.claims_of(token)
        assert time.monotonic() - began < stretched(1.5)


BAD_DOCUMENTS: dict[str, dict[str, Any]] = {
    "of another issuer": {"issuer": "https://evil.example", "jwks_uri": "{url}/keys"},
    "without keys": {"issuer": "{url}"},
    "with keys on the open road": {"issuer": "{url}", "jwks_uri": "http://keys.example/keys"},
    "with keys in a file": {"issuer": "{url}", "jwks_uri": "file:///etc/passwd"},
    "with keys that are none": {"issuer": "{url}", "jwks_uri": "{url}/nothing"},
}


@pytest.mark.parametrize("what", BAD_DOCUMENTS)
async def test_without_the_issuer_s_keys_no_one_is_judged(what: str) -> None:
    with issuing() as fake:
        document = json.loads(json.dumps(BAD_DOCUMENTS[what]).replace("{url}", fake.url))
        fake.documents["/.well-known/openid-configuration"] = document
        with pytest.raises(SettingsError, match="No key of the issuer"):
            await issuer_of(fake).claims_of(fake.token())


@pytest.mark.parametrize("words", [(), ("--resource", "http://mcp.example.com/mcp"), ("--resource", "mcp")])
def test_an_issuer_needs_the_service_s_own_url(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert main(["serve", "--http", "127.0.0.1:0", "--issuer", "https://login.example.com", *words]) == 2
    assert "--issuer needs --resource" in capsys.readouterr().err


# --- in the service -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(fake: Fake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("issuer")
    with running(folder, "--issuer", fake.url, "--resource", AUDIENCE) as made:
        yield made


@pytest.mark.slow
def test_a_stranger_reads_where_to_get_a_token(service: Service, fake: Fake) -> None:
    where = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
    status, headers, _ = service.post(LIST, None)
    assert status == 401
    assert headers["www-authenticate"] == f'Bearer scope="read ask", resource_metadata="{where}"'
    for token in ("wrong", fake.token(exp=int(time.time()) - 60)):
        status, headers, _ = service.post(LIST, token)
        assert (status, 'error="invalid_token"' in headers["www-authenticate"]) == (401, True)
    status, text = service.send(b"", (), "GET", "/.well-known/oauth-protected-resource/mcp")
    document = json.loads(text)
    assert status == 200
    assert document["resource"] == AUDIENCE
    assert document["authorization_servers"] == [f"{fake.url}/"]
    assert sorted(document["scopes_supported"]) == ["ask", "read"]


@pytest.mark.slow
def test_a_token_s_scopes_bind(service: Service, fake: Fake) -> None:
    given = {"paths": ["app.py"], "engine": "static"}
    assert "app.py" in said(service.call("summarize_files", given, fake.token(scope="openid read")))
    assert "needs the scope 'read'" in said(service.call("summarize_files", given, fake.token(scope="ask")))
    assert "app.py" in said(service.call("summarize_files", given, fake.token(scope=None, scp=["read"])))
    status, headers, _ = service.post(LIST, fake.token(scope="openid"))
    assert (status, 'error="insufficient_scope"' in headers["www-authenticate"]) == (403, True)


@pytest.mark.slow
def test_users_of_the_file_and_of_the_issuer_are_served_side_by_side(service: Service, fake: Fake) -> None:
    assert service.post(LIST, "token-of-alice")[0] == 200
    assert service.post(LIST, fake.token("ES256", sub="alice"))[0] == 200


@pytest.mark.slow
def test_the_bounds_of_an_issuer_s_users_are_in_the_tokens_file(fake: Fake, tmp_path: Path) -> None:
    rows = tmp_path / "rows.toml"
    rows.write_text('["*"]\nscopes = ["ask"]\nmax_usd_per_day = 0.001\n')
    rows.chmod(0o600)
    words = ("--issuer", fake.url, "--resource", AUDIENCE, "--tokens", str(rows))
    with running(tmp_path, *words, tokens=False) as own:
        token = fake.token(scope="ask read")
        refused = said(own.call("oracle_batch", {"question": "Is it wise?"}, token))
        assert f"$0.001 a day are allowed to {fake.url}#erin" in refused
        given = {"paths": ["app.py"], "engine": "static"}
        assert "needs the scope 'read'" in said(own.call("summarize_files", given, token))
