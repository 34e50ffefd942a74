"""``backbone realm``: the live realm against the realm as code."""

import json
import sys
from collections.abc import Sequence

import click

from backbone.printing import print_table
from backbone.realm.code import Document, importable, read, render
from backbone.realm.compare import plan as plan_
from backbone.realm.drift import Drift
from backbone.realm.live import LiveRealm
from backbone.realm.settings import RealmAdminSettings, RealmCodeSettings, variables
from backbone.settings import RealmSettings, load

HEADINGS = ("WHAT", "FIELD", "THE REALM HAS", "THE CODE SAYS")
DRIFT = 2
WIDEST = 48
UNKNOWN_MEND = "delete it: --delete-unknown"

layers_option = click.option(
    "--layer", "layers", multiple=True, help="Over the base; default: BACKBONE_REALM_LAYERS."
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def realm() -> None:
    """The realm as code: compare the live realm with it, and bring it back."""


@realm.command()
@layers_option
@as_json_option
def plan(layers: tuple[str, ...], as_json: bool) -> None:
    """Name every drift; exits 2 when there is one, 0 when there is none."""
    drifts = list(plan_(_live(), _code(layers)))
    _show(drifts, as_json)
    sys.exit(DRIFT if drifts else 0)


@realm.command()
@layers_option
@as_json_option
@click.option("--delete-unknown", is_flag=True, help="Delete what the code does not know as well.")
def apply(layers: tuple[str, ...], as_json: bool, delete_unknown: bool) -> None:
    """Name every drift and bring the realm back; exits 2 when something unknown is left alone."""
    drifts = list(plan_(_live(), _code(layers)))
    _show(drifts, as_json)
    left = mend(drifts, delete_unknown=delete_unknown)
    if not as_json and drifts:
        click.echo(f"{len(drifts) - left} brought back" + (f", {left} left alone" if left else ""))
    sys.exit(DRIFT if left else 0)


@realm.command("render")
@layers_option
def render_(layers: tuple[str, ...]) -> None:
    """Print the realm as Keycloak imports it, its ${BACKBONE_…} as they are."""
    settings = load(RealmCodeSettings)
    click.echo(json.dumps(importable(read(settings.folder, _layers(layers, settings)))))


def mend(drifts: Sequence[Drift], *, delete_unknown: bool = False) -> int:
    """Mends each drift in turn; how many unknown things were left alone."""
    known = [drift for drift in drifts if not drift.unknown]
    # Backwards: what refers to a thing is deleted before it.
    unknown = [drift for drift in reversed(drifts) if drift.unknown]
    for drift in known + (unknown if delete_unknown else []):
        drift.mend()
    return 0 if delete_unknown else len(unknown)


def _live() -> LiveRealm:
    return LiveRealm(load(RealmSettings), load(RealmAdminSettings))


def _code(layers: tuple[str, ...]) -> Document:
    settings = load(RealmCodeSettings)
    code: Document = render(read(settings.folder, _layers(layers, settings)), variables())
    return code


def _layers(given: tuple[str, ...], settings: RealmCodeSettings) -> tuple[str, ...]:
    return given or tuple(filter(None, map(str.strip, settings.layers.split(","))))


def _show(drifts: Sequence[Drift], as_json: bool) -> None:
    rows = [
        (drift.subject, difference.field, *difference.shown(), drift.unknown)
        for drift in drifts
        for difference in drift.differences
    ]
    if as_json:
        for what, field, live, code, unknown in rows:
            row = {"what": what, "field": field, "live": live, "code": code, "unknown": unknown}
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    if not rows:
        return
    lines: list[tuple[str, ...]] = [HEADINGS]
    lines += [
        (what, field or "-", _short(live), UNKNOWN_MEND if unknown else _short(code))
        for what, field, live, code, unknown in rows
    ]
    print_table(lines)


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
