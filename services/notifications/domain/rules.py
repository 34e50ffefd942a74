"""Which fact tells whom what."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell an account: by its inbox and by e-mail."""

    account_id: str
    kind: str
    entity_id: str
    parameters: dict[str, str]


# Told by e-mail alone, and to an address instead of an account: the invitation knows which.
INVITATION = "MemberInvited"


def document_deposited(document_id: str, owner_id: str) -> Notice:
    return Notice(owner_id, "DocumentDeposited", document_id, {"document_id": document_id})


def document_shared(
    document_id: str, owner_id: str, administration: str, expire_time: datetime
) -> Notice:
    parameters = {
        "document_id": document_id,
        "administration": administration,
        "until": expire_time.astimezone(UTC).strftime("%d/%m/%Y"),
    }
    return Notice(owner_id, "DocumentShared", document_id, parameters)
