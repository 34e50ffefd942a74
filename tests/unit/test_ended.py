"""The deny-list: what it refuses, what it lets pass, and what it forgets."""

import time
from typing import Any

import pytest
from prometheus_client import REGISTRY

from backbone.ended import EndedAccess, Kind
from backbone.errors import Unauthenticated, Unavailable
from backbone.tokens import TokenVerifier
from tests.support.fake_realm import FakeRealm

NOW = 1_800_000_000.0


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> EndedAccess:
    monkeypatch.setattr(time, "time", lambda: NOW)
    known = EndedAccess()
    known.complete()
    return known


def covers(known: EndedAccess, **token: Any) -> bool:
    good = {"session_id": "", "account_id": "a", "client_id": "portal", "issued_at": NOW - 10}
    return known.covers(**{**good, **token})


def test_nothing_has_ended_at_first(ended: EndedAccess) -> None:
    assert not covers(ended)


def test_a_session_that_ended_is_refused_whenever_its_token_was_issued(ended: EndedAccess) -> None:
    ended.add(Kind.SESSION, "s", NOW, NOW + 60)
    assert covers(ended, session_id="s")
    assert covers(ended, session_id="s", issued_at=NOW + 5)
    assert not covers(ended, session_id="other")


@pytest.mark.parametrize(
    ("kind", "field"), [(Kind.ACCOUNT, "account_id"), (Kind.CLIENT, "client_id")]
)
def test_an_account_or_a_client_is_refused_what_was_issued_up_to_its_end(
    ended: EndedAccess, kind: Kind, field: str
) -> None:
    ended.add(kind, "x", NOW, NOW + 60)
    assert covers(ended, **{field: "x"})
    assert covers(ended, issued_at=NOW, **{field: "x"})
    assert not covers(ended, issued_at=NOW + 1, **{field: "x"})
    assert not covers(ended, **{field: "other"})


def test_a_name_of_one_kind_is_not_one_of_another(ended: EndedAccess) -> None:
    ended.add(Kind.CLIENT, "same", NOW, NOW + 60)
    assert not covers(ended, account_id="same", session_id="same")


def test_the_latest_end_counts_whatever_the_order_and_however_often_it_comes(
    ended: EndedAccess,
) -> None:
    for end in (NOW, NOW - 100, NOW, NOW - 50):
        ended.add(Kind.ACCOUNT, "a", end, end + 160)
    assert covers(ended, issued_at=NOW)


def test_an_end_is_forgotten_once_no_token_can_be_of_before(
    ended: EndedAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended.add(Kind.ACCOUNT, "a", NOW - 50, NOW + 10)
    ended.add(Kind.ACCOUNT, "a", NOW, NOW + 60)
    ended.add(Kind.SESSION, "s", NOW - 50, NOW + 10)
    ended.add(Kind.SESSION, "long ago", NOW - 900, NOW - 1)
    assert REGISTRY.get_sample_value("ended_access") == 2
    monkeypatch.setattr(time, "time", lambda: NOW + 20)
    ended.forget()
    assert not covers(ended, account_id="other", session_id="s")
    assert covers(ended, account_id="a")
    monkeypatch.setattr(time, "time", lambda: NOW + 61)
    ended.forget()
    assert not covers(ended, account_id="a")
    assert REGISTRY.get_sample_value("ended_access") == 0


def test_a_token_that_was_accepted_is_asked_for_again_each_time(signing_realm: FakeRealm) -> None:
    known = EndedAccess()
    verifier = TokenVerifier(signing_realm.settings(), known)
    token = signing_realm.token({"sub": "somebody"})
    with pytest.raises(Unavailable):
        verifier.verify(token)
    known.complete()
    caller = verifier.verify(token)
    assert verifier.stands(caller)
    known.add(Kind.ACCOUNT, "somebody", time.time(), time.time() + 60)
    with pytest.raises(Unauthenticated) as refused:
        verifier.verify(token)
    assert refused.value.reason == "ACCESS_ENDED"
    assert not verifier.stands(caller)
