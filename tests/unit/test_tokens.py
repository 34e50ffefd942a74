"""Tokens: what is accepted, and everything that is not."""

import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc.jwk import ECKey

from backbone import tokens
from backbone.errors import Unauthenticated
from tests.support.fake_realm import FakeRealm, forged
from tests.support.polling import brief


def test_a_good_token_names_its_caller(signing_realm: FakeRealm) -> None:
    token = signing_realm.token(
        {
            "sub": "5f0c0f4e-7a5e-4b52-8a5e-000000000001",
            "azp": "portal",
            "name": "Joséphine Marie-Sainte",
            "email": "josephine@courriel.example",
            "email_verified": True,
            "locale": "en",
            "realm_access": {"roles": ["citizen", "offline_access"]},
        }
    )
    caller = signing_realm.verifier().verify(token)
    assert caller.subject == "5f0c0f4e-7a5e-4b52-8a5e-000000000001"
    assert caller.client_id == "portal"
    assert caller.roles == {"citizen", "offline_access"}
    assert (caller.name, caller.email, caller.email_verified, caller.locale) == (
        "Joséphine Marie-Sainte",
        "josephine@courriel.example",
        True,
        "en",
    )
    assert caller.administration == ""


def test_a_caller_is_printed_without_token_name_or_address(signing_realm: FakeRealm) -> None:
    token = signing_realm.token({"name": "Joséphine", "email": "josephine@courriel.example"})
    printed = repr(signing_realm.verifier().verify(token))
    assert token not in printed
    assert "osephine" not in printed
    assert "Joséphine" not in printed


@pytest.mark.parametrize(
    ("claims", "administration"),
    [
        ({"administration": "caf-martinique"}, "caf-martinique"),
        ({"organization": ["ville-fort-de-france"]}, "ville-fort-de-france"),
        ({"organization": {"ville-fort-de-france": {"id": "1"}}}, "ville-fort-de-france"),
        ({"organization": ["one", "two"]}, ""),
        ({"organization": "ville-fort-de-france"}, ""),
        ({"organization": [7]}, ""),
        ({"organization": {"sarl-essai": {"kind": ["company"]}}}, ""),
        ({"organization": {"sarl-essai": {"kind": ["company"]}, "ville": {}}}, "ville"),
        ({"organization": {"ville": {"kind": ["administration"]}}}, "ville"),
        ({"organization": {"ville": {"kind": "company"}}}, "ville"),
    ],
)
def test_a_caller_acts_for_the_one_administration_that_its_token_names(
    signing_realm: FakeRealm, claims: dict[str, Any], administration: str
) -> None:
    assert signing_realm.verifier().verify(signing_realm.token(claims)).administration == (
        administration
    )


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "http://elsewhere.invalid/realms/administration"},
        {"iss": None},
        {"aud": "account"},
        {"aud": ["account"]},
        {"aud": None},
        {"aud": {"backbone": True}},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": 1},
        {"nbf": 1e12},
        {"nbf": "later"},
        {"iat": 1e12},
        {"iat": None},
        {"exp": time.time() + 86_400},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"iat": True},
        {"acr": 3},
        {"name": ["Joséphine Marie-Sainte"]},
        {"administration": ["caf-martinique"]},
        {"realm_access": "citizen"},
        {"realm_access": {"roles": 7}},
        {"realm_access": {"roles": [7]}},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(
    signing_realm: FakeRealm, claims: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        signing_realm.verifier().verify(signing_realm.token(claims))
    assert "osephine" not in str(refused.value)
    assert "Joséphine" not in str(refused.value)


def test_a_claim_of_another_type_is_named(signing_realm: FakeRealm) -> None:
    with pytest.raises(Unauthenticated, match=r"realm_access\.roles"):
        signing_realm.verifier().verify(signing_realm.token({"realm_access": {"roles": [7]}}))


@pytest.mark.parametrize(
    "header",
    [{"typ": "JWT"}, {"typ": None}, {"typ": "ID"}, {"kid": None}, {"kid": "unknown"}],
    ids=str,
)
def test_a_token_with_a_wrong_header_is_refused(
    signing_realm: FakeRealm, header: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        signing_realm.verifier().verify(signing_realm.token(header=header))


def test_a_token_without_a_signature_is_refused(signing_realm: FakeRealm) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        with pytest.raises(Unauthenticated):
            signing_realm.verifier().verify(
                forged({"alg": algorithm, "kid": "first", "typ": "at+jwt"})
            )


def test_a_token_signed_by_hmac_with_the_public_key_is_refused(signing_realm: FakeRealm) -> None:
    for key in (
        signing_realm.keys["first"].as_pem(private=False),
        signing_realm.keys["first"].as_der(private=False),
    ):
        with pytest.raises(Unauthenticated):
            signing_realm.verifier().verify(
                forged({"alg": "HS256", "kid": "first", "typ": "at+jwt"}, key)
            )


def test_a_token_signed_by_another_key_of_the_same_name_is_refused(
    signing_realm: FakeRealm, own_realm: FakeRealm
) -> None:
    with pytest.raises(Unauthenticated):
        signing_realm.verifier().verify(own_realm.token())


def test_a_token_whose_algorithm_does_not_fit_its_key_is_refused(signing_realm: FakeRealm) -> None:
    key = ECKey.generate_key("P-256", {"kid": "first"})
    with pytest.raises(Unauthenticated):
        signing_realm.verifier().verify(
            forged({"alg": "ES256", "kid": "first", "typ": "at+jwt"}, key.as_pem())
        )


def test_a_token_changed_after_signing_is_refused(signing_realm: FakeRealm) -> None:
    header, claims, signature = signing_realm.token().split(".")
    other_claims = signing_realm.token({"realm_access": {"roles": ["admin"]}}).split(".")[1]
    for changed in (
        f"{header}.{other_claims}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        f"{header}.{claims}.",
        f"{header}.{claims}",
    ):
        with pytest.raises(Unauthenticated):
            signing_realm.verifier().verify(changed)


@pytest.mark.parametrize(
    "text", ["", "a", "a.b.c", "....", "é.è.à", "\x00", "W10.W10.W10", "bnVsbA.bnVsbA.bnVsbA"]
)
def test_a_text_that_is_no_token_is_refused(signing_realm: FakeRealm, text: str) -> None:
    with pytest.raises(Unauthenticated):
        signing_realm.verifier().verify(text)


def test_a_token_that_is_too_long_is_refused(signing_realm: FakeRealm) -> None:
    with pytest.raises(Unauthenticated, match="too long"):
        signing_realm.verifier().verify("a" * (tokens.MAX_TOKEN_BYTES + 1))


@pytest.mark.parametrize("access", [None, {}, {"roles": []}])
def test_a_token_without_roles_has_none(signing_realm: FakeRealm, access: object) -> None:
    token = signing_realm.token({"realm_access": access})
    assert signing_realm.verifier().verify(token).roles == frozenset()


@pytest.mark.parametrize(
    "claims",
    [b"[" * 12_000, b'{"organization":' + b"[" * 12_000, b'{"iss": "\xff"}', b'{"iss": "a"', b""],
    ids=brief,
)
def test_claims_that_are_no_json_object_are_refused(
    signing_realm: FakeRealm, claims: bytes
) -> None:
    header, _, signature = signing_realm.token().split(".")
    payload = urlsafe_b64encode(claims).rstrip(b"=").decode()
    with pytest.raises(Unauthenticated):
        signing_realm.verifier().verify(f"{header}.{payload}.{signature}")


def test_a_token_is_refused_once_it_has_expired_even_if_it_was_accepted(
    signing_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier, token = signing_realm.verifier(), signing_realm.token({"exp": time.time() + 60})
    verifier.verify(token)
    later = time.time() + 66
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated) as refused:
        verifier.verify(token)
    assert refused.value.reason == "TOKEN_EXPIRED"


def test_the_memory_of_accepted_tokens_is_bounded(
    signing_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "CACHE_SIZE", 8)
    verifier = signing_realm.verifier()
    for _ in range(20):
        verifier.verify(signing_realm.token())
    assert len(verifier._cache) == len(verifier._ends) == 8


def test_what_is_remembered_does_not_outlive_its_token(
    signing_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier, now = signing_realm.verifier(), time.time()
    short = signing_realm.token({"exp": now + 30})
    for token in (signing_realm.token({"exp": now + 300}), short):
        verifier.verify(token)
    # Within the leeway for clocks, which is 5 seconds, it is accepted.
    monkeypatch.setattr(time, "time", lambda: now + 34)
    assert verifier.verify(short).subject
    monkeypatch.setattr(time, "time", lambda: now + 36)
    verifier.verify(signing_realm.token({"exp": now + 300}))
    assert short not in verifier._cache
    assert len(verifier._cache) == len(verifier._ends) == 2


def test_a_token_is_good_some_seconds_before_it_begins_for_the_sake_of_clocks(
    signing_realm: FakeRealm,
) -> None:
    now = time.time()
    verifier = signing_realm.verifier()
    assert verifier.verify(signing_realm.token({"nbf": now + 3, "iat": now + 3})).subject
    for claim in ("nbf", "iat"):
        with pytest.raises(Unauthenticated):
            verifier.verify(signing_realm.token({claim: now + 30}))


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}, {"b64": False}], ids=str
)
def test_a_token_that_asks_for_an_extension_is_refused(
    signing_realm: FakeRealm, header: dict[str, Any]
) -> None:
    for asking in (header, header | {"alg": "RS256", "kid": "first"}):
        with pytest.raises(Unauthenticated):
            signing_realm.verifier().verify(
                forged({"alg": "RS256", "kid": "first", "typ": "at+jwt"} | asking)
            )


@pytest.mark.parametrize(
    "binding",
    [
        {},
        {"x5t#S256": "a"},
        {"jkt": ""},
        {"jkt": 7},
        "a",
        {"jkt": "a", "kid": "b"},
        {"jkt": "a", "kc-jkt-type": "mtls"},
    ],
)
def test_a_token_that_is_bound_in_a_way_that_nobody_checks_is_refused(
    signing_realm: FakeRealm, binding: object
) -> None:
    with pytest.raises(Unauthenticated, match="bound by other means"):
        signing_realm.verifier().verify(signing_realm.token({"cnf": binding}))


@pytest.mark.parametrize(
    ("acr", "level"), [("low", 1), ("substantial", 2), ("high", 3), ("1", 0), (None, 0)]
)
def test_a_caller_is_known_as_surely_as_the_token_says(
    signing_realm: FakeRealm, acr: object, level: int
) -> None:
    caller = signing_realm.verifier().verify(signing_realm.token({"acr": acr, "auth_time": 7}))
    assert (caller.level, caller.signed_in_at) == (level, 7.0)
