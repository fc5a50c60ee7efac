"""Search in the policy documents."""

from pathlib import Path

import pytest

from agentic_workflow.case import Language
from agentic_workflow.reply.passages import Passages
from seedbed.errors import ConfigError
from seedbed.models.embeddings.hash import HashEmbeddings

RETURNS = """# Returns

## 1. Thirty days
Send any item back
within 30 days.

## 2. Labels
We e-mail a label.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "returns.en.md").write_text(RETURNS)
    (tmp_path / "shipping.en.md").write_text("# Shipping\n\n## 1. Labels\nA label has a number.\n")
    (tmp_path / "returns.de.md").write_text("# Rückgabe\n\n## 1. Frist\nInnerhalb von 30 Tagen.\n")
    return tmp_path


def test_passage_has_source_and_verbatim_text(folder: Path) -> None:
    best = Passages(folder, HashEmbeddings()).search("an item back in 30 days", "en", k=1)
    text = "Send any item back within 30 days."
    assert [(p.source, p.text, p.language) for p in best] == [("returns §1", text, "en")]


def test_topic_of_the_category_comes_first(folder: Path) -> None:
    passages = Passages(folder, HashEmbeddings())
    assert passages.search("label", "en", category="refund")[0].source == "returns §2"
    assert passages.search("label", "en", category="shipping")[0].source == "shipping §1"


def test_missing_language_is_a_config_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match="WORKFLOW_POLICIES"):
        Passages(folder, HashEmbeddings()).search("30 jours", "fr")


QUESTIONS: tuple[tuple[str, Language, str], ...] = (
    ("The lamp arrived broken.", "en", "returns §5"),
    ("Die Lampe kam kaputt an.", "de", "returns §5"),
    ("La lampe est arrivée cassée.", "fr", "returns §5"),
    ("La lámpara llegó rota.", "es", "returns §5"),
)


@pytest.mark.parametrize(("query", "language", "source"), QUESTIONS)
def test_everyday_words_lead_to_the_words_of_the_policy(
    query: str, language: Language, source: str
) -> None:
    sample = pytest.importorskip("agentic_workflow.sample")
    passages = Passages(Path(sample.__path__[0]) / "policies", HashEmbeddings())
    assert passages.search(query, language, category="refund")[0].source == source
