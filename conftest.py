"""Hooks for every test run.

The longest files, and those that need most memory, start first; `own_process` tests run in a pytest
of their own; a test's log level ends with it; memory is given back; missing programs are listed;
a run fails if a test leaves a process behind.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadFileScheduling

from seedbed.testing.launch import close_models

# Set in the environment of this process, and inherited by every process it starts.
MARK = "SEEDBED_TEST_RUN"
INSIDE = "SEEDBED_TEST_OWN_PROCESS"
MEMORY = pytest.StashKey[int]()  # bytes in use after the last garbage collection
MUCH = 50_000_000  # bytes
# Python's own helpers, which end together with the process that started them.
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "loky.backend")
# What to start with, in this order: at the end, one of these would keep a single process busy, or
# take much memory beside what the process has imported by then.
FIRST = (
    "tests/tools/test_flywheel.py",
    "tests/test_lift_out.py",
    "multi_agent/tests/graph/test_kills.py",
    "tests/test_verbs.py",
    "llm_service/tests/on_ray/test_ray.py",
    "shared/tests/models/test_chat_conformance.py",
    "tests/test_exercise_solutions.py",
    "projects/vision_app/",
)
# Files whose parameters share nothing, so that processes may share them: in one process, the copies
# of all projects would take longer than everything else.
SHARED_OUT = ("tests/test_lift_out.py", "tests/test_exercise_solutions.py")


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests run in one process, and its fixtures are made once; see SHARED_OUT."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file + nodeid.partition("[")[2] if file in SHARED_OUT else file


@pytest.hookimpl(optionalhook=True)  # `own_process` tests run without the plugin
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How the tests are shared out."""
    return ByFile(config, log)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # pytest-xdist's workers inherit it
        os.environ[MARK] = str(os.getpid())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest or needs most memory."""

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
        root.setLevel(level)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test marked `own_process` in another pytest, whose memory is freed when it ends."""
    if pyfuncitem.get_closest_marker("own_process") is None or os.environ.get(INSIDE):
        return None
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, pyfuncitem.nodeid],
        cwd=pyfuncitem.config.rootpath,
        env={**os.environ, INSIDE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != pytest.ExitCode.OK:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
    return True


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Exempt the collected tests from garbage collection, which took 0.9 s a time with them."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)  # the fixtures of the file have ended by then
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Close the models after a project, and give the memory back that a file has freed."""
    if nextitem is not None and nextitem.path == item.path:
        return
    if nextitem is None or _project(nextitem) != _project(item):
        close_models()
    process, stash = psutil.Process(), item.config.stash
    grown = process.memory_info().rss > stash.get(MEMORY, 0) + MUCH
    if grown:
        gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)  # glibc's
    if grown:
        stash[MEMORY] = process.memory_info().rss


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
    """Every process started by this test run, except this one, that is still alive."""
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == os.environ[MARK]
            helper = any(name in word for word in process.cmdline() for name in HELPERS)
        except psutil.Error:  # it has ended, or belongs to another user
            continue
        if marked and not helper and process.pid != os.getpid():
            yield process
