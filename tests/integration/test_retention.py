"""Retention, legal holds and the trash on the whole stack: what nobody can do, the store's root
account included; and what is destroyed, with its proof.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from administration.identity.v1 import keyring_pb2
from click.testing import CliRunner
from joserfc import jws
from joserfc.jwk import KeySet
from minio import Minio
from minio.commonconfig import COMPLIANCE, GOVERNANCE
from minio.error import S3Error
from minio.retention import Retention

from backbone.cli import cli
from deploy.local import storage_operator
from tests.integration import test_versions as versions
from tests.support import readable, vault
from tests.support.objects import Objects
from tests.support.organisations import Side
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, refusal
from tests.support.sign_in import SignIn
from tests.support.tables import Tables

FAR = "2999-01-01T00:00:00Z"


@pytest.fixture
def admin(gateway: httpx.Client, realm: Realm) -> Side:
    return Side(gateway, realm.token("admin"))


@pytest.fixture
def partner(gateway: httpx.Client, realm: Realm) -> Side:
    return Side(gateway, realm.client_token("partner-caf"))


class Store:
    """One object, as the store's root account sees it."""

    def __init__(self, stack: dict[str, Any], document_id: str) -> None:
        self.client: Minio = storage_operator(stack)
        self.place = {"bucket_name": stack["storage"]["bucket"], "object_name": document_id}
        (self.version,) = [
            item.version_id
            for item in self.client.list_objects(
                self.place["bucket_name"], prefix=document_id, include_version=True
            )
        ]

    def retention(self) -> Retention | None:
        return self.client.get_object_retention(**self.place)

    def held(self) -> bool:
        return self.client.is_object_legal_hold_enabled(**self.place)

    def refuses(self, act: Callable[[], object]) -> None:
        with pytest.raises(S3Error):
            act()

    def refuses_deletion(self) -> None:
        self.refuses(lambda: self.client.remove_object(**self.place, version_id=self.version))
        assert self.client.stat_object(**self.place).version_id == self.version


@pytest.fixture
def stored(stack: dict[str, Any]) -> Callable[[str], Store]:
    return lambda document_id: Store(stack, document_id)


@pytest.fixture
def deposited(documents: Client, token: str, database: Tables) -> Callable[..., str]:
    """A document of `side`; `ends_in` seconds before `years` after its deposit are over: as many as
    a busy machine needs to give it its class, and to see that it is kept.
    """

    def deposit(years: int = 0, ends_in: int = 0) -> str:
        document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
        if years:
            database.rows(
                "UPDATE documents.documents SET create_time ="
                " now() - make_interval(years => %s) + make_interval(secs => %s)"
                " WHERE document_id = %s",
                years, ends_in, document_id,
            )  # fmt: skip
        return document_id

    return deposit


def path(document_id: str, *rest: str) -> str:
    return "/".join((f"/v1/documents/{document_id}", *rest))


def keep(side: Side, document_id: str, name: str) -> dict[str, Any]:
    answer = side.put(path(document_id, "retention"), {"retentionClass": name})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["document"])


def refused(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
    return dict(answer.json())


def destroyed(side: Side, document_id: str, within: float = 120) -> dict[str, Any]:
    """What proves the destruction of a document, once it is there."""

    def proof() -> dict[str, Any] | None:
        answer = side.get(f"/v1/destructions/{document_id}")
        return answer.json()["destruction"] if answer.status_code == 200 else None

    return eventually(proof, within, "the document to be destroyed")


# ---- retention ------------------------------------------------------------------------------


def test_everybody_can_see_the_classes(gateway: httpx.Client) -> None:
    found = {item["retentionClass"]: item for item in _classes(gateway)}
    assert found["comptable"]["duration"] == "P10Y"
    assert found["comptable"]["basis"] == "Code de commerce, article L123-22"
    assert found["archives"]["disposition"] == "DISPOSITION_TRANSFER"


def _classes(gateway: httpx.Client) -> list[dict[str, Any]]:
    return list(gateway.get("/v1/retention-classes").json()["classes"])


def test_a_retention_is_shortened_by_nobody_not_even_by_the_stores_root(
    side: Side, deposited: Callable[..., str], stored: Callable[[str], Store]
) -> None:
    document_id = deposited()
    document = keep(side, document_id, "comptable")
    until = datetime.fromisoformat(document["retainUntil"])
    assert until > datetime.now(UTC) + timedelta(days=3650)
    assert not document.get("lockPending")

    store = stored(document_id)
    retention = store.retention()
    assert retention is not None
    assert (retention.mode, retention.retain_until_date) == (COMPLIANCE, until)
    store.refuses_deletion()
    for mode, end in ((COMPLIANCE, until - timedelta(days=1)), (GOVERNANCE, until)):
        store.refuses(
            partial(
                store.client.set_object_retention,
                **store.place,
                config=Retention(mode, end),
                version_id=store.version,
            )
        )
    assert store.retention() == retention

    shorter = side.put(path(document_id, "retention"), {"retentionClass": "courant"})
    assert until.isoformat() in refused(shorter, 409, "RETENTION_SHORTENED")["detail"]
    told = refused(side.delete(path(document_id)), 409, "DOCUMENT_RETAINED")["detail"]
    assert until.isoformat() in told
    assert "Code de commerce, article L123-22" in told
    assert side.get(path(document_id)).json()["document"]["retentionClass"] == "comptable"


def test_a_retention_is_lengthened(
    side: Side, deposited: Callable[..., str], stored: Callable[[str], Store]
) -> None:
    document_id = deposited()
    first, second = (keep(side, document_id, name) for name in ("courant", "comptable"))
    assert second["retainUntil"] > first["retainUntil"]
    retention = stored(document_id).retention()
    assert retention is not None
    assert retention.retain_until_date == datetime.fromisoformat(second["retainUntil"])


def test_every_version_is_kept_by_the_store_and_so_is_one_that_comes_later(
    side: Side, admin: Side, documents: Client, token: str, deposited: Callable[..., str],
    stored: Callable[[str], Store], database: Tables,
) -> None:  # fmt: skip
    document_id = deposited()
    add_version(documents, token, document_id, 2)
    document = keep(side, document_id, "courant")
    hold(admin, document_id)
    add_version(documents, token, document_id, 3)
    keys = contents(database, document_id)
    assert len(keys) == 3

    def kept(key: str) -> bool:
        retention = stored(key).retention()
        return stored(key).held() and retention is not None

    eventually(lambda: all(map(kept, keys)), what="the locks of all versions")
    until = datetime.fromisoformat(document["retainUntil"])
    for store in map(stored, keys):
        retention = store.retention()
        assert retention is not None
        assert (retention.mode, retention.retain_until_date) == (COMPLIANCE, until)
        store.refuses_deletion()


def add_version(documents: Client, token: str, document_id: str, number: int) -> None:
    versions.deposited(documents, token, document_id, vault.unique_bytes())
    versions.version(documents, token, document_id, number)


def contents(database: Tables, document_id: str) -> set[str]:
    """The keys of the objects of all versions of a document."""
    query = (
        "SELECT content_id::text AS key FROM documents.documents"
        " WHERE document_id = %s OR version_of = %s"
    )
    return {row["key"] for row in database.rows(query, document_id, document_id)}


def test_a_class_that_is_not_there_or_is_over_is_refused_by_its_field(
    side: Side, deposited: Callable[..., str]
) -> None:
    document_id = deposited(years=11)
    for name, words in (("inconnue", "comptable"), ("comptable", "ended for this document")):
        answer = side.put(path(document_id, "retention"), {"retentionClass": name})
        (fault,) = refused(answer, 400, "INVALID_INPUT")["errors"]
        assert fault["field"] == "retentionClass"
        assert words in fault["detail"]


def test_what_was_decided_before_a_crash_is_locked_after_it(
    deposited: Callable[..., str], database: Tables, stored: Callable[[str], Store]
) -> None:
    document_id = deposited()
    # As a process leaves it that dies between its commit and the store.
    database.rows(
        "UPDATE documents.documents SET retention_class = 'courant', lock_pending = true,"
        " retain_until = date_trunc('second', now()) + interval '10 minutes'"
        " WHERE document_id = %s",
        document_id,
    )
    eventually(lambda: stored(document_id).retention(), what="the lock")
    stored(document_id).refuses_deletion()


def test_a_document_is_destroyed_at_its_end_with_a_proof_that_holds_offline(
    side: Side,
    gateway: httpx.Client,
    admin: Side,
    objects: Objects,
    deposited: Callable[..., str],
    stored: Callable[[str], Store],
    tmp_path: Path,
) -> None:
    document_id = deposited(years=5, ends_in=15)
    document = keep(side, document_id, "courant")
    stored(document_id).refuses_deletion()
    proof = destroyed(side, document_id)
    assert document_id not in objects.keys()  # noqa: SIM118
    assert proof["cause"] == "DESTRUCTION_CAUSE_RETENTION_ENDED"
    assert (proof["retentionClass"], proof["sha256"]) == ("courant", document["sha256"])
    destroy_time = datetime.fromisoformat(proof["destroyTime"])
    assert destroy_time >= datetime.fromisoformat(document["retainUntil"])
    assert proof["leafIndex"]
    (listed,) = side.get("/v1/destructions").json()["destructions"]
    assert listed == proof
    refused(side.get(path(document_id)), 404, "DOCUMENT_NOT_FOUND")
    refused(admin.post(path(document_id, "holds"), {"reason": "?"}), 404, "DOCUMENT_NOT_FOUND")

    kept = tmp_path / "destruction.json"
    kept.write_text(json.dumps(proof))
    key = gateway.get("/v1/receipts/checkpoint").json()["key"]
    result = CliRunner().invoke(cli, ["verify", str(kept), "--key", key])
    assert result.exit_code == 0, result.output

    def told() -> bool:
        entries = side.get("/v1/inbox").json().get("entries", [])
        return any(
            (entry["kind"], entry["entityId"]) == ("DocumentDestroyed", document_id)
            for entry in entries
        )

    eventually(told, what="the owner to be told")


def test_at_the_end_of_a_retention_to_review_the_owner_is_told_and_decides(
    side: Side, deposited: Callable[..., str]
) -> None:
    document_id = deposited(years=5, ends_in=12)
    keep(side, document_id, "marche-public")

    def told() -> bool:
        entries = side.get("/v1/inbox").json().get("entries", [])
        return any(
            (entry["kind"], entry["entityId"]) == ("RetentionEnded", document_id)
            for entry in entries
        )

    eventually(told, 120, "the owner to be told")
    assert side.get(path(document_id)).status_code == 200
    assert side.delete(path(document_id)).status_code == 200


# ---- the trash ------------------------------------------------------------------------------


def listed(side: Side, where: str = "/v1/documents", **parameters: str) -> set[str]:
    found = side.get(where, **parameters).json().get("documents", [])
    return {item["documentId"] for item in found}


def found(side: Side) -> set[str]:
    return listed(side, "/v1/documents/search", q="mobiliers")


def test_a_document_in_the_trash_is_its_owners_alone_and_comes_back_as_it_was(
    side: Side, partner: Side, documents: Client, token: str, deposited: Callable[..., str]
) -> None:
    page, other = readable.pdf("Inventaire des mobiliers"), deposited()
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    versions.deposited(documents, token, document_id, page)
    versions.version(documents, token, document_id, 2)
    share = {"administration": "caf-martinique", "purpose": "Dossier", "expireTime": FAR}
    assert side.post(path(document_id, "shares"), share).status_code == 200
    assert partner.get(path(document_id)).status_code == 200
    preview = path(document_id, "preview")
    eventually(lambda: partner.get(preview).status_code == 200, what="the preview")
    assert found(side) == {document_id}
    assert document_id in shared_with(partner)

    first = side.delete(path(document_id)).json()["document"]
    assert side.delete(path(document_id)).json()["document"] == first
    days = datetime.fromisoformat(first["purgeTime"]) - datetime.now(UTC)
    assert timedelta(days=29) < days <= timedelta(days=30)
    for rest in ((), ("content",), ("receipt",), ("preview",)):
        refused(partner.get(path(document_id, *rest)), 404, "DOCUMENT_NOT_FOUND")
    for number in (1, 2):
        told = partner.get(path(document_id, "content"), version=number)
        refused(told, 404, "DOCUMENT_NOT_FOUND")
    assert document_id not in shared_with(partner)
    assert listed(side) == {other}
    assert not found(side)
    assert listed(side, "/v1/trash") == {document_id}
    assert side.get(path(document_id, "content")).status_code == 200
    refused(side.post(path(document_id, "shares"), share), 409, "DOCUMENT_TRASHED")
    asked = side.put(path(document_id, "retention"), {"retentionClass": "courant"})
    refused(asked, 409, "DOCUMENT_TRASHED")

    for _ in range(2):
        back = side.post(path(document_id, "restore"))
        assert back.status_code == 200
        assert "purgeTime" not in back.json()["document"]
    assert listed(side) == {document_id, other}
    assert found(side) == {document_id}
    assert not listed(side, "/v1/trash")
    assert document_id in shared_with(partner)
    assert partner.get(path(document_id, "content")).status_code == 200


def shared_with(side: Side) -> set[str]:
    """The newest documents that are shared with somebody."""
    return {item["documentId"] for item in side.get("/v1/me/shares").json().get("shares", [])}


def test_what_is_in_the_trash_for_long_enough_is_destroyed(
    side: Side, gateway: httpx.Client, realm: Realm, deposited: Callable[..., str],
    database: Tables, objects: Objects,
) -> None:  # fmt: skip
    document_id = deposited()
    side.delete(path(document_id))
    purge(database, document_id)
    proof = destroyed(side, document_id)
    assert proof["cause"] == "DESTRUCTION_CAUSE_DELETED"
    assert document_id not in objects.keys()  # noqa: SIM118
    refused(side.post(path(document_id, "restore")), 404, "DOCUMENT_NOT_FOUND")
    stranger = Side(gateway, realm.token("stranger"))
    where = f"/v1/destructions/{document_id}"
    refused(stranger.get(where), 404, "DESTRUCTION_NOT_FOUND")


def purge(database: Tables, document_id: str) -> None:
    """Its time in the trash is over."""
    database.rows(
        "UPDATE documents.documents SET purge_time = now() WHERE document_id = %s", document_id
    )


# ---- legal holds ----------------------------------------------------------------------------


def hold(admin: Side, document_id: str) -> str:
    answer = admin.post(path(document_id, "holds"), {"reason": "Contentieux de M. Untel"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["hold"]["holdId"])


def test_a_held_document_is_destroyed_by_nobody_until_the_last_hold_is_released(
    side: Side, admin: Side, deposited: Callable[..., str], stored: Callable[[str], Store],
    database: Tables,
) -> None:  # fmt: skip
    document_id, other = deposited(), deposited()
    holds = [hold(admin, document_id), hold(admin, document_id)]
    assert side.get(path(document_id)).json()["document"]["held"]
    assert stored(document_id).held()
    stored(document_id).refuses_deletion()
    for each in (document_id, other):
        side.delete(path(each))
        purge(database, each)
    # The other one was due at the same time, and is gone.
    destroyed(side, other)
    assert stored(document_id).held()

    release = path(document_id, "holds", holds[0], "release")
    for _ in range(2):
        assert admin.post(release).status_code == 200
    assert stored(document_id).held()
    found = admin.get(path(document_id, "holds")).json()["holds"]
    assert [item["holdId"] for item in found] == holds[::-1]
    assert [bool(item.get("releaseTime")) for item in found] == [False, True]
    assert found[0]["reason"] == "Contentieux de M. Untel"
    assert admin.post(path(document_id, "holds", holds[1], "release")).status_code == 200
    assert destroyed(side, document_id)["cause"] == "DESTRUCTION_CAUSE_DELETED"


def test_a_hold_is_told_to_the_owner_without_its_reason(
    side: Side, admin: Side, deposited: Callable[..., str]
) -> None:
    document_id = deposited()
    hold_id = hold(admin, document_id)
    admin.post(path(document_id, "holds", hold_id, "release"))

    def lines() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = side.get("/v1/me/journal").json().get("entries", [])
        return found if len(found) == 2 else None

    released, placed = eventually(lines, what="two lines of the journal")
    assert (placed["action"], released["action"]) == ("documents.hold", "documents.release")
    for line in (placed, released):
        assert (line["grounds"], line["groundsId"]) == ("GROUNDS_LEGAL_HOLD", hold_id)
        assert (line["actorKind"], line["resourceId"]) == (
            "ACTOR_KIND_ADMINISTRATOR",
            document_id,
        )
        assert "Untel" not in json.dumps(line)
    for answer in (
        side.get(path(document_id, "holds")),
        side.post(path(document_id, "holds"), {"reason": "?"}),
    ):
        refused(answer, 403, "ROLE_MISSING")


# ---- erasure --------------------------------------------------------------------------------


def test_an_erasure_keeps_what_is_held_and_says_so_and_goes_on_when_it_is_free(
    stack: dict[str, Any], gateway: httpx.Client, clients: dict[str, Client], realm: Realm,
    person: Person, admin: Side, database: Tables, objects: Objects,
) -> None:  # fmt: skip
    sign_in = SignIn(stack)
    with sign_in.browser() as browser:
        tokens = sign_in.tokens(sign_in.password(browser, sign_in.start(browser), person))
    token = str(tokens["access_token"])
    side = Side(gateway, token)
    side.get("/v1/me")
    free, held, retained = (
        vault.deposit(clients["documents"], token, vault.unique_bytes()).document_id
        for _ in range(3)
    )
    keep(side, retained, "courant")
    hold_id = hold(admin, held)
    # Of both kinds, what holds for a document holds for the objects of its versions.
    for each in (held, retained):
        add_version(clients["documents"], token, each, 2)
    kept_by_hold, kept_by_lock = contents(database, held), contents(database, retained)
    mine = {free} | kept_by_hold | kept_by_lock
    assert len(mine) == 5
    locks = "SELECT 1 FROM documents.documents WHERE lock_pending AND owner_id = %s"
    eventually(lambda: not database.count(locks, person.account_id), what="the locks")
    asked = side.post("/v1/me/erasure").json()["erasure"]["erasureId"]
    database.rows("UPDATE identity.erasures SET due_time = now() WHERE erasure_id = %s", asked)

    def erasure(kept: int) -> dict[str, Any] | None:
        found: dict[str, Any] = gateway.get(f"/v1/erasures/{asked}").json()["erasure"]
        if found["state"] != "ERASURE_STATE_ERASED":
            return None
        return found if counts(found).get(("document", "LEGAL_HOLD"), 0) == kept else None

    waits = eventually(lambda: erasure(1), 120, "the erasure of what is free")
    assert counts(waits)["document", ""] == 2
    assert counts(waits)["unreadable_object", ""] == 2
    assert ("key", "") not in counts(waits)
    assert counts(certified(gateway, waits))["document", "LEGAL_HOLD"] == 1
    request = keyring_pb2.GetKeysRequest(owner_id=person.account_id)

    def keys() -> Any:
        token = realm.client_token("documents")
        return clients["identity"].get_keys(request, token=token).keys

    assert keys()
    assert mine & objects.keys() == kept_by_hold | kept_by_lock

    # With a token of now: the first one may be as old as what went before took.
    releasing = Side(gateway, realm.token("admin"))
    assert releasing.post(path(held, "holds", hold_id, "release")).status_code == 200
    done = eventually(lambda: erasure(0), 120, "the erasure of what was held")
    assert counts(done)["document", ""] == 3
    assert counts(done)["key", ""] == 1
    assert counts(certified(gateway, done)) == counts(done)
    assert refusal(keys).reason == "KEY_DESTROYED"
    # The retained one has neither a row nor a key, and goes when its locks do.
    assert mine & objects.keys() == kept_by_lock
    for query in (
        "SELECT 1 FROM documents.documents WHERE owner_id = %s",
        "SELECT 1 FROM documents.destructions WHERE owner_id = %s",
        "SELECT 1 FROM identity.journal_lines WHERE person_id = %s",
        "SELECT 1 FROM identity.owner_keys WHERE owner_id = %s",
    ):
        assert database.count(query, person.account_id) == 0, query
    for key in kept_by_lock:
        assert database.count("SELECT 1 FROM documents.locked_objects WHERE object_id = %s", key)


def counts(erasure: dict[str, Any]) -> dict[tuple[str, str], int]:
    """How much, by kind and by what retains it."""
    return {
        (item["kind"], item.get("retainedBy", "")): int(item.get("count", 0))
        for part in erasure["parts"]
        for item in part["items"]
    }


def certified(gateway: httpx.Client, erasure: dict[str, Any]) -> dict[str, Any]:
    keys = KeySet.import_key_set(gateway.get("/v1/consents/keys").json())
    signed = jws.deserialize_compact(erasure["certificate"], keys, algorithms=["Ed25519"])
    said: dict[str, Any] = json.loads(signed.payload)
    return said
