from pathlib import Path

import pytest

from multi_agent.documents.index import open_documents
from multi_agent.offline.quotes.index_words import IndexWords
from multi_agent.offline.quotes.span import Span, answer_span
from seedbed.models.embeddings.hash import HashEmbeddings

DOCUMENTS = {
    "warranty.md": """# Warranty

| Product | Warranty | Price |
|---|---|---|
| Kettles | 2 years | €39 |
| Toasters | 3 years | €49 |

The warranty does not cover frost damage. Please cancel at least **24 hours** before a visit; for
repairs at home it is 48 hours. A late visit costs €35; for repairs at home €80.
""",
    "parcels.txt": """PARCELS

Parcels are delivered by Nordpost within 3 to 5 working days.

up to 2 kg ..... 4.90 euro
2 to 5 kg ...... 6.90 euro
over 5 kg ...... 9.90 euro
""",
    "house.html": """<h1>House rules</h1><p>Dogs are welcome. Smoking is prohibited.</p>
<p>The shop is open Monday to Friday from 9:00 to 18:00 and at weekends from 10:00 to 14:00.</p>
<p>The data protection officer is Ms. Judith Falk. Write to privacy@shop.example.</p>
<p>A library fine is charged when a book comes back more than 5 days late.</p>
<p>Lost umbrellas are kept in the cellar for six months.</p>
<p>Returns must reach us by 31 March. Members get a discount of 15 %.</p>
<p>The deputy for the head cook is the waiter. Alcohol-free beer comes in red crates.</p>
<p>Filters are cleaned every six months, those of the pump every two.</p>
<ul><li>Hall hire, cancelled 30 to 8 days before: 60 % of the hire.</li>
<li>Hall hire, cancelled 7 to 0 days before: the whole hire.</li></ul>
<table><tr><th>Purchase</th><th>Decision</th></tr><tr><td>up to £750</td><td>the keeper</td></tr>
<tr><td>over £750, up to £6,000</td><td>the director</td></tr></table>
<p>For a purchase at an auction the chair decides up to £9,000.</p>""",
}


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("docs")
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text)
    index = open_documents(folder, HashEmbeddings())
    rarity = IndexWords(index).rarity

    def ask(question: str) -> Span | None:
        return answer_span(question, index.search(question, 8), rarity)

    return ask


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How long is the warranty on kettles?", "2 years"),
        ("What is the price of a toaster?", "€49"),
        ("How long before a visit must I cancel?", "24 hours"),
        ("What does a late visit cost for repairs at home?", "€80"),
        ("What does a parcel of 3 kg cost?", "6.90 euro"),
        ("How long does delivery of a parcel take?", "3 to 5 working days"),
        ("When does the shop close on Sundays?", "14:00"),
        ("When does the shop open on Wednesdays?", "9:00"),
        ("Who is the data protection officer?", "Ms. Judith Falk"),
        ("By what date must returns reach you?", "31 March"),
        ("What discount do members get?", "15 %"),
        ("Are dogs welcome?", "Yes: Dogs are welcome."),
        ("Is smoking allowed?", "No: Smoking is prohibited."),
        (
            "My library book is 4 days late. Is a fine charged?",
            "No: A library fine is charged when a book comes back more than 5 days late.",
        ),
        (
            "My library book is six days late. Is a fine charged?",
            "Yes: A library fine is charged when a book comes back more than 5 days late.",
        ),
        ("How long do you keep lost umbrellas?", "six months"),
        ("How often are the filters of the pump cleaned?", "every two months"),
        ("I hired the hall and cancelled 20 days before. How much of the hire is due?", "60 %"),
        ("Who decides on a purchase for 5,000 pounds (not at an auction)?", "the director"),
    ],
)
def test_answer_is_a_short_span(answer, question: str, expected: str) -> None:
    span = answer(question)
    assert span is not None
    assert span.answer == expected


@pytest.mark.parametrize(
    "question",
    [
        "How long is the warranty on a kayak?",
        "How much does a blender cost?",
        "What does a parcel to Iceland cost?",
        "Who is the head of sales?",
        "Who is the head cook?",
        "When was the shop founded?",
        "How much does beer cost?",
        "Are cats welcome?",
        "Is parking allowed?",
        "How heavy is a kettle?",
        "What is it?",
        "",
    ],
)
def test_missing_answer_is_not_guessed(answer, question: str) -> None:
    assert answer(question) is None


def test_quote_is_verbatim_and_contains_the_answer(answer) -> None:
    span = answer("How long before a visit must I cancel?")
    assert span.quote.startswith("Please cancel at least **24 hours**")
    assert span.quote in DOCUMENTS["warranty.md"]
    assert span.source == "warranty.md:8-9"


def test_number_is_set_for_a_single_number() -> None:
    assert Span("€1,250.50", "", "", 1.0).number == 1250.5
    assert Span("3 to 5 days", "", "", 1.0).number is None


def test_search_result_of_a_huge_line_is_answered_quickly(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("fee 5 euros, " * 20_000)
    index = open_documents(tmp_path, HashEmbeddings())
    assert answer_span("How long is the warranty?", index.search("warranty")) is None
