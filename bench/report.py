"""Results as Markdown: what was measured on what, beside what was aimed at."""

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from bench import tools
from bench.ratios import Spread
from deploy.local.paths import ROOT

TARGET = ROOT / "docs" / "benchmarks.md"
PACKAGES = (
    "grpcio", "protobuf", "nameko", "opentelemetry-sdk", "kafka-python", "sqlalchemy", "psycopg",
    "uvicorn", "uvloop", "httptools", "fastapi", "pydantic", "orjson",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One figure. `met` is None where there is no target."""

    name: str
    spread: Spread
    unit: str = "×"
    target: str = "—"
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        verdict = {None: "", True: "met", False: "**not met**"}[self.met]
        spread = self.spread
        return (
            self.name,
            *(f"{number:{_digits(number)}} {self.unit}" for number in spread.figures),
            self.target,
            verdict,
        )


@dataclass(frozen=True)
class Section:
    """What one bench found."""

    title: str
    about: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        head = ("", "min", "median", "max", "target", "")
        lines = [f"## {self.title}", "", self.about, "", _line(head), _line(("---",) * len(head))]
        lines += [_line(row.cells()) for row in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines)


def write(sections: Sequence[Section], path: Path = TARGET) -> None:
    """The page, whole."""
    parts = [
        "# Benchmarks\n\nWritten by `make bench`. Sides take turns, round by round; a ratio is ours"
        " over the peer's in the same round. The\nmachine was not idle while it was measured (its"
        " load is below): read the median with its spread.",
        machine(),
        *(section.markdown() for section in sections),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n")


def machine() -> str:
    """Where and when, and with which versions."""
    described = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", described)
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    facts = {
        "Date": f"{datetime.now(UTC):%d %B %Y, %H:%M} UTC",
        "Command": "`make bench` (`python -m bench`)",
        "Processor": f"{model[1] if model else platform.machine()}, {psutil.cpu_count()} cores",
        "Memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "System": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "Load": f"{psutil.getloadavg()[2]:.1f} (15-minute average at the end)",
        "Libraries": versions,
        "Generators": f"ghz {tools.GHZ.rpartition('@')[2]}, {_wrk()}",
    }
    return "\n".join(["| | |", "|---|---|", *(_line(pair) for pair in facts.items())])


def _wrk() -> str:
    return tools.version(tools.wrk(), "--version").partition(" Copyright")[0]


def _digits(number: float) -> str:
    return ",.0f" if number >= 100 else ".1f" if number >= 10 else ".2f"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
