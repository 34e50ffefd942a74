"""A vault of a test's own, in its process: the real service class, PostgreSQL, antivirus and S3
server, with a schema and buckets of its own. Its loops run when the test says so; of what it stands
on, only the keyring is a fake.
"""

import math
import os
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
from administration.documents.v1 import deposits_pb2, documents_pb2, uploads_pb2
from administration.documents.v1.uploads_pb2 import Upload
from sqlalchemy import delete, text, update

from backbone.acting import Acting
from backbone.tokens import Caller
from services.documents.antivirus import AntivirusSettings, Clamd
from services.documents.checking import Checker, Checks, CheckSettings
from services.documents.contents import Contents
from services.documents.documents import DocumentRow
from services.documents.fakes import MemoryKeyring
from services.documents.keys import OwnerKeys
from services.documents.quarantine import QuarantineSettings, S3Quarantine
from services.documents.quotas import QuotaSettings
from services.documents.s3 import StorageSettings, connect, content
from services.documents.service import DocumentsService, VaultSettings
from services.documents.store import S3Store
from services.documents.uploading import UploadSettings
from tests.support import vault
from tests.support.events import Scratch
from tests.support.processes import BACKBONE

STATES = deposits_pb2.DocumentState


class OwnVault:
    """What a depositor does, and the checker's steps."""

    def __init__(self, stack: dict[str, Any], scratch: Scratch, storage: StorageSettings) -> None:
        self.db, self.storage = scratch.transactions, storage
        self._client = connect(storage)
        self.owner = str(uuid.uuid4())
        quarantine = QuarantineSettings(bucket=f"{storage.bucket}-quarantine")
        known = stack["services"]["documents"]["environment"]
        antivirus = Clamd(AntivirusSettings(address=known["BACKBONE_ANTIVIRUS_ADDRESS"]))
        self.store, self.quarantine = S3Store(storage), S3Quarantine(storage, quarantine)
        self.store.ensure_bucket()
        self.quarantine.ensure_bucket()
        self.service = service = DocumentsService()
        service.db, service.events = self.db, scratch.publisher
        service.store, service.quarantine = self.store, self.quarantine
        service.keys = OwnerKeys(MemoryKeyring())
        service.checks = Checks(antivirus, CheckSettings().policy())
        service.settings, service.upload_settings = VaultSettings(), UploadSettings()
        service.quotas = QuotaSettings()
        owner = Caller(self.owner, "portal", frozenset({"citizen"}), "", math.inf, "")
        service.call = SimpleNamespace(acting=Acting(owner, self.owner))  # type: ignore[assignment]

    def deposit(self, data: bytes) -> str:
        """Streams a document in; its identifier."""
        return self.stream(vault.chunks(data), len(data), vault.sha256(data))

    def stream(self, chunks: Iterable[bytes], size: int, sha256: str = "") -> str:
        """The same, in chunks that nobody holds together."""
        messages = vault.requests(chunks, size_bytes=size, sha256=sha256)
        document_id: str = self.service.deposit_document(messages).document.document_id
        return document_id

    def open_upload(self, data: bytes) -> Upload:
        header = uploads_pb2.OpenUploadRequest.Header(
            name="acte.pdf",
            media_type="application/pdf",
            size_bytes=len(data),
            sha256=vault.sha256(data),
        )
        upload: Upload = self.service.open_upload(
            uploads_pb2.OpenUploadRequest(header=header)
        ).upload
        return upload

    def send(self, upload: Upload, data: bytes) -> None:
        """Each part, as its form says."""
        assert all(self.try_to_send(upload, data))

    def try_to_send(self, upload: Upload, data: bytes) -> list[bool]:
        """The same, and of each part whether it was taken."""
        taken = []
        for part in upload.parts:
            fields = {field.name: field.value for field in part.fields}
            piece = data[part.offset : part.offset + part.size_bytes]
            answer = httpx.post(part.url, data=fields, files={"file": ("part", piece)}, timeout=60)
            taken.append(answer.status_code < 300)
        return taken

    def complete(self, upload: Upload) -> str:
        request = uploads_pb2.CompleteUploadRequest(document_id=upload.document_id)
        document_id: str = self.service.complete_upload(request).document.document_id
        return document_id

    def step(self) -> bool:
        """One step of the checker, whatever pause the deposits had still to wait."""
        with self.db.transaction() as session:
            session.execute(update(DocumentRow).values(check_time=text("now()")))
        service = self.service
        return Checker(
            self.db,
            service.events,
            service.store,
            Contents(service.store, service.keys),
            service.quarantine,
            service.checks,
        ).step()

    def state(self, document_id: str) -> tuple[str, str]:
        """The state of a document and the reason of its refusal, as their owner sees them."""
        request = documents_pb2.GetDocumentRequest(document_id=document_id)
        document = self.service.get_document(request).document
        return (
            STATES.Name(document.state).removeprefix("DOCUMENT_STATE_"),
            deposits_pb2.RefusalReason.Name(document.refusal_reason).removeprefix(
                "REFUSAL_REASON_"
            ),
        )

    def objects(self) -> list[str]:
        """The keys of the bucket of documents, hidden versions included."""
        found = self._client.list_objects(
            bucket_name=self.storage.bucket, recursive=True, include_version=True
        )
        return [str(item.object_name) for item in found]

    def object(self, key: str) -> bytes:
        """What the store holds."""
        return b"".join(content(self._client, self.storage.bucket, key))

    def write(self, key: str, data: bytes) -> None:
        """Puts other bytes in the place of an object."""
        self.store.put(key, [data], "application/octet-stream")

    def forget(self) -> None:
        """Removes all that this vault has, and its buckets."""
        for key in set(self.objects()):
            self.store.delete(key)
        for bucket in (self.storage.bucket, f"{self.storage.bucket}-quarantine"):
            for item in list(self._client.list_objects(bucket_name=bucket, recursive=True)):
                self._client.remove_object(bucket_name=bucket, object_name=str(item.object_name))
            self._client.remove_bucket(bucket_name=bucket)
        with self.db.transaction() as session:
            session.execute(delete(DocumentRow))

    def listed(self) -> list[str]:
        answer = self.service.list_documents(documents_pb2.ListDocumentsRequest())
        return [document.document_id for document in answer.documents]

    def read(self, document_id: str) -> bytes:
        request = documents_pb2.ReadContentRequest(document_id=document_id)
        return b"".join(message.chunk for message in self.service.read_content(request))


@contextmanager
def own_schema(stack: dict[str, Any]) -> Iterator[Scratch]:
    """A schema with the tables of documents."""
    opened = Scratch(stack, f"essai_{uuid.uuid4().hex}")
    with opened.engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {opened.schema}"))
    try:
        environment = {**os.environ, "BACKBONE_DATABASE_URL": opened.url()}
        subprocess.run((BACKBONE, "migrate", "documents"), env=environment, check=True)
        yield opened
    finally:
        with opened.engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {opened.schema} CASCADE"))
        opened.engine.dispose()
