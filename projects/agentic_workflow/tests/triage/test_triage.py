import json
from pathlib import Path

import pytest

from agentic_workflow.store.case import CATEGORIES, Mail, Screening
from agentic_workflow.triage.classifier import EXAMPLES, Classifier, read_examples
from agentic_workflow.triage.fields import read_signals
from agentic_workflow.triage.triage import Triager
from seedbed.errors import ConfigError
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel

WORDS = {
    "billing": "invoice charged",
    "refund": "money back broken",
    "shipping": "parcel courier",
    "technical": "app crashes",
    "account": "password login",
    "complaint": "disgrace rude",
    "spam": "lottery prize",
    "other": "opening hours catalogue",
}


def letter(text: str, **fields: object) -> Mail:
    return Mail.model_validate(
        {"message_id": "1", "content_hash": "1", "sender": "", "text": text, **fields}
    )


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    rows = [
        {"subject": word, "text": f"{word} {words} {n}", "category": category}
        for category, words in WORDS.items()
        for n, word in enumerate(words.split() * 3)
    ]
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def triager(tmp_path: Path, examples: Path) -> Triager:
    return Triager(Classifier(HashEmbeddings(32), examples, tmp_path))


def test_classifier_learns_calibrates_and_is_cached(tmp_path: Path, examples: Path) -> None:
    first = Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    written = stored.stat().st_mtime_ns
    again = Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    mail = letter("the parcel and the courier")
    probabilities = first.probabilities(mail, read_signals(mail))
    assert max(probabilities, key=lambda c: probabilities[c]) == "shipping"
    assert sum(probabilities.values()) == pytest.approx(1)
    assert again.probabilities(mail, read_signals(mail)) == pytest.approx(probabilities)
    assert stored.stat().st_mtime_ns == written


def test_classifier_is_trained_anew_for_other_examples(tmp_path: Path, examples: Path) -> None:
    Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    examples.write_text(examples.read_text().replace("rude", "awful"))
    Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_examples_with_an_unknown_category_are_refused_with_the_line(examples: Path) -> None:
    text = examples.read_text() + '{"subject": "", "text": "x", "category": "greeting"}\n'
    examples.write_text(text)
    with pytest.raises(ConfigError, match=r"line 55: unknown category 'greeting'"):
        read_examples(examples)


def test_shipped_examples_cover_all_categories() -> None:
    assert {category for _, category in read_examples(EXAMPLES)} == set(CATEGORIES)


def test_triage_gives_all_fields_with_reasons(triager: Triager) -> None:
    text = "Order 10234 is broken, I want my money back: 129.90 EUR."
    triage = triager.triage(letter(text), Screening())
    assert (triage.category, triage.order_id, str(triage.amount)) == ("refund", "10234", "129.90")
    assert triage.needs_approval
    assert [reason.split(":")[0] for reason in triage.reasons] == [
        "category",
        "order",
        "amount",
        "approval",
    ]


def test_screened_empty_and_automatic_mails_need_no_classifier(triager: Triager) -> None:
    spam = triager.triage(letter("parcel"), Screening(spam=True, reasons=("bad link",)))
    assert (spam.category, spam.priority, spam.needs_approval) == ("spam", "low", False)
    assert triager.triage(letter(""), Screening()).category == "other"
    away = letter("parcel", subject="Out of office", automatic=True)
    assert triager.triage(away, Screening()).category == "other"


def test_mail_of_a_contact_form_is_classified(triager: Triager) -> None:
    form = letter("Name: Ann\nMessage: where is the parcel, courier?", automatic=True)
    assert triager.triage(form, Screening()).category == "shipping"


def test_model_decides_where_the_classifier_is_unsure(tmp_path: Path, examples: Path) -> None:
    model = ScriptedChatModel([{"category": "technical"}])
    classifier = Classifier(HashEmbeddings(32), examples, tmp_path)
    triager = Triager(classifier, model)
    sure = triager.triage(letter("parcel courier parcel courier"), Screening())
    assert (sure.category, sure.model, len(model.calls)) == ("shipping", "", 0)
    unsure = triager.triage(letter("parcel invoice password lottery rude app"), Screening())
    assert (unsure.category, unsure.model, len(model.calls)) == ("technical", "scripted", 1)


def test_model_cannot_lower_approval(tmp_path: Path, examples: Path) -> None:
    model = ScriptedChatModel(lambda _: {"category": "other"})
    classifier = Classifier(HashEmbeddings(32), examples, tmp_path)
    triager = Triager(classifier, model)
    triage = triager.triage(
        letter("parcel invoice password lottery app. My lawyer will sue you."), Screening()
    )
    assert triage.needs_approval


def test_classifier_is_trained_anew_if_its_cache_is_cut_off(tmp_path: Path, examples: Path) -> None:
    Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    stored.write_bytes(stored.read_bytes()[:1000])
    classifier = Classifier(HashEmbeddings(32), examples, tmp_path / "cache")
    mail = letter("the parcel and the courier")
    assert classifier.probabilities(mail, read_signals(mail))["shipping"] > 0.5
