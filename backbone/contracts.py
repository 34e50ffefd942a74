"""What the protos declare beside their fields, read from the descriptors at run time."""

import re
from functools import lru_cache
from importlib import import_module
from typing import Any

from administration.options.v1 import options_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor, descriptor_pool, message_factory
from google.protobuf.message import Message

# Where each area's contract lives. A new service is one entry here.
SERVICES = {
    "identity": "administration.identity.v1.IdentityService",
    "documents": "administration.documents.v1.DocumentsService",
    "notifications": "administration.notifications.v1.NotificationsService",
    "exchange": "administration.exchange.v1.ExchangeService",
}


class ContractError(Exception):
    """A contract lacks what the backbone needs; the message names the element and the mend."""


def load(area: str) -> None:
    """Imports an area's generated modules, so that the pool knows its messages."""
    import_module(f"administration.{area}.v1.{area}_pb2")
    import_module(f"administration.{area}.v1.events_pb2")


@lru_cache
def service(full_name: str) -> descriptor.ServiceDescriptor:
    """The descriptor of a gRPC service, such as ``administration.identity.v1.IdentityService``."""
    load(full_name.split(".")[1])
    return descriptor_pool.Default().FindServiceByName(full_name)


# Generated modules type their descriptors as the C implementation's class or as this one.
Descriptor = descriptor.Descriptor | Any


def message_class(of: Descriptor) -> type[Message]:
    return message_factory.GetMessageClass(of)


def snake_case(name: str) -> str:
    """``GetMe`` → ``get_me``: the Python method of an rpc."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def path(method: descriptor.MethodDescriptor) -> str:
    """The gRPC path of a method: ``/package.Service/Method``."""
    return f"/{method.containing_service.full_name}/{method.name}"


def access_rule(method: descriptor.MethodDescriptor) -> options_pb2.AccessRule:
    """Who may call `method`.

    Raises:
        ContractError: no rule is declared, or an empty one: both would be a mistake; or nobody
            calls the method, who could call it for another.
    """
    options = method.GetOptions()
    if options.HasExtension(options_pb2.access):
        rule: options_pb2.AccessRule = options.Extensions[options_pb2.access]
        if rule.public != bool(rule.roles) and not (rule.public and rule.mandate_scope):
            return rule
    raise ContractError(
        f"{method.full_name} has no access rule: declare"
        " `option (administration.options.v1.access)` with roles, or with public"
    )


def http_rule(method: descriptor.MethodDescriptor) -> Any | None:
    """The ``google.api.http`` rule of a method, where it has one."""
    options = method.GetOptions()
    if options.HasExtension(annotations_pb2.http):
        return options.Extensions[annotations_pb2.http]
    return None


def routes(method: descriptor.MethodDescriptor) -> list[tuple[str, str]]:
    """HTTP method and path template of every request that the gateway answers with `method`."""
    found = []
    if rule := http_rule(method):
        for item in (rule, *rule.additional_bindings):
            kind = item.WhichOneof("pattern")
            custom = item.custom
            found.append(
                (custom.kind, custom.path)
                if kind == "custom"
                else (kind.upper(), getattr(item, kind))
            )
    for other in method.containing_service.methods:
        stream = other.GetOptions().Extensions[options_pb2.byte_stream]
        if stream.path and (other.name == method.name or method.name in stream.calls):
            found.append((stream.method, stream.path))
    return found


def deadline_seconds(method: descriptor.MethodDescriptor) -> int:
    """How long an answer may take by its nature; 0 where nothing says so."""
    seconds: int = method.GetOptions().Extensions[options_pb2.deadline_seconds]
    return seconds


def event(of: Descriptor) -> options_pb2.Event:
    """What makes a message an event.

    Raises:
        ContractError: it is not one, or lacks its entity, key or visibility.
    """
    options = of.GetOptions()
    if not options.HasExtension(options_pb2.event):
        raise ContractError(
            f"{of.full_name} is not an event: declare `option (administration.options.v1.event)`"
        )
    declared: options_pb2.Event = options.Extensions[options_pb2.event]
    if not (declared.entity and declared.key_field in of.fields_by_name and declared.visibility):
        raise ContractError(
            f"{of.full_name}: its event option needs entity, visibility and a key_field it has"
        )
    return declared


def public_events() -> list[type[Message]]:
    """Every event that partners may be granted, of all areas."""
    return [
        message_class(of)
        for area in SERVICES
        for of in events(area)
        if event(of).visibility == options_pb2.VISIBILITY_PUBLIC
    ]


def events(area: str) -> list[descriptor.Descriptor]:
    """Every event of an area, as declared in its ``events.proto``."""
    module = import_module(f"administration.{area}.v1.events_pb2")
    messages = module.DESCRIPTOR.message_types_by_name.values()
    return [item for item in messages if item.GetOptions().HasExtension(options_pb2.event)]
