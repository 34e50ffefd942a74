"""The rules of the repository: what a person could forget is a test."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from backbone import contracts
from deploy.local.site import PORTS
from services.gateway import settings as gateway_settings

ROOT = Path(__file__).resolve().parents[2]
SERVICES = [
    folder.name
    for folder in sorted((ROOT / "services").iterdir())
    if (folder / "service.py").exists()
]
MAX_LINES = 300
NEVER_IN_A_DOMAIN = {"alembic", "grpc", "kafka", "minio", "nameko", "psycopg", "sqlalchemy"}
TARGETS = {
    "up", "demo", "down", "reset", "test", "test-unit", "check", "protos", "bench", "drill",
    "image", "chart", "help",
}  # fmt: skip


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{item.name}" for item in node.names)


@pytest.mark.parametrize(
    "path",
    [path for path in modules("services") if "domain" in path.parts],
    ids=relative,
)
def test_a_domain_imports_no_infrastructure(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imported(path)} & NEVER_IN_A_DOMAIN


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_imports_another(name: str) -> None:
    others = {f"services.{other}" for other in SERVICES} - {f"services.{name}"}
    for path in modules(f"services/{name}"):
        for module in imported(path):
            assert ".".join(module.split(".")[:2]) not in others, relative(path)


def test_the_backbone_knows_no_service_and_the_project_no_test() -> None:
    for path in modules("backbone", "services", "deploy"):
        for module in imported(path):
            assert not module.startswith("tests"), relative(path)
            if path.is_relative_to(ROOT / "backbone"):
                assert not module.startswith("services"), relative(path)


@pytest.mark.parametrize("path", modules("backbone", "services", "deploy"), ids=relative)
def test_no_module_has_outgrown_its_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", modules("backbone", "services", "deploy"), ids=relative)
def test_every_module_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text))


def test_there_is_a_service_for_each_contract_and_the_gateway() -> None:
    assert set(SERVICES) == {*contracts.SERVICES, "gateway"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_wherever_services_are_listed(name: str) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert name in compose["services"]
    values = yaml.safe_load((ROOT / "deploy/helm/backbone/values.yaml").read_text())
    assert name in values["services"]
    assert {name, f"{name}_ops"} <= PORTS.keys()
    if name in contracts.SERVICES:
        assert (ROOT / f"protos/administration/{name}/v1/{name}.proto").exists()
        assert (ROOT / f"protos/administration/{name}/v1/events.proto").exists()
        assert (ROOT / f"services/{name}/migrations").is_dir()
        assert f"{name}_address" in gateway_settings.GatewaySettings.model_fields


def test_every_locked_package_has_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index" not in lock
    assert "--find-links" not in lock
    logical = re.sub(r"\\\n", " ", lock).splitlines()
    for line in filter(None, map(str.strip, logical)):
        if not line.startswith("#"):
            assert re.match(r"^[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+ .*--hash=sha256:", line), (
                line
            )


def test_every_target_of_the_makefile_is_there_and_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    helped = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))
    assert helped >= TARGETS
    assert targets == helped
    assert len(targets) <= 20


def test_nothing_generated_or_secret_is_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/.local/", "/gen/"} <= set(ignored)
