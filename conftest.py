"""Hooks for every test run.

The longest files start first; a test's log level ends with it; models are closed after each
project; missing programs are listed; a run fails if a test leaves a process behind.
"""

from __future__ import annotations

import gc
import logging
import os
from collections import Counter
from collections.abc import Generator, Iterator

import psutil
import pytest
from hypothesis import settings

from seedbed.testing.launch import close_models

# Set in the environment of this process, and inherited by every process it starts.
MARK = "SEEDBED_TEST_RUN"
# Python's own helpers, which end together with the process that started them.
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "loky.backend")
# What to start with: at the end, one of these would keep a single process busy.
FIRST = (
    "tests/reader/",
    "tests/test_lift_out.py",
    "multi_agent/tests/graph/test_kills.py",
    "shared/tests/models/local/test_conformance.py",
    "tests/test_exercise_solutions.py",
)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # pytest-xdist's workers inherit it
        os.environ[MARK] = str(os.getpid())
    if config.option.markexpr == "not slow":
        settings.load_profile("quick")


settings.register_profile("quick", max_examples=25)


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, as tests also wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep imported modules out of garbage collection: each full one took 0.7 s for them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest."""

    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((number for number, part in enumerate(FIRST) if part in path), len(FIRST))

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Undo the log level that a test's program has set: the next test may expect a warning."""
    root = logging.getLogger()
    level = root.level
    try:
        return (yield)
    finally:
        if root.level != level:  # setting it clears the cache of every logger
            root.setLevel(level)


@pytest.hookimpl(trylast=True)  # the fixtures of the file have ended by then
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Free the memory of the models that a project has opened."""
    if nextitem is None or _project(nextitem) != _project(item):
        close_models()


def _project(item: pytest.Item) -> tuple[str, ...]:
    return item.path.relative_to(item.config.rootpath).parts[:2]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List tests skipped because a program is missing; `-rs` lists the other skips."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = (report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    missing = Counter(reason for reason in reasons if " is not installed: " in reason)
    for reason, count in missing.items():
        terminalreporter.write_line(f"{count} tests skipped: {reason}", yellow=True)


@pytest.hookimpl(trylast=True)  # pytest-xdist's workers have ended by then
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if a process is left that a test has started, and end it."""
    if hasattr(session.config, "workerinput"):
        return
    _, left = psutil.wait_procs(list(_started_processes()), timeout=10)
    for process in left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        command = " ".join(process.cmdline())[:150]
        print(f"\nA test started and did not stop {process.pid} {command}")
        process.kill()


def _started_processes() -> Iterator[psutil.Process]:
    """Every process started by this test run, except this one, that is still alive."""
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == os.environ[MARK]
            helper = any(name in word for word in process.cmdline() for name in HELPERS)
        except psutil.Error:  # it has ended, or belongs to another user
            continue
        if marked and not helper and process.pid != os.getpid():
            yield process
