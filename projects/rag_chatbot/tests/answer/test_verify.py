"""What the check confirms, refuses and leaves to a judge.

`false_claims.jsonl` has sentences that their passage does not support; `claims.jsonl` has 30 that
theirs supports, and 30 that it does not.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_chatbot.answer.claims import Claim, read_claims
from rag_chatbot.answer.verify import Checked, Verifier
from rag_chatbot.store.records import Chunk
from seedbed.models.embeddings.hash import HashEmbeddings


def rows(name: str) -> list[dict[str, str]]:
    lines = Path(__file__).with_name(name).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def verify(sentence: str, *texts: str, quotes: tuple[str, ...] = ()) -> Checked:
    chunks = [
        Chunk(n, n, "a.md", 0, text, "", None, 0, len(text), "", "markdown")
        for n, text in enumerate(texts)
    ]
    return Verifier(HashEmbeddings(), chunks).verify(Claim(sentence, quotes=quotes))


@pytest.mark.parametrize("row", rows("false_claims.jsonl") + rows("claims.jsonl"))
def test_only_sentences_of_a_passage_are_confirmed(row: dict[str, str]) -> None:
    checked = verify(row["sentence"], row["passage"], quotes=(row["passage"],))
    is_in_it = bool(row.get("supported")) and row["sentence"] in row["passage"]
    assert (checked.verdict == "supported") == is_in_it


WORDS = st.lists(st.sampled_from("pets may not only stay 5 -5 € if on Fridays".split()), min_size=1)


@settings(deadline=None, derandomize=True)
@given(WORDS, WORDS)
def test_only_equal_words_in_equal_order_are_confirmed(
    sentence: list[str], span: list[str]
) -> None:
    passage = f"So *{' '.join(span)}*."
    checked = verify(f"So {' '.join(sentence)}.", passage, quotes=(passage,))
    assert (checked.verdict == "supported") == (sentence == span)


def test_case_space_and_markup_do_not_matter() -> None:
    text = "Logs are kept\nfor **14 days**. Tea is green."
    checked = verify("Logs are kept for 14 days.", text, quotes=("logs are kept for 14 DAYS",))
    assert [span.quote for span in checked.spans] == ["Logs are kept\nfor **14 days**."]
    assert checked.verdict == "supported"
    assert verify("Tea is GREEN", "- Tea is\n  `green`.").verdict == "supported"


def test_number_or_code_name_that_the_quote_lacks_is_refused() -> None:
    quote = ("The limit is 8,192 tokens.",)
    assert verify("The limit is 8,193 tokens.", *quote, quotes=quote).verdict == "refused"
    assert verify("The limit is 8192 tokens.", *quote, quotes=quote).verdict == "doubtful"
    assert verify("Set max_size.", "Set the size.", quotes=("Set the size",)).verdict == "refused"
    words = ("Es sind höchstens drei Dateien.",)  # not understood, so the judge decides
    assert verify("Höchstens 3 Dateien.", *words, quotes=words).verdict == "doubtful"


def test_invented_quote_does_not_support_a_sentence() -> None:
    lie = "Old logs are kept forever."
    assert verify(lie, "Old logs are deleted.", quotes=(lie,)).verdict != "supported"
    assert verify("It was written by Napoleon.", "Old logs are deleted.").verdict == "refused"


def test_quote_is_read_with_the_rest_of_its_sentence() -> None:
    text = "Old logs are not _deleted_ before the audit."
    checked = verify("Old logs are deleted.", text, quotes=("deleted",))
    assert ([span.quote for span in checked.spans], checked.verdict) == ([text], "doubtful")


def test_row_of_a_table_is_evidence_with_its_header() -> None:
    table = "| Drug | Dose 2 |\n|---|---|\n| Alphazol | 5 mg |\n| Betazol | 20 mg |"
    quotes = ("| Betazol | 20 mg |",)
    assert verify("Dose 2 of Betazol is 20 mg.", table, quotes=quotes).verdict == "doubtful"
    assert verify("Dose 2 of Alphazol is 25 mg.", table, quotes=quotes).verdict == "refused"


OBJECT = '{"sentence": "It is 5.", "passage": 1, "quote": "five"}'


@pytest.mark.parametrize(
    "reply",
    [
        OBJECT,
        f"Sure! Here it is:\n```json\n[\n{OBJECT}\n]\n```\nLet me know.",
        f"<think>{'Is it 6? ' * 30}\n{OBJECT.replace('5', '6')}</think>\n{OBJECT}",
        OBJECT.replace(", ", ",\n"),
        f'{{"sentence": broken\n{OBJECT}',
    ],
)
def test_objects_are_read_out_of_the_text_around_them(reply: str) -> None:
    for size in (1, 7, len(reply)):
        pieces = [reply[at : at + size] for at in range(0, len(reply), size)]
        claims = [claim for claim in read_claims(pieces) if claim and claim.sentence]
        assert claims == [Claim("It is 5.", (1,), ("five",))]


@pytest.mark.parametrize(
    "line", ["1. It is 5.", "- It is 5. [2]", "[2] It is 5.", "It is 5 [1, 2]."]
)
def test_plain_sentences_are_read_without_marks(line: str) -> None:
    assert [c for c in read_claims([f"<think>Hm.\n</think>{line}\n"]) if c] == [Claim("It is 5.")]


def test_long_line_is_read_in_linear_time() -> None:
    pieces = ["word "] * 200_000  # a quadratic reader takes minutes for it
    assert sum(claim is not None for claim in read_claims(pieces)) == 1
