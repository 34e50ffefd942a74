"""How a person says that they are reached: what is taken, and what is refused by its field."""

import pytest

from backbone.errors import InvalidInput
from services.identity.domain.contact import COUNTRIES, FRENCH, PostalAddress, phone_number

HOME = PostalAddress("12 rue Schœlcher\nRésidence les Filaos", "97200", "Fort-de-France", "MQ")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+596696123456", "+596696123456"),
        ("+596 (0)696 12-34.56", "+596696123456"),
        ("+33 1 42 68 53 00", "+33142685300"),
        ("+1 758 452 1234", "+17584521234"),
        ("", ""),
    ],
)
def test_a_number_is_kept_as_the_whole_world_dials_it(text: str, number: str) -> None:
    assert phone_number(text) == number


@pytest.mark.parametrize(
    "text", ["0696123456", "+596 12", "+999 12345678", "+33 1 42 68 53 0", "+", "+596696123456789"]
)
def test_a_number_that_its_country_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        phone_number(text)
    assert [fault.field for fault in refused.value.fields] == ["phone_number"]
    assert text not in refused.value.detail


def test_an_address_is_kept_without_the_spaces_that_mean_nothing() -> None:
    typed = "  12  rue Schœlcher \r\n\n Résidence les Filaos"
    assert PostalAddress.stated(typed, " 97200 ", "Fort-de-France ", "MQ") == HOME
    abroad = PostalAddress.stated("1 Main Street", "sw1a 1aa", "London", "GB")
    assert abroad.postal_code == "SW1A 1AA"
    assert PostalAddress.stated("Vigie", "", "Castries", "LC").postal_code == ""


@pytest.mark.parametrize(
    ("changed", "part", "reason"),
    [
        ({"street_address": " \n "}, "street_address", "REQUIRED"),
        ({"locality": " "}, "locality", "REQUIRED"),
        ({"country": "ZZ"}, "country", "COUNTRY"),
        ({"postal_code": "9720"}, "postal_code", "POSTAL_CODE"),
        ({"postal_code": "", "country": "FR"}, "postal_code", "POSTAL_CODE"),
        ({"postal_code": "SW1A 1AA", "country": "RE"}, "postal_code", "POSTAL_CODE"),
    ],
)
def test_an_address_that_no_letter_would_find_is_refused_by_its_part(
    changed: dict[str, str], part: str, reason: str
) -> None:
    good = {
        "street_address": HOME.street_address,
        "postal_code": HOME.postal_code,
        "locality": HOME.locality,
        "country": HOME.country,
    }
    with pytest.raises(InvalidInput) as refused:
        PostalAddress.stated(**(good | changed))
    (fault,) = refused.value.fields
    assert (fault.field, fault.reason) == (f"postal_address.{part}", reason)


def test_every_part_of_france_is_a_country_of_the_list() -> None:
    assert FRENCH < COUNTRIES
    assert len(COUNTRIES) == 249
