"""Consents: their terms, their states, their signed records, and the administrations they name."""

import base64
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from pydantic import SecretStr, ValidationError

from backbone.errors import InvalidInput
from services.identity.administrations import Administrations
from services.identity.domain.consent import State, Terms, state, statement
from services.identity.signing import Signer, SigningSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
SEED, OLD_SEED = bytes(range(32)), bytes(32)


def asked(purpose: str = "Dossier", expire_time: datetime = LATER) -> Terms:
    return Terms.asked("caf-martinique", purpose, ["b", "a", "b"], expire_time, NOW)


def test_the_same_words_in_another_order_are_the_same_terms() -> None:
    assert asked("  Dossier ") == Terms("caf-martinique", "Dossier", ("a", "b"), LATER)


@pytest.mark.parametrize("end", [NOW, NOW - timedelta(microseconds=1), NOW - timedelta(days=900)])
def test_an_end_that_is_not_in_the_future_is_refused_by_its_field(end: datetime) -> None:
    with pytest.raises(InvalidInput) as refused:
        asked(expire_time=end)
    assert [(item.field, item.reason) for item in refused.value.fields] == [("expire_time", "PAST")]


@pytest.mark.parametrize("purpose", ["", " ", "\n\t", "\N{NO-BREAK SPACE}"])
def test_a_purpose_that_says_nothing_is_refused_by_its_field(purpose: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        asked(purpose)
    assert [(item.field, item.reason) for item in refused.value.fields] == [("purpose", "REQUIRED")]


def test_a_consent_ends_at_its_end_and_what_was_revoked_stays_so() -> None:
    assert state(LATER, None, NOW) is State.ACTIVE
    assert state(LATER, None, LATER) is State.EXPIRED
    assert state(LATER, NOW, NOW) is State.REVOKED
    assert state(LATER, NOW, LATER) is State.REVOKED


def test_a_record_says_what_was_granted_and_then_what_was_revoked() -> None:
    granted = statement("https://api.example", "c", "a", asked(), NOW)
    assert granted == {
        "iss": "https://api.example",
        "sub": "a",
        "jti": "c",
        "iat": int(NOW.timestamp()),
        "statement": "granted",
        "administration": "caf-martinique",
        "purpose": "Dossier",
        "scopes": ["a", "b"],
        "grant_time": "2026-03-01T12:00:00+00:00",
        "expire_time": "2026-03-02T12:00:00+00:00",
    }
    revoked = statement("https://api.example", "c", "a", asked(), NOW, LATER)
    assert (revoked["statement"], revoked["iat"]) == ("revoked", int(LATER.timestamp()))
    assert (revoked["grant_time"], revoked["revoke_time"]) == (
        granted["grant_time"],
        "2026-03-02T12:00:00+00:00",
    )


def test_a_record_is_verified_by_the_public_keys_alone_after_a_rotation_too() -> None:
    before = Signer([OLD_SEED]).sign("consent+jws", {"jti": "1"})
    rotated = Signer([SEED, OLD_SEED])
    after = rotated.sign("consent+jws", {"jti": "2"})
    public = rotated.public_keys()
    assert all(key.keys() == {"kty", "crv", "x", "kid", "alg", "use"} for key in public)
    keys = KeySet.import_key_set({"keys": public})  # type: ignore[typeddict-item]
    for record, identifier in ((before, "1"), (after, "2")):
        verified = jws.deserialize_compact(record, keys, algorithms=["Ed25519"])
        assert orjson.loads(verified.payload) == {"jti": identifier}
        assert verified.headers()["typ"] == "consent+jws"
    assert jws.extract_compact(after.encode()).headers()["kid"] == public[0]["kid"]


def test_a_record_that_was_changed_is_not_verified() -> None:
    signer = Signer([SEED])
    header, _, signature = signer.sign("consent+jws", {"jti": "1"}).split(".")
    other = base64.urlsafe_b64encode(b'{"jti":"2"}').decode().rstrip("=")
    keys = KeySet.import_key_set({"keys": signer.public_keys()})  # type: ignore[typeddict-item]
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(f"{header}.{other}.{signature}", keys, algorithms=["Ed25519"])


@pytest.mark.parametrize("text", ["", "secret", "AAAA", f"{base64.b64encode(SEED).decode()},"])
def test_a_signing_key_that_is_none_stops_the_service_and_is_not_shown(text: str) -> None:
    with pytest.raises(ValidationError, match="openssl rand -base64 32") as refused:
        SigningSettings(signing_keys=SecretStr(text))
    shown = refused.value.errors(include_input=False, include_url=False)
    assert not text or text not in str(shown)


def test_unknown_administrations_cost_the_realm_one_question_in_five_seconds() -> None:
    now, asked_for = [100.0], [0]
    realm = {"caf-martinique"}

    def fetch() -> frozenset[str]:
        asked_for[0] += 1
        return frozenset(realm)

    administrations = Administrations(fetch, lambda: now[0])
    assert "caf-martinique" in administrations
    assert not any(f"unknown-{number}" in administrations for number in range(100))
    assert asked_for == [1]
    realm |= {"octroi"}
    assert "octroi" not in administrations
    now[0] += 5.1
    assert "octroi" in administrations
    realm.clear()
    assert "octroi" in administrations
    now[0] += 60.1
    assert "octroi" not in administrations
