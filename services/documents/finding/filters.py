"""Which documents of an owner a list is about, and the folders that there are."""

import uuid
from collections.abc import Sequence
from typing import Protocol

from administration.documents.v1 import finding_pb2
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from backbone import paging
from backbone.errors import InvalidInput
from services.documents.documents import DocumentRow, listed
from services.documents.domain.order import clean_folder, clean_label


class Asked(Protocol):
    """What lists and searches have in common."""

    folder: str
    subfolders: bool
    label: str


def conditions(request: Asked) -> list[ColumnElement[bool]]:
    """What the documents must be.

    Raises:
        InvalidInput: the folder can be none.
    """
    found: list[ColumnElement[bool]] = []
    if request.folder:
        path = clean_folder(request.folder)
        within = DocumentRow.folder == path
        if request.subfolders:
            below = f"{path}/" if path else ""
            within = or_(within, DocumentRow.folder.startswith(below, autoescape=True))
        found.append(within)
    if request.label:
        found.append(DocumentRow.labels.contains([clean_label(request.label)]))
    return found


def require_none(request: Asked) -> None:
    """For who acts for the owner: the answer would tell where something is put.

    Raises:
        InvalidInput: something is asked for by folder or label.
    """
    for field in ("folder", "subfolders", "label"):
        if getattr(request, field):
            raise InvalidInput.field(field, "OWNER_ONLY", "leave it out: it is the owner's alone")


def folders(
    session: Session, owner_id: uuid.UUID, page_size: int, page_token: str
) -> tuple[Sequence[finding_pb2.ListFoldersResponse.Folder], str]:
    """A page of an owner's folders by their paths, and the token of the next one.

    Raises:
        InvalidInput: the page token is none of ours.
    """
    limit = paging.size(page_size)
    after = (paging.position(page_token, str) or [""])[0]
    query = (
        select(DocumentRow.folder, func.count())
        .where(
            DocumentRow.owner_id == owner_id,
            DocumentRow.folder > after,
            listed(),
        )
        .group_by(DocumentRow.folder)
        .order_by(DocumentRow.folder)
        .limit(limit + 1)
    )
    found = [
        finding_pb2.ListFoldersResponse.Folder(path=path, documents=count)
        for path, count in session.execute(query)
    ]
    more = len(found) > limit
    return found[:limit], paging.token(found[limit - 1].path) if more else ""
