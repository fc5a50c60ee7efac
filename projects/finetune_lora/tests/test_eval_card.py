"""The model card: what the hub's own reader makes of it, and what it must not tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune_lora.answer.prediction import Prediction
from finetune_lora.data.card import public_name
from finetune_lora.evaluate.evaluate import evaluate
from finetune_lora.evaluate.forgetting import Forgetting, compare
from finetune_lora.evaluate.model_card import hub_id, model_card, write_model_card
from finetune_lora.example import Dataset, Example
from finetune_lora.helpdesk.tools import call

hub = pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.filterwarnings(
    "error",
    # The garbage of other tests may be collected during these.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

RUN: dict[str, Any] = {
    "base": "smollm2",
    "state": "finished",
    "args": {"r": 16, "lr": 5e-4, "method": "lora", "data": "/home/me/train.jsonl"},
    "data": {"path": "/home/me/train.jsonl", "sha256": "ab" * 32, "n": 900},
    "results": {"train_loss": 0.12345, "tokens": 5000, "tokens_per_second": 432.1},
    "seconds": 301.5,
    "steps": 120,
    "versions": {"torch": "2.9", "peft": "0.21"},
    "git_commit": "abc123",
}
TASK = {"kind": "chat", "labels": [], "system": 'Say "JSON".\nAlways.'}


class Right:
    def __init__(self, name: str, share: float = 1.0, *, constrained: bool = False) -> None:
        self.name, self.share, self.constrained = name, share, constrained

    def answer(self, examples: Any, *, max_new_tokens: int = 0) -> list[Prediction]:
        keep = int(len(examples) * self.share) + 0 * max_new_tokens
        return [
            Prediction(e.answer if i < keep else "?", constrained=self.constrained)
            for i, e in enumerate(examples)
        ]


def _result(label: bool = False, *, constrained: bool = False) -> dict[str, Any]:
    answer = "good" if label else call("none")
    row = Example(
        ({"role": "user", "content": "hello"}, {"role": "assistant", "content": answer}),
        "good" if label else None,
        {"noise": "typos | bad"},
    )
    data = Dataset((row,) * 20, ("good",) if label else (), "/home/me/test.jsonl")
    forgot = compare(Forgetting((1.0, 0.0), (2.0,)), Forgetting((1.0, 1.0), (2.5,)))
    adapter = Right("adapter", constrained=constrained)
    return evaluate(data, [Right("base", 0.5), adapter], forgetting=lambda: forgot)


def test_the_hub_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "my-adapter"
    folder.mkdir()
    path = write_model_card(
        folder, run=RUN, result=_result(), task=TASK, data_card="# Data\n\n900 rows."
    )
    card = hub.ModelCard.load(path)
    assert card.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (card.data.library_name, card.data.license) == ("peft", "apache-2.0")
    assert (card.data.pipeline_tag, card.data.language) == ("text-generation", None)
    assert card.data.metrics == ["exact_match", "f1"]


def test_it_says_what_a_reader_needs() -> None:
    text = model_card("a", run=RUN, result=_result(), task=TASK, data_card="# Data\n\n900 rows.")
    for needed in (
        "# a\n",
        "## Intended use",
        "PeftModel.from_pretrained",
        '"Say \\"JSON\\".\\nAlways."',
        "SEEDBED_MODEL=path:openvino",
        "### Data",
        "| r | 16 |",
        "| tokens trained on | 5000 |",
        "### Systems",
        "### Forgetting",
        "+0.500",
        "typos \\| bad",
        "## Limits",
        "| torch | 2.9 |",
        "n = 20",
    ):
        assert needed in text, needed
    assert "/home/me" not in text  # where it was trained is nobody's business
    assert "\n## Systems" not in text


def test_labels() -> None:
    text = model_card("a", run=RUN, result=_result(True), task={"labels": ["bad", "good"]})
    assert "one of 2 labels: bad, good" in text
    assert hub.ModelCard(text).data.metrics == ["accuracy", "f1"]


def test_a_run_that_was_not_evaluated_and_says_little() -> None:
    text = model_card("a", run={"base": "path:/home/me/secret/base"})
    assert "Not evaluated" in text and "/home/me" not in text
    assert hub.ModelCard(text).data.base_model is None


def test_names_on_the_hub() -> None:
    assert hub_id("hf:org/name@0123:test") == "org/name"
    assert hub_id("/tmp/x.jsonl") is None and hub_id("path:/tmp") is None and hub_id("") is None


def test_card_of_constrained_answers_says_so() -> None:
    for labels, allowed in ((True, "the labels"), (False, "the schema")):
        result = _result(labels, constrained=True)
        task = {"labels": ["bad", "good"]} if labels else {"schema": {"type": "object"}}
        text = model_card("a", run=RUN, result=result, task=task)
        assert f"n = 20), with answers constrained to {allowed}." in text
        assert "Answers were constrained to valid ones for: adapter." in text
        assert "This generates freely" in text
    free = model_card("a", run=RUN, result=_result(), task=TASK)
    assert "constrained" not in free and "This generates freely" not in free


def test_card_renders_the_data_card_as_a_section_without_its_header() -> None:
    markdown_it = pytest.importorskip("markdown_it")
    data_card = '---\nlicense: "unknown"\n---\n\n# Data card\n\n## Splits\n\n900 rows.\n'
    text = hub.ModelCard(model_card("a", run=RUN, data_card=data_card)).text
    tokens = markdown_it.MarkdownIt().parse(text)
    headings = [
        (token.tag, tokens[i + 1].content)
        for i, token in enumerate(tokens)
        if token.type == "heading_open"
    ]
    assert [title for tag, title in headings if tag == "h2"] == [
        "Intended use",
        "How to use",
        "Training data",
        "Training",
        "Evaluation",
        "Limits",
        "Environment",
    ]
    assert ("h3", "Data card") in headings and ("h4", "Splits") in headings
    assert "license:" not in text


def test_card_names_local_models_and_data_without_their_folders() -> None:
    run = RUN | {"base": "path:/home/me/acme/base"}
    text = model_card("a", run=run, result=_result(), task=TASK)
    assert "`path:base`" in text and "/home/me" not in text
    assert public_name("/home/me/acme/tickets.csv") == "tickets.csv"
    assert public_name("path:base") == "path:base"
