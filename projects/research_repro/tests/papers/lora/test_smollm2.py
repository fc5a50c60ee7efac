"""Fine-tuning, generating and scoring with a tiny random Llama, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from research_repro.paper import Cell
from research_repro.papers.lora.cells import cells
from research_repro.papers.lora.records import generate
from research_repro.papers.lora.smollm2 import fine_tune
from research_repro.papers.lora.tiny_llama import make_model, make_tokenizer
from research_repro.runs.workspace import Workspace
from seedbed.errors import ConfigError, WeightsError

CELLS = {cell.name: cell for cell in cells("laptop", [3]) if "smollm2" in cell.name}


@pytest.fixture
def llama(tmp_path: Path) -> str:
    """The spec of a folder with a tiny random model and its tokenizer."""
    texts = [text for r in generate(0, 30, "train") for text in (r.mr, *r.references)]
    tokenizer = make_tokenizer(texts)
    for item in (make_model(len(tokenizer), width=32, layers=1), tokenizer):
        item.save_pretrained(tmp_path / "llama")
    return f"path:{tmp_path / 'llama'}"


def shortened(name: str, steps: int = 2, seed: int = 3) -> Cell:
    """The cell with few steps and two test records."""
    settings = {**CELLS[name].settings, "steps": steps, "batch": 2, "test_records": 2}
    return Cell(name, seed, settings)


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_cell_with_tiny_llama(llama: str, workspace: Workspace, name: str) -> None:
    result = fine_tune(shortened(name), workspace, llama)
    assert (result["trained_parameters"] == result["parameters"]) == (name == "smollm2-full")
    assert 0 <= result["slots"] <= 100
    assert len(result["texts"]) == 2


@pytest.mark.slow
def test_headline_cell_runs_with_the_packaged_model(workspace: Workspace) -> None:
    result = fine_tune(shortened("smollm2-lora"), workspace)
    assert result["parameters"] > 100e6 > 2e6 > result["trained_parameters"]
    assert all(text for _, text in result["texts"])


@pytest.mark.slow
def test_training_learns_and_repeats_with_its_seed(llama: str, workspace: Workspace) -> None:
    trainings = [shortened("smollm2-lora", 60, seed) for seed in (0, 0, 1)]
    first, again, other = (fine_tune(cell, workspace, llama)["loss"] for cell in trainings)
    start = fine_tune(shortened("smollm2-lora", 1, 0), workspace, llama)["loss"]
    assert first == again != other
    assert first < start


def test_unknown_model_is_reported(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="Unknown base model 'gpt-9'"):
        fine_tune(shortened("smollm2-full"), workspace, "gpt-9")


def test_damaged_weights_are_reported(llama: str, workspace: Workspace) -> None:
    (Path(llama.removeprefix("path:")) / "model.safetensors").write_bytes(b"1234")
    with pytest.raises(WeightsError, match="Cannot load") as caught:
        fine_tune(shortened("smollm2-full"), workspace, llama)
    assert "\n" not in str(caught.value)
