"""Fixtures of the tests that need no stack."""

from collections.abc import Iterator

import pytest

from backbone.ended import EndedAccess
from backbone.events.endings import AccessEndings
from tests.support.fake_realm import FakeRealm


@pytest.fixture(scope="session")
def signing_realm() -> Iterator[FakeRealm]:
    """A realm that any number of tests may share: nothing in it changes."""
    opened = FakeRealm()
    yield opened
    opened.close()


@pytest.fixture
def own_realm() -> Iterator[FakeRealm]:
    """A realm of one test, whose keys it may change."""
    opened = FakeRealm()
    yield opened
    opened.close()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> EndedAccess:
    """What has ended, as if it had been read from Kafka."""
    known = EndedAccess()
    known.complete()
    monkeypatch.setattr(AccessEndings, "__init__", lambda self: setattr(self, "ended", known))
    for hook in ("setup", "start", "stop", "kill"):
        monkeypatch.setattr(AccessEndings, hook, lambda self: None)
    monkeypatch.setattr(AccessEndings, "check_ready", lambda self: None)
    return known
