"""The sample shop: the same content at every build, and tasks whose gold answers it confirms."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from multi_agent.sample.shop import ensure_shop, sample_documents
from seedbed.files import read_json_lines

PROJECT = Path(__file__).parents[2]
TASKS: dict[str, dict[str, Any]] = {
    row["id"]: row for _, row in read_json_lines(PROJECT / "eval/tasks.jsonl")
}
GOLD = dict(
    re.findall(
        r"^-- ([a-z]+-\d+)\n(.+?);$",
        Path(__file__).with_name("gold.sql").read_text(encoding="utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
)
DOCUMENTS = {path.name: path.read_text(encoding="utf-8") for path in sample_documents().iterdir()}


def solves(task: dict[str, Any], text: str, number: float | None = None) -> bool:
    """Whether a short answer counts as right."""
    if any(re.search(pattern, text) for pattern in task["must_not_match"]):
        return False
    if task["numeric"] is not None and number is not None:
        return abs(number - float(task["numeric"])) <= float(task["tolerance"]) + 1e-9
    return any(re.search(pattern, text) for pattern in task["answers"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    path = ensure_shop(tmp_path_factory.mktemp("shop"))
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


# ── the database ──────────────────────────────────────────────────────────────────────────────


def test_shop_has_the_same_bytes_at_every_build(tmp_path: Path) -> None:
    first, second = ensure_shop(tmp_path / "one"), ensure_shop(tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()


def test_shop_is_not_written_again_while_it_is_current(tmp_path: Path) -> None:
    path = ensure_shop(tmp_path)
    file = path.stat()
    assert ensure_shop(tmp_path).stat().st_ino == file.st_ino
    assert path.stat().st_mtime_ns == file.st_mtime_ns


def test_shop_replaces_a_damaged_file(tmp_path: Path) -> None:
    path = ensure_shop(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:5000])
    assert ensure_shop(tmp_path).read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["shop.sqlite"]


def test_shop_is_created_once_by_concurrent_callers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: ensure_shop(tmp_path), range(8)))
    assert set(paths) == {tmp_path / "shop.sqlite"}
    assert [one.name for one in tmp_path.iterdir()] == ["shop.sqlite"]


def test_shop_is_consistent(shop: sqlite3.Connection) -> None:
    def rows(sql: str) -> list[Any]:
        return shop.execute(sql).fetchall()

    assert rows("PRAGMA integrity_check") == [("ok",)]
    assert rows("PRAGMA foreign_key_check") == []
    # Every order has items, and is paid in full unless it was cancelled.
    total = "(SELECT sum(quantity * unit_price_cents) FROM order_items WHERE order_id = orders.id)"
    payment = "(SELECT sum(amount_cents) FROM payments WHERE order_id = orders.id)"
    assert rows(f"SELECT id FROM orders WHERE {total} IS NULL") == []
    paid = f"SELECT id FROM orders WHERE (status = 'cancelled') <> ({payment} IS NULL)"
    assert rows(paid) == []
    assert rows(f"SELECT id FROM orders WHERE {payment} <> {total}") == []
    # Nothing happens before what it depends on.
    late = "SELECT order_id FROM {} JOIN orders ON orders.id = order_id WHERE {} < placed_on"
    assert rows(late.format("payments", "paid_on")) == []
    assert rows(late.format("shipments", "shipped_on")) == []
    assert rows("SELECT id FROM shipments WHERE delivered_on < shipped_on") == []
    early = (
        "SELECT 1 FROM returns JOIN shipments USING (order_id) WHERE requested_on < delivered_on"
    )
    assert rows(early) == []


# ── the documents ─────────────────────────────────────────────────────────────────────────────


def test_documents_are_short_and_have_a_heading() -> None:
    assert 9 <= len(DOCUMENTS) <= 14
    for name, text in DOCUMENTS.items():
        assert text.startswith("# "), name
        assert len(text) < 2500, name


def test_one_document_carries_an_injected_instruction() -> None:
    names = [name for name, text in DOCUMENTS.items() if "ignore your instructions" in text]
    assert names == ["complaints.md"]


# ── the tasks ─────────────────────────────────────────────────────────────────────────────────


def test_tasks_cover_every_family() -> None:
    families = Counter(task["family"] for task in TASKS.values())
    assert families == {"data": 30, "docs": 24, "calc": 24, "mixed": 14}
    assert sum(task.get("unanswerable", False) for task in TASKS.values()) == 5
    lines = (PROJECT / "eval/tasks.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(TASKS), "an id occurs twice"
    assert len({task["task"] for task in TASKS.values()}) == len(TASKS), "a task occurs twice"


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_task_has_the_documented_format(task: dict[str, Any]) -> None:
    fields = {"id", "family", "task", "answers", "must_not_match", "numeric", "tolerance"}
    assert set(task) - {"unanswerable"} == fields
    assert task["id"].startswith(task["family"])
    for pattern in (*task["answers"], *task["must_not_match"]):
        re.compile(pattern)
    assert (task["numeric"] is None) == (task["tolerance"] is None)
    has_answer = bool(task["answers"]) or task["numeric"] is not None
    assert has_answer != task.get("unanswerable", False)


def test_gold_sql_exists_for_every_task_but_those_over_documents() -> None:
    assert set(GOLD) == {name for name, task in TASKS.items() if task["family"] != "docs"}


@pytest.mark.parametrize("name", GOLD)
def test_gold_sql_confirms_the_task(name: str, shop: sqlite3.Connection) -> None:
    rows = shop.execute(GOLD[name]).fetchall()
    number = rows[0][0] if isinstance(rows[0][0], int | float) and len(rows) == 1 else None
    text = "\n".join(": ".join(_text(value) for value in row) for row in rows)
    assert solves(TASKS[name], text, number), text


@pytest.mark.parametrize("name", [name for name in TASKS if name.startswith("docs")])
def test_answer_is_in_the_documents(name: str) -> None:
    task = TASKS[name]
    for pattern in task["answers"]:
        assert any(re.search(pattern, text) for text in DOCUMENTS.values()), pattern
    # A wrong answer that occurs nowhere would test nothing.
    for pattern in task["must_not_match"]:
        assert any(re.search(pattern, text) for text in DOCUMENTS.values()), pattern


def test_literals_of_mixed_gold_are_in_the_documents() -> None:
    mixed = "\n".join(sql for name, sql in GOLD.items() if name.startswith("mixed"))
    literals = set(re.findall(r", '([^']+)'", mixed))
    assert "60 days" in literals
    tables = "\n".join(DOCUMENTS.values())
    assert [text for text in sorted(literals) if text not in tables] == []


def _text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
