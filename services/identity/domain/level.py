"""Levels that an agent raises: what a piece can prove, of whom (eIDAS, Regulation 910/2014)."""

from enum import IntEnum

from backbone.errors import Conflict, Forbidden, InvalidInput


class Level(IntEnum):
    """The numbers of the contract's `AssuranceLevel`."""

    LOW = 1
    SUBSTANTIAL = 2
    HIGH = 3


class Piece(IntEnum):
    """The numbers of the contract's `Piece`."""

    NATIONAL_IDENTITY_CARD = 1
    PASSPORT = 2
    RESIDENCE_PERMIT = 3
    DRIVING_LICENCE = 4
    FAMILY_RECORD_BOOK = 5


# A state vouches for the identity on these; the others are no proof of it by themselves.
PROVES_HIGH = {Piece.NATIONAL_IDENTITY_CARD, Piece.PASSPORT, Piece.RESIDENCE_PERMIT}


def administration_of(administration: str) -> str:
    """The administration that an agent acts for.

    Raises:
        Forbidden: their token names none.
    """
    if not administration:
        raise Forbidden(
            "This needs an agent's token that names one administration.",
            reason="ADMINISTRATION_MISSING",
        )
    return administration


def check(level: int, piece: int, account_id: str, agent_id: str) -> tuple[Level, Piece]:
    """What an agent may say of a person.

    Raises:
        InvalidInput: of themselves, an unknown level or piece, or one that does not prove it.
    """
    if account_id.lower() == agent_id.lower():
        raise InvalidInput.field("account_id", "ONESELF", "must be another person")
    if level not in {each.value for each in Level}:
        raise InvalidInput.field("level", "UNKNOWN", "is no level")
    if piece not in {each.value for each in Piece}:
        raise InvalidInput.field("piece", "UNKNOWN", "is no kind of piece")
    if level == Level.HIGH and piece not in PROVES_HIGH:
        raise InvalidInput.field(
            "piece", "TOO_WEAK", "must be an identity card, a passport or a residence permit"
        )
    return Level(level), Piece(piece)


def require_raise(known: int, level: Level) -> None:
    """Raises:
    Conflict: the account has this level, or a higher one.
    """
    if level <= known:
        raise Conflict("The account has this level already.", reason="LEVEL_NOT_RAISED")
