"""What travels through the graph."""

from multi_agent.state import Result, fill, merge_results


def test_answers_are_filled_in_once() -> None:
    inputs = {"s1": Result(step="s1", answer="{s2}"), "s2": Result(step="s2", answer="7")}
    assert fill("{s1} and {s2} and {s3}", inputs) == "{s2} and 7 and {s3}"


def test_none_removes_a_result_for_another_attempt() -> None:
    results = {"s1": Result(step="s1", answer="7"), "s2": Result(step="s2", problem="No table.")}
    assert merge_results(results, {"s2": None}) == {"s1": results["s1"]}
