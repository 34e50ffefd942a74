"""How a person says that they are reached: a telephone number and a postal address."""

from dataclasses import dataclass

import phonenumbers

from backbone.errors import InvalidInput

# ISO 3166-1 alpha-2, all that are assigned.
COUNTRIES = {
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX",
    "AZ", "BA", "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ",
    "BR", "BS", "BT", "BV", "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK",
    "CL", "CM", "CN", "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM",
    "DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR",
    "GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS",
    "GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN",
    "IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN",
    "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK", "LR", "LS", "LT", "LU", "LV",
    "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN", "MO", "MP", "MQ",
    "MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI",
    "NL", "NO", "NP", "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM",
    "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS", "RU", "RW", "SA", "SB", "SC",
    "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS", "ST", "SV",
    "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR",
    "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI",
    "VN", "VU", "WF", "WS", "YE", "YT", "ZA", "ZM", "ZW",
}  # fmt: skip
# France and what has a code of its own there: their postal codes are La Poste's, of five digits.
FRENCH = {"BL", "FR", "GF", "GP", "MF", "MQ", "NC", "PF", "PM", "RE", "WF", "YT"}


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """Parts of OpenID Connect's claim `address`. All empty: none is known."""

    street_address: str = ""
    postal_code: str = ""
    locality: str = ""
    country: str = ""

    @classmethod
    def stated(
        cls, street_address: str, postal_code: str, locality: str, country: str
    ) -> "PostalAddress":
        """As a person typed it, without the spaces that mean nothing.

        Raises:
            InvalidInput: a part is blank, the country unknown, or the postal code none of France.
        """
        lines = (" ".join(line.split()) for line in street_address.splitlines())
        made = cls(
            "\n".join(line for line in lines if line),
            " ".join(postal_code.split()).upper(),
            " ".join(locality.split()),
            country,
        )
        for part in ("street_address", "locality"):
            if not getattr(made, part):
                raise _wrong(part, "REQUIRED", "is required")
        if country not in COUNTRIES:
            raise _wrong("country", "COUNTRY", "must be a country of ISO 3166-1 (two letters)")
        digits = made.postal_code.isdigit() and len(made.postal_code) == 5
        if country in FRENCH and not digits:
            raise _wrong("postal_code", "POSTAL_CODE", "must be five digits in France")
        return made


def _wrong(part: str, reason: str, description: str) -> InvalidInput:
    return InvalidInput.field(f"postal_address.{part}", reason, description)


def phone_number(text: str) -> str:
    """The number as ITU-T E.164 writes it; empty for none.

    Raises:
        InvalidInput: no operator of its country gives such a number.
    """
    if not text:
        return ""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise InvalidInput.field("phone_number", "PHONE_NUMBER", "is no number of its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
