"""Byte streams without protobuf's copies of their bytes.

A message of a byte stream is one of a few parts, of which nearly all are ``bytes chunk``. On the
wire such a message is the field's tag, the length, and the bytes (protobuf.dev, "Encoding").
The runtime copies them three times on their way out and twice on their way in; this does once, and
not at all. What is on the wire is the same.
"""

from collections.abc import Callable
from typing import Any

from administration.options.v1 import options_pb2
from google.protobuf.descriptor import FieldDescriptor

from backbone import contracts

_LENGTH_DELIMITED = 2
_MORE = 0x80
# A tag, and a length of five bytes at most: no message has 4 GiB.
_LONGEST_HEAD = 6


class Chunk:
    """A message of a byte stream that is a chunk. It reads like one that protobuf made."""

    __slots__ = ("chunk",)

    def __init__(self, chunk: bytes | memoryview) -> None:
        self.chunk = chunk

    def HasField(self, name: str) -> bool:  # noqa: N802
        return name == "chunk"

    def WhichOneof(self, _: str) -> str:  # noqa: N802
        return "chunk"


def serializer(of: contracts.Descriptor) -> Callable[[Any], bytes]:
    """What makes bytes of messages of this type; where it is a byte stream's, of a `Chunk` too."""
    serialize = contracts.message_class(of).SerializeToString
    tag = _tag(of)
    if tag is None:
        return serialize

    def serialize_part(message: Any) -> bytes:
        if not isinstance(message, Chunk):
            return serialize(message)
        return b"".join((_head(tag, len(message.chunk)), message.chunk))

    return serialize_part


def deserializer(of: contracts.Descriptor) -> Callable[[bytes], Any]:
    """The inverse: to messages of this type, and to a `Chunk` where one is nothing else."""
    parse = contracts.message_class(of).FromString
    tag = _tag(of)
    if tag is None:
        return parse

    def parse_part(data: bytes) -> Any:
        start = _start(tag, data)
        # In another form, which is allowed too, a chunk is protobuf's to understand.
        return parse(data) if start is None else Chunk(memoryview(data)[start:])

    return parse_part


def _tag(of: contracts.Descriptor) -> int | None:
    """The first byte of a message that is a chunk; None for types that have none.

    Raises:
        ContractError: the chunk has rules, which nobody would check.
    """
    field = of.fields_by_name.get("chunk")
    if field is None or field.type != FieldDescriptor.TYPE_BYTES or field.containing_oneof is None:
        return None
    if field.GetOptions().HasExtension(options_pb2.rules) or field.number > 15:
        raise contracts.ContractError(
            f"{field.full_name}: the chunk of a byte stream has a number below 16, and no rules"
        )
    return int(field.number << 3 | _LENGTH_DELIMITED)


def _head(tag: int, length: int) -> bytes:
    head = bytearray((tag,))
    while length >= _MORE:
        head.append(length & (_MORE - 1) | _MORE)
        length >>= 7
    head.append(length)
    return bytes(head)


def _start(tag: int, data: bytes) -> int | None:
    """Where the bytes begin in a message that is a chunk and nothing else; None for all others."""
    for start in range(2, _LONGEST_HEAD + 1):
        if data.startswith(head := _head(tag, max(0, len(data) - start))) and len(head) == start:
            return start
    return None
