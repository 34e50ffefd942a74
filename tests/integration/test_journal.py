"""The journal on real components: who was given what of whom, and a chain that shows tampering."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from administration.identity.v1 import consents_pb2
from kafka import KafkaProducer
from psycopg import sql

from deploy.local import services, site
from tests.support import vault
from tests.support.kafka import internal_options, tap
from tests.support.organisations import COMPANY, MANAGER, Side, agent, where
from tests.support.polling import eventually
from tests.support.processes import backbone
from tests.support.realm import Realm
from tests.support.rpc import Client
from tests.support.tables import Tables

FAR = "2999-01-01T00:00:00Z"


@pytest.fixture
def admin(gateway: httpx.Client, realm: Realm) -> Side:
    return Side(gateway, realm.token("admin"))


@pytest.fixture
def shared(documents: Client, side: Side, token: str) -> Callable[[str], tuple[str, str]]:
    """Shares a document of `side` with an administration: its path, and the share."""

    def share(administration: str) -> tuple[str, str]:
        document = vault.deposit(documents, token, vault.unique_bytes())
        path = f"/v1/documents/{document.document_id}"
        body = {"administration": administration, "purpose": "Dossier", "expireTime": FAR}
        answer = side.post(f"{path}/shares", body)
        assert answer.status_code == 200, answer.text
        return path, answer.json()["share"]["shareId"]

    return share


def journal(side: Side, count: int) -> list[dict[str, Any]]:
    """A person's journal, once it has so many lines; newest first."""

    def enough() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = side.get("/v1/me/journal").json().get("entries", [])
        return found if len(found) >= count else None

    if count:
        eventually(enough, what=f"{count} lines of the journal")
    found = enough() or []
    assert len(found) == count
    return found


def test_an_agents_reading_is_a_line_that_the_person_reads(
    gateway: httpx.Client,
    side: Side,
    admin: Side,
    realm: Realm,
    shared: Callable[[str], tuple[str, str]],
) -> None:
    office = admin.created()
    path, share_id = shared(office["alias"])
    assert side.get(path).status_code == 200  # one's own reading is nobody's business
    with realm.person() as created:
        acting = agent(gateway, realm, admin, office, created)
        assert acting.get(path).status_code == 200
        assert acting.get(f"{path}/content").status_code == 200
        listed = journal(side, 2)
        assert acting.get("/v1/me/journal").json().get("entries", []) != listed
    assert [each["action"] for each in listed] == ["documents.read", "documents.describe"]
    line = listed[0]
    assert line["actorKind"] == "ACTOR_KIND_AGENT"
    assert (line["administration"], line["administrationName"]) == (office["alias"], office["name"])
    assert (line["resourceType"], line["resourceId"]) == ("document", path.rpartition("/")[2])
    assert (line["grounds"], line["groundsId"]) == ("GROUNDS_SHARE", share_id)
    # Who read it for the administration is on record, and not told here.
    assert line["actorId"] == ""
    assert created.account_id not in str(listed)
    assert line["accessTime"]


def test_a_partners_program_and_a_refused_stranger(
    gateway: httpx.Client,
    side: Side,
    realm: Realm,
    shared: Callable[[str], tuple[str, str]],
) -> None:
    path, _ = shared("caf-martinique")
    stranger = Side(gateway, realm.token("stranger"))
    assert stranger.get(path).status_code == 404
    partner = Side(gateway, realm.client_token("partner-caf"))
    assert partner.get(path).status_code == 200
    (line,) = journal(side, 1)
    assert (line["actorKind"], line["administration"]) == ("ACTOR_KIND_PARTNER", "caf-martinique")


def test_a_consent_that_is_checked_is_a_line_with_its_purpose(
    identity: Client, side: Side, realm: Realm
) -> None:
    body = {
        "administration": "caf-martinique",
        "purpose": "Allocation logement",
        "scopes": ["income.read"],
        "expireTime": FAR,
    }
    consent = side.post("/v1/me/consents", body).json()["consent"]
    for scope in ("income.read", "health.read"):
        request = consents_pb2.CheckConsentRequest(
            account_id=side.account_id, administration="caf-martinique", scope=scope
        )
        identity.check_consent(request, token=realm.client_token("documents"))
    (line,) = journal(side, 1)
    assert (line["action"], line["administration"]) == ("income.read", "caf-martinique")
    assert (line["grounds"], line["groundsId"]) == ("GROUNDS_CONSENT", consent["consentId"])
    assert line["purpose"] == "Allocation logement"


def test_whoever_lists_members_is_in_their_journals(
    gateway: httpx.Client, side: Side, admin: Side, realm: Realm
) -> None:
    made = admin.created(COMPANY)
    with realm.person() as created:
        manager = Side(gateway, realm.token_of(created, substantial=True), created.account_id)
        for who, role in ((manager, MANAGER), (side, MANAGER)):
            assert admin.sets(made, who.account_id, role).status_code == 200
        assert manager.get(f"{where(made)}/members").status_code == 200
        # A stranger cannot be written to by pretending to.
        with realm.person() as stranger:
            assert manager.sets(made, stranger.account_id, MANAGER).status_code == 404
            lines = journal(side, 2)
            assert journal(Side(gateway, realm.token_of(stranger)), 0) == []
    assert {each["action"] for each in lines} == {"organisations.members"}
    assert [each["actorKind"] for each in lines] == [
        "ACTOR_KIND_PERSON",
        "ACTOR_KIND_ADMINISTRATOR",
    ]
    assert lines[0]["actorId"] == created.account_id


def test_the_journal_is_read_page_by_page(
    side: Side, gateway: httpx.Client, realm: Realm, shared: Callable[[str], tuple[str, str]]
) -> None:
    path, _ = shared("caf-martinique")
    partner = Side(gateway, realm.client_token("partner-caf"))
    for _ in range(3):
        assert partner.get(path).status_code == 200
    lines = journal(side, 3)
    first = side.get("/v1/me/journal", pageSize=2).json()
    rest = side.get("/v1/me/journal", pageToken=first["nextPageToken"]).json()
    assert first["entries"] + rest["entries"] == lines


def test_an_event_that_comes_twice_is_one_line(
    side: Side,
    gateway: httpx.Client,
    realm: Realm,
    stack: dict[str, Any],
    shared: Callable[[str], tuple[str, str]],
) -> None:
    topic = "administration.identity.v1.PersonalData"
    path, _ = shared("caf-martinique")
    partner = Side(gateway, realm.client_token("partner-caf"))
    with tap(internal_options(stack), topic) as records:
        assert partner.get(path).status_code == 200
        key = side.account_id.encode()
        (record,) = records.until(lambda r: r.key == key)
    assert b"Dossier" not in record.value
    journal(side, 1)
    producer = KafkaProducer(**internal_options(stack))
    producer.send(topic, key=record.key, value=record.value, headers=record.headers)
    producer.flush()
    producer.close()
    assert partner.get(path).status_code == 200
    journal(side, 2)


# ---- the chain ----------------------------------------------------------------------------------


class Copy:
    """A copy of the chain that a test may do anything to, and the command that looks at it."""

    def __init__(self, database: Tables, stack: dict[str, Any], schema: str) -> None:
        self._database, self._schema = database, schema
        url = stack["postgres"]["url"].replace("postgresql://", "postgresql+psycopg://", 1)
        self._environment = services.environment(site.load_site(), "identity") | {
            "BACKBONE_DATABASE_URL": f"{url}?options=-csearch_path%3D{schema}"
        }

    def does(self, statement: Any, *values: Any) -> list[dict[str, Any]]:
        query = sql.SQL(statement).format(lines=sql.Identifier(self._schema, "journal_lines"))
        return self._database.rows(query, *values)  # type: ignore[arg-type]

    def audit(self, *arguments: str) -> tuple[int, str]:
        done = backbone(self._environment, "audit", *arguments, timeout=240)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(
    database: Tables,
    stack: dict[str, Any],
    side: Side,
    gateway: httpx.Client,
    realm: Realm,
    shared: Callable[[str], tuple[str, str]],
) -> Iterator[Copy]:
    """Of the real chain, whose last lines are about `side`."""
    path, _ = shared("caf-martinique")
    partner = Side(gateway, realm.client_token("partner-caf"))
    for _ in range(4):
        assert partner.get(path).status_code == 200
    journal(side, 4)
    schema = f"journal_{uuid.uuid4().hex[:8]}"
    name = sql.Identifier(schema)
    database.rows(sql.SQL("CREATE SCHEMA {}").format(name))  # type: ignore[arg-type]
    made = Copy(database, stack, schema)
    made.does("CREATE TABLE {lines} AS SELECT * FROM identity.journal_lines")
    yield made
    database.rows(sql.SQL("DROP SCHEMA {} CASCADE").format(name))  # type: ignore[arg-type]


def own_lines(copy: Copy, side: Side) -> list[int]:
    query = "SELECT number FROM {lines} WHERE person_id = %s ORDER BY number"
    return [row["number"] for row in copy.does(query, side.account_id)]


def test_the_chain_is_whole_and_each_altered_line_is_named(copy: Copy, side: Side) -> None:
    code, said = copy.audit("verify")
    assert code == 0, said
    _, second, third, _ = own_lines(copy, side)

    row = copy.does("SELECT record FROM {lines} WHERE number = %s", second)[0]["record"]
    altered = row.replace("caf-martinique", "octroi-de-mer")
    change = "UPDATE {lines} SET record = %s WHERE number = %s"
    copy.does(change, altered, second)
    code, said = copy.audit("verify")
    assert (code, f"line {second} " in said) == (1, True), said
    copy.does(change, row, second)
    assert copy.audit("verify")[0] == 0

    swap = (
        "UPDATE {lines} SET number = CASE number WHEN %s THEN %s ELSE %s END"
        " WHERE number IN (%s, %s)"
    )
    copy.does(swap, second, third, second, second, third)
    code, said = copy.audit("verify")
    assert (code, f"line {second} " in said) == (1, True), said
    copy.does(swap, second, third, second, second, third)

    copy.does("DELETE FROM {lines} WHERE number = %s", third)
    code, said = copy.audit("verify")
    assert (code, f"line {third} is missing" in said) == (1, True), said


def test_a_checkpoint_shows_what_was_cut_off_the_end(
    copy: Copy, side: Side, gateway: httpx.Client, tmp_path: Path
) -> None:
    last = own_lines(copy, side)[-1]
    seal = copy.does("SELECT seal FROM {lines} WHERE number = %s", last)[0]["seal"]
    kept, keys = tmp_path / "checkpoint.json", tmp_path / "keys.json"
    kept.write_text(json.dumps({"seal": seal}))
    keys.write_text(gateway.get("/v1/consents/keys").text)
    assert copy.audit("verify", "--checkpoint", str(kept), "--keys", str(keys))[0] == 0
    published = gateway.get("/v1/journal/checkpoint").json()
    assert int(published["line"]) >= last
    copy.does("DELETE FROM {lines} WHERE number >= %s", last)
    assert copy.audit("verify")[0] == 0
    code, said = copy.audit("verify", "--checkpoint", str(kept))
    assert (code, f"line {last} is missing" in said) == (1, True), said


def test_a_person_is_forgotten_and_the_chain_holds(copy: Copy, side: Side) -> None:
    code, said = copy.audit("forget", side.account_id)
    assert (code, said.strip()) == (0, "4 lines forgotten")
    assert own_lines(copy, side) == []
    kept = copy.does("SELECT * FROM {lines} WHERE record LIKE %s", f"%{side.account_id}%")
    assert kept == []
    assert copy.audit("verify")[0] == 0
    # What nobody said is forgotten was taken away. The first of all may be forgotten rightly.
    query = "SELECT min(number) AS number FROM {lines} WHERE person_id IS NOT NULL"
    (other,) = (row["number"] for row in copy.does(query))
    copy.does(
        "UPDATE {lines} SET record = NULL, salt = NULL, person_id = NULL WHERE number = %s", other
    )
    code, said = copy.audit("verify")
    assert (code, f"line {other} " in said) == (1, True), said


def test_the_database_refuses_to_alter_a_line(database: Tables, copy: Copy, side: Side) -> None:
    number = own_lines(copy, side)[0]
    for statement in (
        "UPDATE identity.journal_lines SET record = '{{}}' WHERE number = %s",
        "DELETE FROM identity.journal_lines WHERE number = %s",
    ):
        with pytest.raises(Exception, match="append-only"):
            copy.does(statement, number)
