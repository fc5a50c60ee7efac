"""Curves as HTML: scales, gaps, and what the page shows of hostile names."""

from __future__ import annotations

import re

from finetune_lora.evaluate.curve import Series, chart, points, smooth


def test_points_leave_out_what_is_no_number() -> None:
    losses = {1: 2.0, 2: None, 4: 1}
    lines = [{"step": 3}, *({"step": step, "loss": loss} for step, loss in losses.items())]
    assert points(lines, "loss") == [(1.0, 2.0), (4.0, 1.0)]
    assert points([{"step": 1, "loss": float("nan")}], "loss") == []


def test_a_chart_places_the_first_value_above_the_last_and_leaves_room_for_the_rest() -> None:
    html = chart("Loss", [Series("train", [(0, 2.0), (50, 1.0)])], until=100)
    (path,) = re.findall(r"class='line c0' d='M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)'", html)
    x0, y0, x1, y1 = map(float, path)
    assert (x0, x1) == (0, 500)  # half of what is planned
    assert 0 <= y0 < y1 <= 1000
    assert "Loss: train 1 at the end" in html


def test_values_that_span_much_are_drawn_on_a_log_scale() -> None:
    assert "log scale" in chart("Loss", [Series("a", [(0, 2.0), (1, 0.01)])], log=True)
    assert "log scale" not in chart("Loss", [Series("a", [(0, 2.0), (1, 0.5)])], log=True)
    assert "log scale" not in chart("Rate", [Series("a", [(0, 0.0), (1, 1e-4)])], log=True)


def test_one_value_the_same_values_and_none_are_drawn_too() -> None:
    assert "class='dots c0'" in chart("a", [Series("a", [(1, 1.0)])])
    assert "class='line c0'" in chart("a", [Series("a", [(1, 3.0), (2, 3.0)])])
    assert "class='line c0'" in chart("a", [Series("a", [(1, 0.0), (2, 0.0)])])
    assert "No data yet" in chart("a", [Series("a", [])])


def test_a_long_run_is_thinned() -> None:
    html = chart("a", [Series("a", [(i, 1.0 + i % 2) for i in range(10_000)])])
    assert html.count("L") <= 300


def test_smoothing_evens_out_and_is_not_late() -> None:
    zigzag = smooth([(i, i % 2) for i in range(200)])
    assert all(abs(y - 0.5) < 0.1 for _, y in zigzag[10:-10])
    line: list[tuple[float, float]] = [(i, 100 - i) for i in range(100)]
    assert smooth(line) == line[:98]


def test_a_last_value_off_the_others_does_not_bend_the_end() -> None:
    level: list[tuple[float, float]] = [(i, 1.0) for i in range(99)]
    assert smooth([*level, (99, 0.01)])[-1][1] > 0.7
    assert smooth([(0, 3.0)]) == [(0, 3.0)]
    assert smooth([(0, 3.0), (1, 1.0)]) == [(0, 3.0), (1, 1.0)]


def test_names_are_inert() -> None:
    html = chart("a", [Series("<b>${x}{{y}}", [(0, 1.0), (1, 2.0)])])
    assert "<b>$" not in html
    assert "${" not in html
    assert "{{" not in html
