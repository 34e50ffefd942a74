"""Uploading: opened, gone on with, completed or given up; each change with its event."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from administration.documents.v1 import events_pb2, uploads_pb2
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.orm import Session

from backbone import telemetry
from backbone.acting import Acting
from backbone.database import Transactions, after_commit
from backbone.errors import Conflict, FieldViolation, InvalidInput, TooLarge, TooMany
from backbone.events import Publisher
from backbone.settings import PREFIX
from services.documents.checking import Checks
from services.documents.content_row import ContentRow
from services.documents.documents import DocumentRow, Documents
from services.documents.domain.deposit import Announcement, clean_name
from services.documents.domain.parts import Part, parts
from services.documents.quarantine import Quarantine
from services.documents.quotas import QuotaSettings, Usages, payer_of
from services.documents.uploads import UploadRow, Uploads
from services.documents.versions import VersionRow, Versions


class UploadSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}UPLOADS_")

    max_bytes: int = Field(default=5 * 1024**3, ge=1, description="of a document")
    part_bytes: int = Field(default=8 * 1024**2, ge=1024**2, description="of a part")
    seconds: int = Field(default=86_400, ge=60, le=6 * 86_400, description="until it is forgotten")
    owner_limit: int = Field(default=20, ge=1, description="that one owner may have open")


class Uploading:
    """What a depositor does with uploads."""

    def __init__(
        self,
        db: Transactions,
        events: Publisher,
        quarantine: Quarantine,
        checks: Checks,
        settings: UploadSettings,
        quotas: QuotaSettings,
    ) -> None:
        self._db, self._events, self._quarantine = db, events, quarantine
        self._checks, self._settings, self._quotas = checks, settings, quotas

    def open(
        self, acting: Acting, announced: Announcement, version_of: str = ""
    ) -> uploads_pb2.Upload:
        """`version_of`: the caller's document that it becomes a version of. Its size counts as the
        caller's usage from now on.

        Raises:
            InvalidInput, TooLarge: what is announced cannot be deposited; or a representative would
            give a version. TooMany: too many are open. NotFound: there is no such document.
            Conflict: it is in the trash. OverQuota: there is no room.
        """
        self._require(announced)
        if version_of and acting.mandate_id:
            # It would replace what the owner has: more than to deposit for them.
            raise InvalidInput.field(
                "version_of", "OWNER_ONLY", "leave it out: only its owner gives it a version"
            )
        owner_id, payer = uuid.UUID(acting.principal_id), payer_of(acting)
        row = UploadRow(
            document_id=uuid.uuid4(),
            owner_id=owner_id,
            name=clean_name(announced.name),
            media_type=announced.media_type,
            size_bytes=announced.size_bytes,
            sha256=announced.sha256,
            expire_time=datetime.now(UTC) + timedelta(seconds=self._settings.seconds),
            version_of=uuid.UUID(version_of) if version_of else None,
            payer=payer,
        )
        event = events_pb2.DepositOpened(
            document_id=str(row.document_id), owner_id=str(owner_id), size_bytes=row.size_bytes
        )
        event.expire_time.FromDatetime(row.expire_time)
        with self._db.transaction() as session:
            uploads = Uploads(session)
            if uploads.count(owner_id) >= self._settings.owner_limit:
                raise TooMany("Too many uploads are open: complete or abandon one.")
            if version_of:
                Documents(session).of_owner(version_of, owner_id).require_not_trashed()
            uploads.add(row)
            session.flush()
            Usages(session, self._quotas).require(payer)
            self._events.publish(event)
        return self._told(row, {})

    def get(self, owner_id: uuid.UUID, document_id: str) -> uploads_pb2.Upload:
        """Raises:
        NotFound: it is none of this owner's, or no longer.
        """
        with self._db.transaction() as session:
            row = Uploads(session).owned(document_id, owner_id)
        return self._told(row, self._quarantine.sizes(document_id))

    def complete(
        self,
        owner_id: uuid.UUID,
        document_id: str,
        sha256: str,
        record: Callable[[ContentRow], None],
    ) -> ContentRow:
        """The document, or the version, that an upload becomes, or became. `sha256`: "" where it
        was told before. `record` is called in the transaction that gives it.

        Raises:
            InvalidInput: the SHA-256 was never told, or another one before.
            NotFound: as above; or the document is gone that it was to be a version of.
            Conflict: a part is missing; or that document is in the trash.
        """
        sizes = self._quarantine.sizes(document_id)
        with self._db.transaction() as session:
            done = Versions(session).deposited(uuid.UUID(document_id), owner_id)
            if done is not None:
                record(done)
                return done
            row = Uploads(session).owned(document_id, owner_id, lock=True)
            row.sha256 = _agreed(row.sha256, sha256)
            missing = [part for part in self._parts(row) if sizes.get(part.key) != part.size]
            if missing:
                raise Conflict(
                    f"{len(missing)} parts are missing: GET the upload to see which.",
                    reason="UPLOAD_INCOMPLETE",
                )
            made = _added(session, row)
            Uploads(session).remove(row)
            record(made)
            self._events.publish(made.received())
            after_commit(self._checks.ring)
        return made

    def abandon(self, owner_id: uuid.UUID, document_id: str) -> None:
        """Raises:
        NotFound: as above.
        """
        with self._db.transaction() as session:
            self._forget(Uploads(session), Uploads(session).owned(document_id, owner_id, lock=True))
        self._quarantine.empty(document_id)

    def forget_expired(self) -> bool:
        """Forgets uploads whose time is over; true when there were some."""
        with self._db.transaction() as session:
            rows = Uploads(session).expired()
            for row in rows:
                self._forget(Uploads(session), row, expired=True)
        for row in rows:
            # What is left should this fail goes by the bucket's own rule.
            self._quarantine.empty(str(row.document_id))
        return bool(rows)

    def _forget(self, uploads: Uploads, row: UploadRow, *, expired: bool = False) -> None:
        uploads.remove(row)
        self._events.publish(
            events_pb2.DepositAbandoned(
                document_id=str(row.document_id), owner_id=str(row.owner_id), expired=expired
            )
        )

    def _require(self, announced: Announcement) -> None:
        if not announced.size_bytes:
            raise InvalidInput.field("header.size_bytes", "REQUIRED", "is required")
        limit = self._checks.limit(self._settings.max_bytes)
        if announced.size_bytes > limit:
            description = f"a document holds at most {limit} bytes"
            raise TooLarge(
                description, fields=[FieldViolation("header.size_bytes", "TOO_LARGE", description)]
            )

    def _parts(self, row: UploadRow) -> list[Part]:
        return parts(str(row.document_id), row.size_bytes, self._settings.part_bytes)

    def _told(self, row: UploadRow, sizes: dict[str, int]) -> uploads_pb2.Upload:
        upload = uploads_pb2.Upload(
            document_id=str(row.document_id),
            size_bytes=row.size_bytes,
            version_of=str(row.version_of or ""),
        )
        upload.expire_time.FromDatetime(row.expire_time)
        for part in self._parts(row):
            told = upload.parts.add(offset=part.offset, size_bytes=part.size)
            told.present = sizes.get(part.key) == part.size
            if not told.present:
                form = self._quarantine.form(part.key, part.size, row.expire_time)
                told.url = form.url
                for name, value in form.fields.items():
                    told.fields.add(name=name, value=value)
        return upload


def _agreed(before: str, now: str) -> str:
    """The SHA-256 of an upload, told when it was opened, when it is completed, or both times.

    Raises:
        InvalidInput: never, or one and another.
    """
    if not before and not now:
        raise InvalidInput.field("sha256", "REQUIRED", "is required, as it was not told before")
    if before and now and before != now:
        raise InvalidInput.field("sha256", "MISMATCH", "is not what the upload was opened with")
    return now or before


def _added(session: Session, upload: UploadRow) -> ContentRow:
    """What an upload becomes."""
    facts: dict[str, Any] = {
        "owner_id": upload.owner_id,
        "name": upload.name,
        "media_type": upload.media_type,
        "size_bytes": upload.size_bytes,
        "sha256": upload.sha256,
        "payer": upload.payer,
        "quarantined": True,
        "traceparent": telemetry.traceparent(),
    }
    if upload.version_of is None:
        document = DocumentRow(document_id=upload.document_id, **facts)
        Documents(session).add(document)
        return document
    onto = Documents(session).of_owner(str(upload.version_of), upload.owner_id, lock=True)
    version = VersionRow(document_id=uuid.uuid4(), content_id=upload.document_id, **facts)
    Versions(session).add(onto, version)
    return version
