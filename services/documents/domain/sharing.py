"""With whom, how and until when a document is shared."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from backbone.errors import InvalidInput

# What an administration receives with this consent of the owner: docs/consents.md.
CONSENT_SCOPE = "documents.read"


@dataclass(frozen=True, slots=True)
class Recipient:
    """An administration, by its alias, or a person, by their account: the other is empty."""

    administration: str = ""
    account_id: uuid.UUID | None = None

    @classmethod
    def asked(cls, administration: str, account_id: str) -> "Recipient":
        """Raises:
        InvalidInput: not exactly one is given.
        """
        if administration and account_id:
            raise InvalidInput.field(
                "account_id", "ONE_RECIPIENT", "leave it out, or `administration`"
            )
        if not administration and not account_id:
            raise InvalidInput.field(
                "administration", "REQUIRED", "is required, or `account_id` for a person"
            )
        return cls(administration, uuid.UUID(account_id) if account_id else None)


@dataclass(frozen=True, slots=True)
class Terms:
    """How it is shared."""

    purpose: str
    expire_time: datetime
    read_once: bool = False
    watermark: bool = False

    def require_ahead(self, now: datetime) -> None:
        """Raises:
        InvalidInput: the end is past.
        """
        if self.expire_time <= now:
            raise InvalidInput.field("expire_time", "PAST", "must lie in the future")


@dataclass(frozen=True, slots=True)
class Origin:
    """Why it is shared by somebody else's doing than the owner's own wish; nothing: by that."""

    # The administration that passes it on, and the owner's consent to that.
    shared_by: str = ""
    consent_id: uuid.UUID | None = None
    # The drop box that the owner handed it in to.
    box_id: uuid.UUID | None = None


OWN = Origin()
