"""Acting for another on the real stack: by mandate, through the gateway and by gRPC."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import documents_pb2
from administration.identity.v1 import identity_pb2
from google.protobuf.descriptor import MethodDescriptor

from backbone import contracts
from backbone.acting import HEADER, METADATA
from tests.support import organisations, vault
from tests.support.kafka import header, internal_options, tap
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, Refusal, asked, refusal
from tests.support.tables import Tables

SCOPES = ["account.read", "consents.read", "documents.deposit", "documents.read", "documents.share"]
FAR = "2999-01-01T00:00:00Z"
NAMED = {
    "Content-Disposition": "attachment; filename*=UTF-8''acte.pdf",
    "Content-Type": "application/pdf",
}
METHODS = [
    pytest.param(area, method, id=f"{area}.{method.name}")
    for area, name in contracts.SERVICES.items()
    for method in contracts.service(name).methods
]


class Side:
    """A person at the gateway, for themselves or for another."""

    def __init__(self, gateway: httpx.Client, person: Person, token: str) -> None:
        self.gateway, self.person, self.token = gateway, person, token

    @property
    def account_id(self) -> str:
        return self.person.account_id

    def asks(self, method: str, path: str, principal: str = "", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        if principal:
            headers[HEADER] = principal
        return self.gateway.request(method, path, headers=headers, **more)

    def offers(self, other: "Side", **changed: Any) -> str:
        body = {"representativeId": other.account_id, "scopes": SCOPES, "expireTime": FAR} | changed
        answer = self.asks("POST", "/v1/me/mandates", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["mandate"]["mandateId"])

    def does(self, step: str, mandate_id: str) -> None:
        answer = self.asks("POST", f"/v1/me/mandates/{mandate_id}/{step}", json={})
        assert answer.status_code == 200, answer.text

    def mandates(self, other: "Side", **changed: Any) -> str:
        mandate_id = self.offers(other, **changed)
        other.does("accept", mandate_id)
        return mandate_id


@pytest.fixture
def principal(gateway: httpx.Client, person: Person, token: str) -> Side:
    return Side(gateway, person, token)


@pytest.fixture
def representative(gateway: httpx.Client, realm: Realm) -> Iterator[Side]:
    with realm.person() as created:
        yield Side(gateway, created, realm.token_of(created))


def told(answer: httpx.Response) -> tuple[int, str]:
    """Status and reason of a refusal; no reason for an answer."""
    return answer.status_code, "" if answer.is_success else str(answer.json()["reason"])


def deposit(side: Side, principal: str = "") -> str:
    data = vault.unique_bytes()
    answer = side.asks("POST", "/v1/documents", principal, content=data, headers=NAMED)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["document"]["documentId"])


def available(side: Side, document_id: str, principal: str = "") -> None:
    eventually(
        lambda: (
            side.asks("GET", f"/v1/documents/{document_id}", principal).json()["document"]["state"]
            == "DOCUMENT_STATE_AVAILABLE"
        )
    )


def test_a_representative_does_with_documents_what_the_mandate_says(
    principal: Side, representative: Side, stack: dict[str, Any]
) -> None:
    mandate_id, whom = principal.mandates(representative), principal.account_id
    with (
        tap(internal_options(stack), "administration.documents.v1.Document") as internal,
        tap(internal_options(stack), "public.documents.v1.Document") as public,
    ):
        document_id = deposit(representative, whom)
        path = f"/v1/documents/{document_id}"
        available(principal, document_id)
        # It is the principal's, and the representative's only while they say for whom they ask.
        assert principal.asks("GET", path).json()["document"]["ownerId"] == whom
        assert told(representative.asks("GET", path)) == (404, "DOCUMENT_NOT_FOUND")
        assert representative.asks("GET", "/v1/documents").json().get("documents", []) == []

        listed = representative.asks("GET", "/v1/documents", whom).json()["documents"]
        assert [each["documentId"] for each in listed] == [document_id]
        assert representative.asks("GET", path, whom).json()["document"]["ownerId"] == whom
        content = representative.asks("GET", f"{path}/content", whom)
        assert content.content == principal.asks("GET", f"{path}/content").content
        receipt = representative.asks("GET", f"{path}/receipt", whom)
        assert receipt.json()["receipt"]["documentId"] == document_id
        page = representative.asks("GET", f"{path}/receipt.pdf", whom)
        assert page.content.startswith(b"%PDF-"), page.text
        body = {"administration": "caf-martinique", "purpose": "Dossier", "expireTime": FAR}
        shared = representative.asks("POST", f"{path}/shares", whom, json=body)
        assert shared.status_code == 200, shared.text

        def of(record: Any, name: str) -> bool:
            return record.key == document_id.encode() and header(record, "ce_type").endswith(name)

        (received,) = internal.until(lambda record: of(record, "DocumentReceived"))
        (told_shared,) = public.until(lambda record: of(record, "DocumentShared"))
    for record in (received, told_shared):
        assert header(record, "ce_actorid") == representative.account_id
        assert header(record, "ce_principalid") == whom == json.loads(record.value)["ownerId"]
        assert header(record, "ce_mandateid") == mandate_id

    def lines() -> list[dict[str, Any]] | None:
        found = principal.asks("GET", "/v1/me/journal").json().get("entries", [])
        return found if len(found) >= 7 else None

    journal = eventually(lines, what="the lines of the journal")
    assert [each["action"].removeprefix("documents.") for each in journal] == [
        "share", "receipt", "receipt", "read", "describe", "list", "deposit",
    ]  # fmt: skip
    for line in journal:
        assert (line["actorKind"], line["actorId"]) == (
            "ACTOR_KIND_PERSON",
            representative.account_id,
        )
        assert (line["grounds"], line["groundsId"]) == ("GROUNDS_MANDATE", mandate_id)
    assert representative.asks("GET", "/v1/me/journal").json().get("entries", []) == []


def test_an_upload_for_another_becomes_their_document(
    principal: Side, representative: Side, stack: dict[str, Any]
) -> None:
    principal.mandates(representative, scopes=["documents.deposit"])
    data, whom = vault.unique_bytes(), principal.account_id
    announced = {
        "name": "acte.pdf",
        "mediaType": "application/pdf",
        "sizeBytes": str(len(data)),
        "sha256": vault.sha256(data),
    }
    opened = representative.asks("POST", "/v1/uploads", whom, json={"header": announced})
    upload = opened.json()["upload"]
    path, (part,) = f"/v1/uploads/{upload['documentId']}", upload["parts"]
    form = {each["name"]: each["value"] for each in part["fields"]}
    sent = httpx.post(part["url"], data=form, files={"file": ("part", data)}, timeout=60)
    assert sent.status_code == 204
    assert told(representative.asks("GET", path)) == (404, "UPLOAD_NOT_FOUND")
    assert representative.asks("GET", path, whom).json()["upload"]["parts"][0]["present"]
    done = representative.asks("POST", f"{path}/complete", whom, json={})
    assert done.json()["document"]["ownerId"] == whom
    available(principal, upload["documentId"])
    # The mandate says nothing of reading.
    refused = representative.asks("GET", f"/v1/documents/{upload['documentId']}", whom)
    assert told(refused) == (403, "MANDATE_MISSING")
    again = representative.asks("POST", "/v1/uploads", whom, json={"header": announced})
    left = f"/v1/uploads/{again.json()['upload']['documentId']}"
    assert representative.asks("DELETE", left, whom).status_code == 200


def test_what_is_the_owner_s_alone_no_mandate_gives(principal: Side, representative: Side) -> None:
    """Where a document is put, what it becomes, and with which person it is shared."""
    principal.mandates(representative)
    whom, document_id = principal.account_id, deposit(principal)
    path = f"/v1/documents/{document_id}"
    available(principal, document_id)
    order = {
        "folder": "Divorce",
        "labels": ["secret"],
        "metadata": [{"key": "note", "value": "à cacher"}],
    }
    assert principal.asks("PATCH", path, json=order).status_code == 200
    own = principal.asks("GET", path).json()["document"]
    assert {name: own[name] for name in order} == order
    assert principal.asks("GET", "/v1/documents?label=secret").json()["documents"] == [own]

    shown = {name: value for name, value in own.items() if name not in order}
    seen = representative.asks("GET", path, whom).json()["document"]
    (listed,) = representative.asks("GET", "/v1/documents", whom).json()["documents"]
    for each in (seen, listed):
        assert {name: value for name, value in each.items() if value} == {
            name: value for name, value in shown.items() if value
        }

    def refused(method: str, path: str, **more: Any) -> list[tuple[str, str]]:
        answer = representative.asks(method, path, whom, **more)
        assert answer.status_code == 400, answer.text
        return [(each["field"], each["reason"]) for each in answer.json()["errors"]]

    for query in ("folder=Divorce", "subfolders=true", "label=secret"):
        (error,) = refused("GET", f"/v1/documents?{query}")
        assert error == (query.partition("=")[0], "OWNER_ONLY")
    # The representative themselves, whose mandate may be to share and not to read.
    share = {"accountId": representative.account_id, "purpose": "Dossier", "expireTime": FAR}
    assert refused("POST", f"{path}/shares", json=share) == [("accountId", "OWNER_ONLY")]
    assert principal.asks("GET", f"{path}/shares").json().get("shares", []) == []
    data = vault.unique_bytes()
    upload = {
        "header": {
            "name": "acte.pdf",
            "mediaType": "application/pdf",
            "sizeBytes": str(len(data)),
            "sha256": vault.sha256(data),
        },
        "versionOf": document_id,
    }
    assert refused("POST", "/v1/uploads", json=upload) == [("versionOf", "OWNER_ONLY")]
    assert principal.asks("POST", "/v1/uploads", json=upload).status_code == 200


def test_an_agent_who_acts_for_a_person_is_told_of_as_a_person(
    gateway: httpx.Client, realm: Realm, principal: Side, representative: Side
) -> None:
    """In the journal of the owner of what was shared with that person."""
    document_id = deposit(principal)
    available(principal, document_id)
    share = {"accountId": representative.account_id, "purpose": "Dossier", "expireTime": FAR}
    path = f"/v1/documents/{document_id}"
    assert principal.asks("POST", f"{path}/shares", json=share).status_code == 200
    admin = organisations.Side(gateway, realm.token("admin"))
    office = admin.created()
    with realm.person() as created:
        organisations.agent(gateway, realm, admin, office, created)
        agent = Side(gateway, created, realm.fresh_token(created))
        mandate_id = representative.mandates(agent)
        assert agent.asks("GET", path, representative.account_id).status_code == 200

        def line(side: Side) -> dict[str, Any] | None:
            found = side.asks("GET", "/v1/me/journal").json().get("entries", [])
            return next((each for each in found if each["action"] == "documents.describe"), None)

        for side, grounds in ((principal, "GROUNDS_SHARE"), (representative, "GROUNDS_MANDATE")):
            told = eventually(lambda side=side: line(side))  # type: ignore[misc]
            assert (told["actorKind"], told["actorId"]) == ("ACTOR_KIND_PERSON", agent.account_id)
            assert told["grounds"] == grounds
            assert not told.get("administration")
        assert told["groundsId"] == mandate_id


def test_a_representative_reads_the_account_and_the_consents(
    principal: Side, representative: Side
) -> None:
    mandate_id, whom = principal.mandates(representative), principal.account_id
    body = {
        "administration": "caf-martinique",
        "purpose": "Allocation",
        "scopes": ["income.read"],
        "expireTime": FAR,
    }
    consent = principal.asks("POST", "/v1/me/consents", json=body).json()["consent"]
    own = principal.asks("GET", "/v1/me").json()
    assert representative.asks("GET", "/v1/me", whom).json() == own
    assert representative.asks("GET", "/v1/me").json() != own
    path = f"/v1/me/consents/{consent['consentId']}"
    assert representative.asks("GET", path, whom).json() == principal.asks("GET", path).json()
    assert told(representative.asks("GET", path)) == (404, "CONSENT_NOT_FOUND")
    listed = representative.asks("GET", "/v1/me/consents", whom).json()["consents"]
    assert [each["consentId"] for each in listed] == [consent["consentId"]]
    refused = representative.asks("POST", "/v1/me/consents", whom, json=body)
    assert told(refused) == (403, "NOT_FOR_ANOTHER")

    def lines() -> list[dict[str, Any]] | None:
        found = principal.asks("GET", "/v1/me/journal").json().get("entries", [])
        return found if len(found) >= 3 else None

    journal = eventually(lines, what="the lines of the journal")
    assert [each["action"] for each in journal] == [
        "consents.list",
        "consents.read",
        "account.read",
    ]
    assert {each["groundsId"] for each in journal} == {mandate_id}


def test_who_has_no_mandate_that_counts_is_refused(
    gateway: httpx.Client,
    realm: Realm,
    principal: Side,
    representative: Side,
    database: Tables,
) -> None:
    whom = principal.account_id

    def asked(who: Side = representative, principal: str = whom) -> set[tuple[int, str]]:
        """How the same is refused by documents and by identity itself."""
        return {told(who.asks("GET", path, principal)) for path in ("/v1/documents", "/v1/me")}

    missing = {(403, "MANDATE_MISSING")}
    assert asked() == missing
    assert asked(principal=str(uuid.uuid4())) == missing
    offered = principal.offers(representative)
    assert asked() == missing
    representative.does("end", offered)
    principal.mandates(representative, scopes=["documents.deposit"])
    assert asked() == missing
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    principal.mandates(representative, startTime=later)
    assert asked() == missing
    expired = principal.mandates(representative)
    eventually(lambda: asked() == {(200, "")})
    database.rows("UPDATE identity.mandates SET expire_time = now() WHERE mandate_id = %s", expired)
    eventually(lambda: asked() == missing, 2, "the end of a mandate by its date")
    principal.mandates(representative)
    assert asked() == {(200, "")}
    # Neither the other way round, nor one step further.
    assert asked(principal, representative.account_id) == missing
    with realm.person() as created:
        third = Side(gateway, created, realm.token_of(created))
        representative.mandates(third)
        assert asked(third, representative.account_id) == {(200, "")}
        assert asked(third) == missing


def test_a_mandate_that_is_ended_opens_nothing_after_two_seconds(
    principal: Side, representative: Side
) -> None:
    mandate_id, whom = principal.mandates(representative), principal.account_id
    for path in ("/v1/documents", "/v1/me"):
        assert representative.asks("GET", path, whom).status_code == 200
    principal.does("end", mandate_id)
    for path in ("/v1/documents", "/v1/me"):
        eventually(
            lambda path=path: (
                told(representative.asks("GET", path, whom))  # type: ignore[misc]
                == (403, "MANDATE_MISSING")
            ),
            2,
        )


def test_nobody_acts_for_an_account_that_is_disabled(
    gateway: httpx.Client, realm: Realm, principal: Side, representative: Side
) -> None:
    principal.mandates(representative)
    whom, admin = principal.account_id, organisations.Side(gateway, realm.token("admin"))
    assert representative.asks("GET", "/v1/documents", whom).status_code == 200
    assert admin.post(f"/v1/accounts/{whom}/disable").status_code == 200
    eventually(
        lambda: told(representative.asks("GET", "/v1/documents", whom)) == (403, "MANDATE_MISSING"),
        3,
    )
    assert admin.post(f"/v1/accounts/{whom}/enable").status_code == 200
    eventually(lambda: representative.asks("GET", "/v1/documents", whom).status_code == 200)


def test_a_company_has_documents_by_its_representatives(
    gateway: httpx.Client, realm: Realm, principal: Side, representative: Side
) -> None:
    admin = organisations.Side(gateway, realm.token("admin"))
    company = admin.created(organisations.COMPANY)
    key = company["organisationId"]
    assert admin.sets(company, principal.account_id, organisations.MANAGER).is_success
    principal.mandates(representative, organisationId=key)
    document_id = deposit(representative, key)
    available(representative, document_id, key)
    answer = representative.asks("GET", f"/v1/documents/{document_id}", key)
    assert answer.json()["document"]["ownerId"] == key
    # The manager has no mandate; and what is the company's is not theirs.
    assert told(principal.asks("GET", f"/v1/documents/{document_id}")) == (
        404,
        "DOCUMENT_NOT_FOUND",
    )
    assert told(principal.asks("GET", "/v1/documents", key)) == (403, "MANDATE_MISSING")


def test_what_an_agent_may_read_for_an_administration_a_mandate_does_not_widen(
    gateway: httpx.Client, realm: Realm, principal: Side, representative: Side, person: Person
) -> None:
    admin = organisations.Side(gateway, realm.token("admin"))
    office = admin.created()
    document_id = deposit(principal)
    available(principal, document_id)
    body = {"administration": office["alias"], "purpose": "Dossier", "expireTime": FAR}
    path = f"/v1/documents/{document_id}"
    assert principal.asks("POST", f"{path}/shares", json=body).status_code == 200
    with realm.person() as created:
        organisations.agent(gateway, realm, admin, office, created)
        agent = Side(gateway, created, realm.fresh_token(created))
        assert agent.asks("GET", path).status_code == 200
        representative.mandates(agent)
        # For the other person they are no agent: the document is none of that person's.
        refused = agent.asks("GET", path, representative.account_id)
        assert told(refused) == (404, "DOCUMENT_NOT_FOUND")


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ([(HEADER, "moi")], 400, "INVALID_INPUT"),
        ([(HEADER, "")], 400, "INVALID_INPUT"),
        ([(HEADER, str(uuid.uuid4())), (HEADER, str(uuid.uuid4()))], 400, "INVALID_INPUT"),
        ([(HEADER, "é".encode())], 400, "INVALID_INPUT"),
    ],
    ids=["no identifier", "empty", "two", "no ASCII"],
)
def test_a_header_that_names_nobody_is_refused_by_its_name(
    gateway: httpx.Client, token: str, headers: list[Any], status: int, reason: str
) -> None:
    given = [("Authorization", f"Bearer {token}"), *headers]
    answer = gateway.get("/v1/documents", headers=given)
    assert told(answer) == (status, reason)
    assert [each["field"] for each in answer.json()["errors"]] == [HEADER]


def attempt(client: Client, method: MethodDescriptor, token: str, principal: str) -> Refusal | None:
    """How a call with an empty request is refused; None when it is answered."""
    empty = contracts.message_class(method.input_type)()
    metadata = [("authorization", f"Bearer {token}"), (METADATA, principal)]
    found = asked(client, method, empty, metadata=metadata)
    return found if isinstance(found, Refusal) else None


@pytest.fixture(scope="module")
def mandated(realm: Realm, gateway: httpx.Client) -> Iterator[tuple[Person, str]]:
    """Who has a mandate with every scope, and the account of who gave it."""
    with realm.person() as giving, realm.person() as acting:
        principal = Side(gateway, giving, realm.token_of(giving))
        representative = Side(gateway, acting, realm.token_of(acting, substantial=True))
        principal.mandates(representative)
        yield acting, principal.account_id


@pytest.mark.parametrize(("area", "method"), METHODS)
def test_a_method_is_called_for_another_only_where_its_rule_names_a_scope(
    area: str,
    method: MethodDescriptor,
    clients: dict[str, Client],
    realm: Realm,
    mandated: tuple[Person, str],
) -> None:
    acting, whom = mandated
    # All these tests together may take longer than a token lives.
    token = realm.token_of(acting, substantial=True)
    rule = contracts.access_rule(method)
    refused = attempt(clients[area], method, token, whom)
    if rule.mandate_scope:
        assert rule.mandate_scope in SCOPES
        assert refused is None or refused.code == grpc.StatusCode.INVALID_ARGUMENT
        refused = attempt(clients[area], method, token, str(uuid.uuid4()))
        assert refused is not None
        assert refused.reason == "MANDATE_MISSING"
    else:
        assert refused is not None
        # Whoever has not the role learns no more than that.
        expected = (
            {"NOT_FOR_ANOTHER"} if rule.public or "citizen" in rule.roles else {"ROLE_MISSING"}
        )
        assert refused.reason in expected | (
            {"INSUFFICIENT_USER_AUTHENTICATION"} if rule.max_age_seconds else set()
        )


def test_services_check_the_mandate_themselves(
    documents: Client, identity: Client, principal: Side, representative: Side
) -> None:
    """Without the gateway in between: whoever reaches a service's port is asked the same."""
    metadata = [
        ("authorization", f"Bearer {representative.token}"),
        (METADATA, principal.account_id),
    ]
    calls = (
        lambda: identity.get_me(identity_pb2.GetMeRequest(), metadata=metadata),
        lambda: documents.list_documents(documents_pb2.ListDocumentsRequest(), metadata=metadata),
    )
    for call in calls:
        assert refusal(call).reason == "MANDATE_MISSING"
    principal.mandates(representative)
    assert calls[0]().account.account_id == principal.account_id
    assert list(calls[1]().documents) == []
