"""Rows in aligned columns that fit the width: the last column gives way first."""

from collections.abc import Callable, Sequence

from marathonctl.render.text import fit, pad, width

GAP = "  "

Painter = Callable[[int, int, str], str]
"""Colours a cell: gets its row, its column and the text, already cut and padded."""


def table(rows: Sequence[Sequence[str]], columns: int, *, paint: Painter | None = None, indent: int = 0) -> list[str]:
    """The rows as lines of at most `columns`. Cells are plain text; colour comes from `paint`, after measuring."""
    if not rows:
        return []
    widths = [max(width(cell) for cell in cells) for cells in zip(*rows, strict=True)]
    return [_line(row, number, widths, columns, paint, indent) for number, row in enumerate(rows)]


def _line(
    row: Sequence[str], number: int, widths: Sequence[int], columns: int, paint: Painter | None, indent: int
) -> str:
    left = columns - indent
    parts = []
    for position, cell in enumerate(row):
        shown = fit(cell, left)
        if position < len(row) - 1:
            shown = pad(shown, max(width(shown), min(widths[position], left)))
        left -= width(shown) + len(GAP)
        parts.append(paint(number, position, shown) if paint else shown)
    return (" " * indent + GAP.join(parts)).rstrip()
