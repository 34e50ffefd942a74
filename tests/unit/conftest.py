"""Fixtures of the tests that need no stack."""

from collections.abc import Iterator

import pytest

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
