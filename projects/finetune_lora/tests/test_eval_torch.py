"""A real, if tiny, model through the whole evaluation: scores, calibration, forgetting."""

from __future__ import annotations

from pathlib import Path

import pytest
from finetune_fakes import tiny_base

from finetune_lora.evaluate.evaluate import evaluate
from finetune_lora.evaluate.forgetting import General, compare, forgetting
from finetune_lora.example import Dataset, Example


def test_a_tiny_model(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from finetune_lora.answer.predictor import TorchPredictor
    from finetune_lora.model.base import load_base

    rows = tuple(
        Example(({"role": "user", "content": text}, {"role": "assistant", "content": label}), label)
        for text, label in [("great", "good"), ("awful", "bad"), ("thanks", "good")]
    )
    data = Dataset(rows, ("bad", "good"), "tiny.jsonl")
    base = load_base(tiny_base(tmp_path / "base"), dtype="float32")
    model = TorchPredictor(base, "base", labels=data.labels)
    found = evaluate(data, [model], train=data)
    assert found["schema_valid"] == 1.0 and 0 <= found["ece"] <= 1
    assert found["latency_p50_ms"] > 0 and found["seen_in_training"] == 3

    outcome = forgetting(model, General((("good or bad?", ("good", "bad"), 0),), ("thanks bob",)))
    assert 4 < outcome.loss_per_token < 9  # nearly ln 512: it has learnt nothing
    change = compare(outcome, outcome)["differences"]
    assert change["loss_per_token"]["difference"] == 0.0
