"""Quotas on real components: usage is what is kept, and no two deposits pass a limit together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import uploads_pb2, usage_pb2
from administration.documents.v1.usage_pb2 import Usage
from click.testing import CliRunner

from deploy.local.clamav import EICAR
from services.documents.quota_cli import quota
from tests.integration.test_versions import deposited, restore, version
from tests.support import vault
from tests.support.objects import Objects
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, Refusal, refusal
from tests.support.tables import Tables


def usage(documents: Client, token: str) -> Usage:
    answer: usage_pb2.GetUsageResponse = documents.get_usage(
        usage_pb2.GetUsageRequest(), token=token
    )
    return answer.usage


def used(documents: Client, token: str) -> tuple[int, int]:
    found = usage(documents, token)
    return found.used_bytes, found.used_items


Limit = Callable[..., str]


@pytest.fixture
def limit(stack: dict[str, Any], person: Person, monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Gives `person` limits of their own, as an operator does; what the command printed."""
    known: dict[str, str] = stack["services"]["documents"]["environment"]
    monkeypatch.setenv("BACKBONE_DATABASE_URL", known["BACKBONE_DATABASE_URL"])

    def run(*options: str, command: str = "set") -> str:
        done = CliRunner().invoke(quota, [command, f"person:{person.account_id}", *options])
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_usage_is_what_is_kept(
    documents: Client, token: str, database: Tables, limit: Limit
) -> None:
    assert used(documents, token) == (0, 0)
    document_id = vault.deposit(documents, token, vault.unique_bytes(1000)).document_id
    assert used(documents, token) == (1000, 1)
    deposited(documents, token, document_id, vault.unique_bytes(500))
    version(documents, token, document_id, 2)
    assert used(documents, token) == (1500, 2)
    # The bytes are those that are there already.
    restore(documents, token, document_id, 1)
    assert used(documents, token) == (1500, 3)
    refused = vault.sent(documents, token, EICAR, media_type="text/plain", name="note.txt")
    vault.checked(documents, token, refused.document_id)
    assert used(documents, token) == (1500, 3)
    assert "bytes  1500 of " in limit(command="show")
    database.rows(
        "UPDATE documents.documents SET expire_time = now() WHERE document_id = %s", document_id
    )
    eventually(lambda: used(documents, token) == (0, 0))


def over_quota(found: Refusal, most: int, would: int) -> None:
    assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    assert (found.metadata["limit"], found.metadata["used"]) == (str(most), str(would))
    assert "remove some" in found.detail


def test_a_deposit_that_there_is_no_room_for_is_refused_and_leaves_nothing(
    documents: Client, token: str, limit: Limit, objects: Objects, gateway: httpx.Client
) -> None:
    limit("--bytes", "2500")
    document_id = vault.deposit(documents, token, vault.unique_bytes(1000)).document_id
    data = vault.unique_bytes(2000)
    before = objects.keys()
    # Told before it is sent, and found out when it was not told.
    over_quota(refusal(lambda: vault.sent(documents, token, data)), 2500, 3000)
    silent = vault.requests(vault.chunks(data))
    over_quota(refusal(lambda: documents.deposit_document(silent, token=token)), 2500, 3000)
    over_quota(refusal(lambda: deposited(documents, token, document_id, data)), 2500, 3000)
    assert objects.keys() <= before
    assert used(documents, token) == (1000, 1)
    problem = gateway.post(
        "/v1/documents",
        content=data,
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/pdf",
            "Content-Disposition": "attachment; filename=acte.pdf",
        },
    )
    assert problem.status_code == 507, problem.text
    assert problem.json()["reason"] == "QUOTA_EXCEEDED"
    assert (problem.json()["limit"], problem.json()["used"]) == ("2500", "3000")
    told = gateway.get("/v1/me/usage", headers={"Authorization": f"Bearer {token}"}).json()
    assert told["usage"]["usedBytes"] == "1000"
    assert told["usage"]["limitBytes"] == "2500"
    limit()
    vault.deposit(documents, token, data)


def test_of_those_who_deposit_at_once_only_as_many_pass_as_there_is_room_for(
    documents: Client, token: str, limit: Limit
) -> None:
    limit("--bytes", "3000")

    def one(_: int) -> str:
        sent = vault.requests(vault.chunks(vault.unique_bytes(1000)))
        try:
            documents.deposit_document(sent, token=token)
        except grpc.RpcError as error:
            return Refusal(error).reason
        return "deposited"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(one, range(8)))
    assert outcomes == ["QUOTA_EXCEEDED"] * 5 + ["deposited"] * 3
    assert used(documents, token) == (3000, 3)


def test_an_upload_reserves_what_it_announces_until_it_is_given_up(
    documents: Client, token: str, limit: Limit
) -> None:
    limit("--bytes", "1500", "--items", "2")

    def opened() -> str:
        header = uploads_pb2.OpenUploadRequest.Header(
            name="acte.pdf", media_type="application/pdf", size_bytes=1000, sha256="0" * 64
        )
        request = uploads_pb2.OpenUploadRequest(header=header)
        answer: uploads_pb2.OpenUploadResponse = documents.open_upload(request, token=token)
        return answer.upload.document_id

    upload = opened()
    assert used(documents, token) == (1000, 1)
    over_quota(refusal(opened), 1500, 2000)
    data = vault.unique_bytes(1000)
    over_quota(refusal(lambda: vault.sent(documents, token, data)), 1500, 2000)
    documents.abandon_upload(uploads_pb2.AbandonUploadRequest(document_id=upload), token=token)
    assert used(documents, token) == (0, 0)
    vault.deposit(documents, token, data)


def test_what_agents_deposit_is_their_administrations_usage(
    documents: Client, realm: Realm
) -> None:
    agent = realm.token("agent")
    before = usage(documents, agent)
    assert before.administration
    vault.deposit(documents, agent, vault.unique_bytes(700))
    after = usage(documents, agent)
    assert after.used_bytes - before.used_bytes == 700
    assert after.limit_bytes > usage(documents, realm.token("citizen")).limit_bytes
