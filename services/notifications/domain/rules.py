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


def document_refused(document_id: str, owner_id: str, reason: str) -> Notice:
    """`reason` is one of the words of `RefusalReason`."""
    return Notice(
        owner_id, "DocumentRefused", document_id, {"document_id": document_id, "reason": reason}
    )


def document_unpacked(document_id: str, owner_id: str, documents: int, problems: int) -> Notice:
    parameters = {
        "document_id": document_id,
        "documents": str(documents),
        "problems": str(problems),
    }
    return Notice(owner_id, "DocumentUnpacked", document_id, parameters)


def version_deposited(document_id: str, owner_id: str, version: int) -> Notice:
    parameters = {"document_id": document_id, "version": str(version)}
    return Notice(owner_id, "VersionDeposited", document_id, parameters)


def version_refused(document_id: str, owner_id: str, version: int, reason: str) -> Notice:
    """`reason` is one of the words of `RefusalReason`."""
    parameters = {"document_id": document_id, "version": str(version), "reason": reason}
    return Notice(owner_id, "VersionRefused", document_id, parameters)


def document_damaged(document_id: str, owner_id: str, version: int) -> Notice:
    parameters = {"document_id": document_id, "version": str(version)}
    return Notice(owner_id, "DocumentDamaged", document_id, parameters)


def document_shared(
    document_id: str, owner_id: str, administration: str, expire_time: datetime
) -> Notice:
    parameters = {
        "document_id": document_id,
        "administration": administration,
        "until": day(expire_time),
    }
    return Notice(owner_id, "DocumentShared", document_id, parameters)


def retention_ended(document_id: str, owner_id: str, disposition: str) -> Notice:
    """`disposition` is one of the words of `Disposition`."""
    parameters = {"document_id": document_id, "disposition": disposition}
    return Notice(owner_id, "RetentionEnded", document_id, parameters)


def document_destroyed(document_id: str, owner_id: str) -> Notice:
    return Notice(owner_id, "DocumentDestroyed", document_id, {"document_id": document_id})


def shared_with_person(
    document_id: str, owner_id: str, account_id: str, expire_time: datetime
) -> tuple[Notice, Notice]:
    """To whom a document is shared with, and to its owner."""
    parameters = {"document_id": document_id, "until": day(expire_time)}
    return (
        Notice(account_id, "DocumentSharedWithMe", document_id, parameters),
        Notice(owner_id, "DocumentSharedWithPerson", document_id, parameters),
    )


def box_opened(box_id: str, account_id: str, administration: str, deadline: datetime) -> Notice:
    return Notice(account_id, "BoxOpened", box_id, _of_box(box_id, administration, deadline))


def depositor_reminded(
    box_id: str, account_id: str, administration: str, deadline: datetime, missing: int
) -> Notice:
    parameters = {**_of_box(box_id, administration, deadline), "missing": str(missing)}
    return Notice(account_id, "DepositorReminded", box_id, parameters)


def hand_in_refused(box_id: str, account_id: str, administration: str, document_id: str) -> Notice:
    parameters = {
        "box_id": box_id,
        "administration": administration,
        "document_id": document_id,
    }
    return Notice(account_id, "HandInRefused", box_id, parameters)


def _of_box(box_id: str, administration: str, deadline: datetime) -> dict[str, str]:
    return {"box_id": box_id, "administration": administration, "until": day(deadline)}


def export_ready(document_id: str, account_id: str, expire_time: datetime) -> Notice:
    parameters = {"document_id": document_id, "until": day(expire_time)}
    return Notice(account_id, "ExportReady", document_id, parameters)


def erasure_requested(erasure_id: str, account_id: str, due_time: datetime) -> Notice:
    parameters = {"erasure_id": erasure_id, "until": day(due_time)}
    return Notice(account_id, "ErasureRequested", erasure_id, parameters)


def erasure_cancelled(erasure_id: str, account_id: str) -> Notice:
    return Notice(account_id, "ErasureCancelled", erasure_id, {"erasure_id": erasure_id})


def day(moment: datetime) -> str:
    """As people read it."""
    return moment.astimezone(UTC).strftime("%d/%m/%Y")
