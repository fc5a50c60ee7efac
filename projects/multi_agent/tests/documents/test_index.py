import time
from pathlib import Path

import pytest

from multi_agent.documents.index import DocumentIndex, open_documents
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.embeddings.load import load_embeddings


def open_texts(folder: Path, **texts: str) -> DocumentIndex:
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    return open_documents(folder, HashEmbeddings())


def test_search_returns_best_passage_first(tmp_path: Path) -> None:
    index = open_texts(tmp_path, pets="Dogs are welcome.", pool="The pool opens at 7:00.")
    first, second = index.search("When does the pool open?")
    assert first.source == "pool.md"
    assert 0 <= second.score < first.score <= 1


def test_coverage_is_high_only_for_documented_subjects(tmp_path: Path) -> None:
    index = open_texts(tmp_path, pool="The pool opens at 7:00.", pets="Dogs are welcome.")
    assert index.coverage("When does the pool open?") > 0.9
    assert index.coverage("How many customers live in Berlin?") < 0.1


def test_rarity_falls_with_the_number_of_passages(tmp_path: Path) -> None:
    index = open_texts(tmp_path, a="One pool.\n\nA pool.", b="A dog and a pool.")
    assert index.rarity("kayak") == 1
    assert index.rarity("kayak") > index.rarity("dog") > index.rarity("pool") == 0


def test_empty_folder_has_no_passages(tmp_path: Path) -> None:
    index = open_texts(tmp_path)
    assert index.search("Anything?") == []
    assert (index.coverage("Anything?"), index.rephrase("Anything?")) == (0, "Anything?")


def test_rephrase_uses_the_words_of_the_documents(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The refrigerator stays between 2 and 8 °C. Dogs may come in.")
    index = open_documents(tmp_path, load_embeddings())
    assert index.rephrase("How cold is the fridge?") == "How cold is the refrigerator?"
    assert index.rephrase("May my cat come in?") == "May my cat come in?"


@pytest.mark.slow
def test_two_thousand_passages_open_in_seconds(tmp_path: Path) -> None:
    text = "\n\n".join(f"Rule {n}: parcels of {n} kg cost {n} euros." for n in range(2000))
    (tmp_path / "rules.md").write_text(text)
    start = time.perf_counter()
    index = open_documents(tmp_path, load_embeddings())
    assert index.search("What does a parcel of 77 kg cost?")[0].start_line == 2 * 77 + 1
    assert time.perf_counter() - start < 10
