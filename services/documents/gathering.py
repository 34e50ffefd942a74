"""Gathers what all services hold about a person into one ZIP, which becomes a document of theirs.

A try that dies is taken up by another, from its beginning, once it has told nothing for a while;
its number keeps the one that was thought dead from finishing beside it.
"""

import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Protocol, TypeVar

import grpc
from administration.documents.v1 import events_pb2
from administration.documents.v1.boxes_pb2 import GetBoxResponse
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from backbone.database import Transactions
from backbone.errors import DomainError
from backbone.events import Publisher
from services.documents.archive import File, zipped
from services.documents.boxes.boxes import Boxes
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, Documents, State
from services.documents.domain.deposit import Announcement, Intake
from services.documents.exports import ExportRow, Exports, failed
from services.documents.exports import State as ExportState
from services.documents.retention.destructions import Destructions
from services.documents.retention.keeping import Keeping
from services.documents.sharing.sharing import Shares
from services.documents.unpacking.unpackings import Unpackings
from services.documents.versions import Versions, to_proto

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/zip"
KEPT = timedelta(days=7)
PAGE = 200
# Told this often at most, and well before the end of a lease.
TELL_SECONDS = 1.0
OWN = "documents"
README = """\
Vos données personnelles
========================

Cette archive contient ce que les services de l'administration conservent à votre sujet, à la date
de votre demande : un dossier par service, des fichiers JSON (un enregistrement par ligne), et vos
documents tels que vous les avez déposés.

Elle a été placée dans votre coffre ; elle y sera détruite au bout de sept jours.
"""


class PersonalData(Protocol):
    """A page of what a service holds: each service has a message of its own for it."""

    file: str
    next_page_token: str

    @property
    def records(self) -> Iterable[str]: ...


Item = TypeVar("Item")
# Asks a service for a page of what it holds, by account and token.
Provider = Callable[[str, str], PersonalData]


class Superseded(Exception):
    """Another try has taken the export over, or it is gone."""


class Gathering:
    """What a process does about exports. `providers` by the service's name."""

    def __init__(
        self,
        db: Transactions,
        events: Publisher,
        contents: Contents,
        providers: Mapping[str, Provider],
    ) -> None:
        self._db, self._events, self._contents = db, events, contents
        self._providers = providers

    def step(self) -> bool:
        """One try of one export that is due; false when there was none."""
        with self._db.transaction() as session:
            row = Exports(session).claim()
        if row is None:
            return False
        try:
            self._gather(row)
        except Superseded:
            log.warning("export %s: another try goes on with it", row.export_id)
        except (grpc.RpcError, DomainError) as error:
            log.warning("export %s: try %d: %s", row.export_id, row.attempts, type(error).__name__)
            with self._db.transaction() as session:
                if held := Exports(session).held(row.export_id, row.attempts):
                    failed(held)
        return True

    def _gather(self, export: ExportRow) -> None:
        document = DocumentRow(
            document_id=uuid.uuid4(),
            owner_id=export.account_id,
            name=f"mes-donnees-{datetime.now(UTC):%Y-%m-%d}.zip",
            media_type=MEDIA_TYPE,
            state=State.AVAILABLE,
        )
        told = _Progress(self._db, export)
        chunks = zipped(self._files(str(export.account_id), told))
        intake = Intake(Announcement(document.name, MEDIA_TYPE), chunks, sys.maxsize)
        self._contents.take(document, intake)
        with self._db.transaction() as session:
            held = Exports(session).held(export.export_id, export.attempts)
            if held is None:
                raise Superseded
            document.expire_time = held.expire_time = datetime.now(UTC) + KEPT
            Documents(session).add(document)
            held.state, held.document_id, held.parts = (
                ExportState.READY,
                document.document_id,
                told.parts,
            )
            event = events_pb2.ExportReady(
                export_id=str(held.export_id),
                account_id=str(held.account_id),
                document_id=str(document.document_id),
            )
            event.expire_time.FromDatetime(document.expire_time)
            self._events.publish(event)

    def _files(self, account_id: str, told: "_Progress") -> Iterator[File]:
        yield File("LISEZ-MOI.txt", [README.encode()])
        for service, provider in self._providers.items():
            records = _records(provider, account_id)
            for name, group in groupby(records, key=itemgetter(0)):
                lines = (record for _, record in group)
                yield File(f"{service}/{name}.jsonl", _lines(told.counting(service, lines)))
            told.complete(service)
        rows = list(self._documents(account_id))
        described = (MessageToJson(row.to_owner(), indent=None) for row in rows)
        yield File(f"{OWN}/documents.jsonl", _lines(described))
        with self._db.transaction() as session:
            others = Versions(session).beside(uuid.UUID(account_id))
        beside = self._beside_documents(account_id)
        beside["versions"] = (to_proto(row) for row in [*rows, *others])
        for name, messages in beside.items():
            lines = (MessageToJson(message, indent=None) for message in messages)
            yield File(f"{OWN}/{name}.jsonl", _lines(told.counting(OWN, lines)))
        readable = (row for row in [*rows, *others] if row.state == State.AVAILABLE)
        for row in told.counting(OWN, readable):
            content = self._contents.get(row, 0, row.size_bytes)
            folder = f"{OWN}/{row.told_id}" + (f"/{row.version}" if row.version_of else "")
            yield File(f"{folder}/{row.name}", content, compress=False)
        told.complete(OWN)

    def _documents(self, account_id: str) -> Iterator[DocumentRow]:
        """What the person deposited, the trash included, without earlier exports."""
        for rows in (
            self._pages(lambda s, t: Documents(s).page(account_id, PAGE, t)),
            self._pages(lambda s, t: Keeping(s).trash(account_id, PAGE, t)),
        ):
            yield from (row for row in rows if row.expire_time is None)

    def _beside_documents(self, account_id: str) -> dict[str, Iterator[Message]]:
        """What is held beside the documents, by the name of its file."""
        account = uuid.UUID(account_id)

        def boxes(session: Session, token: str) -> tuple[list[Message], str]:
            found = Boxes(session)
            rows, following = found.depositors_page(account_id, 0, token)
            told = [GetBoxResponse(box=row.to_proto(), own=found.own(row, account)) for row in rows]
            return list(told), following

        destroyed = self._pages(lambda s, t: Destructions(s, account).page(PAGE, t))
        unpacked = self._pages(
            lambda session, token: Unpackings(session).owned_page(account_id, token)
        )
        given = self._pages(lambda session, token: Shares(session).owned_page(account_id, token))
        return {
            "destructions": (row.to_proto() for row in destroyed),
            "unpacked_entries": (row.to_proto() for row in unpacked),
            "shares": (row.to_proto() for row in given),
            "shared_with_me": self._pages(
                lambda session, token: Shares(session).received_by_account(account_id, token)
            ),
            "boxes": self._pages(boxes),
        }

    def _pages(self, page: Callable[[Session, str], tuple[Iterable[Item], str]]) -> Iterator[Item]:
        token = ""
        while True:
            with self._db.transaction() as session:
                items, token = page(session, token)
            yield from items
            if not token:
                return


class _Progress:
    """What a try has gathered, told now and then, which also keeps its lease."""

    def __init__(self, db: Transactions, export: ExportRow) -> None:
        self._db = db
        self._export_id, self._attempt = export.export_id, export.attempts
        self._told = time.monotonic()
        self.parts: dict[str, tuple[int, bool]] = {}

    def counting(self, service: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each counted when it has been dealt with."""
        for item in items:
            yield item
            count, _ = self.parts.get(service, (0, False))
            self.parts[service] = (count + 1, False)
            if time.monotonic() - self._told > TELL_SECONDS:
                self._tell()

    def complete(self, service: str) -> None:
        count, _ = self.parts.get(service, (0, False))
        self.parts[service] = (count, True)
        self._tell()

    def _tell(self) -> None:
        """Raises:
        Superseded: this try has lost its lease, and another has begun.
        """
        with self._db.transaction() as session:
            held = Exports(session).held(self._export_id, self._attempt)
            if held is None:
                raise Superseded
            Exports(session).prolong(held, dict(self.parts))
        self._told = time.monotonic()


def _records(provider: Provider, account_id: str) -> Iterator[tuple[str, str]]:
    token = ""
    while True:
        page = provider(account_id, token)
        yield from ((page.file, record) for record in page.records)
        token = page.next_page_token
        if not token:
            return


def _lines(records: Iterable[str]) -> Iterator[bytes]:
    for record in records:
        yield record.encode() + b"\n"
