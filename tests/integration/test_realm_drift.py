"""`backbone realm plan` and `apply` on the real Keycloak, with a realm of their own."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.scratch_realm import ScratchRealm, scratch_realm
from tests.support.sign_in import SignIn, claims

FLOW = "authentication flow sign-in by level"


@pytest.fixture(scope="module")
def base(stack: dict[str, Any]) -> Iterator[ScratchRealm]:
    with scratch_realm(stack) as made:
        yield made


@pytest.fixture(autouse=True)
def _as_the_code_says(base: ScratchRealm) -> Iterator[None]:
    yield
    base.run("apply", "--delete-unknown")


def test_a_realm_that_apply_made_has_no_drift(base: ScratchRealm) -> None:
    done = base.run("plan")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_each_drift_is_named_and_mended_and_then_there_is_none(base: ScratchRealm) -> None:
    portal = base.client("portal")
    gateway = base.client("gateway")
    base.change_client(
        "portal",
        redirectUris=[*portal["redirectUris"], "https://ailleurs.example/*"],
        implicitFlowEnabled=True,
        attributes={**portal["attributes"], "access.token.lifespan": "86400"},
    )
    base.change_client("gateway", secret="autre-secret")
    base.admin.delete_realm_role("agent")
    realm = base.admin.get_realm(base.name)
    base.admin.update_realm(
        base.name, {**realm, "accessTokenLifespan": 3600, "bruteForceProtected": False}
    )
    scope = base.admin.get_client_scope_by_name("backbone")
    assert scope is not None
    base.admin.delete_mapper_from_client_scope(scope["id"], scope["protocolMappers"][0]["id"])
    steps = base.admin.get_authentication_flow_executions("sign-in by level")
    (low,) = (step for step in steps if step.get("displayName") == "sign-in - high")
    base.admin.update_authentication_flow_executions(
        {**low, "requirement": "DISABLED"}, "sign-in by level"
    )
    account = base.admin.get_client_service_account_user(gateway["id"])["id"]
    admin_role = base.admin.get_realm_role("admin")
    base.admin.assign_realm_roles(account, [admin_role])

    named = base.plan()
    assert named == {
        ("client portal", "redirectUris"),
        ("client portal", "implicitFlowEnabled"),
        ("client portal", "attributes.access.token.lifespan"),
        ("client gateway", "secret"),
        ("role agent", ""),
        ("realm", "accessTokenLifespan"),
        ("realm", "bruteForceProtected"),
        ("client scope backbone", "protocolMappers.audience backbone"),
        (FLOW, "sign-in - levels > sign-in - high.requirement"),
        ("service account of gateway", "roles"),
    }
    table = base.run("apply")
    assert table.returncode == 0, table.stderr
    assert "https://ailleurs.example/*" in table.stdout
    for secret in ("autre-secret", base.environment["BACKBONE_CLIENT_SECRET_GATEWAY"]):
        assert secret not in table.stdout + table.stderr
    assert base.plan() == set()
    assert base.client("portal")["redirectUris"] == portal["redirectUris"]


def test_a_flow_that_was_replaced_keeps_signing_people_in(base: ScratchRealm) -> None:
    steps = base.admin.get_authentication_flow_executions("sign-in by level")
    (high,) = (step for step in steps if step.get("displayName") == "sign-in - high")
    base.admin.delete_authentication_flow_execution(high["id"])
    assert (FLOW, "sign-in - levels > sign-in - high") in base.plan()
    base.apply()
    assert base.plan() == set()
    sign_in = SignIn(base.stack)
    with base.people() as people, people.person() as person, sign_in.browser() as browser:
        tokens = sign_in.tokens(sign_in.password(browser, sign_in.start(browser), person))
    assert claims(tokens["access_token"])["acr"] == "low"


def test_what_the_code_does_not_know_is_told_and_deleted_only_when_asked(
    base: ScratchRealm,
) -> None:
    base.admin.create_client({"clientId": "inconnu", "redirectUris": ["*"]})
    base.admin.create_realm_role({"name": "passe-partout"})
    told = {("client inconnu", ""), ("role passe-partout", "")}
    assert base.plan() == told
    left = base.run("apply")
    assert left.returncode == 2
    assert "--delete-unknown" in left.stdout
    assert base.plan() == told
    base.apply("--delete-unknown")
    assert base.plan() == set()


def test_people_and_partners_are_nobodys_drift(base: ScratchRealm) -> None:
    mapper = {
        "name": "administration",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-hardcoded-claim-mapper",
        "config": {"claim.name": "administration", "claim.value": "essai"},
    }
    key = base.admin.create_client({"clientId": "partner-essai", "protocolMappers": [mapper]})
    with base.people() as people, people.person() as person:
        role = base.admin.get_realm_role("agent")
        base.admin.assign_realm_roles(person.account_id, [role])
        assert base.plan() == set()
        base.apply("--delete-unknown")
        assert base.admin.get_client(key)["clientId"] == "partner-essai"
        roles = base.admin.get_realm_roles_of_user(person.account_id)
        assert "agent" in {each["name"] for each in roles}


def test_a_variable_that_is_missing_is_named(base: ScratchRealm) -> None:
    without = dict(base.environment)
    del without["BACKBONE_SMTP_HOST"]
    kept, base.environment = base.environment, without
    try:
        done = base.run("plan")
    finally:
        base.environment = kept
    assert done.returncode == 2
    assert "BACKBONE_SMTP_HOST" in done.stderr
