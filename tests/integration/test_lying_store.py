"""A store that truncates, alters, lies or breaks off: nothing it gives is taken for a document."""

import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from backbone.errors import Damaged, Unavailable
from services.documents.checks import pipeline
from services.documents.checks.pipeline import Finding, Policy, Subject
from services.documents.checks.verdict import Reason, Refused, Remark
from services.documents.s3 import StorageSettings
from services.documents.store import S3Store
from tests.support import vault
from tests.support.lying import LyingProxy, lying
from tests.support.objects import Objects

DATA = vault.unique_bytes(300_000)


@pytest.fixture
def proxy(stack: dict[str, Any]) -> Iterator[LyingProxy]:
    with lying(stack["storage"]["endpoint"]) as opened:
        yield opened


@pytest.fixture
def store(stack: dict[str, Any], proxy: LyingProxy) -> S3Store:
    storage = stack["storage"]
    return S3Store(
        StorageSettings(
            endpoint=proxy.address,
            access_key=storage["access_key"],
            secret_key=storage["secret_key"],
            bucket=storage["bucket"],
            secure=False,
        )
    )


@pytest.fixture
def key(store: S3Store, proxy: LyingProxy) -> Iterator[str]:
    """A document that was stored honestly."""
    made = str(uuid.uuid4())
    store.put(made, [DATA], "application/pdf")
    yield made
    proxy.honest()
    store.delete(made)


def clean(chunks: Iterable[bytes]) -> Finding:
    for _ in chunks:
        pass
    return Finding.CLEAN


def check(store: S3Store, key: str) -> frozenset[Remark]:
    subject = Subject("acte.pdf", "application/pdf", len(DATA), vault.sha256(DATA))

    def read(offset: int, length: int) -> Iterator[bytes]:
        return store.get(key, offset, length)

    return pipeline.check(subject, read, clean, Policy()).remarks


def test_an_honest_way_changes_nothing(store: S3Store, key: str) -> None:
    assert check(store, key) == frozenset()


def test_an_answer_that_is_cut_decides_nothing(store: S3Store, key: str, proxy: LyingProxy) -> None:
    proxy.lie = lambda data, before: None if before > 100_000 else data
    with pytest.raises(Unavailable):
        check(store, key)


def test_an_answer_that_says_it_is_shorter_is_told_from_an_outage(
    store: S3Store, key: str, proxy: LyingProxy
) -> None:
    def shorter(data: bytes, before: int) -> bytes:
        return re.sub(rb"(?i)(content-length: )300000", rb"\g<1>200000", data)

    proxy.lie = shorter
    # Not an outage: waiting would not mend it.
    with pytest.raises(Damaged):
        check(store, key)


def test_bytes_that_are_not_those_deposited_are_found_out(
    store: S3Store, key: str, proxy: LyingProxy
) -> None:
    # In three places: one that is read in two pieces goes through as it is.
    wanted = [DATA[place : place + 16] for place in (50_000, 150_000, 250_000)]

    def altered(data: bytes, before: int) -> bytes:
        for each in wanted:
            data = data.replace(each, bytes(16))
        return data

    proxy.lie = altered
    # Sealed or not: it is told apart, and never given out as the document.
    with pytest.raises((Refused, Unavailable)) as error:
        check(store, key)
    if isinstance(error.value, Refused):
        assert error.value.reason is Reason.CORRUPTED


def test_a_store_that_fails_decides_nothing(store: S3Store, key: str, proxy: LyingProxy) -> None:
    proxy.lie = lambda data, before: None
    with pytest.raises(Unavailable):
        check(store, key)


@pytest.mark.parametrize("sent", [0, 500, 100_000, 299_000])
def test_a_deposit_that_the_store_does_not_take_to_its_end_is_not_stored(
    sent: int, store: S3Store, proxy: LyingProxy, objects: Objects
) -> None:
    proxy.request_bytes = sent
    made = str(uuid.uuid4())
    with pytest.raises(Unavailable):
        store.put(made, [DATA], "application/pdf")
    assert made not in objects.keys()  # noqa: SIM118


def test_a_lie_about_the_etag_changes_nothing_of_what_is_found_out(
    store: S3Store, proxy: LyingProxy
) -> None:
    def other(data: bytes, before: int) -> bytes:
        return re.sub(rb'(?i)(etag: )"[0-9a-f]{32}"', rb'\g<1>"' + b"0" * 32 + b'"', data)

    proxy.lie = other
    made = str(uuid.uuid4())
    store.put(made, [DATA], "application/pdf")
    # What counts is the reading, which hashes.
    assert check(store, made) == frozenset()
    store.delete(made)
