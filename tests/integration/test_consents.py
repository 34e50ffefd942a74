"""Consents on real components: granted, checked, proved, revoked; through gRPC and the gateway."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import orjson
import pytest
from administration.identity.v1 import consents_pb2
from administration.identity.v1.consents_pb2 import Consent
from joserfc import jws
from joserfc.jwk import KeySet

from tests.support.kafka import header, internal_options, once, tap
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, refusal
from tests.support.tables import Tables

TOPIC = "administration.identity.v1.Consent"
PURPOSE = "Dossier d’allocation de Mme Éloïse"
BODY = {
    "administration": "caf-martinique",
    "purpose": PURPOSE,
    "scopes": ["documents.read", "contact.read"],
    "expireTime": "2999-01-01T00:00:00Z",
}
END = datetime(2999, 1, 1, tzinfo=UTC)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def asking(
    administration: str = "caf-martinique",
    purpose: str = PURPOSE,
    scopes: tuple[str, ...] = ("documents.read", "contact.read"),
    expire_time: datetime = END,
) -> consents_pb2.GrantConsentRequest:
    request = consents_pb2.GrantConsentRequest(
        administration=administration, purpose=purpose, scopes=scopes
    )
    request.expire_time.FromDatetime(expire_time)
    return request


def granted(identity: Client, token: str, **terms: Any) -> Consent:
    answer: consents_pb2.GrantConsentResponse = identity.grant_consent(asking(**terms), token=token)
    return answer.consent


def revoked(identity: Client, token: str, consent_id: str) -> Consent:
    request = consents_pb2.RevokeConsentRequest(consent_id=consent_id)
    answer: consents_pb2.RevokeConsentResponse = identity.revoke_consent(request, token=token)
    return answer.consent


def check(
    identity: Client,
    realm: Realm,
    person: Person,
    scope: str = "documents.read",
    administration: str = "caf-martinique",
) -> consents_pb2.CheckConsentResponse:
    request = consents_pb2.CheckConsentRequest(
        account_id=person.account_id, administration=administration, scope=scope
    )
    answer: consents_pb2.CheckConsentResponse = identity.check_consent(
        request, token=realm.client_token("documents")
    )
    return answer


def test_a_consent_goes_from_the_person_to_its_end_and_stays_provable(
    gateway: httpx.Client, identity: Client, realm: Realm, person: Person, token: str
) -> None:
    assert not check(identity, realm, person).granted
    answer = gateway.post("/v1/me/consents", json=BODY, headers=bearer(token))
    assert answer.status_code == 200, answer.text
    consent = answer.json()["consent"]
    path = f"/v1/me/consents/{consent['consentId']}"
    assert consent["state"] == "CONSENT_STATE_ACTIVE"
    assert consent["scopes"] == ["contact.read", "documents.read"]
    assert "revokeTime" not in consent
    checked = check(identity, realm, person)
    assert (checked.granted, checked.consent_id) == (True, consent["consentId"])
    assert checked.expire_time.ToDatetime(UTC) == END
    assert not check(identity, realm, person, scope="documents.write").granted
    assert not check(identity, realm, person, administration="ville-fort-de-france").granted

    ended = gateway.post(f"{path}/revoke", json={}, headers=bearer(token)).json()["consent"]
    # At once: the answer of the revocation and the next check are of the same database.
    assert not check(identity, realm, person).granted
    assert ended["state"] == "CONSENT_STATE_REVOKED"
    assert ended["createTime"] == consent["createTime"] < ended["revokeTime"]
    assert gateway.get(path, headers=bearer(token)).json()["consent"] == ended
    again = gateway.post(f"{path}/revoke", json={}, headers=bearer(token)).json()["consent"]
    assert again == ended

    # What anyone can do who has the two records and the keys.
    keys = KeySet.import_key_set(gateway.get("/v1/consents/keys").json())
    records = [
        orjson.loads(jws.deserialize_compact(record, keys, algorithms=["Ed25519"]).payload)
        for record in (ended["grantRecord"], ended["revocationRecord"])
    ]
    assert [record["statement"] for record in records] == ["granted", "revoked"]
    for record in records:
        assert (record["sub"], record["jti"]) == (person.account_id, consent["consentId"])
        assert (record["administration"], record["purpose"]) == ("caf-martinique", PURPOSE)
        assert record["scopes"] == ["contact.read", "documents.read"]
    assert "revoke_time" not in records[0]
    assert records[0]["grant_time"] == records[1]["grant_time"] < records[1]["revoke_time"]


def test_the_events_of_a_consent_carry_identifiers_alone(
    identity: Client, person: Person, token: str, stack: dict[str, Any]
) -> None:
    with tap(internal_options(stack), TOPIC) as topic:
        consent = granted(identity, token)
        ended = revoked(identity, token, consent.consent_id)
        revoked(identity, token, consent.consent_id)
        records = topic.until(lambda r: r.key == consent.consent_id.encode(), 2)
        found = once(r for r in topic.drain() if r.key == consent.consent_id.encode())
    assert found == records
    assert [header(record, "ce_type") for record in records] == [
        "administration.identity.v1.ConsentGranted",
        "administration.identity.v1.ConsentRevoked",
    ]
    common = {
        "consentId": consent.consent_id,
        "accountId": person.account_id,
        "administration": "caf-martinique",
    }
    assert json.loads(records[0].value) == common | {
        "scopes": ["contact.read", "documents.read"],
        "expireTime": "2999-01-01T00:00:00Z",
        "createTime": consent.create_time.ToJsonString(),
    }
    assert json.loads(records[1].value) == common | {"revokeTime": ended.revoke_time.ToJsonString()}
    assert "allocation" not in str(records)


def test_the_same_consent_asked_for_eight_times_at_once_is_one(
    identity: Client, person: Person, token: str, database: Tables
) -> None:
    with ThreadPoolExecutor(8) as pool:
        consents = list(pool.map(lambda _: granted(identity, token), range(8)))
    assert all(consent == consents[0] for consent in consents)
    turned = granted(identity, token, scopes=("contact.read", "documents.read", "contact.read"))
    assert turned == consents[0]
    query = "SELECT 1 FROM identity.consents WHERE account_id = %s"
    assert database.count(query, person.account_id) == 1


def test_another_end_is_a_conflict_until_the_consent_is_revoked(
    identity: Client, token: str
) -> None:
    consent = granted(identity, token)
    shorter = END - timedelta(days=1)
    refused = refusal(lambda: granted(identity, token, expire_time=shorter))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "CONSENT_EXISTS")
    assert consent.consent_id in refused.detail
    revoked(identity, token, consent.consent_id)
    assert granted(identity, token, expire_time=shorter).consent_id != consent.consent_id


def test_a_consent_ends_by_itself(
    identity: Client, realm: Realm, person: Person, token: str
) -> None:
    # The token of who checks is asked for before; what is left is enough for two calls.
    assert not check(identity, realm, person).granted
    soon = datetime.now(UTC) + timedelta(seconds=10)
    consent = granted(identity, token, expire_time=soon)
    assert check(identity, realm, person).granted
    eventually(lambda: not check(identity, realm, person).granted)
    request = consents_pb2.GetConsentRequest(consent_id=consent.consent_id)
    found = identity.get_consent(request, token=token).consent
    assert found.state == consents_pb2.CONSENT_STATE_EXPIRED
    refused = refusal(lambda: revoked(identity, token, consent.consent_id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "CONSENT_EXPIRED")


def test_a_person_lists_their_own_consents_newest_first_page_by_page(
    gateway: httpx.Client, identity: Client, realm: Realm, token: str
) -> None:
    made = [granted(identity, token, purpose=f"But {number}").consent_id for number in range(3)]
    headers = bearer(token)
    first = gateway.get("/v1/me/consents", params={"pageSize": 2}, headers=headers).json()
    rest = gateway.get(
        "/v1/me/consents", params={"pageToken": first["nextPageToken"]}, headers=headers
    ).json()
    listed = [item["consentId"] for page in (first, rest) for item in page["consents"]]
    assert listed == made[::-1]
    with realm.person() as other:
        answer = gateway.get("/v1/me/consents", headers=bearer(realm.token_of(other)))
        assert answer.json().get("consents", []) == []


def test_what_is_another_persons_looks_like_what_is_not_there(
    gateway: httpx.Client, identity: Client, realm: Realm, person: Person, token: str
) -> None:
    consent_id = granted(identity, token).consent_id
    with realm.person() as other:
        headers = bearer(realm.token_of(other))
        problems = []
        for name in (consent_id, str(uuid.uuid4())):
            for answer in (
                gateway.get(f"/v1/me/consents/{name}", headers=headers),
                gateway.post(f"/v1/me/consents/{name}/revoke", json={}, headers=headers),
            ):
                assert answer.status_code == 404
                problem = answer.json()
                problem.pop("trace_id")
                problems.append(problem)
    assert all(problem == problems[0] for problem in problems)
    assert problems[0]["reason"] == "CONSENT_NOT_FOUND"
    assert check(identity, realm, person).granted


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"expireTime": "2020-01-01T00:00:00Z"}, "expireTime", "PAST"),
        ({"expireTime": None}, "expireTime", "REQUIRED"),
        ({"administration": "atlantide"}, "administration", "UNKNOWN"),
        ({"administration": "../caf"}, "administration", "PATTERN"),
        ({"purpose": ""}, "purpose", "REQUIRED"),
        ({"purpose": " \t "}, "purpose", "REQUIRED"),
        ({"purpose": "a" * 501}, "purpose", "MAX_LENGTH"),
        ({"scopes": []}, "scopes", "REQUIRED"),
        ({"scopes": ["Tout !"]}, "scopes", "PATTERN"),
        ({"scopes": [f"s{number}" for number in range(21)]}, "scopes", "MAX_ITEMS"),
    ],
)
def test_a_consent_that_cannot_be_is_refused_by_its_field(
    gateway: httpx.Client, citizen_token: str, change: dict[str, Any], field: str, reason: str
) -> None:
    answer = gateway.post("/v1/me/consents", json=BODY | change, headers=bearer(citizen_token))
    assert answer.status_code == 400
    assert [(item["field"], item["reason"]) for item in answer.json()["errors"]] == [
        (field, reason)
    ]
