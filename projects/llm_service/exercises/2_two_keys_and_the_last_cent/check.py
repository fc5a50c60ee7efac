"""Checks of exercise 2: what a budget lets in, and what it keeps aside."""

import tempfile
from pathlib import Path

from llm_service.budgets import Budgets, OverBudget
from llm_service.config import Config
from llm_service.rates import Steady
from llm_service.store.database import open_database
from llm_service.store.keys import Key

FOLDER = tempfile.TemporaryDirectory()
DATABASE = open_database(Config(data_dir=Path(FOLDER.name)))


def budgets() -> Budgets:
    return Budgets(DATABASE, Steady())


def fits(found: Budgets, key: Key, cost: float) -> bool:
    try:
        found.reserve(key, cost)
    except OverBudget:
        return False
    return True


def check_a_request_within_the_budget_goes_in() -> None:
    payers = budgets().reserve(Key("1", "a", budget_usd=1.0), 0.6)
    assert payers == ("key:1",), f"the payers should be ('key:1',), not {payers!r}"


def check_what_is_reserved_counts() -> None:
    found, key = budgets(), Key("1", "a", budget_usd=1.0)
    found.reserve(key, 0.6)
    assert not fits(found, key, 0.6), "0.6 of 1.0 is reserved, yet 0.6 more was let in"
    assert fits(found, key, 0.4), "0.4 is left, yet 0.4 was refused"


def check_what_is_spent_counts() -> None:
    found, key = budgets(), Key("1", "a", budget_usd=1.0)
    payers = found.reserve(key, 0.6)
    found.spend(payers, 0.1)
    found.release(payers, 0.6)
    assert fits(found, key, 0.9), "only 0.1 was spent in the end, yet 0.9 was refused"
    assert not fits(found, key, 0.1), "the budget is used up, yet 0.1 was let in"


def check_two_keys_of_a_team_share_its_budget() -> None:
    found = budgets()
    one, other = (Key(n, n, team="t", team_budget_usd=1.0) for n in ("1", "2"))
    found.reserve(one, 0.7)
    assert not fits(found, other, 0.7), "both keys of a team got 0.7 of its 1.0"


def check_nothing_is_kept_from_one_budget_when_the_other_refuses() -> None:
    found = budgets()
    poor = Key("1", "a", budget_usd=5.0, team="t", team_budget_usd=1.0)
    assert not fits(found, poor, 2.0), "the team has 1.0, yet 2.0 was let in"
    alone = Key("1", "a", budget_usd=5.0)
    assert fits(found, alone, 5.0), "a refused request has left something reserved"


def check_what_costs_nothing_goes_in() -> None:
    found, key = budgets(), Key("1", "a", budget_usd=1.0)
    found.reserve(key, 1.0)
    assert fits(found, key, 0.0), "a request to a free model was refused"


def check_a_key_without_a_budget() -> None:
    payers = budgets().reserve(Key("1", "a"), 1e6)
    assert payers == (), f"nobody's budget is touched, yet the payers are {payers!r}"


def check_cents_add_up() -> None:
    found, key = budgets(), Key("1", "a", budget_usd=0.3)
    assert all(fits(found, key, 0.1) for _ in range(3)), "three times 0.1 should fit into 0.3"


def check_the_message_says_whose_budget_it_is() -> None:
    try:
        budgets().reserve(Key("1", "alice", budget_usd=1.0), 2.0)
    except OverBudget as error:
        assert "alice" in str(error), f"the message does not name the key: {error}"
    else:
        raise AssertionError("2.0 was let in with a budget of 1.0")
