"""Puts lines in reading order: rows from top to bottom, from left to right within a row.

order(lines)
"""

from __future__ import annotations

from collections.abc import Sequence

from vision_app.ocr.page import Line


def order(lines: Sequence[Line]) -> list[Line]:
    """`lines`, rows first: those whose vertical middles overlap share a row."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.box[1] + line.box[3]):
        middle = (line.box[1] + line.box[3]) / 2
        if rows and rows[-1][-1].box[1] <= middle <= rows[-1][-1].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box[0])]
