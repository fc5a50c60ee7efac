"""Checks of exercise 2: which requests a budget accepts, and what it reserves for them."""

import tempfile
from pathlib import Path
from typing import Any

from llm_service.config import Config
from llm_service.gateway.limits.budgets import Budgets, OverBudget
from llm_service.store.database import open_database
from llm_service.store.keys import Key

FOLDER = tempfile.TemporaryDirectory()
DATABASE: Any = open_database(Config(data_dir=Path(FOLDER.name)))


def key(own: float | None, of_team: float | None = None) -> Key:
    return Key("1", "alice", budget_usd=own, team="red", team_budget_usd=of_team)


def expect(answers: list[Any], budget: Key, *costs: float, spent: Any = 0, wait: int = 0) -> None:
    """`answers`: the payers of each request, or a part of the refusal; then what is reserved."""
    now, actual = [1.8e9], list[Any]()
    account = Budgets(DATABASE, lambda: now[0])
    account.spend(("key:1",), spent)
    now[0] += wait
    for cost, answer in zip(costs, answers, strict=False):
        try:
            actual.append(tuple(sorted(account.reserve(budget, cost))))
        except OverBudget as error:
            actual.append(answer if str(answer) in str(error) else str(error))
    actual.append({payer: round(usd, 4) for payer, usd in account._reserved.items() if usd})
    case = f"budgets {budget.budget_usd}, team {budget.team_budget_usd}; {spent} spent; {costs}"
    assert actual == answers, f"{case}: expected {answers}, got {actual}"


def check_1_a_new_month_has_a_full_budget() -> None:
    expect([("key:1",), {"key:1": 1}], key(1), 1, spent=1, wait=32 * 24 * 3600)


def check_2_spent_and_reserved_money_and_the_cost_fit_into_both_budgets() -> None:
    once, red = ("key:1",), "team:red"
    expect([once, "alice", {"key:1": 0.9}], key(1), 0.9, 0.1, spent=0.1)
    expect([("key:1", red), "red", {"key:1": 0.7, red: 0.7}], key(9, 1), 0.7, 0.7)
    expect([once, once, once, {"key:1": 0.3}], key(0.3), 0.1, 0.1, 0.1)
    expect([once, "alice", {"key:1": 1e4}], key(1e4), 1e4, 0.001)


def check_3_a_refusal_names_the_owner_and_reserves_nothing() -> None:
    expect(["alice", {}], key(1, 9), 2)
    expect(["red", {}], key(9, 1), 2)


def check_4_what_costs_nothing_is_accepted_until_the_budget_is_spent() -> None:
    expect([("key:1",), ("key:1",), {"key:1": 1}], key(1), 1, 0)
    expect(["alice", {}], key(1), 0, spent=1)


def check_5_the_cost_is_reserved_in_each_budget() -> None:
    expect([("key:1",), ("key:1",), {"key:1": 0.75}], key(1), 0.25, 0.5)
    expect([("team:red",), {"team:red": 0.6}], key(None, 1), 0.6)
