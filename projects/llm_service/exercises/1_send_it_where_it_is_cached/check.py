"""Checks of exercise 1: which replica a prompt is sent to."""

from llm_service.gateway.routing import prefix_affinity
from llm_service.gateway.routing.prefix_affinity import PrefixAffinity

LONG, SHORT, OTHER = [1, 2, 3], [1], [9]


def expect(
    expected: str | None, seen: dict[str, list[int]], busy: dict[str, int], prompt: list[int] = LONG
) -> None:
    """The choice for `prompt` when the replicas have processed `seen` and are this `busy`."""
    replicas = PrefixAffinity()
    for name, blocks in seen.items():
        replicas.saw(blocks, name)
    actual = replicas.choose(prompt, busy)
    case = f"prompt {prompt}, processed {seen}, busy {busy}"
    assert actual == expected, f"{case}: expected {expected!r}, got {actual!r}"


def check_1_a_candidate_at_the_limit_is_available_and_above_it_is_not() -> None:
    before = prefix_affinity._SLACK_SHARE, prefix_affinity._SLACK
    try:
        for prefix_affinity._SLACK_SHARE, prefix_affinity._SLACK in (before, (2.0, 1)):
            limit = int(8 * prefix_affinity._SLACK_SHARE + prefix_affinity._SLACK)
            expect("a", {"a": LONG}, {"a": limit, "b": 8})
            expect(None, {"a": LONG}, {"a": limit + 1, "b": 8})
    finally:
        prefix_affinity._SLACK_SHARE, prefix_affinity._SLACK = before


def check_2_the_longest_beginning_that_a_candidate_has_processed_wins() -> None:
    expect("b", {"a": SHORT, "b": LONG}, {"a": 0, "b": 3})
    expect("b", {"a": LONG, "b": SHORT}, {"a": 50, "b": 0})
    expect("b", {"down": LONG, "b": SHORT}, {"b": 0})


def check_3_the_least_busy_of_several_wins() -> None:
    expect("b", {"a": LONG, "b": LONG}, {"a": 3, "b": 1})
    expect("a", {"a": LONG, "b": LONG}, {"a": 1, "b": 3})


def check_4_an_unknown_prompt_is_left_to_the_caller() -> None:
    expect(None, {"a": OTHER}, {"a": 0, "b": 0})
    expect(None, {"a": LONG}, {"a": 0, "b": 0}, prompt=[])
