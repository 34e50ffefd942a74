"""What an organisation is, what its members may do, and the life of an invitation."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from backbone.errors import InvalidInput

INVITATION_LIFE = timedelta(days=14)
SIRET_DIGITS, SIREN_DIGITS = 14, 9
# Its thousands of establishments ran out of numbers that pass Luhn's check.
LA_POSTE = "356000000"


class Kind(IntEnum):
    """The numbers of the contract's `OrganisationKind`."""

    ADMINISTRATION = 1
    COMPANY = 2


class Role(IntEnum):
    """The numbers of the contract's `MemberRole`."""

    AGENT = 1
    MANAGER = 2


class InvitationState(IntEnum):
    """The numbers of the contract's `InvitationState`."""

    SENT = 1
    ACCEPTED = 2
    REVOKED = 3
    EXPIRED = 4


@dataclass(frozen=True, slots=True)
class Registration:
    """What an organisation is made from. Twice the same is the same organisation."""

    kind: Kind
    alias: str
    name: str
    siret: str

    @classmethod
    def asked(cls, kind: int, alias: str, name: str, siret_: str) -> "Registration":
        """Raises:
        InvalidInput: the kind or the name is none, or the SIRET is wrong.
        """
        if kind not in set(Kind):
            raise InvalidInput.field("kind", "UNKNOWN", "must be an administration or a company")
        if not name.strip():
            raise InvalidInput.field("name", "REQUIRED", "is required")
        return cls(Kind(kind), alias, " ".join(name.split()), siret(siret_))


def role(number: int) -> Role:
    """Raises:
    InvalidInput: it is none.
    """
    if number not in set(Role):
        raise InvalidInput.field("role", "UNKNOWN", "must be agent or manager")
    return Role(number)


def siret(text: str) -> str:
    """The 14 digits of a SIRET: an establishment in the national register (INSEE, SIRENE).

    The first nine are the SIREN of its company. Both pass Luhn's check (ISO/IEC 7812-1, annex B);
    of La Poste's establishments, the sum of the digits is a multiple of five instead.

    Raises:
        InvalidInput: it is none.
    """
    digits = "".join(text.split())
    if len(digits) != SIRET_DIGITS or not (digits.isascii() and digits.isdigit()):
        raise InvalidInput.field("siret", "SIRET", "must be 14 digits")
    if not (luhn(digits[:SIREN_DIGITS]) and (luhn(digits) or _of_la_poste(digits))):
        raise InvalidInput.field("siret", "SIRET", "is mistyped: its check digits do not fit")
    return digits


def _of_la_poste(digits: str) -> bool:
    return digits.startswith(LA_POSTE) and sum(map(int, digits)) % 5 == 0


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def address(email: str) -> str:
    """An e-mail address as two of them are compared: the realm keeps them in lower case."""
    return email.strip().lower()


def invitation_state(
    expire_time: datetime,
    accept_time: datetime | None,
    revoke_time: datetime | None,
    now: datetime,
) -> InvitationState:
    if accept_time is not None:
        return InvitationState.ACCEPTED
    if revoke_time is not None:
        return InvitationState.REVOKED
    return InvitationState.SENT if now < expire_time else InvitationState.EXPIRED
