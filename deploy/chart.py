"""The chart, checked without a cluster: ``python -m deploy.chart lint|render|golden``.

The first run builds helm under ``.local/opt/bin`` (some minutes); the next ones take seconds.
"""

import difflib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import kubernetes_validate  # type: ignore[import-untyped,unused-ignore]
import yaml

from deploy.local.paths import OPT, ROOT

HELM_VERSION = "v3.22.0"
HELM_MODULE = f"helm.sh/helm/v3/cmd/helm@{HELM_VERSION}"
# What the rendered objects are checked against. (A helm that was built by `go install` does not
# know which version of Kubernetes it was made for: it is always told.)
KUBERNETES = "1.37.0"

CHART = ROOT / "deploy" / "helm" / "backbone"
EXAMPLE = CHART / "examples" / "production.yaml"
GOLDEN = CHART / "examples" / "production.golden.yaml"


class ChartError(Exception):
    """What is wrong with the chart, in words that are ready to print."""


def helm() -> Path:
    """The pinned helm, built the first time.

    Raises:
        ChartError: Go is missing, or the build failed.
    """
    program, stamp = OPT / "bin" / "helm", OPT / "bin" / ".helm-version"
    if program.exists() and stamp.exists() and stamp.read_text() == HELM_VERSION:
        return program
    go = shutil.which("go")
    if go is None:
        raise ChartError("Go is missing, which builds helm\n  → apt-get install golang-go")
    click.echo(f"building helm {HELM_VERSION}, once: some minutes", err=True)
    program.parent.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    _run([go, "install", HELM_MODULE], GOBIN=str(program.parent), GOFLAGS="-trimpath")
    stamp.write_text(HELM_VERSION)
    return program


def render(*options: str, values: Path | None = EXAMPLE) -> str:
    """What ``helm template`` makes of the chart with a file of values.

    Raises:
        ChartError: a required value is missing, an unknown one is there, or a template is wrong.
    """
    files = [f"--values={values}"] if values else []
    return _helm("template", "backbone", str(CHART), "--namespace=backbone", *files, *options)


def objects(rendered: str) -> list[dict[str, Any]]:
    """The Kubernetes objects of a rendering."""
    return [document for document in yaml.safe_load_all(rendered) if document]


def lint() -> None:
    """Raises:
    ChartError: helm finds a fault in the chart.
    """
    _helm("lint", "--strict", "--quiet", str(CHART), f"--values={EXAMPLE}")


def faults(rendered: str) -> Iterator[str]:
    """What Kubernetes would refuse of a rendering: unknown fields, wrong types, missing ones."""
    for item in objects(rendered):
        try:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            yield f"{item['kind']} {item['metadata']['name']}: {place}: {error.message}"


def changes(rendered: str) -> str:
    """How a rendering differs from the golden file; empty when it does not."""
    golden = GOLDEN.read_text() if GOLDEN.exists() else ""
    lines = difflib.unified_diff(
        golden.splitlines(keepends=True), rendered.splitlines(keepends=True), "golden", "rendered"
    )
    return "".join(lines)


def _helm(command: str, *arguments: str) -> str:
    return _run([str(helm()), command, f"--kube-version={KUBERNETES}", *arguments])


def _run(command: Sequence[str], **environment: str) -> str:
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = (done.stdout + done.stderr).strip()
        raise ChartError(
            f"{Path(command[0]).name} {command[1]} returned {done.returncode}\n{words}"
        )
    return done.stdout


@click.group(help="The chart, checked without a cluster.")
def main() -> None:
    """The group of the commands below."""


@main.command("lint")
def lint_command() -> None:
    """Check the chart: helm's rules, Kubernetes' schemas, the golden file."""
    lint()
    rendered = render()
    found = list(faults(rendered))
    if found:
        raise ChartError("\n".join(found))
    if diff := changes(rendered):
        raise ChartError(f"{diff}\n  → if it is meant: python -m deploy.chart golden")
    count = len(objects(rendered))
    click.echo(f"chart: {count} objects, valid for Kubernetes {KUBERNETES}, as the golden file")


@main.command("render")
@click.argument("values", type=click.Path(exists=True, path_type=Path), default=EXAMPLE)
def render_command(values: Path) -> None:
    """Print what the chart renders to, with the example's values or a file of yours."""
    click.echo(render(values=values), nl=False)


@main.command("golden")
def golden_command() -> None:
    """Rewrite the golden file from the example's values."""
    GOLDEN.write_text(render())
    click.echo(f"wrote {GOLDEN.relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        main()
    except ChartError as error:
        click.echo(f"chart: {error}", err=True)
        sys.exit(1)
