"""Organisations: their SIRET, what they are made from, and the life of an invitation."""

from datetime import UTC, datetime, timedelta

import pytest

from backbone.errors import InvalidInput
from services.identity.domain.organisation import (
    INVITATION_LIFE,
    InvitationState,
    Kind,
    Registration,
    Role,
    invitation_state,
    role,
    siret,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
GOOD = "73282932000074"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "732 829 320 00074",
        # La Poste: its head office passes Luhn's check, its establishments have their own.
        "35600000000048",
        "35600000049837",
        "35600000009075",
    ],
)
def test_a_siret_is_fourteen_digits_with_their_check(text: str) -> None:
    assert siret(text) == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "73282932000075",  # the establishment's check digit
        "73282932100074",  # the company's
        "35600000049838",
        "73282932000047",
        "7328293200007",
        "732829320000740",
        "7328293200007a",
        "٧٣٢٨٢٩٣٢٠٠٠٠٧٤",  # digits, but not those of the register
        "",
        "-3282932000074",
    ],
)
def test_what_is_no_siret_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        siret(text)
    assert [(item.field, item.reason) for item in refused.value.fields] == [("siret", "SIRET")]


def test_only_la_poste_may_fail_luhn() -> None:
    # The sum of its digits is a multiple of five, but it is somebody else's.
    other = "73282932000022"
    assert sum(map(int, other)) % 5 == 0
    with pytest.raises(InvalidInput):
        siret(other)


def test_a_registration_is_the_same_whatever_its_spaces() -> None:
    made = Registration.asked(1, "ville-essai", "  Ville   d’Essai ", "732 829 320 00074")
    assert made == Registration(Kind.ADMINISTRATION, "ville-essai", "Ville d’Essai", GOOD)


@pytest.mark.parametrize(
    ("kind", "name", "number", "field"),
    [(7, "Ville", GOOD, "kind"), (1, "   ", GOOD, "name"), (2, "SARL", "1", "siret")],
)
def test_what_cannot_be_registered_is_refused_by_its_field(
    kind: int, name: str, number: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        Registration.asked(kind, "essai", name, number)
    assert [item.field for item in refused.value.fields] == [field]


def test_a_role_is_one_of_the_two() -> None:
    assert role(2) is Role.MANAGER
    with pytest.raises(InvalidInput):
        role(3)


def test_an_invitation_ends_once() -> None:
    end = NOW + INVITATION_LIFE
    assert invitation_state(end, None, None, NOW) is InvitationState.SENT
    assert invitation_state(end, None, None, end) is InvitationState.EXPIRED
    assert invitation_state(end, NOW, None, end) is InvitationState.ACCEPTED
    assert invitation_state(end, None, NOW, end + timedelta(1)) is InvitationState.REVOKED
