"""Calls for another, on a real gRPC server: whom a method is asked about, and every refusal."""

import logging
import time
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from administration.documents.v1.events_pb2 import DocumentReceived
from administration.options.v1.options_pb2 import AccessRule
from nameko.extensions import DependencyProvider

from backbone import contracts, telemetry
from backbone.acting import HEADER, METADATA
from backbone.container import NativeContainer
from backbone.contracts import ContractError
from backbone.errors import Forbidden, Unavailable
from backbone.events import envelope
from backbone.mandates import KEPT_SECONDS, Held, IdentityMandates, Mandates
from backbone.rpc import Call, CurrentCall, Grpc
from backbone.rpc.server import GrpcServer
from tests.support.fake_realm import ISSUER, FakeRealm
from tests.support.nameko import CONFIG
from tests.support.processes import free_port
from tests.support.rpc import Client, refusal
from tests.support.schemas import Schema, field, message, method

CITIZENS = AccessRule(roles=["citizen"])
made = Schema(
    [message("Word", field("text"))],
    [
        method("Tell", "Word", "Word", rule=AccessRule(roles=["citizen"], mandate_scope="a.tell")),
        method("Confess", "Word", "Word", rule=CITIZENS),
        method("Announce", "Word", "Word", rule=AccessRule(public=True)),
    ],
)
Word: Any = made["Word"]
grpc_ = Grpc.implementing(made.service)
pytestmark = pytest.mark.usefixtures("ended")

ACTOR, PRINCIPAL, MANDATE = (str(uuid.uuid4()) for _ in range(3))
SCOPE = "a.tell"


class Known(DependencyProvider):  # type: ignore[misc]
    """The mandates that a test writes into `held`; `away` makes nobody know."""

    server = GrpcServer()
    held: dict[tuple[str, str, str], Held]
    asked: int
    away: bool

    def setup(self) -> None:
        self.server.mandates = Mandates(self.ask)

    @classmethod
    def ask(cls, *key: str) -> Held | None:
        cls.asked += 1
        if cls.away:
            raise Unavailable("Nobody answers.", reason="MANDATE_UNKNOWN")
        return cls.held.get((key[0], key[1], key[2]))


class Teller:
    """Tells who acts for whom, and what events would say."""

    name = "teller"
    call: Call = CurrentCall()
    mandates: Any = Known()

    @grpc_
    def tell(self, request: Any) -> Any:
        if request.text == "mistake":
            return Word(text=self.call.authenticated.subject)
        if request.text == "event":
            event = DocumentReceived(document_id="one")
            said = envelope.attributes(event, "/services/made", "/schemas")
            names = ("actorid", "principalid", "mandateid")
            return Word(text=" ".join(said.get(name, "-") for name in names))
        acting = self.call.acting
        logging.getLogger(__name__).warning("told")
        return Word(text=f"{acting.actor.subject} {acting.principal_id} {acting.mandate_id}")

    @grpc_
    def confess(self, request: Any) -> Any:
        return Word(text=self.call.authenticated.subject)

    @grpc_
    def announce(self, request: Any) -> Any:
        return request


@pytest.fixture(autouse=True)
def made_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract of these tests is nobody's generated module."""
    load = contracts.load
    generated = set(contracts.SERVICES)
    monkeypatch.setattr(contracts, "load", lambda area: area in generated and load(area))
    monkeypatch.setitem(contracts.SERVICES, "made", made.service)


@pytest.fixture
def address(signing_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch) -> str:
    Known.held, Known.asked, Known.away = {}, 0, False
    listen = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("BACKBONE_GRPC_LISTEN", listen)
    monkeypatch.setenv("BACKBONE_ISSUER", ISSUER)
    monkeypatch.setenv("BACKBONE_JWKS_URL", signing_realm.jwks_url)
    return listen


@pytest.fixture
def teller(address: str) -> Iterator[Client]:
    container = NativeContainer(Teller, CONFIG)
    container.start()
    client = Client("made", address)
    yield client
    client.close()
    container.stop()


@pytest.fixture
def token(signing_realm: FakeRealm) -> str:
    return signing_realm.token({"sub": ACTOR})


def grant(seconds: float = 60.0) -> None:
    Known.held[ACTOR, PRINCIPAL, SCOPE] = Held(MANDATE, time.time() + seconds)


def metadata(token: str, *principals: str) -> list[tuple[str, str]]:
    return [
        ("authorization", f"Bearer {token}"),
        *((METADATA, principal) for principal in principals),
    ]


def told(teller: Client, token: str, *principals: str, text: str = "") -> str:
    answer = teller.tell(Word(text=text), metadata=metadata(token, *principals))
    return str(answer.text)


def test_a_method_knows_who_acts_and_whose_affairs_it_is_about(teller: Client, token: str) -> None:
    grant()
    assert told(teller, token, PRINCIPAL.upper()) == f"{ACTOR} {PRINCIPAL} {MANDATE}"
    # The next call of the same thread is a call of its own.
    assert told(teller, token) == f"{ACTOR} {ACTOR} "


def test_a_call_for_oneself_needs_no_mandate_where_it_is_said_or_not(
    teller: Client, token: str
) -> None:
    assert told(teller, token, ACTOR.upper()) == f"{ACTOR} {ACTOR} "
    answer = teller.confess(Word(), metadata=metadata(token, ACTOR))
    assert answer.text == ACTOR
    assert Known.asked == 0


@pytest.mark.parametrize(
    ("changed", "value"),
    [(0, str(uuid.uuid4())), (1, str(uuid.uuid4())), (2, "a.write")],
    ids=["another's mandate", "a stranger", "another scope"],
)
def test_a_call_for_another_is_refused_without_their_mandate(
    teller: Client, token: str, changed: int, value: str
) -> None:
    key = [ACTOR, PRINCIPAL, SCOPE]
    key[changed] = value
    Known.held[key[0], key[1], key[2]] = Held(MANDATE, time.time() + 60)
    refused = refusal(lambda: told(teller, token, PRINCIPAL))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "MANDATE_MISSING",
    )
    assert "a.tell" in refused.detail


def test_what_is_done_for_oneself_alone_is_refused_for_another(teller: Client, token: str) -> None:
    grant()
    for call in (teller.confess, teller.announce):
        refused = refusal(lambda: call(Word(), metadata=metadata(token, PRINCIPAL)))  # noqa: B023
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "NOT_FOR_ANOTHER",
        )
    assert Known.asked == 0


@pytest.mark.parametrize("named", [("",), ("moi",), (PRINCIPAL, PRINCIPAL), (ACTOR, PRINCIPAL)])
def test_whom_a_call_is_for_is_one_identifier(
    teller: Client, token: str, named: tuple[str, ...]
) -> None:
    grant()
    refused = refusal(lambda: told(teller, token, *named))
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == {HEADER: "UUID"}


def test_a_caller_without_a_token_or_the_role_learns_nothing_of_mandates(
    teller: Client, signing_realm: FakeRealm
) -> None:
    grant()
    without = refusal(lambda: teller.tell(Word(), metadata=[(METADATA, PRINCIPAL)]))
    assert without.reason == "TOKEN_MISSING"
    token = signing_realm.token({"sub": ACTOR, "realm_access": {"roles": ["agent"]}})
    assert refusal(lambda: told(teller, token, PRINCIPAL)).reason == "ROLE_MISSING"
    assert Known.asked == 0


def test_nothing_is_done_for_another_while_nobody_knows(teller: Client, token: str) -> None:
    grant()
    Known.away = True
    refused = refusal(lambda: told(teller, token, PRINCIPAL))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "MANDATE_UNKNOWN")
    assert told(teller, token) == f"{ACTOR} {ACTOR} "


def test_taking_the_caller_for_the_principal_fails_even_for_oneself(
    teller: Client, token: str
) -> None:
    assert refusal(lambda: told(teller, token, text="mistake")).code == grpc.StatusCode.INTERNAL


def test_events_and_logs_of_a_call_for_another_say_so(
    teller: Client, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    grant()
    caplog.handler.addFilter(telemetry.Identifiers())
    assert told(teller, token, PRINCIPAL, text="event") == f"{ACTOR} {PRINCIPAL} {MANDATE}"
    assert told(teller, token, text="event") == "- - -"
    told(teller, token, PRINCIPAL)
    told(teller, token)
    found = [
        [getattr(line, name, None) for name in ("actorid", "principalid", "mandateid")]
        for line in caplog.records
        if line.getMessage() == "told"
    ]
    assert found == [[ACTOR, PRINCIPAL, MANDATE], [None, None, None]]


def test_a_mandate_is_kept_for_a_second_and_never_past_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    held: Held | None = Held(MANDATE, now + 0.5)
    asked: list[str] = []

    def ask(*key: str) -> Held | None:
        asked.append(key[2])
        return held

    mandates = Mandates(ask)
    for _ in range(2):
        assert mandates.require(ACTOR, PRINCIPAL, SCOPE) == MANDATE
    assert len(asked) == 1
    now += 0.5
    held = Held(MANDATE, now + 3600)
    mandates.require(ACTOR, PRINCIPAL, SCOPE)
    assert len(asked) == 2
    held = None
    now += KEPT_SECONDS - 0.01
    assert mandates.require(ACTOR, PRINCIPAL, SCOPE) == MANDATE
    now += 0.02
    for count in (3, 4):
        with pytest.raises(Forbidden):
            mandates.require(ACTOR, PRINCIPAL, SCOPE)
        assert len(asked) == count


class AwayFromIdentity:
    """A service whose identity does not answer."""

    name = "teller"
    mandates: Any = IdentityMandates()


def test_identity_that_does_not_answer_is_no_refusal(
    address: str, signing_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKBONE_IDENTITY_ADDRESS", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("BACKBONE_CLIENT_ID", "documents")
    monkeypatch.setenv("BACKBONE_CLIENT_SECRET", "unused")
    monkeypatch.setattr("backbone.service_token.ServiceToken.get", lambda self: "token")
    container = NativeContainer(AwayFromIdentity, CONFIG)
    container.start()
    try:
        (provider,) = container.providers
        with pytest.raises(Unavailable) as refused:
            provider.server.mandates.require(ACTOR, PRINCIPAL, SCOPE)
    finally:
        container.stop()
    assert refused.value.reason == "MANDATE_UNKNOWN"


class Alone:
    """A service that forgot where its mandates come from."""

    name = "alone"
    call: Call = CurrentCall()

    @grpc_
    def tell(self, request: Any) -> Any:
        return request


@pytest.mark.usefixtures("address")
def test_a_service_that_cannot_ask_for_mandates_does_not_start() -> None:
    with pytest.raises(ContractError, match="IdentityMandates"):
        NativeContainer(Alone, CONFIG).start()
