"""`backbone doctor` of the other dependencies, on the real ones: well, and each with a fault."""

import json
from typing import Any

import pytest

from tests.support.own_vault import own_schema
from tests.support.processes import backbone, free_port

NOWHERE = f"127.0.0.1:{free_port()}"
NO_DATABASE = f"postgresql+psycopg://a:b@{NOWHERE}/c"
COMMANDS = {
    "database": ("database", "documents"),
    "events": ("events",),
    "realm": ("realm",),
    "antivirus": ("antivirus",),
}


def examined(
    stack: dict[str, Any], *command: str, **changes: str
) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings by check."""
    known = stack["services"]["documents"]["environment"]
    done = backbone({**known, **changes}, "doctor", *command, "--json")
    assert not any(value in done.stdout for name, value in changes.items() if "SECRET" in name)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    return done.returncode, {line["check"]: line for line in lines}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_the_stack_stands_on_is_well(name: str, stack: dict[str, Any]) -> None:
    code, findings = examined(stack, *COMMANDS[name])
    faults = [line for line in findings.values() if line["verdict"] == "fault"]
    assert (code, faults) == (0, [])
    assert len(findings) > 3


@pytest.mark.parametrize(
    ("name", "changes", "check"),
    [
        ("database", {"BACKBONE_DATABASE_URL": NO_DATABASE}, "database"),
        ("events", {"BACKBONE_KAFKA_PASSWORD": "wrong"}, "broker"),
        ("realm", {"BACKBONE_ISSUER": f"http://{NOWHERE}/realms/administration"}, "realm"),
        ("realm", {"BACKBONE_CLIENT_SECRET": "wrong-secret"}, "own client"),
        ("antivirus", {"BACKBONE_ANTIVIRUS_ADDRESS": NOWHERE}, "antivirus"),
        ("antivirus", {"BACKBONE_ANTIVIRUS_MAX_BYTES": str(150 * 1024**2)}, "the largest file"),
        ("events", {"BACKBONE_KAFKA_PARTITIONS": "7"}, "topics"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_what_needs_it_and_its_mend(
    name: str, changes: dict[str, str], check: str, stack: dict[str, Any]
) -> None:
    code, findings = examined(stack, *COMMANDS[name], **changes)
    assert code == 1
    finding = findings[check]
    assert finding["verdict"] == "fault"
    assert finding["found"]
    assert finding["needed_by"]
    assert finding["mend"]


def test_a_schema_that_the_code_is_ahead_of_is_told(stack: dict[str, Any]) -> None:
    with own_schema(stack) as scratch:
        with scratch.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
        code, findings = examined(
            stack, "database", "documents", BACKBONE_DATABASE_URL=scratch.url()
        )
    assert code == 1
    assert "0001" in findings["schema"]["found"]
    assert findings["schema"]["mend"].startswith("backbone migrate")
