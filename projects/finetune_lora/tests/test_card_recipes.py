"""What the software prints and writes for users to paste, pasted: Next lines and the model card."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from finetune_fakes import tiny_base

from finetune_lora.data.read import as_lines
from seedbed.models.load import load_chat_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
BIN = Path(sys.executable).parent


def paste(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell that knows no programs but those of the system."""
    path = variables.pop("PATH", os.defpath)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done


def block(card: Path, language: str) -> str:
    """The only code block of a page in this language."""
    pattern = rf"^```{language}\n(.*?)^```$"
    [code] = re.findall(pattern, card.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(code)


def next_commands(output: str) -> list[str]:
    return re.findall(r"^  (\S.*)$", output.partition("Next")[2], re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base model and labelled data, where a user would work."""
    place = tmp_path_factory.mktemp("my place")
    tiny_base(place / "base")
    moods = (("great", "good"), ("awful", "bad"))
    rows = [{"text": f"{mood} laptop {n}", "label": lab} for n in range(20) for mood, lab in moods]
    (place / "train.jsonl").write_bytes(as_lines(rows[:30]))
    (place / "test.jsonl").write_bytes(as_lines(rows[30:]))
    return place


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """A run, exported and evaluated by the commands that the training printed."""
    variables = {"FINETUNE_DATA_DIR": str(place / "var")}
    options = "--data train.jsonl --base path:base --output run --max-steps 2 --max-minutes 1"
    done = paste(f"'{BIN}/finetune-lora' train {options}", place, **variables)
    export, evaluate = next_commands(done.stdout)
    exported = paste(export, place)
    assert exported.stderr == ""
    done = paste(evaluate, place, **variables)
    written = re.findall(r"^Wrote (.*)$", done.stderr, re.MULTILINE)
    assert {Path(path).name for path in written} >= {"report.md", "report.json", "README.md"}
    assert all((place / path).is_file() for path in written)
    assert not re.search(r"^\{|Warning|Traceback", done.stderr, re.MULTILINE)
    return place / "run"


def test_commands_that_training_and_exports_print_run(run: Path, place: Path) -> None:
    assert (run / "model" / "export.json").exists()
    merged = paste(f"'{BIN}/finetune-lora' export --adapter run --to merged", place)
    [convert] = next_commands(merged.stdout)
    [use] = next_commands(paste(convert, place).stdout)
    # What was exported can be published: it does not contain the path of the data.
    paste(use.replace("TEST.jsonl", "test.jsonl"), place)


def test_model_card_recipes_run_in_the_folder_of_the_card(run: Path, place: Path) -> None:
    # The folder may have moved, as a downloaded one has.
    folder = place / "downloaded"
    shutil.copytree(run, folder)
    card = folder / "README.md"
    assert str(place) not in card.read_text("utf-8")
    code = block(card, "python").replace('"BASE"', repr(str(place / "base")))
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    # An active virtual environment.
    paste(block(card, "bash"), folder, PATH=f"{BIN}{os.pathsep}{os.defpath}")
    model = load_chat_model(f"path:{folder}/openvino", max_tokens=5)
    with closing(model.engine):
        assert model.invoke("great laptop").usage_metadata["output_tokens"]
