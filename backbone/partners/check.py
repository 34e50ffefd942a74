"""Proof of a partner's access, step by step, with its own credentials and nothing of ours."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import requests

from backbone.errors import Unauthenticated, Unavailable
from backbone.partners import configuration
from backbone.partners.check_kafka import KafkaCheck
from backbone.partners.partner import PartnerError
from backbone.partners.registry import ROLE
from backbone.partners.steps import Step, StepFailed
from backbone.settings import RealmSettings
from backbone.tokens import TokenVerifier

TIMEOUT_SECONDS = 10


class Check:
    """The checks of the client `client_id`, as the file at `path` configures it."""

    def __init__(self, client_id: str, path: Path) -> None:
        self._client_id = client_id
        self._path = path
        self._token = ""

    def steps(self) -> Iterator[Step]:
        """Each step as it is done. Never holds a secret or a token."""
        try:
            self._read = configuration.read(self._path)
        except PartnerError as error:
            yield Step("configuration", False, str(error), "give the file that `add` wrote")
            return
        kafka = KafkaCheck(self._read, self._path.parent, lambda: self._token)
        plan: list[tuple[str, Callable[[], str]]] = [
            ("configuration", self._configuration),
            ("token", self._obtain),
            ("claims", self._claims),
            ("broker", kafka.broker),
            ("group", kafka.group),
            *((f"read {topic}", partial(kafka.read, topic)) for topic in self._read.granted()),
            ("all else refused", kafka.strangers),
            ("another's group refused", kafka.another_group),
        ]
        stopped = False
        for name, act in plan:
            if stopped:
                yield Step(name, None)
                continue
            try:
                yield Step(name, True, act())
            except StepFailed as failure:
                stopped = failure.final
                yield Step(name, False, failure.detail, failure.mend)

    def _configuration(self) -> str:
        if self._read.client_id != self._client_id:
            mend = f"give the file of {self._client_id}"
            raise StepFailed(f"{self._path} is of {self._read.client_id}", mend, final=True)
        if configuration.exposed(self._path):
            mend = f"chmod 600 {self._path}, then `backbone partner rotate {self._client_id}`"
            raise StepFailed("others on this machine can read the secret", mend)
        return str(self._path)

    def _obtain(self) -> str:
        read = self._read
        try:
            answer = requests.post(
                read.token_url,
                data={"grant_type": "client_credentials"},
                auth=(read.client_id, read.client_secret),
                timeout=TIMEOUT_SECONDS,
            )
            said = answer.json()
        except (requests.RequestException, ValueError):
            mend = "check TOKEN_URL, and that this machine may reach it"
            raise StepFailed(f"{read.token_url} does not answer", mend, final=True) from None
        if not answer.ok:
            # `error` alone: a fixed word (RFC 6749, section 5.2).
            raise StepFailed(
                f"{answer.status_code} {said.get('error', '')}",
                f"the secret is not its own (`backbone partner rotate {self._client_id}`), or it"
                " was revoked (`backbone partner list`)",
                final=True,
            )
        self._token = str(said["access_token"])
        return f"lives {said['expires_in']} s"

    def _claims(self) -> str:
        read = self._read
        mend = f"`backbone partner revoke {read.client_id}`, then `add` it again"
        verifier = TokenVerifier(RealmSettings(issuer=read.issuer, audience=read.audience))
        try:
            # Its signature, typ, iss, aud and exp, as every service checks them.
            caller = verifier.verify(self._token)
        except Unauthenticated as error:
            raise StepFailed(error.detail, mend) from None
        except Unavailable:
            raise StepFailed("the realm's keys cannot be had", "check ISSUER") from None
        for what, found, expected in (
            ("azp", caller.client_id, read.client_id),
            ("administration", caller.administration, read.administration),
            ("roles", ", ".join(sorted(caller.roles)), ROLE),
        ):
            if found != expected:
                raise StepFailed(f"{what}: {found or 'none'}, not {expected}", mend)
        return f"at+jwt for {read.audience}, {ROLE} of {caller.administration}"
