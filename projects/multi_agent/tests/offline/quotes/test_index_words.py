from pathlib import Path

from multi_agent.documents.index import open_documents
from multi_agent.offline.quotes.index_words import IndexWords
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.embeddings.load import load_embeddings


def open_words(folder: Path, **texts: str) -> IndexWords:
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    return IndexWords(open_documents(folder, HashEmbeddings()))


def test_coverage_is_high_only_for_documented_subjects(tmp_path: Path) -> None:
    words = open_words(tmp_path, pool="The pool opens at 7:00.", pets="Dogs are welcome.")
    assert words.coverage("When does the pool open?") > 0.9
    assert words.coverage("How many customers live in Berlin?") < 0.1


def test_rarity_falls_with_the_number_of_passages(tmp_path: Path) -> None:
    words = open_words(tmp_path, a="One pool.\n\nA pool.", b="A dog and a pool.")
    assert words.rarity("kayak") == 1
    assert words.rarity("kayak") > words.rarity("dog") > words.rarity("pool") == 0


def test_rephrase_uses_the_words_of_the_documents(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The refrigerator stays between 2 and 8 °C. Dogs may come in.")
    words = IndexWords(open_documents(tmp_path, load_embeddings()))
    assert words.rephrase("How cold is the fridge?") == "How cold is the refrigerator?"
    assert words.rephrase("May my cat come in?") == "May my cat come in?"


def test_empty_folder_has_no_words(tmp_path: Path) -> None:
    words = open_words(tmp_path)
    assert (words.coverage("Anything?"), words.rephrase("Anything?")) == (0, "Anything?")
