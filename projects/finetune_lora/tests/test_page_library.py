"""What the page and the API read of runs' folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune_lora.page.library import Library
from finetune_lora.testing import write_run
from seedbed.cli import command_line
from seedbed.errors import BadInput, NotFound


def test_runs_are_listed_newest_first_with_those_of_sweeps(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "old", started="2026-01-01T00:00:00")
    write_run(tmp_path / "runs" / "sweep" / "r=4", started="2026-01-02T00:00:00")
    library = Library(tmp_path)
    assert [run["name"] for run in library.runs()] == ["sweep/r=4", "old"]
    assert library.run("old")["last"]["eval_loss"] == 0.5
    assert Library(tmp_path / "nothing").runs() == []


def test_a_name_never_becomes_a_path(tmp_path: Path) -> None:
    write_run(tmp_path / "outside")
    write_run(tmp_path / "runs" / "a")
    library = Library(tmp_path)
    for name in (
        "../outside",
        str(tmp_path / "outside"),
        "a/../../outside",
        "a\0",
        "",
        ".",
        "A" * 999,
    ):
        with pytest.raises(NotFound):
            library.folder(name)


def test_news_is_read_again_and_the_rest_is_not(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    library = Library(tmp_path)
    before = library.run("a")
    assert library.run("a") is before
    assert before["exact_match"] is None
    (folder / "report").mkdir()
    (folder / "report" / "report.json").write_text('{"exact_match": 0.9}')
    assert library.run("a")["exact_match"] == 0.9
    with (folder / "progress.jsonl").open("a") as file:
        file.write('{"step": 4, "loss": 0.1}\n{"step": 5, "lo')
    assert [line["step"] for line in library.progress("a", after=2)] == [3, 4]


def test_a_run_whose_process_died_is_stopped_and_says_what_to_type(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs" / "a", state="running", steps=2, of=9)
    library = Library(tmp_path)
    assert library.run("a")["state"] == "running"
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | {"pid_started": 1.0}))
    stopped = library.run("a")
    assert stopped["state"] == "stopped"
    train = command_line("finetune-lora", "train", "--data", "data/train.jsonl")
    assert stopped["resume"] == f"{train} --output {folder} --lr 0.0001 --resume"
    with pytest.raises(BadInput, match=rf"is stopped and has no adapter yet\. Run: {train}"):
        library.adapter("a")


def test_a_damaged_folder_is_a_failed_run_and_hides_no_other(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "good")
    for name, text in (("half", '{"state": "fin'), ("list", "[1]"), ("number", "7")):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "run.json").write_text(text)
    runs = {run["name"]: run for run in Library(tmp_path).runs()}
    assert runs["good"]["state"] == "finished"
    assert [runs[name]["state"] for name in ("half", "list", "number")] == ["failed"] * 3
    assert runs["half"]["error"]


def test_examples_come_from_the_data_the_run_was_evaluated_on(tmp_path: Path) -> None:
    rows = [{"text": f"text {n // 2}", "label": "a"} for n in range(9)] + [{"text": "x" * 999}]
    file = tmp_path / "dev.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    library = Library(tmp_path)
    run = {"eval_data": {"path": str(file)}, "data": {"path": "gone.jsonl"}}
    assert library.examples(run, most=3) == ["text 0", "text 1", "text 2"]
    assert library.examples({"data": {"path": "hf:a/b"}}) == []


def test_the_data_card_beside_the_data_is_found(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    run = json.loads((folder / "run.json").read_text())
    run["data"]["path"] = str(tmp_path / "train.jsonl")
    (folder / "run.json").write_text(json.dumps(run))
    assert Library(tmp_path).card("a") is None
    (tmp_path / "card.json").write_text('{"seed": 3}')
    assert Library(tmp_path).card("a") == {"seed": 3}
