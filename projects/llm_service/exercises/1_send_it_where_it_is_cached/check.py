"""Checks of exercise 1: which replica a prompt is sent to."""

from llm_service.affinity import PrefixAffinity

LONG, SHORT, OTHER = [1, 2, 3], [1], [9]


def seen(**blocks: list[int]) -> PrefixAffinity:
    affinity = PrefixAffinity()
    for name, known in blocks.items():
        affinity.saw(known, name)
    return affinity


def check_a_prompt_goes_where_its_beginning_was_seen() -> None:
    chosen = seen(a=OTHER, b=LONG).choose(LONG, {"a": 0, "b": 0})
    assert chosen == "b", f"b has seen all of the prompt, yet {chosen!r} was chosen"


def check_an_unknown_prompt_is_left_to_the_caller() -> None:
    chosen = seen(a=OTHER).choose(LONG, {"a": 0, "b": 0})
    assert chosen is None, f"nobody has seen the prompt, yet {chosen!r} was chosen"


def check_the_longest_beginning_wins() -> None:
    chosen = seen(a=SHORT, b=LONG).choose(LONG, {"a": 0, "b": 3})
    assert chosen == "b", f"b has seen more of it and is hardly busier, yet {chosen!r} was chosen"


def check_a_much_busier_replica_is_left_out() -> None:
    chosen = seen(a=LONG).choose(LONG, {"a": 50, "b": 0})
    assert chosen is None, "a has 50 requests and b none: its cache is not worth the wait"


def check_a_shorter_beginning_at_a_free_replica_is_better_than_none() -> None:
    chosen = seen(a=LONG, b=SHORT).choose(LONG, {"a": 50, "b": 0})
    assert chosen == "b", f"a is too busy and b has seen a part, yet {chosen!r} was chosen"


def check_the_least_busy_of_equals() -> None:
    chosen = seen(a=LONG, b=LONG).choose(LONG, {"a": 3, "b": 1})
    assert chosen == "b", f"both have seen it and b is less busy, yet {chosen!r} was chosen"


def check_only_candidates_are_chosen() -> None:
    chosen = seen(gone=LONG, b=SHORT).choose(LONG, {"b": 0})
    assert chosen == "b", f"'gone' is no candidate any more, yet {chosen!r} was chosen"
