from pathlib import Path

import pytest

from agentic_workflow.case import CATEGORIES
from agentic_workflow.triage.offline.classifier import EXAMPLES, Classifier, read_examples
from seedbed.errors import BadInput
from seedbed.models.embeddings.hash import HashEmbeddings


def test_classifier_learns_calibrates_and_is_cached(tmp_path: Path, examples: Path) -> None:
    first = Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    written = stored.stat().st_mtime_ns
    again = Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    probabilities = first.probabilities("the parcel and the courier")
    assert max(probabilities, key=lambda c: probabilities[c]) == "shipping"
    assert sum(probabilities.values()) == pytest.approx(1)
    assert again.probabilities("the parcel and the courier") == pytest.approx(probabilities)
    assert stored.stat().st_mtime_ns == written


def test_classifier_is_trained_anew_for_other_examples_and_a_cache_that_is_cut_off(
    tmp_path: Path, examples: Path
) -> None:
    Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    stored.write_bytes(stored.read_bytes()[:1000])
    classifier = Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    assert classifier.probabilities("the parcel and the courier")["shipping"] > 0.5
    examples.write_text(examples.read_text().replace("rude", "awful"))
    Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_shipped_examples_cover_all_categories() -> None:
    assert {example.category for example in read_examples(EXAMPLES)} == set(CATEGORIES)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            '{"subject": "", "text": "x", "category": "greeting"}',
            "line 1: category: Input",
        ),
        ('{"subject": "Hello", "category": "spam"}', "line 1: text: Field required"),
        ('{"subject": "", "text": "x", "category": "spam"}', "needs 4 examples, not billing 0"),
    ],
)
def test_wrong_examples_are_refused(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "examples.jsonl").write_text(f"{line}\n")
    with pytest.raises(BadInput, match=reason):
        read_examples(tmp_path / "examples.jsonl")
