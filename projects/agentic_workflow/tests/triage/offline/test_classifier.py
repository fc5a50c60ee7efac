from pathlib import Path

import pytest

from agentic_workflow.case import CATEGORIES
from agentic_workflow.triage.offline.classifier import EXAMPLES, Classifier, read_examples
from seedbed.errors import ConfigError
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


def test_classifier_is_trained_anew_for_other_examples(tmp_path: Path, examples: Path) -> None:
    Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    examples.write_text(examples.read_text().replace("rude", "awful"))
    Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_classifier_is_trained_anew_if_its_cache_is_cut_off(tmp_path: Path, examples: Path) -> None:
    Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    stored.write_bytes(stored.read_bytes()[:1000])
    classifier = Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    assert classifier.probabilities("the parcel and the courier")["shipping"] > 0.5


def test_examples_with_an_unknown_category_are_refused_with_the_line(examples: Path) -> None:
    text = examples.read_text() + '{"subject": "", "text": "x", "category": "greeting"}\n'
    examples.write_text(text)
    with pytest.raises(ConfigError, match=r"line 63: unknown category 'greeting'"):
        read_examples(examples)


def test_shipped_examples_cover_all_categories() -> None:
    assert {category for _, category in read_examples(EXAMPLES)} == set(CATEGORIES)


def test_examples_that_lack_a_category_are_refused(examples: Path) -> None:
    lines = examples.read_text().splitlines(keepends=True)
    spam = [line for line in lines if "spam" in line]
    examples.write_text("".join([*(line for line in lines if line not in spam), *spam[:3]]))
    with pytest.raises(ConfigError, match=r"each category needs 4 examples, not spam 3\."):
        read_examples(examples)


def test_example_without_a_text_is_refused_with_the_line(examples: Path) -> None:
    examples.write_text('{"subject": "Hello", "category": "spam"}\n' + examples.read_text())
    with pytest.raises(ConfigError, match=r"line 1: 'text' is missing"):
        read_examples(examples)
