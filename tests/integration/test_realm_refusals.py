"""What the base realm, as production has it, refuses."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.realm import Person, Realm
from tests.support.scratch_realm import ScratchRealm, scratch_realm
from tests.support.sign_in import LOGIN, SignIn, claims


@pytest.fixture(scope="module")
def base(stack: dict[str, Any]) -> Iterator[ScratchRealm]:
    with scratch_realm(stack) as made:
        yield made


@pytest.fixture(scope="module")
def people(base: ScratchRealm) -> Iterator[Realm]:
    with base.people() as opened:
        yield opened


@pytest.fixture
def citizen(people: Realm) -> Iterator[Person]:
    with people.person() as created:
        yield created


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param(
            {"code_challenge": "", "code_challenge_method": ""}, "invalid_request", id="no PKCE"
        ),
        pytest.param(
            {"code_challenge": "v" * 43, "code_challenge_method": "plain"},
            "invalid_request",
            id="plain PKCE",
        ),
        pytest.param({"code_challenge_method": ""}, "invalid_request", id="PKCE of no method"),
        pytest.param({"response_type": "token"}, "unauthorized_client", id="implicit"),
        pytest.param(
            {"response_type": "id_token", "nonce": "n"}, "unauthorized_client", id="implicit ID"
        ),
        pytest.param(
            {"response_type": "code id_token", "nonce": "n"}, "unauthorized_client", id="hybrid"
        ),
    ],
)
def test_an_authorization_request_is_refused(
    base: ScratchRealm, changes: dict[str, str], error: str
) -> None:
    sign_in = SignIn(base.stack)
    with sign_in.browser() as browser:
        page = sign_in.start(browser, **changes)
    assert page.returned is not None, page.text[:500]
    assert page.returned["error"] == error


@pytest.mark.parametrize("suffix", ["/", "?more=1", "/../callback", "%2f..", "#fragment", "x"])
def test_a_redirect_that_is_not_exact_is_refused_on_the_spot(
    base: ScratchRealm, suffix: str
) -> None:
    sign_in = SignIn(base.stack)
    with sign_in.browser() as browser:
        page = sign_in.start(browser, redirect_uri=sign_in.redirect_uri + suffix)
    assert page.status == 400
    assert page.returned is None


@pytest.mark.parametrize("client", ["portal", "admin-cli"])
def test_nobody_gets_a_token_for_a_password(
    base: ScratchRealm, citizen: Person, client: str
) -> None:
    form = {"grant_type": "password", "client_id": client, "scope": "openid"}
    form |= {"username": citizen.username, "password": citizen.password}
    answer = SignIn(base.stack).ask(form)
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


def test_a_code_without_its_verifier_or_with_another_is_refused(
    base: ScratchRealm, citizen: Person
) -> None:
    for verifier in ("", "w" * 43):
        sign_in = SignIn(base.stack)
        with sign_in.browser() as browser:
            page = sign_in.password(browser, sign_in.start(browser), citizen)
        assert page.returned is not None
        answer = sign_in.redeem(code=page.returned["code"], code_verifier=verifier)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_session(
    base: ScratchRealm, citizen: Person
) -> None:
    sign_in = SignIn(base.stack)
    with sign_in.browser() as browser:
        first = sign_in.tokens(sign_in.password(browser, sign_in.start(browser), citizen))
    second = sign_in.refresh(first["refresh_token"])
    assert second.status_code == 200
    again = sign_in.refresh(first["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    # Somebody has a copy: what came of it is refused too.
    assert sign_in.refresh(second.json()["refresh_token"]).status_code == 400


def test_an_access_token_is_of_rfc_9068_short_and_made_for_the_backbone(
    base: ScratchRealm, citizen: Person
) -> None:
    sign_in = SignIn(base.stack)
    with sign_in.browser() as browser:
        tokens = sign_in.tokens(sign_in.password(browser, sign_in.start(browser), citizen))
    said = claims(tokens["access_token"])
    assert said["exp"] - said["iat"] == 300
    assert "backbone" in said["aud"]
    assert said["realm_access"]["roles"].count("citizen") == 1
    assert "birthdate" not in said


def test_wrong_passwords_lock_the_account_even_for_the_right_one(
    base: ScratchRealm, citizen: Person
) -> None:
    failures = base.admin.get_realm(base.name)["failureFactor"]
    sign_in = SignIn(base.stack)
    with sign_in.browser() as browser:
        page = browser.submit(sign_in.start(browser), LOGIN, username=citizen.username)
        for _ in range(failures):
            page = browser.submit(page, LOGIN, username=citizen.username, password="faux")
            assert page.returned is None
        page = browser.submit(page, LOGIN, username=citizen.username, password=citizen.password)
    assert page.returned is None
    status = base.admin.get_bruteforce_detection_status(citizen.account_id)
    assert status["disabled"] is True
