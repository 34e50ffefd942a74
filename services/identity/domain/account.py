"""What an account is: a stable identifier, what the realm last said of the person, and how they say
they are reached.
"""

from dataclasses import dataclass, field
from datetime import datetime

from services.identity.domain.contact import PostalAddress

LOCALES = ("fr", "gcf", "en")


@dataclass(frozen=True, slots=True)
class Profile:
    """What the realm says of a person. `email` counts as reachable only once verified."""

    display_name: str
    email: str
    email_verified: bool
    locale: str

    @classmethod
    def of_claims(cls, name: str, email: str, email_verified: bool, locale: str) -> "Profile":
        """From a token's or the realm's own words; an unknown language becomes French."""
        language = locale.partition("-")[0].lower()
        return cls(
            display_name=name.strip() or "Usager",
            email=email.strip(),
            email_verified=email_verified,
            locale=language if language in LOCALES else "fr",
        )

    @property
    def reachable_email(self) -> str:
        return self.email if self.email_verified else ""


@dataclass(frozen=True, slots=True)
class Account:
    account_id: str
    profile: Profile
    create_time: datetime
    # What the person said themselves, in no token and not in the realm.
    phone_number: str = field(default="", repr=False)
    postal_address: PostalAddress = field(default=PostalAddress(), repr=False)
