"""Drop boxes: what a piece accepts, what is missing, when people are reminded."""

from datetime import UTC, datetime, timedelta

import pytest

from backbone.errors import Forbidden, InvalidInput, NotFound
from services.documents.domain import box
from services.documents.domain.box import Piece

DEADLINE = datetime(2027, 1, 31, tzinfo=UTC)
IDENTITY = Piece("identite", "Pièce d’identité", True, ("application/pdf", "image/jpeg"), 1000)
LEASE = Piece("bail", "Bail", True)
PHOTO = Piece("photo", "Photo", False)


def test_a_piece_accepts_its_types_and_sizes_alone() -> None:
    IDENTITY.require_accepts("image/JPEG", 1000)
    LEASE.require_accepts("text/plain", 10**9)
    for media_type, size, reason in (
        ("text/plain", 10, "MEDIA_TYPE"),
        ("application/pdf", 1001, "TOO_LARGE"),
    ):
        with pytest.raises(InvalidInput) as refused:
            IDENTITY.require_accepts(media_type, size)
        assert [(item.field, item.reason) for item in refused.value.fields] == [
            ("document_id", reason)
        ]


def test_what_is_missing_is_required_and_in_the_order_of_the_box() -> None:
    pieces = [IDENTITY, PHOTO, LEASE]
    assert box.missing(pieces, []) == ["identite", "bail"]
    assert box.missing(pieces, {"bail", "photo"}) == ["identite"]
    assert box.missing(pieces, {"bail", "identite"}) == []


def test_two_pieces_of_one_name_are_refused_by_their_field() -> None:
    assert box.pieces([IDENTITY, LEASE]) == [IDENTITY, LEASE]
    with pytest.raises(InvalidInput) as refused:
        box.pieces([IDENTITY, LEASE, IDENTITY])
    assert refused.value.fields[0].field == "pieces[2].piece_id"


def test_a_piece_that_is_not_asked_for_is_not_found() -> None:
    assert box.piece([IDENTITY, LEASE], "bail") is LEASE
    with pytest.raises(NotFound):
        box.piece([IDENTITY], "bail")


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (timedelta(days=30), timedelta(days=7)),
        (timedelta(days=7), timedelta(days=1)),
        (timedelta(days=3), timedelta(days=1)),
        (timedelta(days=1), None),
        (timedelta(hours=-1), None),
    ],
)
def test_the_next_reminder_is_the_first_that_is_still_to_come(
    ahead: timedelta, expected: timedelta | None
) -> None:
    found = box.next_reminder(DEADLINE, DEADLINE - ahead)
    assert found == (None if expected is None else DEADLINE - expected)


def test_a_code_is_long_differs_each_time_and_is_stored_as_its_hash() -> None:
    codes = {box.new_code() for _ in range(100)}
    assert len(codes) == 100
    assert min(map(len, codes)) >= 43
    assert len(box.code_hash("a")) == 32


def test_who_acts_for_no_administration_is_refused() -> None:
    assert box.require_administration("caf") == "caf"
    with pytest.raises(Forbidden, match="token"):
        box.require_administration("")
