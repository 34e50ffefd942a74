"""Levels of authentication on the real realm: what each asks for, and what the tokens then say."""

import time
import uuid
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.support.organisations import Side
from tests.support.passkey import Passkey
from tests.support.realm import Person, Realm
from tests.support.sign_in import CODE, LOGIN, SignIn, claims, one_time_code

SECRET = "essai-de-code-a-usage-unique"
REGISTRATION = "webauthn-register-passwordless"


def test_a_password_is_level_low(stack: dict[str, Any], person: Person) -> None:
    sign_in = SignIn(stack)
    with sign_in.browser() as browser:
        page = sign_in.start(browser)
        assert 'lang="fr"' in page.text
        tokens = sign_in.tokens(sign_in.password(browser, page, person))
    assert claims(tokens["access_token"])["acr"] == "low"
    assert claims(tokens["id_token"])["acr"] == "low"


def test_substantial_asks_for_a_one_time_code_as_well(stack: dict[str, Any], realm: Realm) -> None:
    sign_in = SignIn(stack)
    with realm.person(totp=SECRET) as person, sign_in.browser() as browser:
        page = sign_in.start(browser, acr_values="substantial")
        page = sign_in.password(browser, page, person)
        assert page.returned is None
        assert CODE in page.forms
        refused = browser.submit(page, CODE, otp="000000")
        assert refused.returned is None
        tokens = sign_in.tokens(browser.submit(refused, CODE, otp=one_time_code(SECRET)))
    assert claims(tokens["access_token"])["acr"] == "substantial"


def test_a_session_steps_up_with_the_code_alone_and_is_not_asked_again(
    stack: dict[str, Any], realm: Realm
) -> None:
    low, high_enough, again = SignIn(stack), SignIn(stack), SignIn(stack)
    with realm.person(totp=SECRET) as person, low.browser() as browser:
        tokens = low.tokens(low.password(browser, low.start(browser), person))
        assert claims(tokens["access_token"])["acr"] == "low"
        page = high_enough.start(browser, acr_values="substantial")
        assert LOGIN not in page.forms
        tokens = high_enough.tokens(browser.submit(page, CODE, otp=one_time_code(SECRET)))
        assert claims(tokens["access_token"])["acr"] == "substantial"
        kept = again.tokens(again.start(browser, acr_values="substantial"))
    assert claims(kept["access_token"])["acr"] == "substantial"


def test_an_administrator_acts_once_they_have_stepped_up(
    stack: dict[str, Any], realm: Realm, gateway: httpx.Client
) -> None:
    low, sure = SignIn(stack), SignIn(stack)
    with realm.person(totp=SECRET) as person, low.browser() as browser:
        realm.appoint(person, "admin")
        tokens = low.tokens(low.password(browser, low.start(browser), person))
        refused = Side(gateway, tokens["access_token"]).creates()
        assert (refused.status_code, refused.json()["reason"]) == (
            401,
            "INSUFFICIENT_USER_AUTHENTICATION",
        )
        assert 'acr_values="substantial"' in refused.headers["WWW-Authenticate"]
        page = sure.start(browser, acr_values=refused.json()["acr_values"])
        tokens = sure.tokens(browser.submit(page, CODE, otp=one_time_code(SECRET)))
        assert Side(gateway, tokens["access_token"]).creates().status_code == 200


def test_who_has_no_second_factor_sets_one_up_before_substantial(
    stack: dict[str, Any], person: Person
) -> None:
    sign_in = SignIn(stack)
    with sign_in.browser() as browser:
        page = sign_in.start(browser, acr_values="substantial")
        page = sign_in.password(browser, page, person)
    assert page.returned is None
    assert "kc-totp-settings-form" in page.forms


def test_high_is_for_who_has_a_passkey_already(stack: dict[str, Any], realm: Realm) -> None:
    sign_in = SignIn(stack)
    with realm.person(totp=SECRET) as person, sign_in.browser() as browser:
        page = sign_in.start(browser, acr_values="high")
        page = sign_in.password(browser, page, person)
        page = browser.submit(page, CODE, otp=one_time_code(SECRET))
    assert page.returned is None
    # A passkey is not set up on the way: who took over a password and a code gains nothing.
    assert page.status == 400
    assert "configuration d&#39;accréditation requise" in page.text


def test_a_passkey_signs_in_alone(stack: dict[str, Any], person: Person) -> None:
    passkey, sign_in = _registered(stack, person, Passkey()), SignIn(stack)
    with sign_in.browser() as browser:
        # The page that asks for a name takes a passkey as well.
        page = sign_in.start(browser)
        tokens = sign_in.tokens(passkey.authenticate(browser, page))
    assert claims(tokens["access_token"])["sub"] == person.account_id
    assert claims(tokens["access_token"])["acr"] == "low"


@pytest.mark.parametrize(("level", "times"), [("substantial", 1), ("high", 2)])
def test_a_passkey_raises_the_level(
    stack: dict[str, Any], person: Person, level: str, times: int
) -> None:
    passkey, sign_in = _registered(stack, person, Passkey()), SignIn(stack)
    with sign_in.browser() as browser:
        page = sign_in.start(browser, acr_values=level)
        page = sign_in.password(browser, page, person)
        for _ in range(times):
            assert page.returned is None
            page = passkey.authenticate(browser, page)
        tokens = sign_in.tokens(page)
    assert claims(tokens["access_token"])["acr"] == level


def test_another_passkey_is_not_the_person(stack: dict[str, Any], person: Person) -> None:
    _registered(stack, person, Passkey())
    sign_in = SignIn(stack)
    with sign_in.browser() as browser:
        page = sign_in.start(browser)
        page = Passkey().authenticate(browser, page)
    assert page.returned is None


def test_a_passkey_that_does_not_verify_its_user_is_not_registered(
    stack: dict[str, Any], person: Person
) -> None:
    sign_in = SignIn(stack)
    with sign_in.browser() as browser:
        page = sign_in.start(browser, kc_action=REGISTRATION)
        page = sign_in.password(browser, page, person)
        page = Passkey(user_verified=False).register(browser, page)
    assert page.returned is None


def test_a_client_that_proves_a_key_gets_tokens_bound_to_it(
    stack: dict[str, Any], person: Person
) -> None:
    """DPoP (RFC 9449): accepted from every client, asked of none."""
    key = ECKey.generate_key("P-256")
    sign_in = SignIn(stack)
    proof = jwt.encode(
        {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)},
        {
            "jti": uuid.uuid4().hex,
            "htm": "POST",
            "htu": f"{sign_in.protocol}/token",
            "iat": int(time.time()),
        },
        key,
    )
    with sign_in.browser() as browser:
        page = sign_in.password(browser, sign_in.start(browser), person)
    assert page.returned is not None
    answer = sign_in.redeem({"DPoP": proof}, code=page.returned["code"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "DPoP"
    assert claims(answer.json()["access_token"])["cnf"]["jkt"] == key.thumbprint()


def _registered(stack: dict[str, Any], person: Person, passkey: Passkey) -> Passkey:
    """A passkey that the person registers, on request."""
    sign_in = SignIn(stack)
    with sign_in.browser() as browser:
        page = sign_in.start(browser, kc_action=REGISTRATION)
        page = sign_in.password(browser, page, person)
        page = passkey.register(browser, page)
    assert page.returned is not None
    assert page.returned["kc_action_status"] == "success"
    return passkey
