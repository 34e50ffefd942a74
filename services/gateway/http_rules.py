"""The ``google.api.http`` rules of a method, as bindings (google/api/http.proto)."""

from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor

from backbone.contracts import ContractError, http_rule
from backbone.path_template import PathTemplate, parse


@dataclass(frozen=True)
class Binding:
    """One HTTP method and path of an rpc.

    `body` is ``*`` (the whole body is the request), a field's name, or empty (there is none).
    `response_body` is the field that becomes the response, or empty for all of it.
    """

    rpc: MethodDescriptor
    method: str
    path: PathTemplate
    body: str
    response_body: str


def bindings(rpc: MethodDescriptor) -> list[Binding]:
    """The bindings that an rpc declares, additional ones included.

    Raises:
        ContractError: a rule names a field that is not there, or no path.
    """
    rule = http_rule(rpc)
    if rule is None:
        return []
    return [_binding(rpc, item) for item in (rule, *rule.additional_bindings)]


def _binding(rpc: MethodDescriptor, rule: object) -> Binding:
    kind = rule.WhichOneof("pattern")  # type: ignore[attr-defined]
    if kind is None:
        raise ContractError(f"{rpc.full_name}: its HTTP rule has no path")
    pattern = getattr(rule, kind)
    if kind == "custom":
        kind, pattern = pattern.kind, pattern.path
    body: str = rule.body  # type: ignore[attr-defined]
    response_body: str = rule.response_body  # type: ignore[attr-defined]
    if body not in {"", "*"} and body not in rpc.input_type.fields_by_name:
        raise ContractError(f"{rpc.full_name}: body {body!r} is not a field of its request")
    if response_body and response_body not in rpc.output_type.fields_by_name:
        raise ContractError(
            f"{rpc.full_name}: response_body {response_body!r} is not a field of its response"
        )
    return Binding(rpc, kind.upper(), parse(pattern), body, response_body)
