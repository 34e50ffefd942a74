"""Tokens that must not be accepted, on the real realm: over HTTP, and straight to each service."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from backbone import contracts
from tests.support import vault
from tests.support.dpop import Prover
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, Refusal

PATHS = {"identity": "/v1/me", "documents": "/v1/documents", "notifications": "/v1/inbox"}
RPCS = {"identity": "GetMe", "documents": "ListDocuments", "notifications": "ListInbox"}
# What a service says: refused, or that it cannot tell yet about a key that may be new.
REASONS = {"TOKEN_INVALID", "TOKEN_EXPIRED", "KEYS_UNAVAILABLE"}
Metadata = list[tuple[str, str]]


class Signer:
    """Signs with a key that the realm publishes: only what the token says can be wrong."""

    def __init__(self, key: RSAKey, good: str) -> None:
        self.key = key
        self.claims: dict[str, Any] = json.loads(decoded(good.split(".")[1]))

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        now = time.time()
        fresh = self.claims | {"iat": now, "exp": now + 300} | claims
        head = {"alg": "RS256", "typ": "at+jwt", "kid": self.key.kid} | (header or {})
        registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
        body = {name: value for name, value in fresh.items() if value is not None}
        return jws.serialize_compact(head, json.dumps(body), self.key, registry=registry)


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def straight(client: Client, area: str, metadata: Metadata) -> Refusal | None:
    """How a service refuses a call past the gateway; None when it answers."""
    method = contracts.service(contracts.SERVICES[area]).methods_by_name[RPCS[area]]
    request = contracts.message_class(method.input_type)()
    try:
        getattr(client, contracts.snake_case(method.name))(request, metadata=metadata)
    except grpc.RpcError as error:
        return Refusal(error)
    return None


def bearer(token: str) -> Metadata:
    return [("authorization", f"Bearer {token}")]


@pytest.fixture(scope="module")
def owner(realm: Realm) -> Iterator[Person]:
    with realm.person() as created:
        yield created


@pytest.fixture(scope="module")
def signer(realm: Realm, owner: Person, clients: dict[str, Client]) -> Iterator[Signer]:
    """Its key is new to every service: accepted in the end, and never refused before."""
    with realm.added_key() as key:
        signer = Signer(key, realm.token_of(owner))
        token = signer.token()
        for area in RPCS:

            def accepted() -> bool:
                refused = straight(clients[area], area, bearer(token))  # noqa: B023
                assert refused is None or refused.reason == "KEYS_UNAVAILABLE"
                return refused is None

            eventually(accepted, within=60)
        yield signer


def hmac_with(key: bytes) -> Callable[[str], bytes]:
    return lambda signed: hmac.new(key, signed.encode(), hashlib.sha256).digest()


def forged(signer: Signer, header: dict[str, Any], sign: Callable[[str], bytes]) -> str:
    body = json.dumps(signer.claims | {"iat": time.time(), "exp": time.time() + 300}).encode()
    signed = f"{encoded(json.dumps({'typ': 'at+jwt'} | header).encode())}.{encoded(body)}"
    return f"{signed}.{encoded(sign(signed))}"


def attacks(signer: Signer, realm: Realm, owner: Person) -> Iterator[tuple[str, str]]:
    now = time.time()
    kid = str(signer.key.kid)
    for algorithm in ("none", "None", "nOnE", "NONE", ""):
        yield f"alg {algorithm}", forged(signer, {"alg": algorithm, "kid": kid}, lambda _: b"")
    public = RSAKey.import_key(signer.key.as_dict(private=False))
    for form, key in (
        ("PEM", public.as_pem(private=False)),
        ("DER", public.as_der(private=False)),
        ("JWK", json.dumps(public.as_dict(private=False)).encode()),
        ("modulus", decoded(str(public.as_dict(private=False)["n"]))),
        ("nothing", b""),
    ):
        header: dict[str, Any] = {"alg": "HS256", "kid": kid}
        yield f"HS256 with the public key as {form}", forged(signer, header, hmac_with(key))
    thief = Signer(RSAKey.generate_key(2048, {"kid": kid}), realm.token_of(owner))
    jwk = thief.key.as_dict(private=False)
    yield "signed by another key of the same name", thief.token()
    for name, value in (
        ("jwk", jwk),
        ("jku", "http://127.0.0.1:9/jwks"),
        ("x5u", "http://127.0.0.1:9/certificate"),
        ("x5c", [encoded(thief.key.as_der(private=False))]),
    ):
        yield f"{name} of a thief", thief.token({name: value})
        yield f"{name} of a thief and its kid", thief.token({name: value, "kid": "thief"})
    for injected in ("../../../dev/null", "' OR 1=1 --", "", "\u0000", "a" * 300, "first\r\nx: y"):
        yield f"kid {injected[:20]!r}", thief.token({"kid": injected})
        header = {"alg": "HS256", "kid": injected}
        yield f"kid {injected[:20]!r} and no secret", forged(signer, header, hmac_with(b""))
    yield "kid that is no text", forged(signer, {"alg": "RS256", "kid": 7}, lambda _: b"a")
    for kind in ("JWT", "ID", "Refresh", "logout+jwt", "dpop+jwt", ""):
        yield f"typ {kind}", signer.token({"typ": kind})
    yield "crit", forged(signer, {"alg": "RS256", "kid": kid, "crit": ["exp"]}, lambda _: b"a")
    for issuer in ("http://elsewhere.example/realms/administration", f"{signer.claims['iss']}/", 7):
        yield f"issuer {issuer}", signer.token(iss=issuer)
    for audience in ("account", ["account"], None, [], {"backbone": 1}, "backbone "):
        yield f"audience {audience}", signer.token(aud=audience)
    yield "expired", signer.token(iat=now - 400, exp=now - 60)
    yield "never expires", signer.token(exp=None)
    yield "not valid yet", signer.token(nbf=now + 3600)
    yield "issued tomorrow", signer.token(iat=now + 86_400)
    yield "nobody's", signer.token(sub=None)
    yield "bound by a certificate", signer.token(cnf={"x5t#S256": "a"})
    yield "ID token", realm.id_token(owner)
    yield "refresh token", realm.refresh_token(owner)
    good = signer.token()
    start, claims, signature = good.split(".")
    for end in (1, 20, len(good) // 2, len(good) - 20, len(good) - 2):
        yield f"truncated to {end}", good[:end]
    yield "without its signature", f"{start}.{claims}."
    yield "a fourth part", f"{good}.{signature}"
    roles = json.dumps(signer.claims | {"realm_access": {"roles": ["admin"]}}).encode()
    yield "claims changed", f"{start}.{encoded(roles)}.{signature}"
    yield "nested too deep", f"{start}.{encoded(b'[' * 5000)}.{signature}"
    yield "5 KB", "a" * 5000
    # More than a call's metadata can carry: the transport refuses it.
    yield "1 MB", "a" * 1_000_000


def test_no_forged_token_is_accepted_straight_to_the_services(
    signer: Signer, realm: Realm, owner: Person, clients: dict[str, Client]
) -> None:
    for name, token in attacks(signer, realm, owner):
        for area in RPCS:
            refused = straight(clients[area], area, bearer(token))
            assert refused is not None, f"{area} accepted: {name}"
            if len(token) > 8000:
                assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED, name
            else:
                assert refused.reason in REASONS, f"{area}, {name}: {refused.code} {refused.detail}"
    # The signer is a good one: what was refused was refused for what it said.
    for area in RPCS:
        assert straight(clients[area], area, bearer(signer.token())) is None


def test_no_forged_token_is_accepted_through_the_gateway(
    signer: Signer, realm: Realm, owner: Person, gateway: httpx.Client
) -> None:
    for name, token in attacks(signer, realm, owner):
        for path in PATHS.values():
            answer = gateway.get(path, headers={"Authorization": f"Bearer {token}"})
            if len(token) > 7000:
                assert answer.status_code in (400, 401, 431), f"{name}: {answer.status_code}"
                continue
            assert answer.status_code in (401, 503), f"{name}: {answer.status_code}"
            assert answer.json()["reason"] in REASONS, name
    for path in PATHS.values():
        headers = {"Authorization": f"Bearer {signer.token()}"}
        assert gateway.get(path, headers=headers).status_code == 200


# ---- proofs of possession (RFC 9449), with a token that the realm bound --------------------------


class Bound:
    """A person's client whose tokens are bound to its key."""

    def __init__(self, gateway: httpx.Client, realm: Realm, person: Person) -> None:
        self.prover = Prover()
        self.gateway = gateway
        self.token = realm.bound_token(person, self.prover)

    def proof(self, method: str, path: str, **more: Any) -> str:
        url = str(self.gateway.base_url).rstrip("/") + path.partition("?")[0]
        return self.prover.proof(method, url, self.token, **more)

    def call(self, method: str, path: str, proof: str = "", **more: Any) -> httpx.Response:
        headers = {
            "Authorization": f"DPoP {self.token}",
            "DPoP": proof or self.proof(method, path),
            **more.pop("headers", {}),
        }
        return self.gateway.request(method, path, headers=headers, **more)


@pytest.fixture
def bound(gateway: httpx.Client, realm: Realm, person: Person) -> Bound:
    return Bound(gateway, realm, person)


def test_a_bound_token_does_everything_with_a_proof_for_each_request(bound: Bound) -> None:
    assert bound.call("GET", "/v1/me").status_code == 200
    headers = {"Content-Disposition": "attachment; filename=acte.pdf"}
    data = vault.unique_bytes()
    made = bound.call("POST", "/v1/documents", content=data, headers=headers)
    assert made.status_code == 201, made.text
    path = made.headers["location"]

    def available() -> bool:
        told = bound.call("GET", path)
        assert told.status_code == 200
        return bool(told.json()["document"]["state"] == "DOCUMENT_STATE_AVAILABLE")

    eventually(available)
    assert bound.call("GET", "/v1/documents?pageSize=1").status_code == 200
    content = f"{path}/content"
    assert bound.call("GET", content).content == data
    # Two rpcs answer these: one proof is good for both.
    assert bound.call("GET", content, headers={"Range": "bytes=0-4"}).content == data[:5]
    assert bound.call("HEAD", content).status_code == 200


def test_a_proof_is_refused_when_it_was_used_or_made_for_something_else(bound: Bound) -> None:
    used = bound.proof("GET", "/v1/me")
    assert bound.call("GET", "/v1/me", used).status_code == 200
    now = time.time()
    for name, proof in {
        "used": used,
        "of another method": bound.proof("POST", "/v1/me"),
        "of another path": bound.proof("GET", "/v1/inbox"),
        "of another key": Prover().proof("GET", f"{bound.gateway.base_url}v1/me", bound.token),
        "of another token": bound.proof("GET", "/v1/me", claims={"ath": "a"}),
        "old": bound.proof("GET", "/v1/me", claims={"iat": now - 600}),
        "of tomorrow": bound.proof("GET", "/v1/me", claims={"iat": now + 600}),
        "without algorithm": bound.proof("GET", "/v1/me", header={"alg": "none"}),
        "no proof": "a.b.c",
    }.items():
        refused = bound.call("GET", "/v1/me", proof)
        assert refused.status_code == 401, name
        assert refused.json()["reason"].startswith("DPOP_PROOF_"), name
        assert 'error="invalid_dpop_proof"' in refused.headers["www-authenticate"]
        assert refused.headers["www-authenticate"].startswith("DPoP ")
    stolen = bound.gateway.get("/v1/me", headers={"Authorization": f"Bearer {bound.token}"})
    assert (stolen.status_code, stolen.json()["reason"]) == (401, "TOKEN_BOUND")
    assert stolen.headers["www-authenticate"].startswith("DPoP ")


def test_past_the_gateway_a_bound_token_and_a_used_proof_open_nothing(
    bound: Bound, clients: dict[str, Client]
) -> None:
    used = bound.proof("GET", "/v1/me")
    assert bound.call("GET", "/v1/me", used).status_code == 200
    for area in RPCS:
        for metadata, reasons in (
            (bearer(bound.token), {"TOKEN_BOUND"}),
            ([("authorization", f"DPoP {bound.token}")], {"DPOP_PROOF_INVALID"}),
            # With whatever method and path it likes: the proof was for one route alone.
            *(
                (
                    [
                        ("authorization", f"DPoP {bound.token}"),
                        ("dpop", used),
                        ("dpop-request", f"GET {path}"),
                    ],
                    {"DPOP_PROOF_INVALID", "DPOP_PROOF_REPLAYED"},
                )
                for path in PATHS.values()
            ),
        ):
            refused = straight(clients[area], area, metadata)
            assert refused is not None, area
            assert (refused.code, refused.reason in reasons) == (
                grpc.StatusCode.UNAUTHENTICATED,
                True,
            )
