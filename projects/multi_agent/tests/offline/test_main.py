"""The command line, as its users type it, over a small database and one document."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from multi_agent.__main__ import app, main
from seedbed.testing.launch import run_command

TASK = "How many tents are there, and how long is the return window?"


run = partial(run_command, main)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("main")
    connection = sqlite3.connect(folder / "shop.sqlite")
    connection.execute("CREATE TABLE tents (id INTEGER PRIMARY KEY, name TEXT, weight INTEGER)")
    connection.executemany(
        "INSERT INTO tents (name, weight) VALUES (?, ?)", [("Marmot", 2150), ("Basecamp", 8400)]
    )
    connection.commit()
    connection.close()
    (folder / "docs").mkdir()
    (folder / "docs/returns.md").write_text("# Returns\n\nThe return window is 30 days.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTS_DATA_DIR", str(folder / "data"))
        patch.setenv("AGENTS_DATABASE", str(folder / "shop.sqlite"))
        patch.setenv("AGENTS_DOCUMENTS", str(folder / "docs"))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def solved() -> dict[str, Any]:
    output = run("solve", TASK, "--json")
    assert output.status == 0, output
    return dict(output.json)


def test_solve_prints_the_answer_with_its_evidence() -> None:
    output = run("solve", "What is 15 % of 240?", "--budget", "steps=5")
    assert output.status == 0
    lines = output.out.splitlines()
    assert lines[0] == "36"
    assert "[calculation] calculate" in lines and "→ 36" in lines
    assert lines[-1].startswith("run r") and "steps 1/5" in lines[-1]


def test_solve_of_another_database_and_documents(tmp_path: Path) -> None:
    (tmp_path / "boats.csv").write_text("name,price\nA,10\nB,20\nC,30\n")
    (tmp_path / "rules.md").write_text("# Rules\n\nThe deposit is 80 euros.\n")
    output = run("solve", "How many boats are there?", "--db", tmp_path / "boats.csv")
    assert (output.status, output.out.splitlines()[0]) == (0, "3")
    output = run("solve", "How much is the deposit?", "--docs", tmp_path)
    assert output.status == 0 and "80" in output.out.splitlines()[0]


def test_run_is_listed_and_shown(solved: dict[str, Any]) -> None:
    assert solved["id"] in run("runs").out
    assert [record["id"] for record in run("runs", "--limit", 50, "--json").json].count(
        solved["id"]
    ) == 1
    text = run("runs", solved["id"]).out
    assert text.startswith(f"{solved['id']}  done  {TASK}") and "tool_started" in text
    kinds = [event["kind"] for event in run("runs", solved["id"], "--json").json["events"]]
    assert kinds[0] == "run_started" and kinds[-2:] == ["answer", "done"]


def test_run_that_ended_cannot_be_resumed(solved: dict[str, Any]) -> None:
    output = run("resume", solved["id"])
    assert output.status == 2
    assert output.err == f"error: Run '{solved['id']}' cannot be resumed; it is done.\n"


def test_resume_asks_what_the_run_asks() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTS_PERMISSIONS", '{"query_database": "ask"}')
        output = run("solve", "How many tents are there?")
        assert output.status == 1 and output.out.startswith("waiting: ")
        run_id = str(re.search(r"r[0-9a-f]{12}", output.out)[0])  # type: ignore[index]
        resumed = CliRunner().invoke(app, ["resume", run_id], input="allow\n")
    assert resumed.exit_code == 0
    assert "Allow query_database" in resumed.output and "\n2\n" in resumed.output


def test_evaluation_as_json_has_the_agreed_format(tmp_path: Path) -> None:
    pytest.importorskip("multi_agent.evaluate.evaluate")
    tasks = [
        {"id": "d", "family": "data", "task": "How many tents are there?", "numeric": 2},
        {"id": "c", "family": "calc", "task": "What is 15 % of 240?", "answers": [r"\b36\b"]},
        {"id": "w", "family": "docs", "task": "How long is the return window?", "numeric": 31},
    ]
    path = tmp_path / "tasks.jsonl"
    path.write_text("\n".join(map(json.dumps, tasks)))
    result = run("eval", "--tasks", path, "--json").json
    assert result["families"] == {
        "calc": {"n": 1, "success": 1.0, "confident_wrong": 0.0},
        "data": {"n": 1, "success": 1.0, "confident_wrong": 0.0},
        "docs": {"n": 1, "success": 0.0, "confident_wrong": 1.0},
    }
    assert result["tokens"] == 0 and result["seconds"] > 0
    assert result["failures"] == [{"id": "w", "answer": "30 days", "confident": True}]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("solve ''", "The task is empty."),
        ("solve 2+2 --budget steps=many", "AGENTS_BUDGET: steps: "),
        ("solve 2+2 --db broken.db", "broken.db"),
        ("solve 2+2 --docs missing", "missing"),
        ("runs r0", "Unknown run 'r0'"),
        ("erase r0", "Unknown run 'r0'"),
        ("eval --tasks tasks.jsonl", "line 1: task: Field required"),
    ],
)
def test_error_is_one_line_with_status_2(command: str, message: str) -> None:
    Path("broken.db").write_bytes(b"SQLite format 3\0" + b"x" * 200)
    Path("tasks.jsonl").write_text('{"id": "t1", "family": "data"}\n')
    output = run(*shlex.split(command))
    assert output.status == 2, output
    assert output.err.startswith("error: ") and message in output.err, output
    assert output.err.count("\n") == 1 and output.out == ""


def test_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTS_MAX_PARALLEL", "0")
    output = run("runs")
    assert output.status == 2 and "AGENTS_MAX_PARALLEL" in output.err
