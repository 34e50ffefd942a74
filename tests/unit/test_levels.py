"""What an agent may say of a person."""

import pytest

from backbone.errors import Conflict, Forbidden, InvalidInput
from services.identity.domain.level import (
    Level,
    Piece,
    administration_of,
    check,
    require_raise,
)

PERSON, AGENT = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


@pytest.mark.parametrize("piece", [Piece.NATIONAL_IDENTITY_CARD, Piece.PASSPORT])
def test_a_piece_of_the_state_proves_the_high_level(piece: Piece) -> None:
    assert check(3, piece, PERSON, AGENT) == (Level.HIGH, piece)


@pytest.mark.parametrize("piece", [Piece.DRIVING_LICENCE, Piece.FAMILY_RECORD_BOOK])
def test_other_pieces_prove_the_substantial_level_at_most(piece: Piece) -> None:
    assert check(2, piece, PERSON, AGENT) == (Level.SUBSTANTIAL, piece)
    with pytest.raises(InvalidInput) as refused:
        check(3, piece, PERSON, AGENT)
    assert [fault.field for fault in refused.value.fields] == ["piece"]


@pytest.mark.parametrize(
    ("level", "piece", "account_id", "field"),
    [(9, 1, PERSON, "level"), (2, 99, PERSON, "piece"), (2, 1, AGENT.upper(), "account_id")],
)
def test_what_makes_no_sense_is_refused_with_its_field(
    level: int, piece: int, account_id: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check(level, piece, account_id, AGENT)
    assert [fault.field for fault in refused.value.fields] == [field]


def test_a_level_is_raised_and_never_repeated_nor_lowered() -> None:
    require_raise(0, Level.LOW)
    require_raise(2, Level.HIGH)
    for known in (2, 3):
        with pytest.raises(Conflict):
            require_raise(known, Level.SUBSTANTIAL)


def test_an_agent_acts_for_one_administration_or_not_at_all() -> None:
    assert administration_of("caf-martinique") == "caf-martinique"
    with pytest.raises(Forbidden):
        administration_of("")
