"""A small model sorts the mails of which the classifier is not sure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentic_workflow.case import Mail, Screening
from agentic_workflow.triage.offline.classifier import Classifier
from agentic_workflow.triage.offline.offline_triager import OfflineTriager
from agentic_workflow.triage.offline.sorter import SURE, Sorter, training_example
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel

UNCLEAR = "parcel invoice login app"
CLEAR = "Where is the parcel, the parcel, the courier?"
REPLY = json.dumps({"category": "billing", "language": "en"})


def letter(text: str) -> Mail:
    return Mail(message_id="1", content_hash="1", sender="", subject="Hello", text=text)


@pytest.fixture
def classifier(tmp_path: Path, examples: Path) -> Classifier:
    return Classifier(HashEmbeddings(32), examples, tmp_path)


def test_sorter_is_asked_only_where_the_classifier_is_not_sure(classifier: Classifier) -> None:
    model = ScriptedChatModel(replies=[REPLY])
    triager = OfflineTriager(classifier, Sorter(model))
    assert triager.triage(letter(CLEAR), Screening()).category == "shipping"
    triage = triager.triage(letter(UNCLEAR), Screening())
    assert (triage.category, "model" in triage.reasons[0]) == ("billing", True)
    assert triage.confidence < SURE  # it never makes the desk surer
    assert len(model.calls) == 1


def test_sorter_that_fails_leaves_the_category_of_the_classifier(classifier: Classifier) -> None:
    broken = Sorter(ScriptedChatModel(replies=["no JSON", "no JSON"]))
    alone, with_broken = OfflineTriager(classifier), OfflineTriager(classifier, broken)
    expected = alone.triage(letter(UNCLEAR), Screening())
    assert with_broken.triage(letter(UNCLEAR), Screening()) == expected


def test_training_example_has_the_messages_of_the_request() -> None:
    model = ScriptedChatModel(replies=[REPLY])
    Sorter(model).category(letter("Where is it?"))
    example = training_example("Hello", "Where is it?", "shipping", "en")["messages"]
    assert [m["content"] for m in example[:-1]] == [m.text for m in model.calls[0].messages]
    assert json.loads(example[-1]["content"]) == {"category": "shipping", "language": "en"}
