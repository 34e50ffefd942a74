"""JSON schemas (draft 2020-12) of messages in the proto3 JSON mapping, as this gateway speaks it.

Responses hold every field without presence, so those are `required`; requests may leave out what
no rule requires, and refuse fields that they do not know. Events, which protobuf itself writes,
leave out whatever is empty.
"""

from typing import Any

from administration.options.v1 import options_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from services.gateway.requests import Parameter

Schema = dict[str, Any]

_SIGNED = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}
_WIDE = {
    FieldDescriptor.CPPTYPE_INT64: ("int64", "^-?[0-9]{1,19}$"),
    FieldDescriptor.CPPTYPE_UINT64: ("uint64", "^[0-9]{1,20}$"),
}
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.BytesValue": {"type": "string", "contentEncoding": "base64"},
}


def rules_of(field: FieldDescriptor) -> options_pb2.FieldRules:
    rules: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.rules]
    return rules


class Schemas:
    """Collects the component schemas of every message and enum that is asked for.

    `root` is where the document keeps them; `sparse` says that empty fields are left out.
    """

    def __init__(
        self, comments: dict[str, str], *, root: str = "#/components/schemas", sparse: bool = False
    ) -> None:
        self.components: dict[str, Schema] = {}
        self._comments = comments
        self._root = root
        self._sparse = sparse
        self._taken: dict[str, str] = {}

    def reference(self, message: Descriptor, *, request: bool) -> Schema:
        """A reference to a message's schema, which is added when it is new."""
        if message.full_name.startswith("google.protobuf."):
            return dict(_WELL_KNOWN.get(message.full_name, {}))
        name = self._name(message, "Input" if request else "")
        if name not in self.components:
            self.components[name] = {}
            self.components[name] = self.message(message, request=request)
        return {"$ref": f"{self._root}/{name}"}

    def message(
        self, message: Descriptor, *, request: bool, without: frozenset[str] = frozenset()
    ) -> Schema:
        """The schema of a message, but for the fields `without` (they are in the path)."""
        fields = [field for field in message.fields if field.name not in without]
        schema: Schema = {"type": "object", "title": message.name}
        if comment := self._comments.get(message.full_name):
            schema["description"] = comment
        schema["properties"] = {
            field.json_name: self.field(field, request=request) for field in fields
        }
        required = [
            field.json_name
            for field in fields
            if (rules_of(field).required if request else not field.has_presence)
            and not self._sparse
        ]
        if required:
            schema["required"] = required
        if request:
            schema["additionalProperties"] = False
        return schema

    def field(self, field: FieldDescriptor, *, request: bool) -> Schema:
        """The schema of a field: its type, its rules, its comment."""
        rules = rules_of(field)
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            value = self._value(kind.fields_by_name["value"], request=request)
            schema: Schema = {"type": "object", "additionalProperties": value}
        else:
            schema = self._value(field, request=request)
            _constrain(schema, rules)
            if field.is_repeated:
                schema = {"type": "array", "items": schema}
                if rules.max_items:
                    schema["maxItems"] = rules.max_items
        if comment := self._comments.get(field.full_name):
            schema["description"] = comment
        if field.GetOptions().Extensions[options_pb2.personal]:
            schema["x-personal"] = True
        return schema

    def _value(self, field: FieldDescriptor, *, request: bool) -> Schema:
        if field.message_type is not None:
            return self.reference(field.message_type, request=request)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        if field.cpp_type in _WIDE:
            form, pattern = _WIDE[field.cpp_type]
            kinds = ["string", "integer"] if request else "string"
            return {"type": kinds, "format": form, "pattern": pattern}
        if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32):
            form = "int32" if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else "uint32"
            low, high = _SIGNED[form]
            return {"type": "integer", "format": form, "minimum": low, "maximum": high}
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return {"type": "boolean"}
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        if field.type == FieldDescriptor.TYPE_STRING:
            return {"type": "string"}
        form = "float" if field.type == FieldDescriptor.TYPE_FLOAT else "double"
        special = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
        return {"anyOf": [{"type": "number", "format": form}, special]}

    def _enum(self, enum: EnumDescriptor) -> Schema:
        name = self._name(enum, "")
        schema: Schema = {"type": "string", "enum": [value.name for value in enum.values]}
        if comment := self._comments.get(enum.full_name):
            schema["description"] = comment
        self.components[name] = schema
        return {"$ref": f"{self._root}/{name}"}

    def _name(self, of: Descriptor | EnumDescriptor, suffix: str) -> str:
        """Its name within its package; with its area before it where another has that name."""
        name = of.full_name.removeprefix(f"{of.file.package}.") + suffix
        if self._taken.setdefault(name, of.full_name) != of.full_name:
            name = f"{of.file.package.split('.')[1]}.{name}"
        return name


def _constrain(schema: Schema, rules: options_pb2.FieldRules) -> None:
    """Adds a field's rules, whose words are JSON Schema's."""
    if rules.max_length:
        schema["maxLength"] = rules.max_length
    if rules.required and schema.get("type") == "string" and "format" not in schema:
        schema["minLength"] = 1
    if rules.pattern:
        # An empty value passes every rule but `required`.
        pattern = rules.pattern if rules.required else f"({rules.pattern})?"
        schema["pattern"] = f"^({pattern})$"
    if rules.uuid:
        schema["format"] = "uuid"
    if rules.HasField("minimum"):
        schema["minimum"] = rules.minimum
    if rules.HasField("maximum"):
        schema["maximum"] = rules.maximum


def parameter(item: Parameter, place: str, schemas: "Schemas") -> Schema:
    """A value of the path or the query."""
    schema = schemas.field(item.field, request=True)
    described: Schema = {
        "name": item.name,
        "in": place,
        "required": place == "path" or "minLength" in schema,
        "schema": schema,
    }
    if description := schema.pop("description", ""):
        described["description"] = description
    return described
