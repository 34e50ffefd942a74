"""Contracts made on the spot, for tests of what reads contracts."""

import itertools
from collections.abc import Sequence

from administration.options.v1 import options_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)
from google.protobuf.message import Message

_numbers = itertools.count()
STRING = FieldDescriptorProto.TYPE_STRING
BYTES = FieldDescriptorProto.TYPE_BYTES
INT64 = FieldDescriptorProto.TYPE_INT64
MESSAGE = FieldDescriptorProto.TYPE_MESSAGE
TIMESTAMP = f".{timestamp_pb2.Timestamp.DESCRIPTOR.full_name}"


def field(
    name: str,
    kind: "FieldDescriptorProto.Type.ValueType" = STRING,
    *,
    rules: options_pb2.FieldRules | None = None,
    repeated: bool = False,
    of: str = "",
) -> FieldDescriptorProto:
    label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    made = FieldDescriptorProto(name=name, type=kind, label=label, type_name=of or None)
    if rules is not None:
        made.options.Extensions[options_pb2.rules].CopyFrom(rules)
    return made


def message(
    name: str, *fields: FieldDescriptorProto, event: options_pb2.Event | None = None
) -> DescriptorProto:
    made = DescriptorProto(name=name)
    for number, item in enumerate(fields, start=1):
        made.field.add().CopyFrom(item)
        made.field[-1].number = number
    if event is not None:
        made.options.Extensions[options_pb2.event].CopyFrom(event)
    return made


def method(
    name: str,
    given: str,
    answer: str,
    *,
    rule: options_pb2.AccessRule | None = None,
    client_streaming: bool = False,
    server_streaming: bool = False,
    path: str = "",
) -> MethodDescriptorProto:
    made = MethodDescriptorProto(
        name=name,
        input_type=given,
        output_type=answer,
        client_streaming=client_streaming,
        server_streaming=server_streaming,
    )
    if rule is not None:
        made.options.Extensions[options_pb2.access].CopyFrom(rule)
    if path:
        made.options.Extensions[annotations_pb2.http].get = path
    return made


class Schema:
    """A file of contracts, in a package that no other has."""

    def __init__(
        self,
        messages: Sequence[DescriptorProto] = (),
        methods: Sequence[MethodDescriptorProto] = (),
        package: str = "",
    ) -> None:
        self.package = package or f"administration.made{next(_numbers)}.v1"
        file = FileDescriptorProto(
            name=f"{self.package.replace('.', '/')}/made.proto",
            package=self.package,
            syntax="proto3",
            dependency=[
                "google/protobuf/timestamp.proto",
                "administration/options/v1/options.proto",
                "google/api/annotations.proto",
            ],
        )
        for item in messages:
            file.message_type.add().CopyFrom(item)
        if methods:
            service = descriptor_pb2.ServiceDescriptorProto(name="MadeService")
            for rpc in methods:
                added = service.method.add()
                added.CopyFrom(rpc)
                added.input_type = f".{self.package}.{rpc.input_type}"
                added.output_type = f".{self.package}.{rpc.output_type}"
            file.service.add().CopyFrom(service)
        # `of` names messages of the same file without their package.
        for item in file.message_type:
            for each in item.field:
                if each.type_name and not each.type_name.startswith("."):
                    each.type_name = f".{self.package}.{each.type_name}"
        descriptor_pool.Default().AddSerializedFile(file.SerializeToString())

    @property
    def service(self) -> str:
        return f"{self.package}.MadeService"

    def __getitem__(self, name: str) -> type[Message]:
        found = descriptor_pool.Default().FindMessageTypeByName(f"{self.package}.{name}")
        return message_factory.GetMessageClass(found)
