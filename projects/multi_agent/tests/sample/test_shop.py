"""The sample shop: a database that starts can share, and answers that its rows confirm."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from multi_agent.sample.shop import DOCUMENTS as FOLDER
from multi_agent.sample.shop import ensure_shop
from seedbed.files import read_models

Task = pytest.importorskip("multi_agent.evaluate.evaluate").Task
FILE = Path(__file__).parents[2] / "eval/tasks.jsonl"
TASKS = {task.id: task for _, task in read_models(FILE, Task)}
GOLD = {
    name: sql
    for sql, name in re.findall(
        r"^(SELECT .+); -- (\S+)$",
        Path(__file__).with_name("gold.sql").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
}
DOCUMENTS = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = ensure_shop(tmp_path_factory.mktemp("shop"))
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield connection


def test_shop_replaces_a_damaged_file(tmp_path: Path) -> None:
    path = ensure_shop(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:5000])
    assert ensure_shop(tmp_path).read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["shop.sqlite"]


def test_rows_refer_to_existing_rows(shop: sqlite3.Connection) -> None:
    assert shop.execute("PRAGMA foreign_key_list(returns)").fetchall()
    assert shop.execute("PRAGMA foreign_key_check").fetchall() == []


def test_gold_sql_covers_every_task_over_data() -> None:
    assert {name for name, task in TASKS.items() if task.family == "data"} <= set(GOLD)


@pytest.mark.parametrize("name", GOLD)
def test_answer_agrees_with_the_rows(name: str, shop: sqlite3.Connection) -> None:
    rows = shop.execute(GOLD[name]).fetchall()
    text = "\n".join(": ".join(map(str, row)) for row in rows)
    assert TASKS[name].solved(text, confident=True), text


@pytest.mark.parametrize(
    "task", [t for t in TASKS.values() if t.family == "docs"], ids=lambda t: t.id
)
def test_answer_is_in_the_documents(task) -> None:
    for pattern in (*task.answers, *task.must_not_match):
        assert any(re.search(pattern, text) for text in DOCUMENTS.values()), pattern


def test_one_document_contains_an_injected_instruction() -> None:
    names = [name for name, text in DOCUMENTS.items() if "ignore your instructions" in text]
    assert names == ["complaints.md"]
