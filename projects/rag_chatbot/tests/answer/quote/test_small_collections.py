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

TEXTS = {
    "pump.txt": "The pump must be descaled every 45 days.",
    "lease.md": "# Lease\n\nThe tenant pays 900 euros of rent on the first day of each month. "
    "The deposit is two months of rent. Pets need written permission.",
    "staff.txt": "New employees have a probation period of six months. During it either side may "
    "give notice with two weeks' notice. Employees may carry over five days of leave.",
    "team.txt": "The project is led by Maria Okafor. Testing is done by Jonas Weber.",
    "wifi.txt": "The guest network is called Willow. Its password is bluebird42.",
    "zeta.html": "<p>To copy with zeta, run zeta copy &lt;source&gt; &lt;target&gt;.</p>",
    "price.csv": "product,price,stock\nlamp,49 euros,12\nchair,120 euros,3\ntable,310 euros,0\n",
}
ANSWERED = [
    ("pump.txt", "How often must the pump be descaled?", "45 days"),
    ("lease.md", "How much is the rent?", "900 euros"),
    ("lease.md", "How large is the deposit?", "two months"),
    ("staff.txt", "how long is the probation period", "six months"),
    ("team.txt", "Who leads the project?", "Maria Okafor"),
    ("wifi.txt", "What is the wifi password?", "bluebird42"),
    ("zeta.html", "How do I copy with zeta?", "zeta copy <source> <target>"),
    ("price.csv", "What does the chair cost?", "product: chair; price: 120 euros; stock: 3 [1]"),
]
REFUSED = [
    ("pump.txt", "How much does the pump weigh?"),
    ("staff.txt", "What is the capital of France?"),
    ("lease.md", "Who is the landlord?"),
]


@pytest.fixture(scope="module")
def embeddings() -> Any:
    return load_embeddings()


@pytest.fixture
def answer(tmp_path: Path, embeddings: Any) -> Iterator[Callable[..., Answer]]:
    config = load(Config, data_dir=tmp_path / "data")
    store = Store(config, embeddings)

    def ask(name: str, question: str) -> Answer:
        (tmp_path / name).write_text(TEXTS[name], "utf-8")
        ingest(store, [tmp_path / name])
        return Answerer(Retriever(store, embeddings, config), None, config).ask(question)

    yield ask
    store.close()


@pytest.mark.parametrize(("name", "question", "expected"), ANSWERED)
def test_small_collection_answers(
    answer: Callable[..., Answer], name: str, question: str, expected: str
) -> None:
    assert expected in answer(name, question).answer


@pytest.mark.parametrize(("name", "question"), REFUSED)
def test_small_collection_abstains_without_answer(
    answer: Callable[..., Answer], name: str, question: str
) -> None:
    assert answer(name, question).abstained
