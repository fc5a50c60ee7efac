"""Checks of exercise 2: which lines form a row."""

from vision_app.ocr.page import Box, Line, Word
from vision_app.ocr.reading_order import group_rows


def texts(result: object) -> object:
    """The result with each line replaced by its text, whatever its structure."""
    if isinstance(result, Line):
        return result.text
    return [texts(item) for item in result] if isinstance(result, list | tuple) else result


def expect(rows: str, **boxes: Box) -> None:
    """`rows`: the texts of the lines, with | between rows."""
    expected = [row.split() for row in rows.split(" | ") if row]
    actual = texts(group_rows([Line((Word(name, box, 1.0),)) for name, box in boxes.items()]))
    case = ", ".join(f"{name} {box}" for name, box in boxes.items()) or "none"
    assert actual == expected, f"boxes {case}: expected the rows {expected}, got {actual}"


def check_1_lines_are_processed_in_the_order_of_their_vertical_middles() -> None:
    expect("first | second", second=(0, 40, 50, 60), first=(0, 0, 50, 20))
    # By their tops, the tall line would come first, and the low one would join its row.
    expect("low | tall", tall=(0, 0, 50, 100), low=(60, 20, 90, 30))


def check_2_a_line_joins_the_row_if_its_middle_is_within_the_most_recent_line() -> None:
    expect("Total amount", Total=(0, 0, 50, 20), amount=(100, 10, 150, 30))
    expect("Total | Thanks", Total=(0, 0, 50, 20), Thanks=(100, 11, 150, 30))
    expect("Total | Thanks", Total=(0, 0, 50, 6), Thanks=(100, 5, 150, 11))
    expect("a b c", a=(0, 0, 50, 20), b=(100, 8, 150, 28), c=(200, 16, 250, 36))
    expect("tall flat | next", tall=(0, 0, 50, 40), flat=(60, 15, 90, 27), next=(99, 25, 150, 45))
    expect("small | large", small=(60, 20, 90, 30), large=(0, 0, 50, 100))


def check_3_the_lines_of_a_row_are_sorted_by_their_left_edges() -> None:
    expect("long short", short=(10, 0, 40, 20), long=(0, 2, 90, 22))
    expect("")
