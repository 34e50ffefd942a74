"""Reading the contracts, and what they must say."""

import pytest
from administration.identity.v1 import identity_pb2
from administration.options.v1.options_pb2 import VISIBILITY_INTERNAL, AccessRule, Event

from backbone import contracts
from backbone.contracts import ContractError
from tests.support.schemas import Schema, field, message, method


def rule_of(rule: AccessRule | None) -> AccessRule:
    made = Schema([message("A")], [method("Do", "A", "A", rule=rule)])
    from google.protobuf import descriptor_pool

    service = descriptor_pool.Default().FindServiceByName(made.service)
    return contracts.access_rule(service.methods[0])


def test_an_access_rule_names_roles_or_everybody() -> None:
    assert rule_of(AccessRule(roles=["citizen"])).roles == ["citizen"]
    assert rule_of(AccessRule(public=True)).public


@pytest.mark.parametrize("rule", [None, AccessRule(), AccessRule(public=True, roles=["citizen"])])
def test_a_method_without_a_clear_rule_is_a_mistake_of_the_contract(
    rule: AccessRule | None,
) -> None:
    with pytest.raises(ContractError, match=r"Do has no access rule.*declare"):
        rule_of(rule)


@pytest.mark.parametrize(
    "event",
    [
        None,
        Event(entity="A", key_field="a_id"),
        Event(entity="A", key_field="b_id", visibility=VISIBILITY_INTERNAL),
        Event(key_field="a_id", visibility=VISIBILITY_INTERNAL),
    ],
)
def test_an_event_without_entity_key_or_visibility_is_a_mistake_of_the_contract(
    event: Event | None,
) -> None:
    made = Schema([message("Happened", field("a_id"), event=event)])
    with pytest.raises(ContractError, match="Happened"):
        contracts.event(made["Happened"].DESCRIPTOR)


def test_names_of_rpcs_become_names_of_methods() -> None:
    assert contracts.snake_case("GetMe") == "get_me"
    assert contracts.snake_case("DepositDocument") == "deposit_document"


def test_a_path_is_what_grpc_calls() -> None:
    method = contracts.service("administration.identity.v1.IdentityService").methods_by_name[
        "GetMe"
    ]
    assert contracts.path(method) == "/administration.identity.v1.IdentityService/GetMe"
    assert contracts.message_class(method.input_type) is identity_pb2.GetMeRequest


def test_a_service_that_no_contract_has_is_not_found() -> None:
    with pytest.raises((KeyError, ModuleNotFoundError)):
        contracts.service("administration.nothing.v1.NothingService")
