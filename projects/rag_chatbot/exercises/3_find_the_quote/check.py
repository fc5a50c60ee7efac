"""Checks of exercise 3: the sentences that `locate` finds for a quote."""

from rag_chatbot.answer.evidence import locate
from rag_chatbot.store.records import Chunk

LOGS, JOB, LIST = (
    "Logs are kept 14 days.",
    "Then the **night job** deletes them.",
    "Größe: 5 GB" + 20 * "." + "free" + 21 * "." + "used.",
)
DOCUMENT = f"Title\n\n{LOGS} {JOB} {LIST}"


def expect(cases: dict[str, list[str]]) -> None:
    """Each quote must be found in these sentences, at their place in the document."""
    chunk = Chunk(1, 1, "a.md", 0, DOCUMENT[7:], "", None, 7, len(DOCUMENT), "", "markdown")
    for quote, expected in cases.items():
        spans = locate(quote, chunk)
        actual = [DOCUMENT[span.start : span.end] for span in spans]
        assert actual == expected, f"quote {quote!r}: expected {expected}, got {actual}"


def check_1_words_are_letters_and_digits_and_at_least_three_of_them() -> None:
    expect({'"logs"... are—kept!': [LOGS], "night_job": [JOB], "größe": [LIST]})
    expect({"": [], "**": [], "14": [], "_5 G_": [], "GB 5": [], "job": [JOB]})


def check_2_all_words_in_their_order_with_at_most_20_signs_between() -> None:
    expect({"ARE KEPT\n14": [LOGS], "the night job deletes": [JOB], "GB free": [LIST]})
    expect({"kept 15 days": [], "kept are logs": [], "Logs kept": [], "free used": []})


def check_3_only_whole_words_are_found() -> None:
    expect({"logs are": [LOGS], "ogs are kept": [], "log": [], "4 days": [], "14 day": []})


def check_4_all_sentences_that_contain_a_part_of_the_quote() -> None:
    expect({"days. Then": [LOGS, JOB], "14 days.": [LOGS], "them. Größe": [JOB, LIST]})
