"""The options of `train` are the fields of TrainArgs, with their docstrings as help."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import typer
from typer.testing import CliRunner

from finetune_lora.__main__ import app
from finetune_lora.train.arguments import TrainArgs, field_docs, options_of, resume_command


def test_every_argument_has_a_docstring_and_an_option() -> None:
    docs = field_docs(TrainArgs)
    assert set(docs) == {field.name for field in fields(TrainArgs)}
    command = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    options = {option.name: option for option in command.params}
    assert set(docs) <= set(options)
    assert options["r"].help == docs["r"]
    assert options["share_prefix"].secondary_opts == ["--no-share-prefix"]
    assert options["truncate"].secondary_opts == []


def test_command_receives_the_values_and_its_own_parameters_win() -> None:
    received: dict[str, object] = {}
    small = typer.Typer()

    @small.command()
    @options_of(TrainArgs)
    def train(*, output: str = "here", **arguments: object) -> None:
        received.update(arguments, output=output)

    result = CliRunner().invoke(small, ["--data", "x", "--r", "4", "--no-share-prefix"])
    assert result.exit_code == 0, result.output
    assert (received["data"], received["r"], received["share_prefix"]) == ("x", 4, False)
    assert (received["output"], received["layers"], received["lr"]) == ("here", None, None)


def test_resume_command_has_options_that_exist() -> None:
    args = {"data": "d.jsonl", "output": "run", "warmup": 0.1, "share_prefix": False, "r": 16}
    command = resume_command({"args": args})
    assert command.endswith(
        "train --data d.jsonl --output run --warmup 0.1 --no-share-prefix --resume"
    )


def test_mistyped_option_leaves_no_run_folder(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("FINETUNE_DATA_DIR", str(tmp_path / "var"))
    for wrong in (
        ["--method", "foo"],
        ["--dtype", "float8"],
        ["--epochs", "-1"],
        ["--layers", "-3"],
        ["--dropout", "2"],
        ["--data", str(tmp_path / "none")],
    ):
        words = ["train", "--data", str(tmp_path / "d.jsonl"), *wrong]
        result = CliRunner().invoke(app, words)
        assert result.exit_code != 0
        assert wrong[0] == "--data" or wrong[0].strip("-") in str(result.exception)
        assert list((tmp_path / "var").glob("runs/*")) == []
