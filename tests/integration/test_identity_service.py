"""Identity on real components: accounts, created once, followed, and reachable."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import pytest
from administration.identity.v1 import identity_pb2

from tests.support.kafka import header, internal_options, once, tap
from tests.support.polling import brief, eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, refusal
from tests.support.sign_in import claims
from tests.support.tables import Tables

TOPIC = "administration.identity.v1.Account"
SEEN = [f"administration.identity.v1.{name}" for name in ("AccountCreated", "AccountUpdated")]
ME = identity_pb2.GetMeRequest()
HOME = {
    "streetAddress": "12 rue Victor Schœlcher",
    "postalCode": "97200",
    "locality": "Fort-de-France",
    "country": "MQ",
}


def contact(account_id: str) -> identity_pb2.GetContactRequest:
    return identity_pb2.GetContactRequest(account_id=account_id)


def test_an_account_is_created_on_first_sight_from_the_token(
    identity: Client, person: Person, token: str, database: Tables
) -> None:
    account = identity.get_me(ME, token=token).account
    assert account.account_id == person.account_id
    assert (account.display_name, account.email, account.locale) == (
        person.name,
        person.email,
        "fr",
    )
    assert account.create_time.seconds > 0
    assert identity.get_me(ME, token=token).account == account
    query = "SELECT 1 FROM identity.accounts WHERE account_id = %s"
    assert database.count(query, person.account_id) == 1


def test_eight_first_sights_at_once_create_and_publish_one_account(
    identity: Client, person: Person, token: str, database: Tables, stack: dict[str, Any]
) -> None:
    with tap(internal_options(stack), TOPIC) as topic:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: identity.get_me(ME, token=token), range(8)))
        assert len({answer.account.create_time.ToNanoseconds() for answer in answers}) == 1
        outbox = "SELECT 1 FROM identity.outbox WHERE key = %s"
        eventually(lambda: database.count(outbox, person.account_id) == 0)
        told = once(r for r in topic.drain() if r.key == person.account_id.encode())
    # The realm's log tells in its own time that the person signed in, or was made.
    told = [r for r in told if header(r, "ce_type") in SEEN]
    assert [header(r, "ce_type") for r in told] == [SEEN[0]]
    (record,) = told
    assert header(record, "ce_source") == "/services/identity"
    published = json.loads(record.value)
    assert published.keys() == {"accountId", "createTime"}
    assert person.email not in str(record)


def test_an_account_follows_what_the_realm_says(
    identity: Client, person: Person, token: str, realm: Realm
) -> None:
    before = identity.get_me(ME, token=token).account
    realm.rename(person, "Anaïs", "Essai")
    after = identity.get_me(ME, token=realm.fresh_token(person)).account
    assert after.display_name == "Anaïs Essai"
    assert after.create_time == before.create_time


def test_a_language_is_set_in_the_realm_and_an_older_token_does_not_bring_the_old_one_back(
    gateway: httpx.Client,
    identity: Client,
    person: Person,
    token: str,
    realm: Realm,
    stack: dict[str, Any],
) -> None:
    service = realm.client_token("notifications")
    assert identity.get_me(ME, token=token).account.locale == "fr"
    with tap(internal_options(stack), TOPIC) as topic:
        answer = gateway.patch(
            "/v1/me", json={"locale": "gcf"}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["account"]["locale"] == "gcf"
        (record,) = topic.until(
            lambda r: (
                r.key == person.account_id.encode()
                and header(r, "ce_type").endswith("AccountUpdated")
            )
        )
    assert json.loads(record.value).keys() == {"accountId", "updateTime"}
    # Mails follow it, and so does what is asked with a token that says the old one.
    assert identity.get_contact(contact(person.account_id), token=service).locale == "gcf"
    assert identity.get_me(ME, token=token).account.locale == "gcf"
    fresh = realm.fresh_token(person)
    assert claims(fresh)["locale"] == "gcf"
    account = identity.get_me(ME, token=fresh).account
    assert (account.locale, account.display_name, account.email) == (
        "gcf",
        person.name,
        person.email,
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"locale": "de"}, "locale"),
        ({"updateMask": "locale"}, "locale"),
        ({"updateMask": "email"}, "updateMask"),
        ({"email": "a@b.example"}, "email"),
        ({"phoneNumber": "0696 12 34 56"}, "phoneNumber"),
        ({"phoneNumber": "+596 12"}, "phoneNumber"),
        ({"postalAddress": {"locality": "Schœlcher"}}, "postalAddress.streetAddress"),
        ({"postalAddress": {**HOME, "country": "mq"}}, "postalAddress.country"),
        ({"postalAddress": {**HOME, "country": "ZZ"}}, "postalAddress.country"),
        ({"postalAddress": {**HOME, "postalCode": "972"}}, "postalAddress.postalCode"),
    ],
    ids=brief,
)
def test_what_cannot_be_changed_here_is_refused(
    gateway: httpx.Client, token: str, body: dict[str, Any], field: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    before = gateway.get("/v1/me", headers=headers).json()
    answer = gateway.patch("/v1/me", json=body, headers=headers)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["errors"]][:1] == [field]
    assert gateway.get("/v1/me", headers=headers).json() == before


def test_how_a_person_is_reached_is_changed_a_part_at_a_time_and_told_to_nobody(
    gateway: httpx.Client, person: Person, realm: Realm, token: str, stack: dict[str, Any]
) -> None:
    def change(**body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        answer = gateway.patch("/v1/me", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        account = answer.json()["account"]
        assert gateway.get("/v1/me", headers=headers).json()["account"] == account
        return dict(account)

    with tap(internal_options(stack), TOPIC) as topic:
        # Of an account that is seen for the first time, too.
        before = change(phoneNumber="+596 696 12 34 56")
        assert before["phoneNumber"] == "+596696123456"
        both = change(postalAddress=HOME)
        assert both == before | {"postalAddress": HOME}
        # What the realm says anew leaves it as it is.
        realm.rename(person, "Anaïs", "Essai")
        renamed = gateway.get(
            "/v1/me", headers={"Authorization": f"Bearer {realm.fresh_token(person)}"}
        ).json()["account"]
        assert renamed == both | {"displayName": "Anaïs Essai"}
        assert change(locale="en") == renamed | {"locale": "en"}
        assert change() == renamed | {"locale": "en"}
        assert "postalAddress" not in change(updateMask="postalAddress")
        last = change(updateMask="phoneNumber,postalAddress", postalAddress=HOME)
        assert last == renamed | {"locale": "en", "phoneNumber": ""}
        found = topic.until(lambda r: r.key == person.account_id.encode(), 2)
    for record in found:
        assert not [word for word in ("696123456", "Schœlcher", "97200") if word in str(record)]


def test_what_the_realm_says_of_an_address_counts_before_any_new_token(
    identity: Client, person: Person, token: str, realm: Realm
) -> None:
    service = realm.client_token("notifications")
    identity.get_me(ME, token=token)
    assert identity.get_contact(contact(person.account_id), token=service).email == person.email
    realm.doubt_address(person)
    eventually(lambda: identity.get_contact(contact(person.account_id), token=service).email == "")
    # The token of before still says that it is verified.
    identity.get_me(ME, token=token)
    assert identity.get_contact(contact(person.account_id), token=service).email == ""


def test_a_contact_is_known_before_its_account_was_ever_opened(
    identity: Client, person: Person, realm: Realm
) -> None:
    answer = identity.get_contact(
        contact(person.account_id), token=realm.client_token("notifications")
    )
    assert (answer.display_name, answer.email, answer.locale) == (person.name, person.email, "fr")


def test_an_address_that_was_not_verified_is_not_given(identity: Client, realm: Realm) -> None:
    with realm.person(email_verified=False, locale="en") as unsure:
        answer = identity.get_contact(
            contact(unsure.account_id), token=realm.client_token("notifications")
        )
        assert (answer.email, answer.locale) == ("", "en")


def test_the_contact_of_an_unknown_account_is_not_found(identity: Client, realm: Realm) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    service = realm.client_token("notifications")
    refused = refusal(lambda: identity.get_contact(contact(unknown), token=service))
    assert refused.code == grpc.StatusCode.NOT_FOUND
    assert unknown not in refused.detail


def test_an_identifier_that_is_none_is_refused_by_its_field(identity: Client, realm: Realm) -> None:
    service = realm.client_token("notifications")
    for text, reason in (("", "REQUIRED"), ("../users", "UUID"), ("a" * 5000, "UUID")):
        refused = refusal(lambda: identity.get_contact(contact(text), token=service))  # noqa: B023
        assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
        assert refused.fields == {"account_id": reason}
