"""Follow-ups that are completed from the task before."""

import pytest

from multi_agent.offline.plan.follow_up import complete

HAMBURG = "How many customers are in Hamburg?"


@pytest.mark.parametrize(
    ("last", "task", "whole"),
    [
        (HAMBURG, "What about Berlin?", "How many customers are in Berlin?"),
        (HAMBURG, "and in New York", "How many customers are in New York?"),
        ("Revenue in 2025?", "And in 2024?", "Revenue in 2024?"),
        ("Orders placed in May 2025", "How about June 2024?", "Orders placed in June 2024"),
        ("Orders placed in May 2025", "And June?", "Orders placed in June 2025"),
        ("Revenue in Q1 2025?", "and Q2?", "Revenue in Q2 2025?"),
        ("What is 15 % of 240?", "And 20 %?", "What is 20 % of 240?"),
        ("What is 15 % of 240?", "and of 300?", "What is 15 % of 300?"),
        ("How many orders were placed?", "And in 2024?", "How many orders were placed in 2024?"),
        ("Orders of Anna Schmidt in Hamburg?", "and in Kiel?", "Orders of Anna Schmidt in Kiel?"),
    ],
)
def test_follow_up_replaces_the_part_of_the_same_kind(last, task, whole):
    assert complete(last, task) == whole


@pytest.mark.parametrize(
    ("last", "task"),
    [
        (HAMBURG, "And the orders?"),  # no part of a kind that the last task has
        (HAMBURG, "And in 2024 without returns?"),  # more than parts
        (HAMBURG, "How many orders were placed in 2024?"),  # a task of its own
        (HAMBURG, "Berlin?"),
        (HAMBURG, "and 7?"),
        ("Is Berlin larger than Hamburg?", "What about Kiel?"),  # two places for it
        ("Orders in 2024 or in 2025?", "And in 2023?"),
        (HAMBURG, ""),
        (HAMBURG, "and?"),
        ("Berlin has how many shops?", "and Kiel?"),  # the first word may be no name
    ],
)
def test_task_is_unchanged_if_the_follow_up_is_uncertain(last, task):
    assert complete(last, task) == task
