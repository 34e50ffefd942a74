"""Page tokens: ours come back as they were, any other text is refused."""

import base64
import contextlib
import json
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone import paging
from backbone.errors import InvalidInput


@given(st.text(max_size=40), st.integers(-(2**63), 2**63 - 1))
def test_a_token_holds_its_position(text: str, number: int) -> None:
    token = paging.token(text, number)
    assert paging.position(token, str, int) == [text, number]
    assert "=" not in token
    assert token.isascii()


def test_the_token_of_a_moment_and_an_identifier_fits_the_contracts() -> None:
    moment, key = datetime(2026, 11, 24, 11, 50, 55, 726301, tzinfo=UTC), uuid.uuid4()
    token = paging.token(moment.isoformat(), str(key))
    assert len(token) <= 200
    position = paging.position(token, str, str)
    assert position is not None
    assert paging.moment(str(position[0])) == moment
    assert paging.identifier(str(position[1])) == key


def test_no_token_is_the_first_page() -> None:
    assert paging.position("", str) is None


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


OTHERS: list[object] = [1, "a", {}, [], [1], ["a", "b"], [True], [None], [1.5]]


@pytest.mark.parametrize(
    "token",
    ["a", "!", "é", "AAAA", "====", "\x00", "a" * 200, *map(encoded, OTHERS)],
)
def test_any_other_text_is_refused_by_the_name_of_the_field(token: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        paging.position(token, str)
    assert [item.field for item in refused.value.fields] == ["page_token"]


@given(st.text(max_size=60))
def test_no_text_whatever_breaks_the_reading(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        paging.position(text, str, str)


@pytest.mark.parametrize("text", ["", "yesterday", "\x00", "2026-13-01T00:00:00+00:00"])
def test_a_moment_or_identifier_that_is_none_is_refused_like_a_token(text: str) -> None:
    with pytest.raises(InvalidInput):
        paging.moment(text)
    with pytest.raises(InvalidInput):
        paging.identifier(text)


def test_a_page_has_fifty_items_unless_it_was_told() -> None:
    assert paging.size(0) == 50
    assert paging.size(7) == 7
