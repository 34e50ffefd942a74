"""The realm's keys: when they are fetched, and that nobody is refused for want of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backbone import realm_keys
from backbone.errors import Unauthenticated, Unavailable
from backbone.tokens import TokenVerifier
from tests.support.fake_realm import FakeRealm
from tests.support.nameko import in_background
from tests.support.polling import eventually


def outcome(verifier: TokenVerifier, token: str) -> str:
    try:
        return "accepted" if verifier.verify(token) else ""
    except (Unauthenticated, Unavailable) as error:
        return error.reason


def of_key(realm: FakeRealm, kid: str, age: float = 0.0) -> str:
    now = time.time() - age
    return realm.token({"iat": now}, {"kid": kid})


def test_the_realm_is_asked_once_for_any_number_of_good_tokens(own_realm: FakeRealm) -> None:
    verifier = own_realm.verifier()
    many = [own_realm.token() for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(verifier.verify, many))) == 16
    assert own_realm.asked == 1


def test_a_flood_of_unknown_keys_asks_the_realm_once_and_none_is_accepted(
    own_realm: FakeRealm,
) -> None:
    verifier = own_realm.verifier()
    verifier.verify(own_realm.token())
    flood = [of_key(own_realm, f"unknown-{number}") for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = set(pool.map(lambda token: outcome(verifier, token), flood))
    assert outcomes <= {"TOKEN_INVALID", "KEYS_UNAVAILABLE"}
    assert own_realm.asked == 1
    assert outcome(verifier, own_realm.token()) == "accepted"


def test_a_token_that_is_older_than_the_keys_is_refused_without_asking(
    own_realm: FakeRealm,
) -> None:
    verifier = own_realm.verifier()
    verifier.verify(own_realm.token())
    for _ in range(3):
        assert outcome(verifier, of_key(own_realm, "unknown", age=60)) == "TOKEN_INVALID"
    assert own_realm.asked == 1


def test_a_token_of_another_issuer_never_makes_anybody_ask(own_realm: FakeRealm) -> None:
    verifier = own_realm.verifier()
    assert outcome(verifier, own_realm.token({"iss": "http://elsewhere"})) == "TOKEN_INVALID"
    assert own_realm.asked == 0


def test_a_new_key_is_told_to_wait_after_a_flood_and_accepted_then_never_refused(
    own_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realm_keys, "REFRESH_SECONDS", 2.0)
    # Made before the clock runs: to make a key may take a second.
    own_realm.add_key("second")
    second = own_realm.keys.pop("second")
    verifier = own_realm.verifier()
    verifier.verify(own_realm.token())
    own_realm.keys["second"] = second
    token = of_key(own_realm, "second")
    seen = {outcome(verifier, token)}

    def accepted() -> bool:
        outcome(verifier, of_key(own_realm, "flood"))
        seen.add(outcome(verifier, token))
        return "accepted" in seen

    eventually(accepted)
    assert seen == {"KEYS_UNAVAILABLE", "accepted"}
    assert own_realm.asked == 2


def test_an_answer_that_must_wait_says_how_long(own_realm: FakeRealm) -> None:
    verifier = own_realm.verifier()
    verifier.verify(own_realm.token())
    with pytest.raises(Unavailable) as told:
        verifier.verify(of_key(own_realm, "unknown"))
    assert 0 < int(told.value.metadata["retry_after"]) <= realm_keys.REFRESH_SECONDS + 1


def test_a_slow_realm_holds_up_a_few_unknown_keys_and_no_known_one(
    own_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realm_keys, "REFRESH_SECONDS", 0.0)
    verifier = own_realm.verifier()
    verifier.verify(own_realm.token())
    own_realm.add_key("second")
    own_realm.answering.clear()
    told: list[str] = []
    waiting = [
        in_background(lambda: told.append(outcome(verifier, of_key(own_realm, "second"))))
        for _ in range(realm_keys.MAX_WAITING)
    ]
    eventually(lambda: own_realm.asked == 2 and verifier._keys._waiting._value == 0)
    # One more would hold a thread for nothing; a known key is checked meanwhile.
    assert outcome(verifier, of_key(own_realm, "third")) == "KEYS_UNAVAILABLE"
    assert outcome(verifier, own_realm.token()) == "accepted"
    assert told == []
    own_realm.answering.set()
    for thread in waiting:
        thread.join(20)
    assert told == ["accepted"] * realm_keys.MAX_WAITING
    assert own_realm.asked == 2


def test_known_keys_serve_while_the_realm_is_down_and_an_unknown_one_is_not_refused(
    own_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realm_keys, "REFRESH_SECONDS", 0.0)
    verifier = own_realm.verifier()
    verifier.verify(own_realm.token())
    own_realm.down = True
    assert outcome(verifier, of_key(own_realm, "unknown")) == "KEYS_UNAVAILABLE"
    assert outcome(verifier, own_realm.token()) == "accepted"


def test_a_realm_that_was_never_reached_is_an_outage_and_is_not_asked_by_each(
    own_realm: FakeRealm,
) -> None:
    verifier = own_realm.verifier()
    own_realm.down = True
    tokens = [own_realm.token() for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(lambda token: outcome(verifier, token), tokens))
    assert set(outcomes) == {"KEYS_UNAVAILABLE"}
    assert own_realm.asked < len(tokens)
    own_realm.down = False
    eventually(lambda: outcome(verifier, tokens[0]) == "accepted")


def test_a_key_that_the_realm_withdraws_is_refused_and_what_it_signed_is_forgotten(
    own_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_realm.add_key("second")
    verifier = own_realm.verifier()
    stolen = own_realm.token(header={"kid": "second"})
    assert outcome(verifier, stolen) == "accepted"
    del own_realm.keys["second"]
    monkeypatch.setattr(realm_keys, "AGE_SECONDS", 0.0)
    monkeypatch.setattr(realm_keys, "REFRESH_SECONDS", 0.0)
    # A token that is not in the cache makes the old keys be fetched again, beside it.
    assert outcome(verifier, own_realm.token()) == "accepted"
    eventually(lambda: outcome(verifier, stolen) == "TOKEN_INVALID")


def test_a_key_of_a_kind_that_nobody_knows_hides_no_other(
    own_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = own_realm.public()
    strange = [
        {"kid": "lattice", "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
        {"kid": "secret", "kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        {**known[0], "kid": "for-encryption", "use": "enc", "alg": "RSA-OAEP"},
        {"kty": "RSA"},
    ]
    monkeypatch.setattr(own_realm, "public", lambda: [*strange, *known])
    verifier = own_realm.verifier()
    assert outcome(verifier, own_realm.token()) == "accepted"
    assert set(verifier._keys._keys) == {"first"}


def test_no_thread_is_left_behind(own_realm: FakeRealm) -> None:
    own_realm.verifier().verify(own_realm.token())
    assert not [thread for thread in threading.enumerate() if thread.name == "realm-keys"]
