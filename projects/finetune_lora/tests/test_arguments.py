"""The options of `train` are the fields of TrainArgs, with their docstrings as help."""

from dataclasses import fields
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from finetune_lora.__main__ import app
from finetune_lora.train.arguments import TrainArgs, field_docs


def test_each_argument_is_an_option_with_its_docstring_as_help() -> None:
    command = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    options = {option.name: option for option in command.params}
    assert {f.name for f in fields(TrainArgs)} == set(field_docs()) <= set(options)
    assert options["r"].help == field_docs()["r"]
    assert options["share_prefix"].secondary_opts == ["--no-share-prefix"]
    assert options["truncate"].secondary_opts == []


@pytest.mark.parametrize(
    "wrong",
    "--method foo|--dtype int3|--epochs -1|--layers -3|--dropout 2|--dropout 1|--batch-size 0"
    "|--max-tokens 1|--lr 0|--max-minutes -1|--r 0|--save-every 0|--accumulation 0|--resume"
    "|--data not-there".split("|"),
)
def test_mistyped_option_is_named_and_leaves_no_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("FINETUNE_DATA_DIR", str(tmp_path))
    data = [] if wrong == "--resume" else ["--data", __file__]
    result = CliRunner().invoke(app, ["train", *data, *wrong.split()])
    assert result.exit_code != 0
    named = wrong.removeprefix("--data ").split()[0].strip("-")
    assert named in result.output + str(result.exception)
    assert list(tmp_path.glob("runs/*")) == []
