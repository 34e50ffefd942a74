"""What the realm says of a person, as an account keeps it."""

import pytest

from services.identity.domain.account import LOCALES, Profile


def test_only_a_verified_address_is_reachable() -> None:
    known = Profile.of_claims("Joséphine", "josephine@courriel.example", True, "fr")
    assert known.reachable_email == "josephine@courriel.example"
    unsure = Profile.of_claims("Joséphine", "josephine@courriel.example", False, "fr")
    assert unsure.reachable_email == ""


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("fr", "fr"),
        ("fr-MQ", "fr"),
        ("EN-gb", "en"),
        ("gcf", "gcf"),
        ("de", "fr"),
        ("", "fr"),
        ("-", "fr"),
    ],
)
def test_a_language_that_nobody_writes_reads_french(locale: str, expected: str) -> None:
    assert Profile.of_claims("a", "", False, locale).locale == expected
    assert expected in LOCALES


def test_a_person_without_a_name_is_addressed_all_the_same() -> None:
    assert Profile.of_claims("  ", "", False, "fr").display_name == "Usager"
    assert Profile.of_claims(" Joséphine ", " a@b.example ", True, "fr") == Profile(
        "Joséphine", "a@b.example", True, "fr"
    )
