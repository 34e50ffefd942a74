"""What every contract declares, so that nobody has to remember it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from administration.options.v1 import options_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from backbone import contracts

# Words that say a person typed it, or that name a person.
FREE_TEXT = {
    "address", "body", "comment", "content", "description", "detail", "display_name", "email",
    "first_name", "label", "last_name", "message", "name", "note", "phone", "purpose", "reason",
    "subject", "text", "title",
}  # fmt: skip
# What a person alone does, whoever represents them: their rights, their sign-ins, their mandates.
FOR_ONESELF = {
    "RequestExport", "GetExport", "RequestErasure", "ListSessions", "EndSession", "EndAllSessions",
    "ListSignIns", "OfferMandate", "ListMandates", "GetMandate", "AcceptMandate", "EndMandate",
    "ListJournal", "GrantConsent", "RevokeConsent", "ListInbox", "WatchInbox",
}  # fmt: skip
METHODS = [
    method for name in contracts.SERVICES.values() for method in contracts.service(name).methods
]
EVENTS = [event for area in contracts.SERVICES for event in contracts.events(area)]


def named(item: Any) -> str:
    return str(item.full_name)


def fields(message: Descriptor, above: frozenset[str] = frozenset()) -> Iterator[FieldDescriptor]:
    """The fields of a message, and of the messages within it."""
    for field in message.fields:
        yield field
        nested = field.message_type
        if nested is not None and nested.full_name not in above:
            yield from fields(nested, above | {nested.full_name})


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_every_rpc_says_who_may_call_it(method: MethodDescriptor) -> None:
    contracts.access_rule(method)


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_what_administrators_do_asks_for_a_sure_sign_in(method: MethodDescriptor) -> None:
    rule, route = contracts.access_rule(method), contracts.http_rule(method)
    if set(rule.roles) == {"admin"} and route is not None and not route.get:
        assert rule.level >= options_pb2.ASSURANCE_LEVEL_SUBSTANTIAL


def test_rights_sign_ins_and_mandates_are_never_another_s() -> None:
    scopes = {method.name: contracts.access_rule(method).mandate_scope for method in METHODS}
    assert scopes.keys() >= FOR_ONESELF
    assert not [name for name in FOR_ONESELF if scopes[name]]


def test_the_scopes_that_methods_name_are_those_of_the_documentation() -> None:
    named = {contracts.access_rule(method).mandate_scope for method in METHODS} - {""}
    text = (Path(__file__).parents[2] / "docs/mandates.md").read_text("utf-8")
    assert named == set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", text, re.MULTILINE))


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_every_rpc_has_a_route_or_is_for_services_alone(method: MethodDescriptor) -> None:
    over_http = contracts.http_rule(method) is not None or method.GetOptions().HasExtension(
        options_pb2.byte_stream
    )
    roles = set(contracts.access_rule(method).roles)
    internal = bool(roles) and roles <= {"service", "keyring"}
    assert over_http != internal


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_every_stream_of_the_server_says_how_it_is_told_over_http(method: MethodDescriptor) -> None:
    options = method.GetOptions()
    if method.server_streaming and contracts.http_rule(method) is not None:
        declared = options.Extensions[options_pb2.server_sent_events]
        assert declared.id_field in method.output_type.fields_by_name
        assert declared.resume_field in method.input_type.fields_by_name


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_every_text_that_a_caller_sends_is_bounded(method: MethodDescriptor) -> None:
    for field in fields(method.input_type):
        # A mask's paths are compared with the names of fields.
        mask = field.full_name == "google.protobuf.FieldMask.paths"
        if field.type == field.TYPE_STRING and not mask:
            rules = field.GetOptions().Extensions[options_pb2.rules]
            assert rules.max_length or rules.uuid or rules.pattern, field.full_name


@pytest.mark.parametrize("event", EVENTS, ids=named)
def test_every_event_has_an_entity_a_key_and_a_visibility(event: Descriptor) -> None:
    declared = contracts.event(event)
    assert event.fields_by_name[declared.key_field].type == FieldDescriptor.TYPE_STRING


@pytest.mark.parametrize("event", EVENTS, ids=named)
def test_no_event_carries_what_is_personal(event: Descriptor) -> None:
    for field in fields(event):
        assert not field.GetOptions().Extensions[options_pb2.personal], field.full_name
        assert field.name not in FREE_TEXT, field.full_name
        assert field.type != field.TYPE_BYTES, field.full_name


def test_every_message_of_an_events_file_is_an_event() -> None:
    for area in contracts.SERVICES:
        contracts.load(area)
        file = contracts.events(area)[0].file
        assert [item.name for item in contracts.events(area)] == list(file.message_types_by_name)


def test_no_two_events_of_one_topic_have_different_keys() -> None:
    keys: dict[tuple[str, str], str] = {}
    for event in EVENTS:
        declared = contracts.event(event)
        entity = (event.file.package, declared.entity)
        assert keys.setdefault(entity, declared.key_field) == declared.key_field
