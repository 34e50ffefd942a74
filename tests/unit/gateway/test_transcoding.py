"""What ``google.api.http`` rules may say, beyond what the contracts say yet."""

import asyncio
from typing import Any

import httpx
import pytest

from backbone.contracts import ContractError, message_class
from backbone.path_template import parse
from services.gateway.application import Application
from services.gateway.cors import Cors
from services.gateway.http_rules import bindings
from services.gateway.problems import PathNotFound
from services.gateway.routes import Route, RouteTable
from services.gateway.unary import UnaryHandler
from tests.unit.gateway.exotic import EXOTIC, UPDATE


class Echo:
    """A backend that answers a request with itself."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def stub(self, _: Any) -> Any:
        async def call(request: Any, **_: Any) -> Any:
            self.requests.append(request)
            return request

        return call


def ask(method: str, path: str, body: bytes | None = None) -> tuple[httpx.Response, Any]:
    echo: Any = Echo()
    table = RouteTable()
    for binding in bindings(UPDATE):
        handler = UnaryHandler(binding, echo, timeout=1, max_body_bytes=10_000)
        table.add(Route(binding.method, binding.path, handler))
    transport = httpx.ASGITransport(Application(table, Cors(()), []))

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            headers = {"Content-Type": "application/json"} if body else {}
            return await client.request(method, path, content=body, headers=headers)

    response = asyncio.run(send())
    return response, echo.requests[0] if echo.requests else None


def exotic(**fields: Any) -> Any:
    return message_class(EXOTIC)(**fields)


def test_a_field_as_body_nested_and_repeated_parameters_and_a_field_as_response() -> None:
    response, request = ask(
        "PATCH",
        "/v1/exotics/caf%C3%A9%2Fbar/-9?colours=COLOUR_RED&colours=0&yes=true&single=1.5"
        "&moment=2027-01-01T00:00:00Z&snake_case_name=a&raw=aGk&lapse=1.5s&wides=1&wides=2",
        b'{"deep":[{"name":"x"}]}',
    )
    assert request.nested.label == "café/bar"
    assert (request.wide, request.yes, request.single, request.raw) == (-9, True, 1.5, b"hi")
    assert (list(request.colours), list(request.wides)) == ([1, 0], [1, 2])
    assert request.moment.ToJsonString() == "2027-01-01T00:00:00Z"
    assert request.lapse.ToJsonString() == "1.500s"
    assert request.snake_case_name == "a"
    assert response.json() == {"deep": [{"name": "x"}], "label": "café/bar"}


def test_additional_bindings_verbs_and_many_segments() -> None:
    _, posted = ask("POST", "/v1/exotics/7:update", b'{"small":3}')
    assert posted == exotic(nested={"label": "exotics/7"}, small=3)
    _, filed = ask("GET", "/v1/files/a/b/c?nested.label=z")
    assert filed is None
    _, filed = ask("GET", "/v1/files/a/b/c?small=1")
    assert filed == exotic(nested={"label": "a/b/c"}, small=1)
    _, purged = ask("PURGE", "/v1/exotics?nested.label=z&small=2")
    assert purged == exotic(nested={"label": "z"}, small=2)


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("PATCH", "/v1/exotics/a/x", "wide"),
        ("PATCH", "/v1/exotics/a/1?yes=1", "yes"),
        ("PATCH", "/v1/exotics/a/1?yes=True", "yes"),
        ("PATCH", "/v1/exotics/a/1?colours=COLOUR_PINK", "colours"),
        ("PATCH", "/v1/exotics/a/1?moment=now", "moment"),
        ("PATCH", "/v1/exotics/a/1?nested.label=x", "nested.label"),
        ("PATCH", "/v1/exotics/a/1?byName=x", "byName"),
        ("PURGE", "/v1/exotics?nested=x", "nested"),
    ],
)
def test_parameters_at_fault_are_named(method: str, path: str, field: str) -> None:
    response, request = ask(method, path, b"{}" if method == "PATCH" else None)
    assert response.status_code == 400
    assert [item["field"] for item in response.json()["errors"]] == [field]
    assert request is None


def test_the_more_specific_template_wins_in_any_order() -> None:
    templates = ["/v1/{name=**}", "/v1/a/{id}", "/v1/a/{id}:cancel", "/v1/a/b", "/v1/*/c"]
    for order in (templates, templates[::-1]):
        table = RouteTable()
        for text in order:
            handler: Any = text
            table.add(Route("GET", parse(text), handler))
        for path, template, values in (
            ("/v1/a/b", "/v1/a/b", ()),
            ("/v1/a/x", "/v1/a/{id}", ("x",)),
            ("/v1/a/x:y", "/v1/a/{id}", ("x:y",)),
            ("/v1/a/x:cancel", "/v1/a/{id}:cancel", ("x",)),
            ("/v1/z/c", "/v1/*/c", ()),
            ("/v1/z/y/x", "/v1/{name=**}", ("z/y/x",)),
        ):
            route, arguments = table.match("GET", path)
            found: Any = route.handler
            assert (found, arguments) == (template, values), path
        with pytest.raises(PathNotFound):
            table.match("GET", "/v2")


@pytest.mark.parametrize(
    "text",
    ["v1", "/v1/{a", "/v1/{a}{b}", "/v1/{a}/{a}", "/v1/**/x", "/v1/{a=**/x}", "/v1//x", "/v1/x:"],
)
def test_a_template_that_breaks_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        parse(text)


def test_two_rpcs_cannot_share_a_route() -> None:
    table = RouteTable()
    handler: Any = None
    table.add(Route("GET", parse("/v1/a/{x}"), handler))
    with pytest.raises(ContractError):
        table.add(Route("GET", parse("/v1/a/{y}"), handler))
