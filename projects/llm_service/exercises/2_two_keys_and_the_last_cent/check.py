"""Checks of exercise 2: which requests a budget accepts, and what it reserves for them."""

import tempfile
from pathlib import Path

from llm_service.config import Config
from llm_service.gateway.limits.budgets import Budgets, OverBudget
from llm_service.store.database import open_database
from llm_service.store.keys import Key

FOLDER = tempfile.TemporaryDirectory()
DATABASE = open_database(Config(data_dir=Path(FOLDER.name)))
MONTH = 31 * 24 * 3600  # seconds


class Clock:
    """Seconds since 1970."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def budgets(clock: Clock | None = None) -> Budgets:
    return Budgets(DATABASE, clock or Clock())  # type: ignore[arg-type]


def spend(account: Budgets, key: Key, cost: float) -> None:
    """A request that has run and ended."""
    payers = account.reserve(key, cost)
    account.spend(payers, cost)
    account.release(payers, cost)


def expect_answers(expected: str, account: Budgets, *requests: tuple[Key, float]) -> None:
    """`expected` is a word for each request: accepted or refused."""
    answers = []
    for key, cost in requests:
        try:
            account.reserve(key, cost)
            answers.append("accepted")
        except OverBudget:
            answers.append("refused")
    actual = " ".join(answers)
    case = ", ".join(
        f"${cost} (budget {key.budget_usd}, team {key.team_budget_usd})" for key, cost in requests
    )
    assert actual == expected, f"requests {case}: expected {expected}, got {actual}"


def refusal(key: Key, cost: float) -> str:
    try:
        budgets().reserve(key, cost)
    except OverBudget as error:
        return str(error)
    raise AssertionError(f"a request above the budget: expected OverBudget, got no error ({key})")


def check_1_a_new_month_has_a_full_budget() -> None:
    clock, key = Clock(), Key("1", "a", budget_usd=1.0)
    account = budgets(clock)
    spend(account, key, 1.0)
    expect_answers("refused", account, (key, 1.0))
    clock.now += MONTH
    try:
        account.reserve(key, 1.0)
    except OverBudget as error:
        raise AssertionError(
            f"a month later: expected the full budget of $1, got a refusal: {error}"
        ) from None


def check_2_the_money_reserved_counts() -> None:
    key = Key("1", "a", budget_usd=1.0)
    expect_answers("accepted refused accepted", budgets(), (key, 0.6), (key, 0.6), (key, 0.4))


def check_2_the_money_spent_counts() -> None:
    account, key = budgets(), Key("1", "a", budget_usd=1.0)
    spend(account, key, 0.1)
    expect_answers("accepted refused", account, (key, 0.9), (key, 0.1))


def check_2_the_keys_of_a_team_share_its_budget() -> None:
    one, other = (Key(n, n, team="red", team_budget_usd=1.0) for n in ("1", "2"))
    expect_answers("accepted refused accepted", budgets(), (one, 0.7), (other, 0.7), (other, 0.3))


def check_2_a_budget_of_0_is_a_limit() -> None:
    expect_answers("refused", budgets(), (Key("1", "a", budget_usd=0.0), 0.1))


def check_2_without_a_budget_there_is_no_limit() -> None:
    expect_answers("accepted", budgets(), (Key("1", "a"), 1e6))


def check_2_three_times_a_tenth_is_three_tenths() -> None:
    key = Key("1", "a", budget_usd=0.3)
    expect_answers("accepted accepted accepted", budgets(), (key, 0.1), (key, 0.1), (key, 0.1))


def check_2_more_than_a_rounding_error_is_refused() -> None:
    key = Key("1", "a", budget_usd=1.0)
    expect_answers("accepted refused", budgets(), (key, 0.999), (key, 0.002))


def check_3_the_message_names_the_key_or_the_team() -> None:
    message = refusal(Key("1", "alice", budget_usd=1.0, team="red", team_budget_usd=9.0), 2.0)
    assert "alice" in message, f"the key's budget: expected its name 'alice', got: {message}"
    message = refusal(Key("1", "alice", budget_usd=9.0, team="red", team_budget_usd=1.0), 2.0)
    assert "'red'" in message or " red" in message, (
        f"the team's budget: expected its name 'red', got: {message}"
    )


def check_3_a_refusal_reserves_nothing() -> None:
    for own, of_team in ((5.0, 1.0), (1.0, 5.0)):
        account = budgets()
        key = Key("1", "a", budget_usd=own, team="red", team_budget_usd=of_team)
        expect_answers("refused", account, (key, 2.0))
        actual = {payer: usd for payer, usd in account._reserved.items() if usd}
        assert actual == {}, f"reserved after a refusal: expected nothing, got {actual}"


def check_4_a_request_that_costs_nothing_is_accepted() -> None:
    account, key = budgets(), Key("1", "a", budget_usd=1.0)
    spend(account, key, 1.0)
    account.spend(("key:1",), 0.5)
    expect_answers("accepted refused", account, (key, 0.0), (key, 0.1))


def check_5_the_cost_is_reserved_in_each_budget_and_the_payers_are_returned() -> None:
    cases = {
        ("key:1",): Key("1", "a", budget_usd=1.0),
        ("team:red",): Key("1", "a", team="red", team_budget_usd=1.0),
        ("key:1", "team:red"): Key("1", "a", budget_usd=1.0, team="red", team_budget_usd=1.0),
        (): Key("1", "a", team="red"),
    }
    for expected, key in cases.items():
        account = budgets()
        payers = account.reserve(key, 0.6)
        assert isinstance(payers, tuple), f"payers: expected a tuple, got {payers!r}"
        assert sorted(payers) == sorted(expected), f"payers: expected {expected}, got {payers}"
        actual = {payer: usd for payer, usd in account._reserved.items() if usd}
        amounts = dict.fromkeys(expected, 0.6)
        assert actual == amounts, f"reserved: expected {amounts}, got {actual}"


def check_5_reservations_add_up() -> None:
    account, key = budgets(), Key("1", "a", budget_usd=1.0)
    expect_answers("accepted accepted", account, (key, 0.25), (key, 0.5))
    actual = dict(account._reserved)
    assert actual == {"key:1": 0.75}, f"reserved: expected {{'key:1': 0.75}}, got {actual}"
