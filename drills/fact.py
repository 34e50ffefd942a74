"""The event of a drill: a type of one run alone, and so are its topic and its consumers."""

from administration.options.v1 import options_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_FIELD = descriptor_pb2.FieldDescriptorProto
_FIELDS = {
    "key": _FIELD.TYPE_STRING,
    # The place of this fact among those of its key, in the order of the commits: 1, 2, 3 …
    "number": _FIELD.TYPE_INT32,
    # This attempt to publish, whether it was committed or not.
    "mark": _FIELD.TYPE_STRING,
    # How many times a process of the consumer fails on it; FOR_EVER never succeeds.
    "fails": _FIELD.TYPE_INT32,
}
FOR_EVER = -1


def fact_class(run: str) -> type[Message]:
    """The event type ``administration.<run>.v1.FactStated``, known to this process from now on.

    It is declared like those of the contracts, so that the real envelope, topics and entrypoints
    take it for one of theirs.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{run}/events.proto", package=f"administration.{run}.v1", syntax="proto3"
    )
    message = file.message_type.add(name="FactStated")
    for number, (name, kind) in enumerate(_FIELDS.items(), start=1):
        message.field.add(name=name, number=number, type=kind, label=_FIELD.LABEL_OPTIONAL)
    event = message.options.Extensions[options_pb2.event]
    event.entity, event.key_field = "Fact", "key"
    event.visibility = options_pb2.VISIBILITY_INTERNAL
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{file.package}.{message.name}")
    )
