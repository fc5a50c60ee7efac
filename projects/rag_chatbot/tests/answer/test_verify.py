"""Sentences about short passages, as models write them: near misses and paraphrases.

`claims.jsonl` has 30 that their passage supports and 30 that it does not. The thresholds of `check`
were set on them.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from rag_chatbot.answer.claims import Claim
from rag_chatbot.answer.verify import Checked, Verifier
from rag_chatbot.store.store import Chunk
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.embeddings.load_embeddings import load_embeddings

ROWS = [
    json.loads(line)
    for line in Path(__file__).with_name("claims.jsonl").read_text("utf-8").splitlines()
]


def chunk(text: str, kind: str = "markdown", heading: str = "") -> Chunk:
    return Chunk(1, 1, "a.md", 0, text, heading, None, 0, len(text), "", kind)


def verify(sentence: str, *texts: str, quotes: tuple[str, ...] = ()) -> Checked:
    claim = Claim(sentence, quotes=quotes)
    return Verifier(HashEmbeddings()).verify(claim, [chunk(text) for text in texts])


def test_near_misses_are_never_confirmed_and_many_paraphrases_are() -> None:
    verifier = Verifier(load_embeddings())
    counts: Counter[tuple[bool, str]] = Counter()
    confirmed = []
    for row in ROWS:
        checked = verifier.verify(
            Claim(row["sentence"]), [chunk(row["passage"])], row.get("language", "en")
        )
        counts[row["supported"], checked.verdict] += 1
        if checked.verdict == "supported" and not row["supported"]:
            confirmed.append(row["sentence"])
    assert len(ROWS) == 60
    assert confirmed == []
    assert counts[True, "supported"] >= 12
    assert counts[True, "refused"] <= 1


def test_invented_quote_does_not_support_a_sentence() -> None:
    text = "Old logs are deleted."
    checked = verify("Old logs are kept forever.", text, quotes=("Old logs are kept forever.",))
    assert checked.verdict != "supported"


def test_quote_is_read_with_the_rest_of_its_sentence() -> None:
    text = "Old logs are not deleted before the audit."
    assert verify("Old logs are deleted.", text, quotes=("deleted",)).verdict == "refused"


def test_named_quote_is_found_despite_case_marks_and_line_breaks() -> None:
    text = "Logs are kept\nfor **14 days**. Tea is green."
    checked = verify("Logs are kept for 14 days.", text, quotes=("logs are kept for 14 DAYS",))
    assert [span.quote for span in checked.spans] == ["Logs are kept\nfor **14 days**."]
    assert checked.verdict == "supported"


def test_words_of_two_sentences_are_at_most_doubtful() -> None:
    text = "The Atlas printer handles A3. The Borealis printer handles A4."
    quotes = ("The Atlas printer handles A3.", "The Borealis printer handles A4.")
    assert verify("The Atlas printer handles A4.", text, quotes=quotes).verdict != "supported"


def test_row_of_a_table_is_evidence_with_its_header() -> None:
    table = "| Drug | Dose |\n|---|---|\n| Alphazol | 5 mg |\n| Betazol | 20 mg |"
    assert verify("The dose of Betazol is 20 mg.", table).verdict == "supported"
    assert verify("The dose of Alphazol is 20 mg.", table).verdict != "supported"


@pytest.mark.parametrize(
    "sentence", ["The limit is 8192 tokens.", "The limit is 8,192 tokens."], ids=["8192", "8,192"]
)
def test_numbers_are_compared_by_value(sentence: str) -> None:
    assert verify(sentence, "The limit is 8,192 tokens.").verdict == "supported"


def test_signs_of_chinese_are_compared_one_by_one() -> None:
    text = "图书馆早上九点开门。"
    assert verify("图书馆早上九点开门", text).verdict == "supported"
    assert verify("图书馆早上八点开门。", text).verdict != "supported"
