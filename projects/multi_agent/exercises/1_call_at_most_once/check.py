"""Checks of exercise 1: what two equal calls of a tool do, one after the other."""

import tempfile
from pathlib import Path
from typing import Any

from multi_agent.runs.ledger import Ledger
from multi_agent.runs.store import RunStore
from seedbed.errors import BadInput, SeedbedError, Unavailable

FOLDER = tempfile.TemporaryDirectory()


def expect(outcomes: list[Any], repeatable: bool, first: Any, step: str = "s1") -> None:
    """The first call's tool returns or raises `first`; the second one's, in `step`, returns 8."""
    store = RunStore(Path(tempfile.mkdtemp(dir=FOLDER.name)) / "runs.sqlite")
    calls, actual = Ledger(store, store.create("Pay the invoice.").id), []

    def tool() -> Any:
        if isinstance(first, BaseException) and not actual:
            raise first
        return 8 if actual else first

    for at in ("s1", step):
        try:
            actual.append(calls.once(at, "pay", {"n": (1,)}, tool, repeatable=repeatable))
        except (SeedbedError, OSError, KeyboardInterrupt) as error:  # the last is that of a kill
            actual.append(type(error).__name__)
    case = f"{repeatable=}, steps s1 and {step}, tools: {first!r}, then 8"
    assert actual == outcomes, f"{case}: expected the outcomes {outcomes}, got {actual}"


def check_1_only_a_repeatable_call_is_made_in_each_step() -> None:
    expect([7, 8], True, 7, "s2")
    expect([7, 7], False, 7, "s2")


def check_2_the_start_is_recorded_before_the_call() -> None:
    expect(["KeyboardInterrupt", "InDoubt"], False, KeyboardInterrupt(), "s2")


def check_3_a_call_that_ended_is_not_made_again() -> None:
    expect([7, 7], True, 7)
    expect([None, None], False, None)


def check_4_an_interrupted_call_is_in_doubt_unless_it_is_repeatable() -> None:
    expect(["KeyboardInterrupt", 8], True, KeyboardInterrupt())
    expect(["KeyboardInterrupt", "InDoubt"], False, KeyboardInterrupt())


def check_5_a_call_is_made_again_if_it_is_repeatable_or_was_refused() -> None:
    expect(["BadInput", 8], False, BadInput("No such invoice."))
    expect(["OSError", 8], True, OSError("Connection lost."))
    expect(["Unavailable", "InDoubt"], False, Unavailable("No answer."))


def check_6_the_result_is_json_the_first_time_and_later() -> None:
    expect([[7], [7]], False, (7,))
