"""Notifications on real components: the inbox, live and kept, and the e-mail."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from administration.documents.v1 import documents_pb2
from administration.notifications.v1 import notifications_pb2

from tests.support import vault
from tests.support.kafka import header, internal_options, tap
from tests.support.mailbox import Mailbox
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, refusal
from tests.support.tables import Tables

DEPOSITED = "Votre document est dans votre coffre"
Entry = notifications_pb2.InboxEntry


class Watch:
    """An inbox, watched on a thread of its own."""

    def __init__(self, notifications: Client, token: str, after: int = 0) -> None:
        self.seen: list[notifications_pb2.WatchInboxResponse] = []
        request = notifications_pb2.WatchInboxRequest(after_sequence=after)
        self._call = notifications.start("watch_inbox", request, token=token, timeout=300)
        # Admitted: whatever happens from now on is seen.
        self._call.initial_metadata()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        # Ends by `close`, which cancels.
        with contextlib.suppress(grpc.RpcError):
            self.seen.extend(self._call)

    def sequences(self) -> list[int]:
        return [message.sequence for message in self.seen]

    def until(self, count: int) -> list[int]:
        eventually(lambda: len(self.seen) >= count, what=f"{count} entries")
        return self.sequences()

    def close(self) -> None:
        self._call.cancel()
        self._thread.join(20)


@pytest.fixture
def watch(notifications: Client, token: str) -> Iterator[Watch]:
    opened = Watch(notifications, token)
    yield opened
    opened.close()


def inbox(notifications: Client, token: str, **values: Any) -> notifications_pb2.ListInboxResponse:
    request = notifications_pb2.ListInboxRequest(**values)
    answer: notifications_pb2.ListInboxResponse = notifications.list_inbox(request, token=token)
    return answer


def test_a_deposit_is_told_live_in_the_inbox_and_by_mail(
    documents: Client,
    notifications: Client,
    person: Person,
    token: str,
    watch: Watch,
    mailbox: Mailbox,
) -> None:
    document_id = vault.deposit(
        documents, token, vault.unique_bytes(), name="Divorce.pdf"
    ).document_id
    assert watch.until(1) == [1]
    entry = watch.seen[0].entry
    assert (entry.kind, entry.entity_id, entry.sequence) == ("DocumentDeposited", document_id, 1)
    assert entry.subject == DEPOSITED
    assert document_id in entry.body
    assert list(inbox(notifications, token).entries) == [entry]

    mail = mailbox.wait(person.email, DEPOSITED)
    assert person.name in str(mail["To"])
    content = mail.get_content()
    assert f"Bonjour {person.name}" in content
    assert document_id in content
    assert "Divorce" not in content + entry.body
    assert mail["Auto-Submitted"] == "auto-generated"
    assert len(mailbox.to(person.email)) == 1


def test_a_share_is_told_to_the_owner_alone(
    documents: Client, notifications: Client, person: Person, token: str, realm: Realm,
    mailbox: Mailbox,
) -> None:  # fmt: skip
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    request = documents_pb2.ShareDocumentRequest(
        document_id=document_id, administration="caf-martinique", purpose="Mon divorce"
    )
    request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    documents.share_document(request, token=token)
    eventually(lambda: len(inbox(notifications, token).entries) == 2)
    newest, oldest = inbox(notifications, token).entries
    assert (newest.kind, oldest.kind) == ("DocumentShared", "DocumentDeposited")
    assert "caf-martinique" in newest.body
    mail = mailbox.wait(person.email, "Votre document est partagé")
    assert "divorce" not in mail.get_content() + newest.body
    with realm.person() as other:
        assert list(inbox(notifications, realm.token_of(other)).entries) == []


def test_a_mail_that_was_taken_is_published(
    documents: Client, person: Person, token: str, stack: dict[str, Any]
) -> None:
    with tap(internal_options(stack), "administration.notifications.v1.Delivery") as topic:
        vault.deposit(documents, token, vault.unique_bytes())
        (record,) = topic.until(lambda r: person.account_id.encode() in r.value)
    assert header(record, "ce_type") == "administration.notifications.v1.EmailAccepted"
    assert person.email not in str(record)


def test_a_watcher_resumes_after_the_last_sequence_it_saw(
    documents: Client, notifications: Client, token: str
) -> None:
    first = Watch(notifications, token)
    for count in (1, 2):
        vault.deposit(documents, token, vault.unique_bytes())
        assert first.until(count) == list(range(1, count + 1))
    first.close()
    vault.deposit(documents, token, vault.unique_bytes())
    eventually(lambda: len(inbox(notifications, token).entries) == 3)
    second, whole = Watch(notifications, token, after=2), Watch(notifications, token)
    assert second.until(1) == [3]
    assert whole.until(3) == [1, 2, 3]
    vault.deposit(documents, token, vault.unique_bytes())
    assert second.until(2) == [3, 4]
    assert whole.until(4) == [1, 2, 3, 4]
    second.close()
    whole.close()


def test_an_inbox_is_listed_page_by_page_newest_first(
    documents: Client, notifications: Client, token: str
) -> None:
    for _ in range(3):
        vault.deposit(documents, token, vault.unique_bytes())
    eventually(lambda: len(inbox(notifications, token).entries) == 3)
    first = inbox(notifications, token, page_size=2)
    assert [entry.sequence for entry in first.entries] == [3, 2]
    last = inbox(notifications, token, page_size=2, page_token=first.next_page_token)
    assert [entry.sequence for entry in last.entries] == [1]
    assert last.next_page_token == ""
    # The next page stays the next page whatever arrives before it.
    vault.deposit(documents, token, vault.unique_bytes())
    eventually(lambda: len(inbox(notifications, token).entries) == 4)
    again = inbox(notifications, token, page_size=2, page_token=first.next_page_token)
    assert list(again.entries) == list(last.entries)


def test_a_person_reads_in_their_own_language(
    documents: Client, notifications: Client, realm: Realm, mailbox: Mailbox
) -> None:
    with realm.person(locale="en") as english:
        token = realm.token_of(english)
        vault.deposit(documents, token, vault.unique_bytes())
        eventually(lambda: inbox(notifications, token).entries)
        assert inbox(notifications, token).entries[0].subject == "Your document is in your vault"
        mail = mailbox.wait(english.email, "Your document is in your vault")
        assert mail.get_content().startswith("Hello ")


def test_nothing_is_sent_to_an_address_that_was_not_verified(
    documents: Client,
    notifications: Client,
    person: Person,
    token: str,
    realm: Realm,
    mailbox: Mailbox,
    database: Tables,
) -> None:
    realm.doubt_address(person)
    vault.deposit(documents, token, vault.unique_bytes())
    eventually(lambda: inbox(notifications, token).entries)
    query = "SELECT 1 FROM notifications.deliveries WHERE account_id = %s AND state = 'unreachable'"
    eventually(lambda: database.count(query, person.account_id) == 1)
    assert mailbox.to(person.email) == []


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"page_size": 201}, {"page_size": "MAXIMUM"}),
        ({"page_token": "WyJhIl0"}, {"page_token": "PAGE_TOKEN"}),
    ],
)
def test_a_wrong_page_of_an_inbox_is_refused_by_its_field(
    values: dict[str, Any], fields: dict[str, str], notifications: Client, citizen_token: str
) -> None:
    refused = refusal(lambda: inbox(notifications, citizen_token, **values))
    assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)


def test_a_watch_from_before_the_beginning_is_refused_by_its_field(
    notifications: Client, citizen_token: str
) -> None:
    request = notifications_pb2.WatchInboxRequest(after_sequence=-1)
    refused = refusal(lambda: list(notifications.watch_inbox(request, token=citizen_token)))
    assert refused.fields == {"after_sequence": "MINIMUM"}
