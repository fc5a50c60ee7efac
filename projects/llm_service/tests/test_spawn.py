"""Processes of local models that are started before anybody knows what they are to load."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llm_service.models.local import start_worker

ORDER = start_worker.order_of("path:/nowhere", 16, 64)


@pytest.fixture
def ending() -> Iterator[Callable[[start_worker.Spawned], start_worker.Spawned]]:
    """Kills, after the test, what it still runs of the processes that were given to it."""
    started: list[start_worker.Spawned] = []

    def note(spawned: start_worker.Spawned) -> start_worker.Spawned:
        started.append(spawned)
        return spawned

    yield note
    for spawned in started:
        if spawned in start_worker._early:
            start_worker._early.remove(spawned)
        spawned.process.kill()
        spawned.end()


@pytest.mark.parametrize(
    ("table", "setting", "spec"),
    [
        (None, "smollm2", "smollm2"),
        (None, "path:DIR", "path:DIR"),
        (None, "openai:gpt-5", None),
        ('[models.a]\nbackend = "local"\n', "x", "a"),
        ('[models.a]\nbackend = "local"\nspec = "smollm2"\n', "x", "smollm2"),
        ('[models.a]\nbackend = "openai"\n[models.b]\nbackend = "local"\n', "x", None),
        (
            'default = "b"\n[models.a]\nbackend = "openai"\n[models.b]\nbackend = "local"\n',
            "x",
            "b",
        ),
        ('default = "route"\n[models.a]\nbackend = "local"\n', "x", None),
        ("models = 5\n", "x", None),
        ("not toml", "x", None),
        ("", "x", None),
    ],
)
def test_what_loads_first(table: str | None, setting: str, spec: str | None, tmp_path: Path):
    path = None
    if table is not None:
        path = tmp_path / "models.toml"
        path.write_text(table)
    assert start_worker.default_spec(path, setting) == spec


def test_a_file_that_is_not_there_is_somebody_elses_error(tmp_path: Path):
    assert start_worker.default_spec(tmp_path / "none.toml", "x") is None


def test_take_returns_the_early_process_of_the_same_order(ending):
    early = ending(start_worker.spawn())
    early.tell(ORDER)
    start_worker.keep(early)
    other = ending(start_worker.take(start_worker.order_of("path:/elsewhere", 16, 64)))
    assert other.process.pid != early.process.pid
    assert start_worker.take(ORDER) is early
    for spawned in (early, other):
        spawned.end()
        assert spawned.process.returncode == 0


def test_take_replaces_an_early_process_that_died(ending):
    early = ending(start_worker.spawn())
    early.tell(ORDER)
    start_worker.keep(early)
    early.process.kill()
    early.process.wait()
    taken = ending(start_worker.take(ORDER))
    assert taken.process is not early.process
    assert taken.process.poll() is None


def test_end_stops_a_process_without_an_order(ending):
    early = ending(start_worker.spawn())
    early.end()
    assert early.process.returncode == 0
