"""Builds an rpc's request from a path, a query and a body (google/api/http.proto).

What the path does not bind and the body does not hold is a query parameter, by its
lowerCamelCase or proto name, dotted for nested fields, repeated for repeated ones.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from backbone.contracts import ContractError, message_class
from backbone.errors import FieldViolation, InvalidInput
from services.gateway.http_rules import Binding
from services.gateway.json_decoder import decode
from services.gateway.json_scalars import TEXTUAL, Mismatch, from_text, well_known
from services.gateway.names import json_path

_MAX_PARAMETERS = 1000


class Parameter:
    """A field that text can set: its parents, and how its text is read."""

    def __init__(self, parents: tuple[FieldDescriptor, ...], field: FieldDescriptor) -> None:
        self.field = field
        self.path = ".".join([*(parent.name for parent in parents), field.name])
        self.name = json_path(self.path)
        self._parents = [parent.name for parent in parents]
        self._convert = None if field.message_type else from_text(field)

    def set(self, message: Any, texts: list[str]) -> None:
        """Sets the field.

        Raises:
            Mismatch: a text is not of the field's type, or there are several.
        """
        for parent in self._parents:
            message = getattr(message, parent)
        if self.field.is_repeated:
            target = getattr(message, self.field.name)
            for text in texts:
                if self._convert is None:
                    well_known(target.add(), text)
                else:
                    target.append(self._convert(text))
        elif len(texts) > 1:
            raise Mismatch("GIVEN_TWICE", "is given more than once")
        elif self._convert is None:
            well_known(getattr(message, self.field.name), texts[0])
        else:
            setattr(message, self.field.name, self._convert(texts[0]))


def parameters(
    descriptor: Descriptor, parents: tuple[FieldDescriptor, ...] = ()
) -> Iterator[Parameter]:
    """Every field of a message that text can set; repeated messages and maps cannot be."""
    for field in descriptor.fields:
        kind = field.message_type
        if kind is None or kind.full_name in TEXTUAL:
            yield Parameter(parents, field)
        elif not field.is_repeated and not kind.full_name.startswith("google.protobuf."):
            above: list[Any] = [descriptor, *(item.containing_type for item in parents)]
            if kind.full_name not in {item.full_name for item in above}:
                yield from parameters(kind, (*parents, field))


class RequestBuilder:
    """Builds the requests of one binding.

    Raises:
        ContractError: the path binds a field that is not there, or that text cannot set.
    """

    def __init__(self, binding: Binding) -> None:
        self._descriptor = binding.rpc.input_type
        self._class = message_class(self._descriptor)
        self._body = binding.body
        self.has_body = bool(binding.body)
        available = {item.path: item for item in parameters(self._descriptor)}
        self.path_parameters: list[Parameter] = []
        for variable in binding.path.variables:
            found = available.get(variable)
            if found is None or found.field.is_repeated:
                raise ContractError(
                    f"{binding.rpc.full_name}: the path binds {variable!r}, which is not a"
                    " single value of its request"
                )
            self.path_parameters.append(found)
        self.query_parameters = [
            item
            for item in available.values()
            if item not in self.path_parameters
            and binding.body != "*"
            and item.path.partition(".")[0] != binding.body
        ]
        self._query = {
            name: item for item in self.query_parameters for name in (item.path, item.name)
        }
        if binding.body not in {"", "*"}:
            self._body_field = self._descriptor.fields_by_name[binding.body]

    def build(self, arguments: tuple[str, ...], query: bytes, body: Any = None) -> Message:
        """The request of a path's arguments, a raw query and a body's JSON value.

        Raises:
            InvalidInput: with a violation for each field or parameter at fault.
        """
        message = self._class()
        if self._body == "*":
            self._refuse_bound(body)
            decode(self._descriptor, body, message)
        elif self._body:
            decode(self._descriptor, {self._body: body}, message)
        faults: list[FieldViolation] = []
        if query:
            self._read_query(message, query, faults)
        # After the body, which may not say otherwise.
        for parameter, text in zip(self.path_parameters, arguments, strict=True):
            _set(parameter, message, [text], faults)
        if faults:
            raise InvalidInput("The request has parameters at fault.", fields=faults)
        return message

    def _refuse_bound(self, body: Any) -> None:
        """What the path says, the body does not say again: one of them would be ignored."""
        if type(body) is not dict:
            return
        for parameter in self.path_parameters:
            for name in (parameter.name, parameter.path):
                if name in body:
                    raise InvalidInput.field(name, "IN_PATH", "is given by the path")

    def _read_query(self, message: Message, query: bytes, faults: list[FieldViolation]) -> None:
        try:
            pairs = parse_qsl(
                query.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_PARAMETERS,
            )
        except ValueError:
            raise InvalidInput(
                "The query is not percent-encoded UTF-8, or has too many parameters.",
                reason="MALFORMED_QUERY",
            ) from None
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            found = self._query.get(name)
            if found is None:
                violation = FieldViolation(name[:100], "UNKNOWN_PARAMETER", "is not known here")
                faults.append(violation)
            else:
                values.setdefault(found.path, []).append(value)
        for path, texts in values.items():
            _set(self._query[path], message, texts, faults)
        del faults[20:]


def _set(
    parameter: Parameter, message: Message, texts: list[str], faults: list[FieldViolation]
) -> None:
    try:
        parameter.set(message, texts)
    except Mismatch as mismatch:
        faults.append(FieldViolation(parameter.name, mismatch.reason, mismatch.expected))
