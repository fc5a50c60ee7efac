from pathlib import Path

from multi_agent.documents.index import open_documents
from multi_agent.offline.quotes.words import Synonyms, content
from seedbed.models.embeddings.load import load_embeddings


def test_content_has_digits_for_numbers_and_no_empty_words() -> None:
    assert content("the twenty-one dogs") == content("21 dog")
    assert content("What is it for?") == frozenset()


def test_synonyms_are_close_words_of_the_documents(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The refrigerator stays between 2 and 8 °C. Dogs may come in.")
    synonyms = Synonyms(open_documents(tmp_path, load_embeddings()))
    assert content("refrigerator") <= synonyms("How cold is the fridge?")["fridg"]
    assert synonyms("May my cat come in?")["cat"] == frozenset()
    assert synonyms("May dogs of Ann stay?") == {}


def test_empty_folder_has_no_synonyms(tmp_path: Path) -> None:
    synonyms = Synonyms(open_documents(tmp_path, load_embeddings()))
    assert synonyms("How cold is the fridge?")["fridg"] == frozenset()
