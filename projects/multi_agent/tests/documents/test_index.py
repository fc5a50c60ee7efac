import time
from pathlib import Path

import pytest

from multi_agent.documents.index import DocumentIndex, open_documents, stems
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.embeddings.load_embeddings import load_embeddings


def open_texts(folder: Path, **texts: str) -> DocumentIndex:
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    return open_documents(folder, HashEmbeddings())


def test_search_returns_best_passage_first(tmp_path: Path) -> None:
    index = open_texts(tmp_path, pets="Dogs are welcome.", pool="The pool opens at 7:00.")
    first, second = index.search("When does the pool open?")
    assert first.source == "pool.md"
    assert 0 <= second.score < first.score <= 1


def test_rare_word_decides_between_common_ones(tmp_path: Path) -> None:
    texts = {f"rule{n}": f"What is the price of item {n}? It is {n} euros." for n in range(9)}
    index = open_texts(tmp_path, kayak="A kayak: 80 euros.", **texts)
    assert index.search("What is the price of the kayak?")[0].source == "kayak.md"


def test_word_forms_are_found_by_their_stem(tmp_path: Path) -> None:
    index = open_texts(tmp_path, a="Cancellations are free.", b="Bookings are final.")
    assert index.search("cancellation")[0].source == "a.md"
    assert list(stems("cancellation")) == list(stems("Cancellations"))


def test_word_in_the_heading_counts_less_than_in_the_text(tmp_path: Path) -> None:
    index = open_texts(tmp_path, a="# Kayaks\n\nTen euros.", b="# Prices\n\nKayaks: ten euros.")
    scores = {hit.source: hit.score for hit in index.search("kayaks")}
    assert scores["b.md"] > scores["a.md"] > 0.3


def test_empty_folder_has_no_passages(tmp_path: Path) -> None:
    assert open_texts(tmp_path).search("Anything?") == []


@pytest.mark.slow
def test_two_thousand_passages_open_in_seconds(tmp_path: Path) -> None:
    text = "\n\n".join(f"Rule {n}: parcels of {n} kg cost {n} euros." for n in range(2000))
    (tmp_path / "rules.md").write_text(text)
    start = time.perf_counter()
    index = open_documents(tmp_path, load_embeddings())
    assert index.search("What does a parcel of 77 kg cost?")[0].start_line == 2 * 77 + 1
    assert time.perf_counter() - start < 10
