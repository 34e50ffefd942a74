"""The Compose file is accepted, safe, and parallel to the local stack and to the chart.

No container engine runs here: what is checked is what the files say.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from backbone.contracts import SERVICES
from deploy import chart
from deploy.local import kafka, minio, programs, services
from deploy.local.paths import ROOT
from deploy.local.site import PORTS, Site

COMPOSE = ROOT / "docker-compose.yml"
FOLDER = ROOT / "deploy" / "compose"
TEXT = COMPOSE.read_text()
# Tuning that a production has and a laptop leaves at its defaults.
CHART_ONLY = re.compile(
    "BACKBONE_(LOG_LEVEL|TRACE_RATIO|DATABASE_POOL_SIZE|KAFKA_(PARTITIONS|REPLICATION|CAFILE)"
    "|SMTP_(STARTTLS|SENDER|USERNAME|PASSWORD)|JWKS_URL)"
)


def config(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`podman-compose config`: it asks podman for its version, and for nothing else."""
    podman = folder / "podman"
    podman.write_text("#!/bin/sh\necho podman version 5.0.0\n")
    podman.chmod(0o755)
    program = Path(sys.executable).with_name("podman-compose")
    return subprocess.run(
        [program, "--podman-path", podman, "-f", COMPOSE, *arguments, "config"],
        cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The file as Compose reads it, with the secrets that `env.sh` makes."""
    folder = tmp_path_factory.mktemp("compose")
    secrets = folder / "secrets"
    subprocess.run(["sh", FOLDER / "env.sh", secrets], check=True, capture_output=True)
    done = config(folder, "--env-file", str(secrets))
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = yaml.safe_load(done.stdout)
    return parsed


def test_compose_refuses_to_start_without_secrets_and_says_how_to_make_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").touch()
    done = config(tmp_path, "--env-file", str(tmp_path / "empty"))
    assert done.returncode != 0
    assert "run sh deploy/compose/env.sh" in done.stderr


def test_secrets_that_exist_are_never_replaced(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("kept\n")
    done = subprocess.run(["sh", FOLDER / "env.sh", secrets], check=False, capture_output=True)
    assert done.returncode != 0
    assert secrets.read_text() == "kept\n"


def test_the_example_environment_lists_exactly_what_is_required() -> None:
    listed = set(re.findall(r"^(\w+)=$", (FOLDER / "env.example").read_text(), re.MULTILINE))
    assert listed == set(re.findall(r"\$\{(\w+):\?", TEXT))
    optional = re.findall(r"^#(\w+)=(.*)$", (FOLDER / "env.example").read_text(), re.MULTILINE)
    defaults = set(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    assert {name for name, _ in optional} == {name for name, _ in defaults}
    assert {pair for pair in defaults if pair[1]} <= set(optional)


def test_compose_has_every_service_and_the_gateway(compose: dict[str, Any]) -> None:
    for name in (*SERVICES, "gateway"):
        assert compose["services"][name]["command"] == ["serve", name]


def test_a_service_starts_after_its_schema_is_migrated(compose: dict[str, Any]) -> None:
    for name in SERVICES:
        assert compose["services"][f"migrate-{name}"]["command"] == ["migrate", name]
        after = compose["services"][name]["depends_on"]
        assert after[f"migrate-{name}"]["condition"] == "service_completed_successfully"
        assert after["topics"]["condition"] == "service_completed_successfully"


def test_every_published_port_is_on_loopback(compose: dict[str, Any]) -> None:
    ports = [port for item in compose["services"].values() for port in item.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_is_written_in_the_file() -> None:
    named = re.findall(
        r"^ *(\w*(?:PASSWORD|SECRET|KMS|DATABASE_URL)\w*): (.+)$", TEXT, re.MULTILINE
    )
    assert len(named) > len(SERVICES)
    for name, value in named:
        assert re.search(r"\$\{\w+:\?", value), name


def test_our_containers_run_without_privileges(compose: dict[str, Any]) -> None:
    dockerfile = "deploy/Dockerfile"
    ours = [
        item
        for item in compose["services"].values()
        if item.get("build", {}).get("dockerfile") == dockerfile
    ]
    assert len(ours) > len(SERVICES)
    for item in ours:
        assert item["read_only"] is True
        assert item["cap_drop"] == ["ALL"]
        assert item["security_opt"] == ["no-new-privileges:true"]


def test_compose_and_the_chart_tell_a_service_the_same(compose: dict[str, Any]) -> None:
    for item in chart.objects(chart.render()):
        if item["kind"] == "Deployment":
            (container,) = item["spec"]["template"]["spec"]["containers"]
            told = {entry["name"] for entry in container["env"]}
            name = container["name"]
            here = set(compose["services"][name]["environment"])
            if name == "gateway":
                here.discard("BACKBONE_GRPC_LISTEN")
            different = {each for each in told ^ here if not CHART_ONLY.fullmatch(each)}
            assert not different, name


def test_compose_knows_every_setting_of_the_local_stack(compose: dict[str, Any]) -> None:
    site = Site(PORTS, defaultdict(str))
    names = (*SERVICES, "gateway")
    local = {variable for name in names for variable in services.environment(site, name)}
    here = {each for name in names for each in compose["services"][name]["environment"]}
    assert local <= here


def test_kafka_lets_in_and_allows_whom_the_local_stack_does() -> None:
    def parse(text: str) -> dict[str, str]:
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return dict(line.split("=", 1) for line in lines)

    here = parse((FOLDER / "kafka.properties").read_text())
    secrets = {
        "kafka": "${env:BACKBONE_KAFKA_PASSWORD}",
        "kafka_controller": "${env:BACKBONE_KAFKA_CONTROLLER_PASSWORD}",
    }
    local = parse(kafka.properties(Site(PORTS, secrets)))
    rules = re.compile(r"(listener\.|sasl\.|authorizer|super|allow|auto\.create).*")
    for name in here | local:
        if rules.fullmatch(name) and not name.endswith(("url", "issuer")):
            assert here.get(name) == local.get(name), name


def test_the_object_stores_user_may_do_what_it_may_in_the_local_stack() -> None:
    assert json.loads((FOLDER / "documents-policy.json").read_text()) == minio.POLICY


def test_the_programs_are_of_the_versions_of_the_local_stack() -> None:
    dockerfiles = "".join(path.read_text() for path in (ROOT / "deploy").glob("*.Dockerfile"))
    assert f"apache/kafka:{programs.KAFKA_VERSION}}}" in TEXT
    assert f"keycloak/keycloak:{programs.KEYCLOAK_VERSION}}}" in TEXT
    assert f"keycloak/keycloak:{programs.KEYCLOAK_VERSION}\n" in dockerfiles
    assert f"MINIO_VERSION={programs.MINIO_VERSION}\n" in dockerfiles


@pytest.mark.parametrize("name", ["requirements-image.lock", "requirements-build.lock"])
def test_the_image_is_made_of_what_the_tests_run_on(name: str) -> None:
    """Its locks are parts of requirements.lock, but for what builds the wheel."""

    def locked(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE))

    tested = locked(ROOT / "requirements.lock")
    image = locked(ROOT / "deploy" / name)
    assert image
    backend = {"hatchling", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
    assert {item: v for item, v in image.items() if tested.get(item, v) != v} == {}
    assert image.keys() - tested.keys() <= backend
