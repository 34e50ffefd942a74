"""The journal, as identity stores it, within one transaction.

One writer at a time appends, so that numbers have no gap and each line follows from the one
before it; see `services.identity.domain.journal` for what that proves.
"""

import secrets
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from administration.identity.v1 import events_pb2, journal_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from sqlalchemy import BigInteger, DateTime, LargeBinary, String, select, text, update
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from services.identity.consents import ConsentRow
from services.identity.domain import journal
from services.identity.domain.journal import Line
from services.identity.organisations import OrganisationRow
from services.identity.signing import Signer

# The `typ` of a seal.
SEAL = "journal+jws"
BATCH = 1000
_LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtext('identity.journal'), hashtext(current_schema()))"
)


class LineRow(Base):
    __tablename__ = "journal_lines"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    person_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    record: Mapped[str | None] = mapped_column(String)
    salt: Mapped[bytes | None] = mapped_column(LargeBinary)
    commitment: Mapped[bytes] = mapped_column(LargeBinary)
    record_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    head: Mapped[bytes] = mapped_column(LargeBinary)
    seal: Mapped[str] = mapped_column(String)

    def to_domain(self) -> Line:
        return Line(
            self.number,
            str(self.person_id) if self.person_id else None,
            self.record,
            self.salt,
            self.commitment,
            self.record_time,
            self.head,
            self.seal,
        )

    def event(self) -> events_pb2.PersonalDataAccessed:
        said = orjson.loads(self.record or "{}")["access"]
        return ParseDict(said, events_pb2.PersonalDataAccessed(), ignore_unknown_fields=True)


class Journal:
    """The chain within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def append(
        self, source: str, access: events_pb2.PersonalDataAccessed, signer: Signer, issuer: str
    ) -> None:
        """The next line: what `source` (a service) said."""
        said = {
            "access": MessageToDict(access),
            "person_id": access.person_id,
            "source": source,
        }
        self._append(uuid.UUID(access.person_id), said, signer, issuer)

    def forget(self, account_id: str, signer: Signer, issuer: str) -> int:
        """Takes away what the lines of a person say, and appends a line that tells which; how
        many. Their places stay, and the chain holds.
        """
        numbers = self._session.scalars(
            update(LineRow)
            .where(LineRow.person_id == uuid.UUID(account_id))
            .values(person_id=None, record=None, salt=None)
            .returning(LineRow.number)
        ).all()
        if numbers:
            said = {"action": journal.FORGET, "lines": sorted(numbers), "person_id": None}
            self._append(None, said, signer, issuer)
        return len(numbers)

    def last(self) -> LineRow | None:
        return self._session.scalar(select(LineRow).order_by(LineRow.number.desc()).limit(1))

    def lines(self) -> Iterator[Line]:
        """Every line in its order, in bounded memory."""
        query = select(LineRow).order_by(LineRow.number).execution_options(yield_per=BATCH)
        for row in self._session.scalars(query):
            yield row.to_domain()

    def page(
        self, account_id: str, page_size: int, page_token: str
    ) -> tuple[Sequence[LineRow], str]:
        """A person's lines, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(LineRow).where(LineRow.person_id == uuid.UUID(account_id))
        return paging.newest_first(self._session, query, (LineRow.number,), page_size, page_token)

    def entries(self, rows: Iterable[LineRow]) -> list[journal_pb2.JournalEntry]:
        """Lines as their person reads them: with the names of administrations and the purposes of
        consents, and without the names of agents.
        """
        events = [(row.number, row.event()) for row in rows]
        names = self._names({event.administration for _, event in events})
        purposes = self._purposes(
            {e.grounds_id for _, e in events if e.grounds == journal_pb2.GROUNDS_CONSENT}
        )
        return [
            journal_pb2.JournalEntry(
                line=number,
                access_time=event.access_time,
                actor_kind=event.actor_kind,
                actor_id=event.actor_id
                if event.actor_kind == journal_pb2.ACTOR_KIND_PERSON
                else "",
                administration=event.administration,
                administration_name=names.get(event.administration, ""),
                action=event.action,
                resource_type=event.resource_type,
                resource_id=event.resource_id,
                grounds=event.grounds,
                grounds_id=event.grounds_id,
                purpose=purposes.get(event.grounds_id, ""),
            )
            for number, event in events
        ]

    def _names(self, aliases: set[str]) -> dict[str, str]:
        query = select(OrganisationRow.alias, OrganisationRow.name)
        rows = self._session.execute(query.where(OrganisationRow.alias.in_(aliases)))
        return {row.alias: row.name for row in rows}

    def _purposes(self, consent_ids: set[str]) -> dict[str, str]:
        query = select(ConsentRow.consent_id, ConsentRow.purpose)
        keys = [uuid.UUID(each) for each in consent_ids]
        rows = self._session.execute(query.where(ConsentRow.consent_id.in_(keys)))
        return {str(row.consent_id): row.purpose for row in rows}

    def _append(
        self, person_id: uuid.UUID | None, said: dict[str, Any], signer: Signer, issuer: str
    ) -> None:
        self._session.execute(_LOCK)
        before = self.last()
        number = before.number + 1 if before else 1
        record, salt, now = (
            journal.written(said),
            secrets.token_bytes(journal.SALT_BYTES),
            datetime.now(UTC),
        )
        committed = journal.commitment(salt, record)
        head = journal.head(before.head if before else journal.START, number, now, committed)
        statement = {"iss": issuer, "line": number, "head": head.hex()}
        self._session.add(
            LineRow(
                number=number,
                person_id=person_id,
                record=record,
                salt=salt,
                commitment=committed,
                record_time=now,
                head=head,
                seal=signer.sign(SEAL, statement),
            )
        )
        self._session.flush()
