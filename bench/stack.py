"""The running local stack: its addresses, and tokens of its realm."""

import os
import socket
import subprocess
import sys
from typing import Any

import requests

from deploy.local.errors import StackError
from deploy.local.paths import ROOT
from deploy.local.stack import load

Stack = dict[str, Any]


def running() -> Stack:
    """The stack, started when what the benches need of it does not answer.

    Raises:
        StackError: it cannot be started; deploy.local has said why.
    """
    try:
        stack = load()
        _answer(stack)
    except (StackError, OSError):
        subprocess.run((sys.executable, "-m", "deploy.local", "up"), cwd=ROOT, check=True)
        stack = load()
    return stack


def _answer(stack: Stack) -> None:
    keycloak = stack["keycloak"]["url"].removeprefix("http://")
    postgres = stack["postgres"]["url"].partition("@")[2].partition("/")[0]
    for address in (keycloak, postgres, stack["kafka"]["internal"]):
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=2).close()


def environment(stack: Stack, service: str, **changes: str) -> dict[str, str]:
    """The environment of a service of the stack, with the settings of a bench in it."""
    settings = {f"BACKBONE_{name.upper()}": value for name, value in changes.items()}
    environment = {**os.environ, **stack["services"][service]["environment"], **settings}
    # The backbone sets this one for itself, in this process too: a peer has grpcio's default.
    environment.pop("GRPC_EXPERIMENTS", None)
    return environment


def service_token(stack: Stack, client: str) -> str:
    """An access token of a service's own client."""
    return _token(stack, **stack["clients"][client], grant_type="client_credentials")


def citizen_token(stack: Stack) -> str:
    """An access token of the development realm's citizen."""
    account = stack["accounts"]["citizen"]
    return _token(
        stack,
        client_id=stack["clients"]["development"]["client_id"],
        grant_type="password",
        username=account["username"],
        password=account["password"],
    )


def _token(stack: Stack, **form: str) -> str:
    answer = requests.post(
        f"{stack['issuer']}/protocol/openid-connect/token", data=form, timeout=10
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])
