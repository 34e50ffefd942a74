"""JSON to a unary rpc and back, over real sockets."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from administration.documents.v1 import documents_pb2
from administration.exchange.v1 import exchange_pb2
from administration.identity.v1 import identity_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from backbone.errors import (
    Forbidden,
    InvalidInput,
    NotFound,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from services.gateway.edge import Edge
from tests.unit.gateway.conftest import (
    CALL_TIMEOUT,
    TRACE_ID,
    Services,
    problem_of,
    start_edge,
)

ID = "0190a1b2-0000-7000-8000-000000000001"
STEP_UP = "INSUFFICIENT_USER_AUTHENTICATION"
SHARE = {"administration": "cacem", "purpose": "École", "expireTime": "2027-01-01T00:00:00Z"}


def raises(error: Exception) -> Callable[[Any, Any], Any]:
    def answer(request: Any, context: Any) -> Any:
        raise error

    return answer


def test_a_get_answers_every_field_in_the_json_mapping(
    services: Services, client: httpx.Client
) -> None:
    account = identity_pb2.Account(account_id=ID, create_time=Timestamp(seconds=1, nanos=5_000_000))
    services.answers["GetMe"] = lambda *_: identity_pb2.GetMeResponse(account=account)

    response = client.get("/v1/me")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "account": {
            "accountId": ID,
            "displayName": "",
            "email": "",
            "locale": "",
            "createTime": "1970-01-01T00:00:01.005Z",
            "phoneNumber": "",
        }
    }


def test_path_query_and_body_fill_the_request(services: Services, client: httpx.Client) -> None:
    services.answers["ListDocuments"] = lambda *_: documents_pb2.ListDocumentsResponse()
    services.answers["ShareDocument"] = lambda *_: documents_pb2.ShareDocumentResponse()

    assert client.get("/v1/documents?page_size=3&pageToken=a%2Bb+c").json() == {
        "documents": [],
        "nextPageToken": "",
    }
    assert client.post(f"/v1/documents/{ID}/shares", json=SHARE).status_code == 200

    (_, listed, _), (_, shared, _) = services.calls
    assert listed == documents_pb2.ListDocumentsRequest(page_size=3, page_token="a+b c")
    assert shared.document_id == ID
    assert shared.purpose == "École"
    assert shared.expire_time.ToJsonString() == "2027-01-01T00:00:00Z"


def test_token_languages_and_trace_are_forwarded(services: Services, client: httpx.Client) -> None:
    services.answers["GetMe"] = lambda *_: identity_pb2.GetMeResponse()

    response = client.get(
        "/v1/me",
        headers={
            "Authorization": "Bearer abc",
            "Accept-Language": "gcf, fr;q=0.8",
            "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01",
            "tracestate": "vendor=1",
            "baggage": "name=private",
        },
    )

    _, _, metadata = services.calls[0]
    assert metadata["authorization"] == "Bearer abc"
    assert metadata["accept-language"] == "gcf, fr;q=0.8"
    assert metadata["traceparent"].split("-")[1] == TRACE_ID
    assert metadata["tracestate"] == "vendor=1"
    assert "baggage" not in metadata
    assert response.headers["traceparent"].split("-")[1] == TRACE_ID


def test_refusals_of_a_service_are_problems_with_its_status(
    services: Services, client: httpx.Client
) -> None:
    for error, status in (
        (NotFound("No such document."), 404),
        (Forbidden("Not for you."), 403),
        (TooMany("Slow down."), 429),
    ):
        services.answers["GetDocument"] = raises(error)
        response = client.get(
            f"/v1/documents/{ID}", headers={"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
        )
        document = problem_of(response)
        assert (response.status_code, document["trace_id"]) == (status, TRACE_ID)


def test_fields_at_fault_are_named_as_the_client_knows_them(
    services: Services, client: httpx.Client
) -> None:
    error = InvalidInput.field("expire_time", "PAST", "must lie in the future")
    services.answers["ShareDocument"] = raises(error)

    document = problem_of(client.post(f"/v1/documents/{ID}/shares", json=SHARE))

    assert document["detail"] == "expireTime: must lie in the future"
    assert document["errors"] == [
        {"field": "expireTime", "reason": "PAST", "detail": "must lie in the future"}
    ]


def test_a_challenge_tells_a_missing_token_from_a_bad_one(
    services: Services, client: httpx.Client
) -> None:
    services.answers["GetMe"] = raises(Unauthenticated("No token."))

    missing = client.get("/v1/me")
    bad = client.get("/v1/me", headers={"Authorization": "Bearer nope"})

    assert problem_of(missing)["status"] == problem_of(bad)["status"] == 401
    assert missing.headers["www-authenticate"] == 'Bearer realm="administration"'
    assert bad.headers["www-authenticate"] == (
        'Bearer realm="administration", error="invalid_token"'
    )


@pytest.mark.parametrize(
    ("error", "scheme", "challenge"),
    [
        (
            Unauthenticated("Again.", reason=STEP_UP, metadata={"acr_values": "substantial"}),
            "Bearer",
            'Bearer realm="administration", error="insufficient_user_authentication",'
            ' acr_values="substantial"',
        ),
        (
            Unauthenticated("Again.", reason=STEP_UP, metadata={"max_age": "60"}),
            "DPoP",
            'DPoP realm="administration", algs="ES256 EdDSA Ed25519",'
            ' error="insufficient_user_authentication", max_age="60"',
        ),
        (
            Unauthenticated("Bound.", reason="TOKEN_BOUND"),
            "Bearer",
            'DPoP realm="administration", algs="ES256 EdDSA Ed25519", error="invalid_token"',
        ),
        (
            Unauthenticated("Proof.", reason="DPOP_PROOF_REPLAYED"),
            "DPoP",
            'DPoP realm="administration", algs="ES256 EdDSA Ed25519", error="invalid_dpop_proof"',
        ),
    ],
    ids=["level", "age", "bound", "proof"],
)
def test_a_challenge_says_what_would_be_accepted(
    services: Services, client: httpx.Client, error: Unauthenticated, scheme: str, challenge: str
) -> None:
    services.answers["GetMe"] = raises(error)
    refused = client.get("/v1/me", headers={"Authorization": f"{scheme} a.b.c"})
    document = problem_of(refused)
    assert (document["status"], document["reason"]) == (401, error.reason)
    assert refused.headers["www-authenticate"] == challenge
    assert document | error.metadata == document


def test_an_outage_that_says_how_long_it_lasts_is_told_to_clients(
    services: Services, client: httpx.Client
) -> None:
    services.answers["GetMe"] = raises(Unavailable("Later.", metadata={"retry_after": "7"}))
    answer = client.get("/v1/me")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


def test_a_proof_goes_to_the_service_with_the_request_that_it_is_for(
    services: Services, client: httpx.Client
) -> None:
    services.answers["GetDocument"] = raises(NotFound("No such document."))
    forged = {"DPoP-Request": "GET /v1/elsewhere", "DPoP": "a.b.c", "Authorization": "DPoP x"}
    client.get(f"/v1/documents/{ID}?", headers=forged)
    (_, _, metadata) = services.calls[0]
    assert metadata["authorization"] == "DPoP x"
    assert metadata["dpop"] == "a.b.c"
    assert metadata["dpop-request"] == f"GET /v1/documents/{ID}"


def test_whom_a_call_is_for_goes_to_the_service_as_often_as_it_was_said(
    services: Services, client: httpx.Client
) -> None:
    services.answers["GetMe"] = lambda *_: identity_pb2.GetMeResponse()
    client.get("/v1/me", headers={"Backbone-Acting-For": ID})
    client.get("/v1/me")
    assert [metadata.get("backbone-acting-for") for *_, metadata in services.calls] == [ID, None]
    seen: list[Any] = []

    def several(_: Any, context: Any) -> Any:
        seen.extend(context.invocation_metadata())
        return identity_pb2.GetMeResponse()

    services.answers["GetMe"] = several
    client.get("/v1/me", headers=[("Backbone-Acting-For", ID), ("Backbone-Acting-For", "moi")])
    assert [value for key, value in seen if key == "backbone-acting-for"] == [ID, "moi"]


def test_two_proofs_or_what_cannot_be_one_are_refused_before_any_call(
    services: Services, client: httpx.Client
) -> None:
    for headers in ([(b"DPoP", b"a.b.c"), (b"DPoP", b"a.b.c")], [(b"DPoP", b"\xff")]):
        refused = client.get("/v1/me", headers=headers)
        assert problem_of(refused)["reason"] == "DPOP_PROOF_INVALID"
    assert services.calls == []


def test_a_token_that_cannot_be_one_is_refused_before_any_call(
    services: Services, client: httpx.Client
) -> None:
    strange = client.get("/v1/me", headers=[(b"Authorization", b"Bearer \xff")])
    huge = client.get("/v1/me", headers={"Authorization": "Bearer " + "a" * 8000})

    assert problem_of(strange)["status"] == 401
    assert problem_of(huge)["status"] == 431
    assert services.calls == []


def test_a_service_that_is_slow_or_away_is_a_problem_without_its_words(
    services: Services, client: httpx.Client
) -> None:
    services.answers["GetMe"] = lambda _, context: services.ended.wait(20)
    slow = problem_of(client.get("/v1/me"))
    assert (slow["status"], slow["reason"]) == (504, "DEADLINE_EXCEEDED")

    services.answers["GetMe"] = raises(RuntimeError("secret"))
    document = problem_of(client.get("/v1/me"))
    assert document["status"] == 500
    assert "secret" not in str(document)

    gone = Services()
    gone.stop()
    edge: Edge = start_edge(gone)
    try:
        document = problem_of(httpx.get(f"http://127.0.0.1:{edge.port}/v1/me", trust_env=False))
        assert (document["status"], document["reason"]) == (503, "UNAVAILABLE")
        assert "127.0.0.1" not in str(document)
    finally:
        edge.stop()


def test_head_is_a_get_without_its_body(services: Services, client: httpx.Client) -> None:
    services.answers["GetMe"] = lambda *_: identity_pb2.GetMeResponse()
    response = client.head("/v1/me")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0


def test_a_long_poll_may_take_as_long_as_its_contract_says(
    client: httpx.Client, services: Services
) -> None:
    def slow(request: Any, context: Any) -> exchange_pb2.ListFeedEventsResponse:
        time.sleep(1.2 * CALL_TIMEOUT)
        assert context.time_remaining() > 30
        return exchange_pb2.ListFeedEventsResponse(next_cursor="c")

    services.answers["ListFeedEvents"] = slow
    answer = client.get("/v1/feeds/public.documents.v1.Document/events?wait_seconds=30")
    assert answer.json() == {"events": [], "nextCursor": "c"}


def test_a_cloudevent_of_a_feed_is_its_json_format(
    client: httpx.Client, services: Services
) -> None:
    event = exchange_pb2.CloudEvent(specversion="1.0", id="a", source="/s", type="t", subject="x")
    event.data.update({"count": "9007199254740993", "size": 12, "parts": [{"a": None}], "ok": True})
    services.answers["ListFeedEvents"] = lambda *_: exchange_pb2.ListFeedEventsResponse(
        events=[exchange_pb2.FeedEvent(cursor="c", event=event)]
    )
    (found,) = client.get("/v1/feeds/public.documents.v1.Document/events").json()["events"]
    assert found["event"]["data"] == {
        "count": "9007199254740993", "size": 12, "parts": [{"a": None}], "ok": True,
    }  # fmt: skip
    assert found["event"]["specversion"] == "1.0"
