"""The chain of a call, on a real gRPC server: all four kinds, every refusal."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from administration.options.v1.options_pb2 import AccessRule, AssuranceLevel, FieldRules
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

from backbone import contracts, telemetry
from backbone.container import NativeContainer
from backbone.contracts import ContractError
from backbone.ended import EndedAccess, Kind
from backbone.errors import Conflict
from backbone.rpc import Call, CurrentCall, Grpc
from backbone.settings import ConfigurationError
from tests.support.dpop import Prover
from tests.support.fake_realm import ISSUER, FakeRealm
from tests.support.nameko import CONFIG, in_background
from tests.support.polling import eventually
from tests.support.processes import free_port
from tests.support.rpc import Client, code, refusal
from tests.support.schemas import INT64, Schema, field, message, method

CITIZENS = AccessRule(roles=["citizen"])
SURELY = AccessRule(
    roles=["citizen"], level=AssuranceLevel.ASSURANCE_LEVEL_SUBSTANTIAL, max_age_seconds=600
)
made = Schema(
    [
        message("Word", field("text", rules=FieldRules(required=True, max_length=9))),
        message("Count", field("number", INT64)),
    ],
    [
        method("Say", "Word", "Word", rule=CITIZENS),
        method("SayToAll", "Word", "Word", rule=AccessRule(public=True)),
        method("SaySurely", "Word", "Word", rule=SURELY, path="/v1/surely/{text}"),
        method("Spell", "Word", "Word", rule=CITIZENS, server_streaming=True),
        method("Collect", "Word", "Count", rule=CITIZENS, client_streaming=True),
        method(
            "Answer", "Word", "Word", rule=CITIZENS, client_streaming=True, server_streaming=True
        ),
    ],
)
Word: Any = made["Word"]
Count: Any = made["Count"]
grpc_ = Grpc.implementing(made.service)
pytestmark = pytest.mark.usefixtures("ended")


@pytest.fixture(autouse=True)
def made_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract of these tests is nobody's generated module."""
    monkeypatch.setattr(contracts, "load", lambda area: None)
    monkeypatch.setitem(contracts.SERVICES, "made", made.service)


class Echo:
    """Says what it is told, and what it knows of its caller."""

    name = "echo"
    call: Call = CurrentCall()
    entered = threading.Event()
    leave = threading.Event()
    ended = threading.Event()

    @grpc_
    def say(self, request: Any) -> Any:
        if request.text == "wait":
            Echo.entered.set()
            assert Echo.leave.wait(20)
        if request.text == "conflict":
            raise Conflict("It is taken.", reason="TAKEN")
        if request.text == "fail":
            raise RuntimeError("password=hunter2")
        if request.text == "who":
            return Word(text=self.call.authenticated.subject)
        return request

    @grpc_
    def say_surely(self, request: Any) -> Any:
        return request

    @grpc_
    def say_to_all(self, request: Any) -> Any:
        assert self.call.caller is None
        return request

    @grpc_
    def spell(self, request: Any) -> Iterator[Any]:
        try:
            if request.text == "endless":
                Echo.entered.set()
                while self.call.active():
                    yield request
                    Echo.leave.wait(0.01)
            for letter in request.text:
                if letter == "!":
                    raise Conflict("It is taken.", reason="TAKEN")
                yield Word(text=letter)
        finally:
            Echo.ended.set()

    @grpc_
    def collect(self, requests: Iterator[Any]) -> Any:
        return Count(number=sum(len(request.text) for request in requests))

    @grpc_
    def answer(self, requests: Iterator[Any]) -> Iterator[Any]:
        for request in requests:
            yield Word(text=request.text.upper())


@pytest.fixture
def environment(signing_realm: FakeRealm, monkeypatch: pytest.MonkeyPatch) -> str:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("BACKBONE_GRPC_LISTEN", address)
    monkeypatch.setenv("BACKBONE_ISSUER", ISSUER)
    monkeypatch.setenv("BACKBONE_JWKS_URL", signing_realm.jwks_url)
    for event in (Echo.entered, Echo.leave, Echo.ended):
        event.clear()
    return address


@pytest.fixture
def container(environment: str) -> Iterator[NativeContainer]:
    container = NativeContainer(Echo, CONFIG)
    container.start()
    yield container
    Echo.leave.set()
    container.stop()


@pytest.fixture
def echo(container: NativeContainer, environment: str) -> Iterator[Client]:
    client = Client("made", environment)
    yield client
    client.close()


@pytest.fixture
def token(signing_realm: FakeRealm) -> str:
    return signing_realm.token({"sub": "somebody"})


def test_all_four_kinds_of_method_answer(echo: Client, token: str) -> None:
    words = [Word(text="ab"), Word(text="cde")]
    assert echo.say(Word(text="ab"), token=token).text == "ab"
    assert [item.text for item in echo.spell(Word(text="abc"), token=token)] == ["a", "b", "c"]
    assert echo.collect(iter(words), token=token).number == 5
    assert [item.text for item in echo.answer(iter(words), token=token)] == ["AB", "CDE"]


def test_a_public_method_asks_for_no_token(echo: Client) -> None:
    assert echo.say_to_all(Word(text="a")).text == "a"


def test_a_method_knows_who_calls(echo: Client, token: str) -> None:
    assert echo.say(Word(text="who"), token=token).text == "somebody"


def test_a_token_that_was_accepted_is_refused_once_its_session_has_ended(
    echo: Client, signing_realm: FakeRealm, ended: EndedAccess
) -> None:
    token = signing_realm.token({"sid": "session-of-mine"})
    other = signing_realm.token({"sid": "another"})
    assert echo.say(Word(text="ab"), token=token).text == "ab"
    ended.add(Kind.SESSION, "session-of-mine", time.time(), time.time() + 60)
    refused = refusal(lambda: echo.say(Word(text="ab"), token=token))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, "ACCESS_ENDED")
    assert echo.say(Word(text="ab"), token=other).text == "ab"


def test_a_stream_ends_with_the_session_of_its_caller(
    echo: Client, signing_realm: FakeRealm, ended: EndedAccess
) -> None:
    token = signing_realm.token({"sid": "session-of-mine"})
    stream = echo.spell(Word(text="endless"), token=token)
    assert Echo.entered.wait(20)
    ended.add(Kind.SESSION, "session-of-mine", time.time(), time.time() + 60)
    assert Echo.ended.wait(20)
    stream.cancel()


def test_nothing_is_accepted_before_it_is_known_what_has_ended(
    echo: Client, token: str, ended: EndedAccess
) -> None:
    ended.known = False
    refused = refusal(lambda: echo.say(Word(text="ab"), token=token))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "ACCESS_UNKNOWN")
    assert echo.say_to_all(Word(text="ab")).text == "ab"


def test_every_kind_is_refused_without_a_token_with_a_bad_one_or_without_the_role(
    echo: Client, signing_realm: FakeRealm
) -> None:
    other = signing_realm.token({"realm_access": {"roles": ["agent"]}})
    for name in ("say", "spell", "collect", "answer"):
        given: Any = Word(text="a") if name in ("say", "spell") else iter([Word(text="a")])
        call = getattr(echo, name)
        none = refusal(lambda: call(given))  # noqa: B023
        assert (none.code, none.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
        bad = refusal(lambda: call(given, token="a.b.c"))  # noqa: B023
        assert (bad.code, bad.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
        wrong = refusal(lambda: call(given, token=other))  # noqa: B023
        assert (wrong.code, wrong.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


def test_a_scheme_other_than_bearer_is_refused(echo: Client, environment: str) -> None:
    path = f"/{made.service}/Say"
    with grpc.insecure_channel(environment) as channel:
        call: Any = channel.unary_unary(path, request_serializer=Word.SerializeToString)
        with pytest.raises(grpc.RpcError) as refused:
            call(Word(text="a"), metadata=[("authorization", "Basic YTpi")], timeout=10)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_request_against_its_rules_is_refused_by_its_fields(echo: Client, token: str) -> None:
    for call in (
        lambda: echo.say(Word(), token=token),
        lambda: echo.spell(Word(), token=token),
        lambda: echo.collect(iter([Word(text="a"), Word()]), token=token),
        lambda: echo.answer(iter([Word()]), token=token),
    ):
        refused = refusal(call)
        assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
        assert refused.fields == {"text": "REQUIRED"}


def test_bytes_that_are_no_request_are_refused(environment: str, echo: Client, token: str) -> None:
    with grpc.insecure_channel(environment) as channel:
        call: Any = channel.unary_unary(f"/{made.service}/Say")
        with pytest.raises(grpc.RpcError):
            call(b"\xff\xff\xff", metadata=[("authorization", f"Bearer {token}")], timeout=10)
    assert echo.say(Word(text="a"), token=token).text == "a"


def test_a_domain_error_is_its_status_with_its_reason(echo: Client, token: str) -> None:
    refused = refusal(lambda: echo.say(Word(text="conflict"), token=token))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "TAKEN")
    assert refused.detail == "It is taken."


def test_a_stream_that_fails_half_way_tells_what_it_had_and_then_why(
    echo: Client, token: str
) -> None:
    stream = echo.spell(Word(text="ab!"), token=token)
    assert [next(stream).text, next(stream).text] == ["a", "b"]
    assert refusal(lambda: next(stream)).reason == "TAKEN"


def test_an_unmapped_error_is_internal_and_says_nothing_but_its_trace(
    echo: Client, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider()
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    original = telemetry.tracer
    try:
        telemetry.tracer = tracer
        with caplog.at_level(logging.CRITICAL):
            refused = refusal(lambda: echo.say(Word(text="fail"), token=token))
    finally:
        telemetry.tracer = original
    assert (refused.code, refused.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "hunter2" not in refused.detail
    (span,) = exporter.get_finished_spans()
    assert span.context is not None
    assert refused.trace_id == f"{span.context.trace_id:032x}"
    assert span.name == f"{made.service}/Say"
    assert "hunter2" not in span.to_json()


def test_every_call_is_measured_by_method_and_status(echo: Client, token: str) -> None:
    def count(method: str, code: str) -> float:
        labels = {"rpc_method": f"{made.service}/{method}", "rpc_response_status_code": code}
        return REGISTRY.get_sample_value("rpc_server_call_duration_seconds_count", labels) or 0

    before = count("Say", "OK"), count("Say", "ABORTED"), count("Spell", "UNAUTHENTICATED")
    echo.say(Word(text="a"), token=token)
    refusal(lambda: echo.say(Word(text="conflict"), token=token))
    refusal(lambda: echo.spell(Word(text="a")))
    eventually(
        lambda: (
            (count("Say", "OK"), count("Say", "ABORTED"), count("Spell", "UNAUTHENTICATED"))
            == tuple(number + 1 for number in before)
        )
    )


def test_a_stream_whose_reader_leaves_ends(echo: Client, token: str) -> None:
    stream = echo.spell(Word(text="endless"), token=token)
    next(stream)
    stream.cancel()
    assert Echo.ended.wait(20)


def test_a_stream_ends_when_its_token_does(echo: Client, signing_realm: FakeRealm) -> None:
    soon = signing_realm.token({"exp": time.time() + 1})
    assert list(echo.spell(Word(text="endless"), token=soon))
    assert Echo.ended.is_set()


def test_a_deadline_ends_a_call(echo: Client, token: str) -> None:
    refused = refusal(lambda: echo.say(Word(text="wait"), token=token, timeout=0.2))
    assert refused.code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_stop_lets_a_call_finish_ends_streams_and_takes_no_more(
    environment: str, token: str
) -> None:
    container = NativeContainer(Echo, CONFIG)
    container.start()
    client, late = Client("made", environment), Client("made", environment)
    running = client.start("say", Word(text="wait"), token=token)
    stream = client.spell(Word(text="endless"), token=token)
    next(stream)
    assert Echo.entered.wait(20)
    stop = in_background(container.stop)
    assert container.stopping.wait(20)
    list(stream)
    eventually(lambda: code(lambda: late.say_to_all(Word(text="a"))) == grpc.StatusCode.UNAVAILABLE)
    assert stop.is_alive()
    Echo.leave.set()
    assert running.result(20).text == "wait"
    stop.join(20)
    assert not stop.is_alive()
    client.close()
    late.close()


def test_health_is_told_for_the_server_and_for_each_service(
    container: NativeContainer, environment: str
) -> None:
    with grpc.insecure_channel(environment) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", made.service):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_service_that_lacks_an_rpc_of_its_contract_does_not_start(environment: str) -> None:
    class Part:
        name = "part"

        @grpc_
        def say(self, request: Any) -> Any:
            return request

    with pytest.raises(
        ContractError, match="no method for Answer, Collect, SaySurely, SayToAll, Spell"
    ):
        NativeContainer(Part, CONFIG).start()


def test_a_method_that_no_rpc_has_does_not_start(environment: str) -> None:
    class More:
        name = "more"

        @grpc_
        def shout(self, request: Any) -> Any:
            return request

    with pytest.raises(ContractError, match=r"no rpc for the method `shout`"):
        NativeContainer(More, CONFIG).start()


def test_a_method_without_an_access_rule_does_not_start(environment: str) -> None:
    bare = Schema([message("A")], [method("Do", "A", "A")])

    class Bare:
        name = "bare"

        @Grpc.implementing(bare.service)
        def do(self, request: Any) -> Any:
            return request

    with pytest.raises(ContractError, match="no access rule"):
        NativeContainer(Bare, CONFIG).start()


def test_an_address_that_is_taken_is_named(container: NativeContainer, environment: str) -> None:
    with pytest.raises(ConfigurationError, match="BACKBONE_GRPC_LISTEN"):
        NativeContainer(Echo, CONFIG).start()


def test_logs_are_lines_of_json_without_the_token(
    signing_realm: FakeRealm, capsys: pytest.CaptureFixture[str]
) -> None:
    from backbone.settings import TelemetrySettings

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    noisy = {name: logging.getLogger(name).level for name in ("kafka", "urllib3", "alembic")}
    try:
        telemetry.setup("echo", TelemetrySettings()).shutdown()
        caller = signing_realm.verifier().verify(signing_realm.token())
        logging.getLogger("anything").warning("seen %s", caller)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, value in noisy.items():
            logging.getLogger(name).setLevel(value)
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert line["service"] == "echo"
    assert line["level"] == "WARNING"
    assert caller.token not in line["message"]


# ---- how surely the person was recognised (RFC 9470) ----------------------------------------


def test_a_call_below_the_level_of_its_rule_is_told_how_to_sign_in_again(
    echo: Client, signing_realm: FakeRealm
) -> None:
    now = time.time()
    good = {"acr": "substantial", "auth_time": now}
    for claims in (good, good | {"acr": "high"}, good | {"auth_time": now - 500}):
        token = signing_realm.token(claims)
        assert echo.say_surely(Word(text="a"), token=token).text == "a"
    for claims in (
        good | {"acr": "low"},
        good | {"acr": "none"},
        good | {"acr": None},
        good | {"auth_time": now - 700},
        good | {"auth_time": None},
    ):
        token = signing_realm.token(claims)
        told = refusal(lambda: echo.say_surely(Word(text="a"), token=token))  # noqa: B023
        assert told.code == grpc.StatusCode.UNAUTHENTICATED
        assert told.reason == "INSUFFICIENT_USER_AUTHENTICATION"
        assert told.metadata["acr_values"] == "substantial"
        assert told.metadata["max_age"] == "600"


def test_a_stronger_sign_in_gives_no_role(echo: Client, signing_realm: FakeRealm) -> None:
    token = signing_realm.token({"acr": "high", "realm_access": {"roles": ["agent"]}})
    told = refusal(lambda: echo.say_surely(Word(text="a"), token=token))
    assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


# ---- a token that is bound to a key (RFC 9449) ----------------------------------------------

PUBLIC = "http://127.0.0.1:8000"


def bound(realm: FakeRealm, prover: Prover) -> str:
    claims = {"cnf": {"jkt": prover.thumbprint}, "acr": "high", "auth_time": time.time()}
    return realm.token(claims)


def test_a_bound_token_is_good_with_a_proof_for_a_route_of_the_rpc_and_once(
    echo: Client, signing_realm: FakeRealm
) -> None:
    prover = Prover()
    token = bound(signing_realm, prover)

    def call(path: str, method: str = "GET", scheme: str = "DPoP", proof: str | None = None) -> Any:
        made = proof if proof is not None else prover.proof(method, PUBLIC + path, token)
        metadata = [
            ("authorization", f"{scheme} {token}"),
            ("dpop", made),
            ("dpop-request", f"{method} {path}"),
        ]
        return echo.say_surely(Word(text="a"), metadata=[item for item in metadata if item[1]])

    proof = prover.proof("GET", f"{PUBLIC}/v1/surely/a", token)
    assert call("/v1/surely/a", proof=proof).text == "a"
    # A HEAD is answered by the route of GET, with a proof of its own.
    assert call("/v1/surely/a", method="HEAD").text == "a"
    for refused, reason in (
        (lambda: call("/v1/surely/a", proof=proof), "DPOP_PROOF_REPLAYED"),
        (lambda: call("/v1/surely/a", proof=""), "DPOP_PROOF_INVALID"),
        (lambda: call("/v1/surely/a/b"), "DPOP_PROOF_INVALID"),
        (lambda: call("/v1/me"), "DPOP_PROOF_INVALID"),
        (lambda: call("/v1/surely/a", method="POST"), "DPOP_PROOF_INVALID"),
        (lambda: call("/v1/surely/a", scheme="Bearer"), "TOKEN_BOUND"),
        (lambda: call("/v1/surely/a", scheme="Basic"), "TOKEN_INVALID"),
        (lambda: echo.say_surely(Word(text="a"), token=token), "TOKEN_BOUND"),
    ):
        told = refusal(refused)
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


def test_a_token_that_is_bound_to_no_key_needs_no_proof_and_has_none(
    echo: Client, signing_realm: FakeRealm
) -> None:
    prover = Prover()
    token = signing_realm.token({"acr": "high", "auth_time": time.time()})
    metadata = [
        ("authorization", f"DPoP {token}"),
        ("dpop", prover.proof("GET", f"{PUBLIC}/v1/surely/a", token)),
        ("dpop-request", "GET /v1/surely/a"),
    ]
    told = refusal(lambda: echo.say_surely(Word(text="a"), metadata=metadata))
    assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_NOT_BOUND")


def test_an_rpc_without_a_route_takes_no_bound_token(
    echo: Client, signing_realm: FakeRealm
) -> None:
    prover = Prover()
    token = bound(signing_realm, prover)
    metadata = [
        ("authorization", f"DPoP {token}"),
        ("dpop", prover.proof("GET", f"{PUBLIC}/v1/surely/a", token)),
        ("dpop-request", "GET /v1/surely/a"),
    ]
    told = refusal(lambda: echo.say(Word(text="a"), metadata=metadata))
    assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "DPOP_PROOF_INVALID")
