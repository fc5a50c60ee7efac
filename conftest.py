"""The end of every test run: missing programs in one line each, and no process left behind."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

# In the environment of this process and of all that it starts, however far away they go.
MARK = "SEEDBED_TEST_RUN"
# Python's own helpers, which end together with the process that started them.
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "loky.backend")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # pytest-xdist's workers inherit it
        os.environ[MARK] = str(os.getpid())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a program would make run that is not installed; other skips stay silent (`-rs`)."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = (report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    missing = Counter(reason for reason in reasons if " is not installed: " in reason)
    for reason, count in missing.items():
        terminalreporter.write_line(f"{count} tests skipped: {reason}", yellow=True)


@pytest.hookimpl(trylast=True)  # pytest-xdist's workers have ended by then
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    _, left = psutil.wait_procs(list(started_processes()), timeout=10)
    if not left:
        return
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
    print("\n\nProcesses that the tests started and did not stop:")
    for process in left:
        print(f"  {process.pid} {' '.join(process.cmdline())[:150]}")
        process.kill()


def started_processes() -> Iterator[psutil.Process]:
    """Every other process of this test run that is still alive."""
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == os.environ[MARK]
            helper = any(name in word for word in process.cmdline() for name in HELPERS)
        except psutil.Error:  # it has ended, or belongs to another user
            continue
        if marked and not helper and process.pid != os.getpid():
            yield process
