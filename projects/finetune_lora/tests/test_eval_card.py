"""The model card: what the hub's own reader makes of it, and what it must not tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune_lora.answer.prediction import Prediction
from finetune_lora.evaluate.evaluate import evaluate
from finetune_lora.evaluate.model_card import hub_id, model_card, write_model_card
from finetune_lora.example import Dataset, Example
from finetune_lora.helpdesk.tools import call

hub = pytest.importorskip("huggingface_hub")
RUN: dict[str, Any] = {
    "base": "smollm2",
    "args": {"r": 16, "lr": 5e-4, "method": "lora", "data": "/home/me/train.jsonl"},
    "data": {"path": "/home/me/train.jsonl", "sha256": "ab" * 32, "n": 900},
    "results": {"stopped_by": "time", "tokens": 5000, "folder": "/home/me/run"},
    "steps": 19,
    "planned_steps": 160,
    "versions": {"torch": "2.9"},
}
TASK = {"labels": [], "system": 'Say "JSON".\nAlways.'}
CUT = "Its training stopped at its time limit, after 19 of 160 steps."


class Right:
    name = "adapter"

    def answer(self, examples: Any, **_: int) -> list[Prediction]:
        return [Prediction(example.answer, constrained=True) for example in examples]


def _result(label: str | None = None, **options: Any) -> dict[str, Any]:
    messages = {"role": "user", "content": "hi"}, {"role": "assistant", "content": call("none")}
    row = Example(messages, label, {"noise": "typos | bad"})
    data = Dataset((row,) * 20, (label,) if label else (), "/home/me/test.jsonl")
    return evaluate(data, [Right()], run=RUN, **options)


def test_hub_reads_the_card(tmp_path: Path) -> None:
    path = write_model_card(tmp_path, run=RUN, result=_result(), task=TASK)
    data = hub.ModelCard.load(path).data
    assert data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (data.library_name, data.license, data.metrics) == (
        "peft",
        "apache-2.0",
        ["exact_match"],
    )
    assert hub_id("hf:org/name@0123:test") == "org/name"
    assert hub_id("/tmp/x.jsonl") is None and hub_id("path:/tmp") is None and hub_id("") is None


@pytest.mark.parametrize("result", [None, _result()])
def test_card_has_facts_but_no_folders_of_the_machine(result: dict[str, Any] | None) -> None:
    run = RUN | {"base": "path:/home/me/acme/base"}
    text = model_card("a", run=run, result=result, task=TASK, data_card="# Data\n\n900 rows.")
    assert "/home/me" not in text and "`path:base`" in text
    for fact in ("| r | 16 |", "| tokens | 5000 |", "| torch | 2.9 |", "### Data\n", CUT):
        assert fact in text
    assert '"Say \\"JSON\\".\\nAlways."' in text  # in the recipe
    assert ("Not evaluated" in text) is (result is None)
    assert "typos \\| bad" in text or result is None


def test_card_says_what_the_schema_allows() -> None:
    schema = {"type": "object", "properties": {"name": {"enum": ["a", "none"]}}}
    text = model_card("a", run=RUN, result=_result(schema=schema), task={"schema": schema})
    assert "with answers constrained to the schema." in text
    assert "| name | a, none |" in text


def test_card_of_labels_has_the_call_that_gives_its_figures() -> None:
    task = {"labels": ["bad", "good"]}
    text = model_card("a", run=RUN, result=_result("good"), task=task)
    assert "one of 2 labels: bad, good" in text and "constrained to the labels." in text
    assert '{"type": "string", "enum": ["bad", "good"]}' in text
    assert hub.ModelCard(text).data.metrics == ["accuracy"]


def test_data_card_is_a_section_without_its_header() -> None:
    data_card = '---\nlicense: "unknown"\n---\n\n# Data card\n\n## Splits\n\n900 rows.\n'
    text = model_card("a", run=RUN, data_card=data_card)
    assert "license:" not in hub.ModelCard(text).text
    assert "## Training data\n\n### Data card\n\n#### Splits\n\n900 rows.\n\n## Training\n" in text
