"""Folders that transformers reads: what a spec names, and how weights are identified."""

from pathlib import Path

import pytest

from seedbed.errors import ConfigError, WeightsError
from seedbed.models.weights.hf_folder import fingerprint, hf_folder, resolve_dtype


def test_hf_folder_rejects_specs_without_weights(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'nonsense'"):
        hf_folder("nonsense")
    with pytest.raises(ConfigError, match="'int3'"):
        resolve_dtype("int3")
    (tmp_path / "weights.txt").write_text("")
    with pytest.raises(WeightsError, match=r"it contains: weights\.txt"):
        hf_folder(f"path:{tmp_path}")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    assert hf_folder(f"path:{tmp_path}") == tmp_path


@pytest.mark.slow
def test_hf_folder_of_the_packaged_model_predicts_words() -> None:
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    folder = hf_folder("smollm2")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert tokenizer.tokenize("12") == ["1", "2"]  # single digits, as it was trained
    tokens = tokenizer("The capital of France is", return_tensors="pt")
    with torch.inference_mode():
        best = model(**tokens).logits[0, -1].argmax()
    assert tokenizer.decode(best) == " Paris"


def test_fingerprint_depends_on_weights_alone(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(3 << 20))
    before = fingerprint(tmp_path)
    for name in ("config.json", "adapter_model.safetensors", "training_args.bin"):
        (tmp_path / name).write_text("1")
    assert fingerprint(tmp_path) == before
    weights.write_bytes(bytes((3 << 20) - 1) + b"1")
    assert fingerprint(tmp_path) != before
