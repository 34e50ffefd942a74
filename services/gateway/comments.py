"""The comments of the contracts: what the OpenAPI document says of each element."""

import re
from importlib.resources import files

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

from services.gateway.names import json_path

# Field numbers of descriptor.proto, which source locations are paths of.
_FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE, _FILE_PACKAGE = 4, 5, 6, 2
_MESSAGE_FIELD, _MESSAGE_NESTED, _MESSAGE_ENUM = 2, 3, 4
_SERVICE_METHOD = 2
_FIELD = re.compile(r"`[a-z][a-z0-9_.]*`")


def load() -> dict[str, str]:
    """Comment by full name of message, field, enum, value, service, method or package.

    Raises:
        FileNotFoundError: the contracts were not generated (``make protos``).
    """
    source = files("administration").joinpath("descriptors.binpb")
    comments: dict[str, str] = {}
    for file in FileDescriptorSet.FromString(source.read_bytes()).file:
        by_path = {
            tuple(location.path): _clean(location.leading_comments)
            for location in file.source_code_info.location
            if location.leading_comments
        }
        names: dict[tuple[int, ...], str] = {(_FILE_PACKAGE,): file.package}
        for index, message in enumerate(file.message_type):
            _name_message(message, file.package, (_FILE_MESSAGE, index), names)
        for index, enum in enumerate(file.enum_type):
            names[_FILE_ENUM, index] = f"{file.package}.{enum.name}"
        for index, service in enumerate(file.service):
            full_name = f"{file.package}.{service.name}"
            names[_FILE_SERVICE, index] = full_name
            for number, method in enumerate(service.method):
                names[_FILE_SERVICE, index, _SERVICE_METHOD, number] = f"{full_name}.{method.name}"
        for path, comment in by_path.items():
            if path in names:
                comments.setdefault(names[path], comment)
    return comments


def _name_message(
    message: DescriptorProto, scope: str, path: tuple[int, ...], names: dict[tuple[int, ...], str]
) -> None:
    full_name = f"{scope}.{message.name}"
    names[path] = full_name
    for index, field in enumerate(message.field):
        names[*path, _MESSAGE_FIELD, index] = f"{full_name}.{field.name}"
    for index, enum in enumerate(message.enum_type):
        names[*path, _MESSAGE_ENUM, index] = f"{full_name}.{enum.name}"
    for index, nested in enumerate(message.nested_type):
        _name_message(nested, full_name, (*path, _MESSAGE_NESTED, index), names)


def _clean(comment: str) -> str:
    lines = [line.removeprefix(" ").rstrip() for line in comment.strip("\n").split("\n")]
    text = "\n".join(lines).strip()
    # The contracts speak of their own fields; readers of the document know their JSON names.
    return _FIELD.sub(lambda found: json_path(found[0]), text)
