"""Signing in through an upstream identity provider that has FranceConnect's claims and levels."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Browser, Page
from tests.support.mailbox import Mailbox
from tests.support.polling import eventually
from tests.support.realm import Person
from tests.support.scratch_realm import ScratchRealm, scratch_realm
from tests.support.sign_in import LOGIN, SignIn, claims
from tests.support.upstream import CLAIMS, Upstream, upstream, variables

ALIAS = "upstream"


@pytest.fixture(scope="module")
def name() -> str:
    return f"franceconnect-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def base(stack: dict[str, Any], name: str) -> Iterator[ScratchRealm]:
    issuer = f"{stack['keycloak']['url']}/realms/{name}"
    with scratch_realm(stack, ALIAS, **variables(issuer)) as made:
        yield made


@pytest.fixture(scope="module")
def franceconnect(stack: dict[str, Any], base: ScratchRealm, name: str) -> Iterator[Upstream]:
    endpoint = f"{base.stack['issuer']}/broker/{ALIAS}/endpoint"
    with upstream(stack, endpoint, name) as opened:
        yield opened


def through_upstream(sign_in: SignIn, browser: Browser, person: Person, **asked: str) -> Page:
    """Up to what our realm shows after the upstream's own page."""
    page = sign_in.start(browser, kc_idp_hint=ALIAS, **asked)
    return browser.submit(page, LOGIN, username=person.username, password=person.password)


def first_time(browser: Browser, page: Page, mail: Mailbox, to: str) -> Page:
    """Proves the address, which upstream did not prove."""
    assert "execution=VERIFY_EMAIL" in page.url, page.url
    (told,) = eventually(lambda: mail.to(to), what="a mail to prove the address")
    body = told.get_body(("plain",))
    assert body is not None
    link = re.search(r"https?://\S+action-token\S+", body.get_content())
    assert link
    return browser.open(link[0])


def test_the_layer_leaves_no_drift(base: ScratchRealm) -> None:
    assert base.plan() == set()


@pytest.mark.parametrize(
    ("told", "acr"), [("eidas1", "low"), ("eidas2", "substantial"), ("eidas3", "high")]
)
def test_the_level_and_the_civil_status_are_those_that_upstream_told(
    base: ScratchRealm, franceconnect: Upstream, mailbox: Mailbox, told: str, acr: str
) -> None:
    sign_in = SignIn(base.stack)
    person = franceconnect.person(told)
    with sign_in.browser() as browser:
        page = through_upstream(sign_in, browser, person, scope="openid birth")
        tokens = sign_in.tokens(first_time(browser, page, mailbox, person.email))
    access, identity = claims(tokens["access_token"]), claims(tokens["id_token"])
    assert access["acr"] == identity["acr"] == acr
    assert {claim: identity.get(claim) for claim in CLAIMS} == CLAIMS
    assert (identity["email"], identity["email_verified"]) == (person.email, True)
    assert "citizen" in access["realm_access"]["roles"]
    # Birth is for the client, not for every service that sees the token.
    assert not {"birthdate", "birthplace", "birthcountry", "gender"} & access.keys()
    again = SignIn(base.stack)
    with again.browser() as browser:
        tokens = again.tokens(through_upstream(again, browser, person))
    assert claims(tokens["access_token"])["sub"] == access["sub"]
    assert claims(tokens["access_token"])["acr"] == acr


def test_a_level_that_upstream_did_not_reach_is_asked_of_the_person_here(
    base: ScratchRealm, franceconnect: Upstream, mailbox: Mailbox
) -> None:
    sign_in, person = SignIn(base.stack), franceconnect.person("eidas1")
    with sign_in.browser() as browser:
        page = through_upstream(sign_in, browser, person, acr_values="substantial")
        page = first_time(browser, page, mailbox, person.email)
    assert page.returned is None
    assert "kc-totp-settings-form" in page.forms
