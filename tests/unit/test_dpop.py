"""Proofs of possession: one is good once, for its request, its token and its key."""

import time
from typing import Any

import pytest

from backbone import dpop
from backbone.dpop import Proofs
from backbone.errors import TooMany, Unauthenticated
from backbone.settings import RealmSettings
from backbone.tokens import Caller
from tests.support.dpop import Prover
from tests.support.fake_realm import ISSUER

PUBLIC = "https://api.administration.example/portail"
RPC = "administration.identity.v1.IdentityService/GetMe"
TOKEN = "a.token.of-the-realm"


@pytest.fixture
def proofs() -> Proofs:
    return Proofs(RealmSettings(issuer=ISSUER, public_url=f"{PUBLIC}/", token_leeway=5))


@pytest.fixture(scope="module")
def prover() -> Prover:
    return Prover()


def caller(prover: Prover) -> Caller:
    return Caller(
        "somebody", "portal", frozenset(), "", 1e12, TOKEN, key_thumbprint=prover.thumbprint
    )


def reason(proofs: Proofs, prover: Prover, proof: str, rpc: str = RPC) -> str:
    try:
        proofs.check(proof, "GET", "/v1/me", caller(prover), rpc)
    except Unauthenticated as error:
        return error.reason
    return "accepted"


def made(prover: Prover, **more: Any) -> str:
    return prover.proof("GET", f"{PUBLIC}/v1/me", TOKEN, **more)


def test_a_proof_is_good_once_for_each_rpc_that_serves_the_request(
    proofs: Proofs, prover: Prover
) -> None:
    proof = made(prover)
    assert reason(proofs, prover, proof) == "accepted"
    assert reason(proofs, prover, proof) == "DPOP_PROOF_REPLAYED"
    assert reason(proofs, prover, proof, "another.Service/Rpc") == "accepted"
    assert reason(proofs, prover, made(prover)) == "accepted"


@pytest.mark.parametrize(
    "claims",
    [
        {"htm": "POST"}, {"htm": "get"}, {"htm": None},
        {"htu": f"{PUBLIC}/v1/documents"}, {"htu": "https://elsewhere.example/portail/v1/me"},
        {"htu": "http://api.administration.example/portail/v1/me"}, {"htu": "/v1/me"},
        {"htu": None}, {"htu": ["a"]}, {"htu": "https://a:b/"}, {"htu": f"{PUBLIC}/V1/ME"},
        {"ath": None}, {"ath": "a"}, {"ath": 7},
        {"iat": None}, {"iat": "now"}, {"iat": True}, {"iat": 1}, {"iat": 1e12},
        {"jti": None}, {"jti": ""}, {"jti": 7}, {"jti": "a" * 257},
    ],
    ids=str,
)  # fmt: skip
def test_a_proof_with_a_wrong_claim_is_refused(
    proofs: Proofs, prover: Prover, claims: dict[str, Any]
) -> None:
    assert reason(proofs, prover, made(prover, claims=claims)) == "DPOP_PROOF_INVALID"


@pytest.mark.parametrize(
    "header",
    [
        {"typ": None}, {"typ": "JWT"}, {"typ": "at+jwt"},
        {"alg": "none"}, {"alg": "HS256"}, {"alg": "RS256"}, {"alg": None}, {"alg": ["ES256"]},
        {"alg": "EdDSA"}, {"jwk": None}, {"jwk": "a"}, {"jwk": {}}, {"jwk": {"kty": "oct"}},
        {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
        {"jwk": {"kty": "OKP", "crv": "X25519", "x": "AA"}}, {"crit": ["exp"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_proof_with_a_wrong_header_is_refused(
    proofs: Proofs, prover: Prover, header: dict[str, Any]
) -> None:
    assert reason(proofs, prover, made(prover, header=header)) == "DPOP_PROOF_INVALID"


def test_a_proof_that_carries_a_private_key_is_refused(proofs: Proofs, prover: Prover) -> None:
    private = made(prover, header={"jwk": prover.key.as_dict(private=True)})
    assert reason(proofs, prover, private) == "DPOP_PROOF_INVALID"


def test_a_proof_by_another_key_is_refused_whatever_key_it_shows(
    proofs: Proofs, prover: Prover
) -> None:
    thief = Prover()
    shown = {"jwk": prover.key.as_dict(private=False)}
    assert reason(proofs, prover, made(thief)) == "DPOP_PROOF_INVALID"
    assert reason(proofs, prover, made(thief, header=shown)) == "DPOP_PROOF_INVALID"


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "é.é.é", "e30.e30.", "a" * 5000])
def test_a_text_that_is_no_proof_is_refused(proofs: Proofs, prover: Prover, text: str) -> None:
    assert reason(proofs, prover, text) == "DPOP_PROOF_INVALID"


@pytest.mark.parametrize(
    "uri",
    [
        "https://api.administration.example:443/portail/v1/me",
        "HTTPS://API.administration.example/portail/v1/me",
        "https://api.administration.example/portail/v1/%6De",
        "https://api.administration.example/portail/v1/me?a=b#c",
    ],
)
def test_two_ways_to_write_a_uri_are_one(proofs: Proofs, prover: Prover, uri: str) -> None:
    assert reason(proofs, prover, made(prover, claims={"htu": uri})) == "accepted"


def test_a_proof_is_remembered_for_as_long_as_it_would_be_good(
    proofs: Proofs, prover: Prover, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, wall = time.monotonic(), time.time()
    # From a clock that goes before: good for longest.
    proof = made(prover, claims={"iat": wall + 4})
    assert reason(proofs, prover, proof) == "accepted"
    for passed, told in ((60, "DPOP_PROOF_REPLAYED"), (68, "DPOP_PROOF_REPLAYED")):
        monkeypatch.setattr(time, "monotonic", lambda: start + passed)  # noqa: B023
        monkeypatch.setattr(time, "time", lambda: wall + passed)  # noqa: B023
        assert reason(proofs, prover, proof) == told
    monkeypatch.setattr(time, "time", lambda: wall + 70)
    assert reason(proofs, prover, proof) == "DPOP_PROOF_INVALID"


def test_the_memory_of_proofs_is_bounded_and_refuses_rather_than_forgets(
    proofs: Proofs, prover: Prover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dpop, "MAX_OF_KEY", 3)
    first = made(prover)
    for proof in (first, made(prover), made(prover)):
        assert reason(proofs, prover, proof) == "accepted"
    with pytest.raises(TooMany):
        reason(proofs, prover, made(prover))
    assert reason(proofs, prover, first) == "DPOP_PROOF_REPLAYED"
    # Another key is not held to account for it, until all together are too many.
    other = Prover()
    assert reason(proofs, other, made(other)) == "accepted"
    monkeypatch.setattr(dpop, "MAX_REMEMBERED", 4)
    another = Prover()
    with pytest.raises(TooMany):
        reason(proofs, another, made(another))
    # Older ones end, and it is well again.
    later = time.monotonic() + 200
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert reason(proofs, another, made(another)) == "accepted"
