"""Rules that hold for all code at once: settings, subscriptions, telemetry."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase
from pydantic_settings import BaseSettings

from backbone import contracts, runner
from backbone.events.subscribe import Subscribe
from backbone.settings import PREFIX

ROOT = Path(__file__).resolve().parents[2]
SPAN_MAKERS = {"start_span", "entry_span", "client_span"}


def sources() -> list[Path]:
    """Every module of the backbone and its services; Alembic's are run, not imported."""
    paths = [path for folder in ("backbone", "services") for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in paths if "migrations" not in path.parts)


def loaded() -> Iterator[object]:
    """Everything that a module of ours defines at its top level."""
    for path in sources():
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield from vars(importlib.import_module(name)).values()


def groups() -> list[type[BaseSettings]]:
    found = {
        item
        for item in loaded()
        if isinstance(item, type) and issubclass(item, BaseSettings) and item is not BaseSettings
    }
    return sorted(found, key=lambda group: f"{group.__module__}.{group.__name__}")


def metrics() -> set[str]:
    """The names that `/metrics` shows."""
    names = set()
    for item in loaded():
        if isinstance(item, MetricWrapperBase):
            (described,) = item.describe()
            name = described.name
            names.add(f"{name}_total" if isinstance(item, Counter) else name)
    return names


def spans() -> set[str]:
    """What is literal in the names of the spans that the code makes."""
    words = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            made = getattr(node.func, "attr", getattr(node.func, "id", ""))
            name = node.args[0]
            if made in SPAN_MAKERS and isinstance(name, ast.Constant):
                words.add(str(name.value))
            elif made in SPAN_MAKERS and isinstance(name, ast.JoinedStr):
                words |= {str(v.value) for v in name.values if isinstance(v, ast.Constant)}
    return {word.strip() for word in words if word.strip()}


def section(title: str) -> str:
    text = (ROOT / "docs/telemetry.md").read_text()
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/telemetry.md has no section {title}"
    return found[1]


def rows(title: str) -> list[str]:
    """The first cell of each row of the table in a section, without its back quotes."""
    return re.findall(r"^\| `([^`]+)`", section(title), re.MULTILINE)


@pytest.mark.parametrize("group", groups(), ids=lambda group: group.__name__)
def test_every_setting_is_an_environment_variable_of_ours(group: type[BaseSettings]) -> None:
    prefix = str(group.model_config.get("env_prefix", ""))
    assert prefix.startswith(PREFIX)
    assert prefix == prefix.upper()
    for field in group.model_fields.values():
        assert field.validation_alias is None


def test_no_module_reads_the_environment_past_the_settings() -> None:
    for path in sources():
        reading = re.search(r"os\.(environ(?!\.setdefault)|getenv)", path.read_text())
        assert not reading, f"{path.relative_to(ROOT)}: declare a group of settings"


def test_every_event_that_is_subscribed_to_exists_and_has_one_handler() -> None:
    known = {event.full_name for area in contracts.SERVICES for event in contracts.events(area)}
    for name in contracts.SERVICES:
        handled = [
            entrypoint.event.DESCRIPTOR.full_name
            for method in vars(runner.service_class(name)).values()
            for entrypoint in getattr(method, "nameko_entrypoints", ())
            if isinstance(entrypoint, Subscribe)
        ]
        assert set(handled) <= known
        assert len(handled) == len(set(handled))


@pytest.mark.parametrize("name", contracts.SERVICES)
def test_every_part_of_a_service_finds_there_what_it_says_that_it_uses(name: str) -> None:
    service = runner.service_class(name)
    for part in service.__mro__:
        missing = [word for word in inspect.get_annotations(part) if not hasattr(service, word)]
        assert not missing, f"{service.__name__} has not what {part.__name__} uses: {missing}"


def test_every_metric_is_in_the_table_and_every_row_is_a_metric() -> None:
    assert metrics()
    assert set(rows("Metrics")) == metrics()


def test_every_span_is_in_the_table() -> None:
    table = "\n".join(rows("Traces"))
    assert spans()
    for words in spans():
        assert words in table, f"docs/telemetry.md has no row for the span `{words} …`"
