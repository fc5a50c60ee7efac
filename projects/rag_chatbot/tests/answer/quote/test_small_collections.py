"""Collections of one to six sentences, with the real embeddings: what a first user tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_chatbot.answer.answer import Answer, Answerer
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from rag_chatbot.search.retrieve import Retriever
from rag_chatbot.store.store import Store
from seedbed.models.embeddings.load_embeddings import load_embeddings
from seedbed.settings import load

LEASE = (
    "# Lease\n\nThe tenant pays 900 euros of rent on the first day of each month. "
    "The deposit is two months of rent. Pets need written permission."
)
STAFF = (
    "New employees have a probation period of six months. During it either side may give notice "
    "with two weeks' notice. Employees may carry over five days of leave into the next year."
)
PRICES = "product,price,stock\nlamp,49 euros,12\nchair,120 euros,3\ntable,310 euros,0\n"
DOSES = "| Drug | Dose |\n|---|---|\n| Alphazol | 5 mg |\n| Betazol | 20 mg |"
# File name, its text, question, what the answer contains, what it leaves out.
ANSWERED = [
    (
        "pump.txt",
        "The pump must be descaled every 45 days.",
        "How often must the pump be descaled?",
        "45 days",
        "",
    ),
    ("lease.md", LEASE, "How much is the rent?", "900 euros", ""),
    ("lease.md", LEASE, "How large is the deposit?", "two months", ""),
    ("staff.txt", STAFF, "how long is the probation period", "six months", "carry over"),
    (
        "team.txt",
        "The project is led by Maria Okafor. Testing is done by Jonas Weber.",
        "Who leads the project?",
        "Maria Okafor",
        "",
    ),
    (
        "wifi.txt",
        "The guest network is called Willow. Its password is bluebird42.",
        "What is the wifi password?",
        "bluebird42",
        "",
    ),
    (
        "zeta.html",
        "<p>To copy with zeta, run zeta copy &lt;source&gt; &lt;target&gt;.</p>",
        "How do I copy with zeta?",
        "zeta copy <source> <target>",
        "",
    ),
    ("price.csv", PRICES, "What does the chair cost?", "product: chair; price: 120 euros", "lamp"),
    ("dose.md", DOSES, "What is the dose of Betazol?", "Drug: Betazol; Dose: 20 mg", "Alphazol"),
]
REFUSED = [
    ("pump.txt", "The pump must be descaled every 45 days.", "How much does the pump weigh?"),
    ("staff.txt", STAFF, "What is the capital of France?"),
    ("lease.md", LEASE, "Who is the landlord?"),
]


@pytest.fixture(scope="module")
def embeddings() -> Any:
    return load_embeddings()


@pytest.fixture
def answer(tmp_path: Path, embeddings: Any) -> Iterator[Callable[..., Answer]]:
    config = load(Config, data_dir=tmp_path / "data")
    store = Store(config, embeddings)

    def ask(name: str, text: str, question: str) -> Answer:
        (tmp_path / name).write_text(text, "utf-8")
        ingest(store, [tmp_path / name])
        return Answerer(Retriever(store, embeddings, config), None, config).ask(question)

    yield ask
    store.close()


@pytest.mark.parametrize(("name", "text", "question", "expected", "unrelated"), ANSWERED)
def test_small_collection_answers_without_filler(
    answer: Callable[..., Answer],
    name: str,
    text: str,
    question: str,
    expected: str,
    unrelated: str,
) -> None:
    result = answer(name, text, question)
    assert expected in result.answer
    assert not unrelated or unrelated not in result.answer


@pytest.mark.parametrize(("name", "text", "question"), REFUSED)
def test_small_collection_abstains_without_answer(
    answer: Callable[..., Answer], name: str, text: str, question: str
) -> None:
    assert answer(name, text, question).abstained
