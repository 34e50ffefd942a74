"""What its owner says of a document, and when it is looked at: columns of its row."""

import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from administration.documents.v1 import documents_pb2
from sqlalchemy import DateTime, Integer, String, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backbone.acting import Acting


class Order:
    """A part of `DocumentRow`."""

    if TYPE_CHECKING:
        owner_id: Mapped[uuid.UUID]

        # Only told to the checker: at run time it would hide the row's own.
        def to_proto(self) -> documents_pb2.Document:
            """As anybody sees it who may."""
            raise NotImplementedError

    folder: Mapped[str] = mapped_column(String, default="")
    labels: Mapped[list[str]] = mapped_column(ARRAY(String), default=list)
    # `metadata` is SQLAlchemy's own.
    properties: Mapped[dict[str, str]] = mapped_column("metadata", JSONB, default=dict)
    # When it is to be looked at for what it says; None once it was.
    index_time: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    index_tries: Mapped[int] = mapped_column(Integer, default=0)

    def to_owner(self) -> documents_pb2.Document:
        """As its owner sees it."""
        message = self.to_proto()
        message.folder = self.folder
        message.labels.extend(self.labels)
        for key, value in self.properties.items():
            message.metadata.add(key=key, value=value)
        return message

    def shown_to(self, acting: Acting) -> documents_pb2.Document:
        """As a caller sees it: where it is put is its owner's alone, not who acts for them."""
        own = not acting.mandate_id and str(self.owner_id) == acting.principal_id
        return self.to_owner() if own else self.to_proto()

    def look_again(self) -> None:
        """Its content is another: what was found in it is found again."""
        self.index_time, self.index_tries = func.now(), 0
