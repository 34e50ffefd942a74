"""Drop boxes on real components: who is asked, who sees what, what is missing, who is reminded."""

import os
import signal
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import boxes_pb2, documents_pb2, sharing_pb2
from administration.documents.v1.boxes_pb2 import Box, BoxDepositor, HandIn

import deploy.local
from tests.support import vault
from tests.support.files import bomb
from tests.support.organisations import Side, agent
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, refusal
from tests.support.shares import listed, revoke
from tests.support.tables import Tables

VILLE = "ville-fort-de-france"
TITLE, MESSAGE = "Dossier de Mme Éloïse", "Déposez vos pièces pour l’inscription."
PIECES = [
    {"piece_id": "identite", "label": "Pièce d’identité", "required": True,
     "media_types": ["application/pdf", "image/png"], "max_bytes": 100_000},
    {"piece_id": "domicile", "label": "Justificatif de domicile", "required": True},
    {"piece_id": "photo", "label": "Photo"},
]  # fmt: skip


@pytest.fixture
def clerk(realm: Realm) -> str:
    """The token of an agent of the town."""
    return realm.token("agent")


def asking(**values: Any) -> boxes_pb2.OpenBoxRequest:
    lasting = values.pop("lasting", timedelta(days=10))
    request = boxes_pb2.OpenBoxRequest(
        **{"title": TITLE, "message": MESSAGE, "pieces": PIECES, **values}
    )
    request.deadline.FromDatetime(datetime.now(UTC) + lasting)
    return request


def opened(documents: Client, clerk: str, **values: Any) -> Box:
    answer: boxes_pb2.OpenBoxResponse = documents.open_box(asking(**values), token=clerk)
    return answer.box


def seen(documents: Client, token: str, box_id: str) -> boxes_pb2.GetBoxResponse:
    answer: boxes_pb2.GetBoxResponse = documents.get_box(
        boxes_pb2.GetBoxRequest(box_id=box_id), token=token
    )
    return answer


def hand_in(documents: Client, token: str, box_id: str, piece_id: str, document_id: str) -> HandIn:
    request = boxes_pb2.HandInDocumentRequest(
        box_id=box_id, piece_id=piece_id, document_id=document_id
    )
    answer: boxes_pb2.HandInDocumentResponse = documents.hand_in_document(request, token=token)
    return answer.hand_in


def depositors(documents: Client, clerk: str, box_id: str) -> dict[str, BoxDepositor]:
    request = boxes_pb2.ListBoxDepositorsRequest(box_id=box_id)
    found = documents.list_box_depositors(request, token=clerk).depositors
    return {each.account_id: each for each in found}


def refuse(documents: Client, clerk: str, box_id: str, hand_in_id: str) -> HandIn:
    request = boxes_pb2.RefuseHandInRequest(
        box_id=box_id, hand_in_id=hand_in_id, explanation="La page 2 est illisible."
    )
    answer: boxes_pb2.RefuseHandInResponse = documents.refuse_hand_in(request, token=clerk)
    return answer.hand_in


def notices(gateway: httpx.Client, token: str, kind: str) -> list[dict[str, Any]]:
    answer = gateway.get("/v1/inbox", headers={"Authorization": f"Bearer {token}"})
    return [each for each in answer.json().get("entries", []) if each["kind"] == kind]


def test_what_is_asked_is_handed_in_refused_handed_in_again_and_complete(
    documents: Client, gateway: httpx.Client, person: Person, token: str, clerk: str
) -> None:
    box = opened(documents, clerk, account_id=person.account_id)
    assert (box.administration, box.state) == (VILLE, boxes_pb2.BOX_STATE_OPEN)
    days = box.access_end_time.ToDatetime() - box.deadline.ToDatetime()
    assert days == timedelta(days=90)
    (told,) = eventually(lambda: notices(gateway, token, "BoxOpened"))
    assert told["entityId"] == box.box_id
    assert VILLE in told["body"]
    assert TITLE not in str(told)
    mine = documents.list_my_boxes(boxes_pb2.ListMyBoxesRequest(), token=token).boxes
    assert [each.box_id for each in mine] == [box.box_id]
    found = seen(documents, token, box.box_id)
    assert (found.box.title, found.box.message) == (TITLE, MESSAGE)
    assert list(found.own.missing_piece_ids) == ["identite", "domicile"]

    data = vault.unique_bytes()
    document_id = vault.deposit(documents, token, data).document_id
    first = hand_in(documents, token, box.box_id, "identite", document_id)
    assert first.state == boxes_pb2.HAND_IN_STATE_THERE
    assert hand_in(documents, token, box.box_id, "identite", document_id) == first
    assert vault.read(documents, clerk, document_id)[1] == data
    (share,) = listed(documents, token, document_id)
    assert (share.box_id, share.administration) == (box.box_id, VILLE)
    assert share.expire_time == box.access_end_time
    there = depositors(documents, clerk, box.box_id)[person.account_id]
    assert list(there.hand_ins) == [first]
    assert list(there.missing_piece_ids) == ["domicile"]

    refused = refuse(documents, clerk, box.box_id, first.hand_in_id)
    assert refused.state == boxes_pb2.HAND_IN_STATE_REFUSED
    assert refuse(documents, clerk, box.box_id, first.hand_in_id) == refused
    gone = refusal(lambda: vault.read(documents, clerk, document_id))
    assert gone.reason == "DOCUMENT_NOT_FOUND"
    (told,) = eventually(lambda: notices(gateway, token, "HandInRefused"))
    assert "illisible" not in str(told)
    own = seen(documents, token, box.box_id).own
    assert [each.explanation for each in own.hand_ins] == ["La page 2 est illisible."]
    assert list(own.missing_piece_ids) == ["identite", "domicile"]

    better = vault.deposit(documents, token, vault.unique_bytes()).document_id
    for piece in ("identite", "domicile"):
        hand_in(documents, token, box.box_id, piece, better)
    assert not depositors(documents, clerk, box.box_id)[person.account_id].missing_piece_ids
    # A share like any other: its owner ends it, and the pieces are missing again.
    (share,) = listed(documents, token, better)
    revoke(documents, token, share)
    there = depositors(documents, clerk, box.box_id)[person.account_id]
    assert list(there.missing_piece_ids) == ["identite", "domicile"]
    assert [each.state for each in there.hand_ins][1:] == [boxes_pb2.HAND_IN_STATE_WITHDRAWN] * 2


def test_one_document_for_two_pieces_stays_readable_until_both_are_refused(
    documents: Client, person: Person, token: str, clerk: str
) -> None:
    box_id = opened(documents, clerk, account_id=person.account_id).box_id
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    both = [hand_in(documents, token, box_id, p, document_id) for p in ("identite", "domicile")]
    refuse(documents, clerk, box_id, both[0].hand_in_id)
    vault.read(documents, clerk, document_id)
    refuse(documents, clerk, box_id, both[1].hand_in_id)
    assert refusal(lambda: vault.read(documents, clerk, document_id)).code == (
        grpc.StatusCode.NOT_FOUND
    )
    (share,) = listed(documents, token, document_id)
    assert share.end == sharing_pb2.SHARE_END_RETURNED


def test_whoever_has_the_code_deposits_and_sees_nothing_of_the_others(
    documents: Client, realm: Realm, clerk: str, database: Tables
) -> None:
    answer: boxes_pb2.OpenBoxResponse = documents.open_box(asking(), token=clerk)
    box_id, code = answer.box.box_id, answer.code
    assert database.count("SELECT 1 FROM documents.boxes WHERE box_id = %s", box_id) == 1
    joining = boxes_pb2.JoinBoxRequest(code=code)
    with realm.person() as one, realm.person() as another, realm.person() as outsider:
        tokens = {each.account_id: realm.token_of(each) for each in (one, another)}
        for token in tokens.values():
            assert refusal(lambda: seen(documents, token, box_id)).reason == "BOX_NOT_FOUND"  # noqa: B023
            for _ in range(2):
                assert documents.join_box(joining, token=token).box.box_id == box_id
        handed_in = {}
        for account_id, token in tokens.items():
            document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
            handed_in[account_id] = hand_in(documents, token, box_id, "identite", document_id)
        for account_id, token in tokens.items():
            found = seen(documents, token, box_id)
            assert list(found.own.hand_ins) == [handed_in[account_id]]
            (other,) = set(tokens) - {account_id}
            assert other not in str(found)
            assert handed_in[other].document_id not in str(found)
            listing = boxes_pb2.ListBoxDepositorsRequest(box_id=box_id)
            assert (
                refusal(
                    lambda: documents.list_box_depositors(listing, token=token)  # noqa: B023
                ).code
                == grpc.StatusCode.PERMISSION_DENIED
            )
            refused = refusal(
                lambda: vault.read(documents, token, handed_in[other].document_id)  # noqa: B023
            )
            assert refused.reason == "DOCUMENT_NOT_FOUND"
        there = depositors(documents, clerk, box_id)
        assert {each: list(found.hand_ins) for each, found in there.items()} == {
            each: [handed_in[each]] for each in tokens
        }
        stranger = realm.token_of(outsider)
        for attempt in (
            lambda: seen(documents, stranger, box_id),
            lambda: hand_in(documents, stranger, box_id, "identite", str(uuid.uuid4())),
            lambda: documents.join_box(boxes_pb2.JoinBoxRequest(code="essai"), token=stranger),
        ):
            assert refusal(attempt).code == grpc.StatusCode.NOT_FOUND


def test_another_administration_sees_nothing_of_a_box(
    documents: Client, gateway: httpx.Client, realm: Realm, clerk: str, person: Person, token: str
) -> None:
    box_id = opened(documents, clerk, account_id=person.account_id).box_id
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    handed_in = hand_in(documents, token, box_id, "identite", document_id)
    admin = Side(gateway, realm.token("admin"))
    with realm.person() as other:
        agent(gateway, realm, admin, admin.created(), other)
        theirs = realm.fresh_token(other)
        closing = boxes_pb2.CloseBoxRequest(box_id=box_id)
        for attempt in (
            lambda: seen(documents, theirs, box_id),
            lambda: depositors(documents, theirs, box_id),
            lambda: refuse(documents, theirs, box_id, handed_in.hand_in_id),
            lambda: documents.close_box(closing, token=theirs),
        ):
            assert refusal(attempt).reason == "BOX_NOT_FOUND"
        boxes = documents.list_boxes(boxes_pb2.ListBoxesRequest(), token=theirs).boxes
        assert list(boxes) == []
    mine = documents.list_boxes(boxes_pb2.ListBoxesRequest(page_size=200), token=clerk).boxes
    assert box_id in {each.box_id for each in mine}


def test_what_a_piece_does_not_accept_is_refused_by_its_field(
    documents: Client, person: Person, token: str, clerk: str
) -> None:
    box_id = opened(documents, clerk, account_id=person.account_id).box_id
    text = vault.deposit(documents, token, b"du texte", name="a.txt", media_type="text/plain")
    large = vault.deposit(documents, token, vault.unique_bytes(100_001))
    for document, reason in ((text, "MEDIA_TYPE"), (large, "TOO_LARGE")):
        refused = refusal(
            lambda: hand_in(documents, token, box_id, "identite", document.document_id)  # noqa: B023
        )
        assert refused.fields == {"document_id": reason}
        # One that accepts anything.
        hand_in(documents, token, box_id, "domicile", document.document_id)
    refused = refusal(lambda: hand_in(documents, token, box_id, "bail", text.document_id))
    assert refused.reason == "PIECE_NOT_FOUND"


def test_a_document_is_handed_in_while_it_is_checked_and_seen_when_it_may_be_read(
    documents: Client, person: Person, token: str, clerk: str, gateway: httpx.Client
) -> None:
    box_id = opened(documents, clerk, account_id=person.account_id).box_id
    # An archive bomb is refused by its check, the other accepted.
    for data, media_type, name, state in (
        (vault.unique_bytes(), "application/pdf", "a.pdf", boxes_pb2.HAND_IN_STATE_THERE),
        (bomb(), "application/zip", "a.zip", boxes_pb2.HAND_IN_STATE_REFUSED),
    ):
        sent = vault.sent(documents, token, data, media_type=media_type, name=name)
        made = hand_in(documents, token, box_id, "domicile", sent.document_id)

        def ends(document_id: str = sent.document_id, state: int = state) -> bool:
            own = seen(documents, token, box_id).own.hand_ins
            return {each.document_id: each.state for each in own}[document_id] == state

        eventually(ends)
        assert made.hand_in_id
        request = documents_pb2.GetDocumentRequest(document_id=sent.document_id)
        if state == boxes_pb2.HAND_IN_STATE_THERE:
            documents.get_document(request, token=clerk)
            eventually(lambda: notices(gateway, token, "DocumentShared"))
        else:
            assert refusal(lambda: documents.get_document(request, token=clerk)).code == (  # noqa: B023
                grpc.StatusCode.NOT_FOUND
            )
    assert len(notices(gateway, token, "DocumentShared")) == 1


def test_a_closed_box_takes_nothing_and_keeps_what_it_has(
    documents: Client, person: Person, token: str, clerk: str, database: Tables
) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    for past in (False, True):
        box_id = opened(documents, clerk, account_id=person.account_id).box_id
        hand_in(documents, token, box_id, "identite", document_id)
        if past:
            database.rows("UPDATE documents.boxes SET deadline = now() WHERE box_id = %s", box_id)
        else:
            closing = boxes_pb2.CloseBoxRequest(box_id=box_id)
            for _ in range(2):
                closed = documents.close_box(closing, token=clerk).box
                assert closed.state == boxes_pb2.BOX_STATE_CLOSED
        refused = refusal(
            lambda: hand_in(documents, token, box_id, "domicile", document_id)  # noqa: B023
        )
        assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "BOX_CLOSED")
        assert len(seen(documents, token, box_id).own.hand_ins) == 1
    vault.read(documents, clerk, document_id)


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"title": ""}, {"title": "REQUIRED"}),
        ({"pieces": []}, {"pieces": "REQUIRED"}),
        ({"pieces": [PIECES[0], PIECES[0]]}, {"pieces[1].piece_id": "DUPLICATE"}),
        ({"pieces": [{"piece_id": "A", "label": "a"}]}, {"pieces[0].piece_id": "PATTERN"}),
        ({"pieces": [{"piece_id": "a"}]}, {"pieces[0].label": "REQUIRED"}),
        ({"lasting": timedelta(seconds=-1)}, {"deadline": "DEADLINE"}),
        ({"lasting": timedelta(days=1000)}, {"deadline": "DEADLINE"}),
        ({"account_id": "1"}, {"account_id": "UUID"}),
        ({"keep_days": 731}, {"keep_days": "MAXIMUM"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_box_is_refused_by_its_field(
    values: dict[str, Any], fields: dict[str, str], documents: Client, clerk: str
) -> None:
    refused = refusal(lambda: documents.open_box(asking(**values), token=clerk))
    assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)


@pytest.fixture
def two(realm: Realm) -> Iterator[tuple[Person, Person]]:
    with realm.person() as one, realm.person() as another:
        yield one, another


def test_who_misses_something_is_reminded_once_each_time_whatever_falls(
    documents: Client, gateway: httpx.Client, realm: Realm, clerk: str, database: Tables,
    two: tuple[Person, Person],
) -> None:  # fmt: skip
    answer: boxes_pb2.OpenBoxResponse = documents.open_box(asking(), token=clerk)
    box_id = answer.box.box_id
    late, done = (realm.token_of(each) for each in two)
    for token in (late, done):
        documents.join_box(boxes_pb2.JoinBoxRequest(code=answer.code), token=token)
    document_id = vault.deposit(documents, done, vault.unique_bytes()).document_id
    for piece in ("identite", "domicile"):
        hand_in(documents, done, box_id, piece, document_id)
    deadline = answer.box.deadline.ToDatetime(UTC)
    set_times = "SELECT reminder_time FROM documents.box_depositors WHERE box_id = %s"
    assert {row["reminder_time"] for row in database.rows(set_times, box_id)} == {
        deadline - timedelta(days=7)
    }
    for number in (1, 2):
        database.rows(
            "UPDATE documents.box_depositors SET reminder_time = now() WHERE box_id = %s", box_id
        )
        if number == 2:
            os.kill(deploy.local.pid("documents"), signal.SIGKILL)
            deploy.local.wait_healthy("documents")
        eventually(lambda: len(notices(gateway, late, "DepositorReminded")) == number, within=60)  # noqa: B023
        told = notices(gateway, late, "DepositorReminded")[0]
        assert "2 pièce(s)" in told["body"]
    sent = "SELECT 1 FROM documents.box_depositors WHERE box_id = %s AND reminder_time > now()"
    eventually(lambda: database.count(sent, box_id) == 2)
    assert notices(gateway, done, "DepositorReminded") == []
    assert len(notices(gateway, late, "DepositorReminded")) == 2


def test_a_box_is_forgotten_when_nobody_reads_from_it_any_more(
    documents: Client, person: Person, token: str, clerk: str, database: Tables
) -> None:
    box_id = opened(documents, clerk, account_id=person.account_id).box_id
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    hand_in(documents, token, box_id, "identite", document_id)
    database.rows("UPDATE documents.boxes SET access_end_time = now() WHERE box_id = %s", box_id)
    for table in ("boxes", "box_depositors", "hand_ins"):
        query: Any = f"SELECT 1 FROM documents.{table} WHERE box_id = %s"
        eventually(lambda: database.count(query, box_id) == 0)  # noqa: B023
    assert refusal(lambda: seen(documents, token, box_id)).reason == "BOX_NOT_FOUND"
