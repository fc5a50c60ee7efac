"""What the software prints and writes for users to paste, pasted: Next lines and the model card."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from finetune_fakes import tiny_adapter, tiny_base

from finetune_lora.evaluate.model_card import write_model_card
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


def blocks(markdown: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


def next_commands(output: str) -> list[str]:
    return re.findall(r"^  (\S.*)$", output.partition("Next")[2], re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base model and labelled data, where a user would work."""
    place = tmp_path_factory.mktemp("my place")
    tiny_base(place / "base")
    (place / "data").mkdir()
    rows = [
        {"text": f"{mood} laptop {n}", "label": label}
        for n in range(20)
        for mood, label in (("great", "good"), ("awful", "bad"))
    ]
    for name, part in (("train", rows[:30]), ("test", rows[30:])):
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (place / "data" / f"{name}.jsonl").write_text(lines)
    return place


@pytest.fixture(scope="module")
def trained(place: Path) -> tuple[Path, list[str]]:
    """A run, and the commands that the training printed at its end."""
    command = (
        f"'{BIN}/finetune-lora' train --data data/train.jsonl --base path:base --output run "
        "--max-steps 2 --max-minutes 1"
    )
    done = paste(command, place, FINETUNE_DATA_DIR=str(place / "var"))
    return place / "run", next_commands(done.stdout)


@pytest.fixture(scope="module")
def run(trained: tuple[Path, list[str]], place: Path) -> Path:
    """The run, exported and evaluated by the commands that the training printed."""
    folder, (export, evaluate) = trained
    exported = paste(export, place)
    assert exported.stderr == "Calibrating 4-bit weights on 30 examples; this can take a minute.\n"
    done = paste(evaluate, place, FINETUNE_DATA_DIR=str(place / "var"))
    written = re.findall(r"^Wrote (.*)$", done.stderr, re.MULTILINE)
    assert {Path(path).name for path in written} >= {"report.md", "report.json", "README.md"}
    assert all((place / path).is_file() for path in written)
    for line in done.stderr.splitlines():
        assert not re.search(r"^\{|Warning|Traceback", line), line
    return folder


def test_commands_that_training_and_exports_print_run(run: Path, place: Path) -> None:
    assert (run / "model" / "export.json").exists()
    merged = paste(f"'{BIN}/finetune-lora' export --adapter run --to merged", place)
    [convert] = next_commands(merged.stdout)
    [use] = next_commands(paste(convert, place).stdout)
    paste(use, place)


def test_model_card_recipes_run_in_the_folder_of_the_card(run: Path, place: Path) -> None:
    # The folder may have moved, as a downloaded one has.
    folder = place / "downloaded"
    shutil.copytree(run, folder)
    card = (folder / "README.md").read_text("utf-8")
    assert str(place) not in card
    [recipe] = blocks(card, "python")
    subprocess.run([sys.executable, "-c", recipe], cwd=folder, check=True)
    [commands] = blocks(card, "bash")
    # An active virtual environment.
    paste(commands, folder, PATH=f"{BIN}{os.pathsep}{os.defpath}")
    model = load_chat_model(f"path:{folder}/openvino", max_tokens=5)
    with closing(model.engine):
        assert model.invoke("great laptop").usage_metadata["output_tokens"]


def test_model_card_recipe_for_a_base_of_the_hub_runs(tmp_path: Path) -> None:
    """With the tiny base as the hub's SmolLM2, in the hub's cache."""
    repository = tmp_path / "hub/models--HuggingFaceTB--SmolLM2-135M-Instruct"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0" * 40)
    base = tiny_base(repository / "snapshots" / ("0" * 40))
    adapter = tiny_adapter(tmp_path / "adapter", base)
    task = {"system": "Answer with JSON. " * 200, "answers": {}}
    (adapter / "task.json").write_text(json.dumps(task))
    write_model_card(adapter, run={"base": "smollm2"}, task=task)
    [recipe] = blocks((adapter / "README.md").read_text("utf-8"), "python")
    variables = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", recipe]
    subprocess.run(command, cwd=adapter, env={**os.environ, **variables}, check=True)
