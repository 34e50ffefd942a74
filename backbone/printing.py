"""Tables on a terminal."""

from collections.abc import Sequence

import click


def print_table(lines: Sequence[Sequence[str]]) -> None:
    """Lines of cells, the headings first, in columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
