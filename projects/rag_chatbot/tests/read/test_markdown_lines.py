"""What a line of Markdown is, and that hostile lines do not slow it down."""

from __future__ import annotations

import time

import pytest

from rag_chatbot.read import markdown_lines
from rag_chatbot.read.markdown_lines import LINE_CHARS, Line, read_lines


def test_lines_have_spans_without_trailing_space() -> None:
    assert read_lines("ab \n\n  c") == [Line(0, 2, "ab"), Line(4, 4, ""), Line(5, 8, "  c")]
    assert read_lines("ab\ncd", 3) == [Line(3, 5, "cd")]


def test_line_text_is_limited_but_its_span_is_not() -> None:
    [line] = read_lines("x" * 5000)
    assert (line.end, len(line.text)) == (5000, LINE_CHARS)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("## Title ##", "heading"),
        ("#no space", None),
        ("1. one", "item"),
        ("(a) one", "item"),
        ("#. one", "item"),
        ("-no space", None),
        ("| a | b |", "row"),
        ("|x| is the size", None),
        ("|---|:-:|", "row rule"),
        ("--- | ---", "row rule"),
        ("+-----+", "row rule"),
        ("=====", "rule"),
        ("-=-=-", None),
    ],
)
def test_line_kind_follows_its_markup(line: str, kind: str | None) -> None:
    kinds = {
        "heading": markdown_lines.heading(line),
        "item": markdown_lines.is_item(line),
        "row": markdown_lines.is_row(line) and not markdown_lines.is_row_rule(line),
        "row rule": markdown_lines.is_row_rule(line),
        "rule": markdown_lines.rule_sign(line),
    }
    assert [name for name, match in kinds.items() if match] == ([kind] if kind else [])


def test_fence_closes_with_same_sign_at_least_as_long() -> None:
    mark = markdown_lines.fence_mark("> ````python")
    assert mark == "````"
    assert markdown_lines.closes_fence("> `````", mark)
    assert not any(markdown_lines.closes_fence(line, mark) for line in ("```", "~~~~", "````sh"))


@pytest.mark.parametrize("sign", ["#", "| ", "+-", "> ", "- ", "`", "=", "1.", " "])
def test_lines_of_hostile_text_are_read_in_time(sign: str) -> None:
    began = time.thread_time()
    for line in read_lines(f"{sign * 500_000}x\n" * 4):
        markdown_lines.heading(line.text)
        markdown_lines.fence_mark(line.text)
        markdown_lines.is_item(line.text)
        markdown_lines.is_row(line.text)
        markdown_lines.is_row_rule(line.text)
        markdown_lines.rule_sign(line.text)
    assert time.thread_time() - began < 1
