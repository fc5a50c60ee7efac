from pathlib import Path

from multi_agent.data.document_index import DocumentIndex, stems
from seedbed.models.embeddings.hash import HashEmbeddings


def open_texts(folder: Path, **texts: str) -> DocumentIndex:
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    return DocumentIndex(folder, HashEmbeddings())


def test_search_returns_best_passage_first(tmp_path: Path) -> None:
    index = open_texts(tmp_path, pets="Dogs are welcome.", pool="The pool opens at 7:00.")
    found = index.search("When does the pool open?")
    assert [passage.source for passage in found] == ["pool.md", "pets.md"]


def test_rare_word_decides_between_common_ones(tmp_path: Path) -> None:
    texts = {f"rule{n}": f"What is the price of item {n}? It is {n} euros." for n in range(9)}
    index = open_texts(tmp_path, kayak="A kayak: 80 euros.", **texts)
    assert index.search("What is the price of the kayak?")[0].source == "kayak.md"


def test_word_forms_are_found_by_their_stem(tmp_path: Path) -> None:
    index = open_texts(tmp_path, a="Cancellations are free.", b="Bookings are final.")
    assert index.search("cancellation")[0].source == "a.md"
    assert list(stems("cancellation")) == list(stems("Cancellations"))
