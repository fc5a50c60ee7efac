"""Fine-tuning, generating and scoring with tiny random models of both kinds, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from research_repro.paper import Cell
from research_repro.papers.lora import gpt2, smollm2
from research_repro.papers.lora.data_to_text import Recipe, run
from research_repro.papers.lora.records import generate
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput, ConfigError, WeightsError

Save = Callable[[str], str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """save("gpt2"): the spec of a folder with a tiny random model and its tokenizer."""

    def save_model(kind: str) -> str:
        words = Tokenizer(models.WordLevel(unk_token="?"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        texts = [text for r in generate(0, 30, "train") for text in (r.mr, *r.references)]
        words.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=["?", "<end>"]))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>")
        size = len(tokenizer)
        sizes: dict[str, Any]
        model: Any
        if kind == "gpt2":
            sizes = {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 256}
            model = GPT2LMHeadModel(GPT2Config(vocab_size=size, eos_token_id=1, **sizes))
        else:
            sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
            sizes |= {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": size}
            model = LlamaForCausalLM(LlamaConfig(**sizes, bos_token_id=1, eos_token_id=1))
        for item in (model, tokenizer):
            item.save_pretrained(tmp_path / kind)
        return f"path:{tmp_path / kind}"

    return save_model


@pytest.fixture
def e2e(tmp_path: Path) -> str:
    """A data folder with four records for training and four for the test."""
    folder = tmp_path / "e2e"
    folder.mkdir()
    for name, records in (
        ("devset.csv", generate(1, 4, "train")),
        ("testset_w_refs.csv", generate(1, 4, "test")),
    ):
        rows = [f'"{r.mr}","{text}"' for r in records for text in r.references]
        (folder / name).write_text("\n".join(["mr,ref", *rows]), "utf-8")
    return str(folder)


def shortened(cell: Cell, spec: str, steps: int = 2) -> Cell:
    """The cell with another model, few steps and two test records."""
    recipe = replace(Recipe(**cell.settings), model=spec, steps=steps, batch=2, test_records=2)
    recipe.generation["max_new_tokens"] = 12
    return Cell(cell.name, cell.seed, asdict(recipe))


@pytest.mark.slow
@pytest.mark.parametrize("name", smollm2.METHODS)
def test_smollm2_cell_with_tiny_llama(
    save: Save, e2e: str, workspace: Workspace, name: str
) -> None:
    cells = {cell.name: cell for cell in smollm2.cells("laptop", [3])}
    workspace.data = e2e
    result = run(shortened(cells[f"smollm2-{name}"], save("llama")), workspace)
    assert (result["trained_parameters"] == result["parameters"]) == (name == "full")
    assert result["seconds_per_step"] > 0
    assert 0 <= result["slots"] <= 100
    assert len(result["texts"]) == result["records"] == 2


@pytest.mark.slow
@pytest.mark.own_process
def test_headline_cell_runs_with_the_packaged_model(e2e: str, workspace: Workspace) -> None:
    cell = next(cell for cell in smollm2.cells("laptop", [0]) if cell.name == "smollm2-lora")
    workspace.data = e2e
    result = run(shortened(cell, cell.settings["model"]), workspace)
    assert result["parameters"] > 100e6 > 2e6 > result["trained_parameters"]
    assert all(text for _, text in result["texts"])


@pytest.mark.slow
def test_gpt2_cells_run_with_tiny_gpt2(save: Save, e2e: str, workspace: Workspace) -> None:
    workspace.data = e2e
    for cell in gpt2.cells("paper", [0], save("gpt2")):
        result = run(shortened(cell, cell.settings["model"]), workspace)
        assert result["loss"] > 0
        for _, text in result["texts"]:
            words = text.split()
            quads = list(zip(*(words[i:] for i in range(4)), strict=False))
            assert len(quads) == len(set(quads))


@pytest.mark.slow
def test_training_learns_and_repeats_with_its_seed(save: Save, workspace: Workspace) -> None:
    recipe = Recipe(save("llama"), "full", {}, 1e-2, test_records=2, dtype="float32")
    cells = [Cell("tiny", seed, asdict(replace(recipe, steps=30))) for seed in (0, 0, 1)]
    first, again, other = (run(cell, workspace)["loss"] for cell in cells)
    start = run(Cell("start", 0, asdict(replace(recipe, steps=1))), workspace)["loss"]
    assert first == again != other
    assert first < start - 0.5


def test_cells_start_with_headline_for_all_seeds() -> None:
    names = [cell.id for cell in smollm2.cells("laptop", [0, 1])]
    assert names[:4] == [f"smollm2-{n}-seed{s}" for s in (0, 1) for n in ("full", "lora")]
    assert [name for name in names if "bitfit" in name] == ["smollm2-bitfit-seed0"]
    assert len(set(names)) == 8
    assert {cell.name for cell in gpt2.cells("paper", [0])} == set(gpt2.PUBLISHED)
    assert smollm2.cells("smoke", [0]) == gpt2.cells("laptop", [0]) == []


def test_paper_scale_refuses_generated_data(save: Save, workspace: Workspace) -> None:
    cell = gpt2.cells("paper", [0], save("gpt2"))[0]
    with pytest.raises(BadInput, match=r"gpt2-lora needs the E2E data set\. Set RESEARCH_DATA"):
        run(cell, workspace)


def test_unknown_model_is_reported(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="Unknown base model 'gpt-9'"):
        run(shortened(smollm2.cells("laptop", [0])[0], "gpt-9"), workspace)


def test_damaged_weights_are_reported(save: Save, workspace: Workspace) -> None:
    spec = save("llama")
    (Path(spec.removeprefix("path:")) / "model.safetensors").write_bytes(b"1234")
    with pytest.raises(WeightsError, match="Cannot load") as caught:
        run(shortened(smollm2.cells("laptop", [0])[0], spec), workspace)
    assert "\n" not in str(caught.value)
