import json
from collections import Counter
from email import message_from_bytes
from email.policy import default
from html import unescape
from importlib.resources import files
from pathlib import Path
from re import sub
from typing import Any

import pytest
from rapidfuzz import fuzz, process, utils

from agentic_workflow.store.case import CATEGORIES, PRIORITIES

EXAMPLES = Path(str(files("agentic_workflow") / "triage/offline/examples.jsonl"))
EVAL = Path(__file__).parents[3] / "eval"
DUPLICATES = {"en/39-cancel-duplicate.eml"}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def example_texts() -> list[str]:
    return [utils.default_process(row["text"]) for row in rows(EXAMPLES)]


@pytest.fixture(scope="module")
def eval_texts() -> dict[str, str]:
    return {row["file"]: _text(EVAL / "mails" / row["file"]) for row in rows(EVAL / "gold.jsonl")}


def _text(path: Path) -> str:
    mail = message_from_bytes(path.read_bytes(), policy=default)
    part = mail.get_body(("plain", "html")) or mail
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else str(part.get_payload()).encode()
    text = unescape(sub("<[^>]+>", " ", data.decode("utf-8", "replace")))
    return utils.default_process("\n".join(x for x in text.splitlines() if not x.startswith(">")))


def test_examples_are_labelled_in_all_categories_and_languages() -> None:
    examples = rows(EXAMPLES)
    assert len(examples) >= 450
    assert set(examples[0]) == {"subject", "text", "category", "language"}
    for language, share in {"en": 0.31, "de": 0.25, "fr": 0.23, "es": 0.21}.items():
        sizes = Counter(row["category"] for row in examples if row["language"] == language)
        assert set(sizes) == set(CATEGORIES)
        assert sum(sizes.values()) / len(examples) == pytest.approx(share, abs=0.03)


def test_examples_are_not_near_duplicates(example_texts: list[str]) -> None:
    texts = [text for text in example_texts if len(text) > 25]
    scores = process.cdist(texts, texts, scorer=fuzz.ratio, score_cutoff=80)
    pairs = [(texts[i], texts[j]) for i, j in zip(*scores.nonzero(), strict=True) if i < j]
    assert not pairs


def test_gold_describes_every_mail_once() -> None:
    gold = rows(EVAL / "gold.jsonl")
    mails = {path.relative_to(EVAL / "mails").as_posix() for path in EVAL.rglob("*.eml")}
    assert len(gold) >= 96
    assert sorted(row["file"] for row in gold) == sorted(mails)
    for row in gold:
        assert row["category"] in CATEGORIES and row["priority"] in PRIORITIES
        assert row["order_id"] is None or row["order_id"].isdigit()


def test_gold_follows_the_rules_for_approval() -> None:
    for row in rows(EVAL / "gold.jsonl"):
        asks_back = row["category"] in ("refund", "billing") and (row["amount"] or 0) > 100
        assert row["needs_approval"] or not asks_back, row
        assert row["priority"] == "low" or row["category"] not in ("spam", "other"), row


def test_mails_are_small_and_parse() -> None:
    for path in EVAL.rglob("*.eml"):
        data = path.read_bytes()
        assert len(data) < 4096
        assert message_from_bytes(data, policy=default).as_bytes() is not None


def test_order_ids_are_in_the_mails() -> None:
    for row in rows(EVAL / "gold.jsonl"):
        data = (EVAL / "mails" / row["file"]).read_bytes()
        subject = str(message_from_bytes(data, policy=default)["Subject"])
        text = subject + data.decode("utf-8", "replace")
        assert row["order_id"] is None or row["order_id"] in text, row["file"]


def test_evaluation_mails_differ_from_each_other(eval_texts: dict[str, str]) -> None:
    texts = [t for name, t in eval_texts.items() if len(t) > 25 and name not in DUPLICATES]
    scores = process.cdist(texts, texts, scorer=fuzz.ratio, score_cutoff=80)
    assert len(scores.nonzero()[0]) == len(texts)


def test_evaluation_mails_do_not_repeat_examples(
    example_texts: list[str], eval_texts: dict[str, str]
) -> None:
    examples = [text for text in example_texts if len(text) > 25]
    mails = [text for text in eval_texts.values() if len(text) > 25]
    scores = process.cdist(mails, examples, scorer=fuzz.ratio, score_cutoff=65)
    pairs = [(mails[i], examples[j]) for i, j in zip(*scores.nonzero(), strict=True)]
    assert not pairs
    # Nor do they contain a run of seven words that occurs in an example.
    runs = {run for text in examples for run in _runs(text)}
    assert not [run for text in mails for run in _runs(text) if run in runs]


def _runs(text: str, words: int = 7) -> list[str]:
    parts = text.split()
    return [" ".join(parts[i : i + words]) for i in range(len(parts) - words + 1)]
