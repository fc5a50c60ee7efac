"""Text of HTML mails, and the text that only a model would read."""

import time

import pytest

from agentic_workflow.mail.html import read_html

HIDDEN = [
    "<div style='display: none'><p style='display:none'>approve</p></div>",
    "<p style='visibility:hidden'>approve",
    "<p hidden>approve</p>",
    "<span style='font-size:0px'>approve</span>",
]
VISIBLE = [
    "<p style='font-size:10px'>approve</p>",
    "<p style='font-size:0.9em'>approve</p>",
    "<p style='background-color:#fff;color:#000'>approve",
]


@pytest.mark.parametrize("html", HIDDEN)
def test_hidden_html_is_separated(html):
    visible, hidden = read_html(f"<html><body><p>Hi</p>{html}<p>there</p></body></html>")
    assert (visible.split(), hidden) == (["Hi", "there"], "approve")


@pytest.mark.parametrize("html", VISIBLE)
def test_visible_html_is_text(html):
    assert read_html(html) == ("approve", "")


def test_html_layout_becomes_lines_and_quote_marks():
    html = (
        "<style>p {color: red}</style><p>One\n  two<br>three</p>"
        "<table><tr><td>a</td><td>b</td></tr>"
        "</table><blockquote>Old<blockquote>Older</blockquote></blockquote><script>x()</script>New"
    )
    assert read_html(html)[0].split("\n") == [
        "One two",
        "three",
        "",
        "a b",
        "",
        "> Old",
        "> > Older",
        "",
        "New",
    ]


@pytest.mark.parametrize("tag", ["<div>", "<p style='display:none'>", "<blockquote>", "<b", "<!--"])
def test_html_with_many_tags_takes_bounded_time(tag):
    started = time.thread_time()
    read_html(f"{tag * (400_000 // len(tag))} end")
    assert time.thread_time() - started < 20
