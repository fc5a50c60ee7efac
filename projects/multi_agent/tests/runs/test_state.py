"""What travels through the graph, and limits."""

from __future__ import annotations

import pytest

from multi_agent.runs.state import Limits, Result, fill, merge_results
from seedbed.errors import BadInput, ConfigError


def test_limits_are_parsed_from_a_setting() -> None:
    limits = Limits.parse(" steps=20, usd=0.5,,")
    assert limits == Limits(steps=20, usd=0.5)
    assert Limits.parse("") == Limits()


@pytest.mark.parametrize("text", ["steps=x", "apples=3", "steps=0", "seconds", "usd=nan"])
def test_wrong_budget_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"AGENTS_BUDGET: {text.partition('=')[0]}: "):
        Limits.parse(text)


def test_limits_within_a_ceiling_are_those_of_the_ceiling_where_left_out() -> None:
    ceiling = Limits(steps=20, usd=0.5)
    assert Limits(steps=5, seconds=9).within(ceiling) == Limits(steps=5, usd=0.5, seconds=9)
    assert Limits().within(ceiling) == ceiling
    with pytest.raises(BadInput, match=r"limits.usd: inf is above this server's limit of 0.5"):
        Limits(usd=float("inf")).within(ceiling)


def test_answers_are_filled_in_once() -> None:
    inputs = {"s1": Result(step="s1", answer="{s2}"), "s2": Result(step="s2", answer="7")}
    assert fill("{s1} and {s2} and {s3}", inputs) == "{s2} and 7 and {s3}"


def test_none_removes_a_result_for_another_attempt() -> None:
    results = {"s1": Result(step="s1", answer="7"), "s2": Result(step="s2", problem="No table.")}
    assert merge_results(results, {"s2": None}) == {"s1": results["s1"]}
