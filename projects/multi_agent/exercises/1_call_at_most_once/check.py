"""Checks of exercise 1: `Ledger.once` with calls that fail, are killed, or come twice."""

import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from multi_agent.runs.ledger import InDoubt, Ledger, _lock
from multi_agent.runs.store import RunStore, ledger
from seedbed.errors import BadInput, SeedbedError, Unavailable

FOLDER = tempfile.TemporaryDirectory()
ARGUMENTS = {"invoice": 7, "amounts": (20, 30)}
AS_JSON = {"invoice": 7, "amounts": [20, 30]}
RESULT = {"paid": ["invoice", 7]}


class Killed(BaseException):
    """The process is killed: nothing more is written."""


class Tool:
    """Raises the errors of its script one after another; None pays."""

    def __init__(self, *script: BaseException | None) -> None:
        self.script, self.calls = list(script), 0
        self.during: Callable[[], Any] = lambda: None

    def __call__(self) -> Any:
        self.calls += 1
        self.during()
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        return {"paid": ("invoice", 7)}


class ServerError(SeedbedError):
    status = 500


class ForeignError(Exception):
    """An error of another library, whose status may mean anything."""

    status = 404


class Watched(Ledger):
    """A ledger that notes how durably a start is recorded, and when a result is."""

    durable: bool | None = None
    on_settle: Callable[[str], Any] = staticmethod(lambda _: None)

    def settle(self, key: str, result: Any) -> None:
        self.on_settle(key)
        super().settle(key, result)

    def _start(self, row: dict[str, Any], *, durable: bool) -> dict[str, Any] | None:
        self.durable = durable
        return super()._start(row, durable=durable)


def new_run() -> tuple[RunStore, str]:
    store = RunStore(Path(tempfile.mkdtemp(dir=FOLDER.name)) / "runs.sqlite")
    return store, store.create("Pay the invoice.").id


def new_ledger() -> Watched:
    return Watched(*new_run())


def once(calls: Ledger, function: Callable[[], Any], *, repeatable: bool, **options: Any) -> Any:
    return calls.once("s1", "pay", ARGUMENTS, function, repeatable=repeatable, **options)


def rows(calls: Ledger) -> list[Mapping[str, Any]]:
    with calls._engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(ledger)).mappings()]


def raised(calls: Ledger, function: Callable[[], Any], *, repeatable: bool, **more: Any) -> Any:
    """What `once` raises, or the result as a text."""
    try:
        return f"the result {once(calls, function, repeatable=repeatable, **more)!r}"
    except (Exception, Killed) as error:
        if isinstance(error, NotImplementedError):
            raise
        return error


def interrupt(calls: Ledger, case: str, *, repeatable: bool, **more: Any) -> float:
    """A call that is killed; returns when it started."""
    error = raised(calls, Tool(Killed()), repeatable=repeatable, **more)
    expect(type(error).__name__, "Killed", f"{case}: the error when the process is killed")
    expect(len(rows(calls)), 1, f"{case}: rows after the process is killed")
    started_at: float = rows(calls)[0]["started_at"]
    return started_at


def name(repeatable: bool) -> str:
    return "a repeatable call" if repeatable else "a call that cannot be repeated"


def expect(actual: object, expected: object, what: str) -> None:
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def expect_result(actual: Any, case: str, result: Any = RESULT) -> None:
    got = f"{type(actual).__name__}: {actual}" if isinstance(actual, BaseException) else actual
    expect(got, f"the result {result!r}", case)


def expect_in_doubt(error: Any, case: str) -> None:
    got = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else error
    assert isinstance(error, InDoubt), f"{case}: expected InDoubt, got {got}"


def check_1_a_second_thread_waits_for_the_first() -> None:
    for repeatable in (True, False):
        store, run = new_run()
        first, second, results = Tool(), Tool(), list[Any]()
        other = partial(raised, Ledger(store, run), second, repeatable=repeatable)
        thread = threading.Thread(
            target=lambda other=other, results=results: results.append(other()), daemon=True
        )

        def start(thread: threading.Thread = thread) -> None:
            thread.start()
            thread.join(0.5)  # it ends at once unless it waits

        first.during = start
        once(Ledger(store, run), first, repeatable=repeatable)
        thread.join(30)
        case = f"{name(repeatable)}, while another thread makes the same"
        expect(second.calls, 0, f"{case}: calls of the function")
        expect_result(results[0], case)


def check_1_the_lock_is_held_while_the_result_is_recorded() -> None:
    for repeatable in (True, False):
        calls, locks = new_ledger(), list[str]()

        def try_lock(key: str, calls: Ledger = calls, locks: list[str] = locks) -> None:
            lock = _lock(f"{calls._engine.url} {key}")
            with ThreadPoolExecutor(1) as other_thread:
                is_free = other_thread.submit(lock.acquire, blocking=False).result()
            locks.append("free" if is_free else "held")

        calls.on_settle = try_lock
        once(calls, Tool(), repeatable=repeatable)
        case = f"{name(repeatable)}: the lock while the result is recorded"
        expect(sorted(set(locks)), ["held"], case)


def check_1_different_calls_do_not_wait() -> None:
    calls, tool, seen = new_ledger(), Tool(), list[str]()
    thread = threading.Thread(
        target=lambda: calls.once("s2", "pay", ARGUMENTS, Tool(), repeatable=True), daemon=True
    )

    def start() -> None:
        thread.start()
        thread.join(10)
        seen.append("waits" if thread.is_alive() else "ends")

    tool.during = start
    once(calls, tool, repeatable=True)
    thread.join(30)
    expect(seen, ["ends"], "a call of another step, which starts while this one runs")


def check_1_only_a_repeatable_call_is_made_in_each_step() -> None:
    for repeatable in (True, False):
        calls, tool = new_ledger(), Tool()
        for step in ("s1", "s2"):
            calls.once(step, "pay", ARGUMENTS, tool, repeatable=repeatable)
        expected, case = 1 + repeatable, f"{name(repeatable)}, in two steps"
        expect(tool.calls, expected, f"{case}: calls of the function")


def check_2_the_start_is_recorded_before_the_call() -> None:
    calls, tool = new_ledger(), Tool()
    seen: list[Mapping[str, Any]] = []
    tool.during = lambda: seen.extend(rows(calls))
    once(calls, tool, repeatable=False)
    expect(len(seen), 1, "rows of the ledger while the function runs")
    columns = ("key", "run", "step", "name", "arguments", "ended_at")
    actual = {column: seen[0][column] for column in columns}
    key = calls.key("", "pay", ARGUMENTS)
    values = (key, calls.run_id, "s1", "pay", AS_JSON, None)
    expect(actual, dict(zip(columns, values, strict=True)), "the row while the function runs")


def check_2_a_start_that_must_not_be_lost_is_durable() -> None:
    for repeatable in (True, False):
        calls = new_ledger()
        once(calls, Tool(), repeatable=repeatable)
        expect(calls.durable, not repeatable, f"{name(repeatable)}: durable")


def check_3_a_finished_call_is_not_made_again() -> None:
    for repeatable in (True, False):
        calls, tool = new_ledger(), Tool()
        once(calls, tool, repeatable=repeatable)
        result = once(calls, tool, repeatable=repeatable)
        expect(tool.calls, 1, f"{name(repeatable)}, twice: calls of the function")
        expect(result, RESULT, f"{name(repeatable)}, twice: the second result")


def check_3_a_result_of_none_is_a_result() -> None:
    for repeatable in (True, False):
        calls, count = new_ledger(), []
        results = [
            raised(calls, lambda count=count: count.append(1), repeatable=repeatable)
            for _ in range(2)
        ]
        case = f"{name(repeatable)} that returned None, twice"
        expect(len(count), 1, f"{case}: calls of the function")
        for result in results:
            expect_result(result, case, None)


def check_4_an_interrupted_call_is_in_doubt() -> None:
    calls, tool = new_ledger(), Tool()
    started_at = interrupt(calls, "a call that cannot be repeated", repeatable=False)
    error = raised(calls, tool, repeatable=False)
    case = "a call that cannot be repeated, after one that was killed"
    expect(tool.calls, 0, f"{case}: calls of the function")
    expect_in_doubt(error, case)
    actual = (error.key, error.name, dict(error.arguments), error.started_at)
    expected = (calls.key("", "pay", ARGUMENTS), "pay", AS_JSON, started_at)
    expect(actual, expected, f"{case}: key, name, arguments and start of the error")


def check_4_a_repeatable_call_is_made_again() -> None:
    calls, tool = new_ledger(), Tool()
    interrupt(calls, "a repeatable call", repeatable=True)
    expect_result(
        raised(calls, tool, repeatable=True), "a repeatable call, after one that was killed"
    )
    expect(tool.calls, 1, "a repeatable call, after one that was killed: calls of the function")


def check_4_a_start_is_repeated_once_if_the_caller_wants_it() -> None:
    calls, tool = new_ledger(), Tool()
    first = interrupt(calls, "a call that cannot be repeated", repeatable=False)

    def expect_no_call(retry_of: float, case: str) -> None:
        error = raised(calls, tool, repeatable=False, retry_of=retry_of)
        expect(tool.calls, 0, f"{case}: calls of the function")
        expect_in_doubt(error, case)
        expect(error.started_at, rows(calls)[0]["started_at"], f"{case}: the start in the error")

    expect_no_call(first - 1, "`retry_of` is not the start of the call in doubt")
    case = "`retry_of` is the start of the call in doubt"
    second = interrupt(calls, case, repeatable=False, retry_of=first)
    expect_no_call(first, "`retry_of` is a start that was repeated already")
    expect_result(raised(calls, tool, repeatable=False, retry_of=second), case)


def check_5_errors_pass() -> None:
    for repeatable in (True, False):
        error = BadInput("No such invoice.")
        result = raised(new_ledger(), Tool(error), repeatable=repeatable)
        case = f"{name(repeatable)} that raises BadInput"
        assert result is error, f"{case}: expected the same error, got {result!r}"


def check_5_a_failed_call_can_be_made_again_where_that_is_safe() -> None:
    cases: list[tuple[Exception, bool, bool]] = [
        (BadInput("No such invoice."), False, True),
        (BadInput("No such invoice."), True, True),
        (Unavailable("No answer."), False, False),
        (Unavailable("No answer."), True, True),
        (OSError("Connection lost."), False, False),
        (OSError("Connection lost."), True, True),
        (ServerError("It broke."), False, False),
        (ForeignError("Not found."), False, False),
    ]
    for error, repeatable, safe in cases:
        calls, tool = new_ledger(), Tool(error)
        raised(calls, tool, repeatable=repeatable)
        status = f" (status {error.status})" if hasattr(error, "status") else ""
        case = f"{name(repeatable)}, after {type(error).__name__}{status}"
        expect(len(rows(calls)), 0 if safe else 1, f"{case}: rows that are left")
        again = raised(calls, tool, repeatable=repeatable)
        expect(tool.calls, 2 if safe else 1, f"{case}, once more: calls of the function")
        if not safe:
            expect_in_doubt(again, f"{case}, once more")


def check_5_a_result_that_is_not_recorded_does_not_undo_the_call() -> None:
    def fail(key: str) -> None:
        raise BadInput(f"The result of {key} is not recorded.")

    calls, tool = new_ledger(), Tool()
    calls.on_settle = fail
    error = raised(calls, tool, repeatable=False)
    case = "a call that cannot be repeated, whose result is not recorded"
    expect(type(error).__name__, "BadInput", f"{case}: the error")
    expect(len(rows(calls)), 1, f"{case}: rows that are left")


def check_5_a_call_that_is_settled_stays_so() -> None:
    calls, tool = new_ledger(), Tool(OSError("Connection lost."))
    key = calls.key("s1", "pay", ARGUMENTS)
    tool.during = lambda: calls.settle(key, "paid by hand")
    raised(calls, tool, repeatable=True)
    result = raised(calls, tool, repeatable=True)
    expect_result(result, "after a call that failed and was settled by a person", "paid by hand")


def check_6_the_result_is_recorded() -> None:
    calls = new_ledger()
    once(calls, Tool(), repeatable=False)
    (row,) = rows(calls)
    expect(row["result"], RESULT, "the result in the row")
    expect(row["ended_at"] is not None, True, "the row has an `ended_at`")


def check_6_the_first_result_is_json_too() -> None:
    first = once(new_ledger(), Tool(), repeatable=True)
    expect(first, RESULT, "a function that returns {'paid': ('invoice', 7)}")
