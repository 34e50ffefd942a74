"""Pages of what a service holds about a person: file after file, each record once."""

import pytest
from administration.identity.v1.events_pb2 import AccountCreated
from hypothesis import given
from hypothesis import strategies as st

from backbone import paging, personal_data
from backbone.errors import InvalidInput
from backbone.personal_data import Reader


def reader(file: str, count: int, size: int) -> Reader:
    def read(page_token: str) -> tuple[list[AccountCreated], str]:
        start = int(page_token or 0)
        end = min(count, start + size)
        records = [AccountCreated(account_id=f"{file}-{number}") for number in range(start, end)]
        return records, str(end) if end < count else ""

    return read


@given(st.lists(st.integers(0, 7), min_size=1, max_size=4), st.integers(1, 3))
def test_the_pages_give_every_record_once_file_after_file(counts: list[int], size: int) -> None:
    files = {f"f{n}": reader(f"f{n}", count, size) for n, count in enumerate(counts)}
    seen: list[tuple[str, str]] = []
    token = ""
    while True:
        page = personal_data.page(files, token)
        seen += [(page.file, record) for record in page.records]
        token = page.next_page_token
        if not token:
            break
    assert seen == [
        (f"f{n}", f'{{"accountId": "f{n}-{number}"}}')
        for n, count in enumerate(counts)
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "token", ["x", paging.token(3, ""), paging.token(-1, ""), paging.token("")]
)
def test_a_token_that_was_never_given_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput):
        personal_data.page({"a": reader("a", 1, 1)}, token)
