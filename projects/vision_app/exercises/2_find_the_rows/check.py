"""Checks of exercise 2: which lines are one row."""

from collections.abc import Sequence

from vision_app.ocr.page import Box, Line, Word
from vision_app.ocr.reading_order import group_rows


def line(text: str, box: Box) -> Line:
    return Line((Word(text, box, 1.0),))


def expect(rows: Sequence[Sequence[str]], lines: Sequence[Line], case: str) -> None:
    result = group_rows(lines)
    assert isinstance(result, list), f"{case}: expected a list of rows, got {result!r}"
    texts = [[piece.text for piece in row] for row in result]
    assert texts == [list(row) for row in rows], f"{case}: expected {list(rows)}, got {texts}"


def check_1_rows_come_from_top_to_bottom() -> None:
    lines = [line("second", (0, 40, 50, 60)), line("first", (0, 0, 50, 20))]
    expect([["first"], ["second"]], lines, "the lower line was passed first")


def check_1_lines_are_ordered_by_their_middle() -> None:
    # By their tops, the tall line would come first, and the low one would join its row.
    lines = [line("tall", (0, 0, 50, 100)), line("low", (60, 20, 90, 30))]
    expect([["low"], ["tall"]], lines, "boxes (0, 0, 50, 100) and (60, 20, 90, 30)")


def check_2_a_middle_inside_the_neighbour_joins_its_row() -> None:
    lines = [line("Total", (0, 0, 50, 20)), line("65.43", (100, 8, 150, 28))]
    expect([["Total", "65.43"]], lines, "a middle at 18 beside a line from 0 to 20")
    lines = [line("Total", (0, 0, 50, 20)), line("65.43", (100, 10, 150, 30))]
    expect([["Total", "65.43"]], lines, "a middle at 20 beside a line from 0 to 20")


def check_2_a_middle_below_the_neighbour_starts_a_row() -> None:
    lines = [line("Total", (0, 0, 50, 20)), line("Thanks", (100, 11, 150, 31))]
    expect([["Total"], ["Thanks"]], lines, "a middle at 21 beside a line from 0 to 20")
    lines = [line("Total", (0, 0, 50, 20)), line("Thanks", (100, 11, 150, 30))]
    expect([["Total"], ["Thanks"]], lines, "a middle at 20.5 beside a line from 0 to 20")


def check_2_the_height_of_the_neighbour_decides() -> None:
    large = [line("Total", (0, 0, 50, 60)), line("65.43", (100, 25, 150, 85))]
    expect([["Total", "65.43"]], large, "a middle at 55 beside a line from 0 to 60")
    small = [line("Total", (0, 0, 50, 6)), line("Thanks", (100, 5, 150, 11))]
    expect([["Total"], ["Thanks"]], small, "a middle at 8 beside a line from 0 to 6")


def check_2_a_large_line_does_not_join_a_small_one_above_its_middle() -> None:
    lines = [line("small", (60, 20, 90, 30)), line("large", (0, 0, 50, 100))]
    expect([["small"], ["large"]], lines, "a middle at 50 beside a line from 20 to 30")


def check_2_a_row_may_drift_down_a_skewed_page() -> None:
    lines = [line(name, (x, 8 * n, x + 50, 8 * n + 20)) for n, (name, x) in enumerate(CELLS)]
    expect([[name for name, _ in CELLS]], lines, "four cells, each 8 pixels lower than the last")


def check_2_only_the_line_that_was_added_last_counts() -> None:
    tall, flat = line("tall", (0, 0, 50, 40)), line("flat", (60, 15, 90, 27))
    lines = [tall, flat, line("next", (100, 25, 150, 45))]
    case = "a middle at 35 after lines from 0 to 40 and, added last, from 15 to 27"
    expect([["tall", "flat"], ["next"]], lines, case)


def check_3_lines_of_a_row_come_from_left_to_right() -> None:
    lines = [line("65.43", (100, 0, 150, 20)), line("Total", (0, 2, 50, 22))]
    expect([["Total", "65.43"]], lines, "the right line is a little higher")


def check_3_the_left_edges_count() -> None:
    lines = [line("short", (10, 0, 40, 20)), line("long", (0, 2, 90, 22))]
    expect([["long", "short"]], lines, "from 10 to 40 and from 0 to 90 pixels")


def check_3_no_lines_are_no_rows() -> None:
    expect([], [], "no lines")


CELLS = (("a", 0), ("b", 100), ("c", 200), ("d", 300))
