"""Four bits chosen on text lose less of what a model says than weights rounded one by one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finetune_fakes import tiny_adapter, tiny_base
from gguf import GGMLQuantizationType, GGUFReader, dequantize
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_lora.data.read import load_dataset
from finetune_lora.example import Dataset
from finetune_lora.export import export
from finetune_lora.export.four_bits import quantize_q4_1
from finetune_lora.export.gguf import to_gguf
from finetune_lora.export.gptq import gptq, quantize_on, spread
from finetune_lora.export.merge import merge
from finetune_lora.model.adapter import TASK_FILE
from finetune_lora.model.encode import encode
from seedbed.errors import BadInput


def read_back(data: Any) -> Any:
    return dequantize(data, GGMLQuantizationType.Q4_1)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return tiny_adapter(folder / "adapter", tiny_base(folder / "base"))


@pytest.fixture(scope="module")
def model(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return merge(adapter, tmp_path_factory.mktemp("model") / "merged", dtype="float32")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    words = ["reset", "the", "password", "of", "anna", "bob", "order", "ticket", "laptop", "please"]
    rng = np.random.default_rng(0)
    rows = [" ".join(rng.choice(words, size=6 + i % 5)) for i in range(80)]
    path.write_text("".join(f'{{"prompt": "{r}", "completion": "{r[:9]}"}}\n' for r in rows))
    return load_dataset(path)


def test_errors_of_one_weight_are_made_good_by_others() -> None:
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(16, 96)) @ np.diag(rng.uniform(0.1, 3, 96))
    inputs = rng.normal(size=(500, 16)) @ mixed + 0.1 * rng.normal(size=(500, 96))
    weights = rng.normal(size=(48, 96)).astype(np.float32)
    before = weights.copy()
    chosen = read_back(gptq(weights, spread(inputs.T @ inputs)))
    alone = read_back(quantize_q4_1(weights))
    assert np.array_equal(weights, before)

    def missed(rows: Any) -> float:
        return float(np.square(inputs @ (rows - weights).T).mean())

    assert missed(chosen) < 0.3 * missed(alone)


def test_inputs_that_tell_nothing_leave_plain_rounding() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(8, 64)).astype(np.float32)
    assert np.array_equal(gptq(weights, spread(np.eye(64))), quantize_q4_1(weights))


def test_a_model_says_nearly_what_it_said(model: Path, data: Dataset) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [torch.tensor([e.ids]) for e in encode(tokenizer, data.examples[:20], max_tokens=99)]

    def answers(change: Any) -> torch.Tensor:
        network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        with torch.no_grad():
            for name, weight in network.named_parameters():
                if ".layers." in name and weight.dim() == 2:
                    weight.copy_(torch.from_numpy(read_back(change(name, weight.numpy()))))
            return torch.cat([network(input_ids=row).logits[0] for row in rows])

    exact = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        wanted = torch.cat([exact(input_ids=row).logits[0] for row in rows])
    chosen = quantize_on(model, data.examples)
    assert len(chosen) == 2 * 7  # every linear layer, not the embeddings
    missed = (answers(lambda name, _: chosen[name]) - wanted).square().mean()
    alone = (answers(lambda _, weight: quantize_q4_1(weight)) - wanted).square().mean()
    assert missed < 0.7 * alone


def test_a_layer_is_chosen_on_what_those_before_it_became(model: Path, data: Dataset) -> None:
    chosen = quantize_on(model, data.examples[:40])
    name = "model.layers.1.self_attn.q_proj"
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    products = torch.zeros(64, 64)

    def add(_: Any, inputs: tuple[torch.Tensor]) -> None:
        seen = inputs[0][0]
        products.add_(seen.T @ seen)

    network.get_submodule(name).register_forward_pre_hook(add)

    def same_bytes() -> float:
        products.zero_()
        tokenizer = AutoTokenizer.from_pretrained(model)
        with torch.no_grad():
            for one in encode(tokenizer, data.examples[:40], max_tokens=99):
                network(input_ids=torch.tensor([one.ids]))
        weights = network.get_submodule(name).weight.detach().numpy()
        return float((gptq(weights, spread(products.numpy())) == chosen[f"{name}.weight"]).mean())

    untouched = same_bytes()
    with torch.no_grad():
        for key, rows in chosen.items():
            if ".layers.0." in key:
                network.get_parameter(key).copy_(torch.from_numpy(read_back(rows)))
    assert same_bytes() > 0.99 > untouched  # but for sums in another order


def test_what_cannot_be_exported_is_said_at_once(
    tmp_path: Path, adapter: Path, data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    folder = merge(adapter, tmp_path / "merged", dtype="float32")
    (folder / TASK_FILE).write_text("{")
    with pytest.raises(BadInput, match=r"task\.json is corrupt"):
        export(folder, "gguf", tmp_path / "out", force=False)
    (folder / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}')
    with caplog.at_level("INFO"), pytest.raises(BadInput, match=r"Unigram"):
        to_gguf(folder, tmp_path / "out", type="Q4_1", examples=data.examples)
    assert "four bits" not in caplog.text  # refused before any weight was chosen


def test_other_types_are_not_chosen(tmp_path: Path, model: Path, data: Dataset) -> None:
    path = to_gguf(model, tmp_path / "given" / "out", type="Q8_0", examples=data.examples)
    alone = to_gguf(model, tmp_path / "without" / "out", type="Q8_0")
    assert path.read_bytes() == alone.read_bytes()


def test_the_file_holds_what_was_chosen(tmp_path: Path, model: Path, data: Dataset) -> None:
    path = to_gguf(model, tmp_path / "out", type="Q4_1", examples=data.examples)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(path).tensors}
    assert kinds["blk.0.attn_q.weight"] == "Q4_1" and kinds["token_embd.weight"] == "Q8_0"
    made = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name).state_dict()
    for name, rows in quantize_on(model, data.examples).items():
        assert np.allclose(made[name].float().numpy(), read_back(rows), atol=1e-2), name


def test_export_calibrates_on_the_training_data_where_it_is(
    tmp_path: Path, adapter: Path, model: Path, data: Dataset
) -> None:
    model = shutil.copytree(model, tmp_path / "model")
    known = f'{{"data": {{"path": "{data.source}", "sha256": "{data.sha256}"}}}}'
    (model / TASK_FILE).write_text(known)
    result = export(model, "gguf", tmp_path / "known", force=False)
    assert result["type"] == "Q4_1"
    chosen = Path(result["path"]).read_bytes()
    assert (tmp_path / "known" / TASK_FILE).read_text() == known
    given = export(adapter, "gguf", tmp_path / "given", data=data.source, force=False)
    assert given["type"] == "Q4_1"
    alone = to_gguf(model, tmp_path / "alone", type="Q4_1").read_bytes()
    assert alone != chosen and len(alone) == len(chosen)

    (model / TASK_FILE).write_text(known.replace(data.sha256, "another"))
    assert export(model, "gguf", tmp_path / "changed", force=False)["type"] == "Q8_0"
    assert export(adapter, "gguf", tmp_path / "unknown", force=False)["type"] == "Q8_0"
