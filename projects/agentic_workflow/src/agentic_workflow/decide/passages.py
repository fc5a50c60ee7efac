"""Search in the policy documents, files `TOPIC.LANGUAGE.md` with paragraphs `## N. Heading`.

    passages = Passages(folder, load_embeddings())
    passages.search("Where is my parcel?", "en", category="shipping")[0].source    # "shipping §5"

The documents are read and embedded once per process. Only those in the language of the mail are
searched, or the English ones if it has none.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentic_workflow.store.case import Category, Language, Passage
from seedbed.errors import ConfigError
from seedbed.models.embeddings import Vectors, embed_texts

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

TOPICS: dict[Category, str] = {
    "refund": "returns",
    "billing": "billing",
    "shipping": "shipping",
    "technical": "technical",
    "account": "privacy",
    "complaint": "complaints",
}
# The score is cosine + 0.5 n-grams + 0.3 for the topic of the category. First paragraph right, on
# 70 questions in four languages: 60; without the n-grams, as MiniLM is made for English, 53.
_NGRAMS, _TOPIC = 0.5, 0.3
_PARAGRAPH = re.compile(r"^## +(\d+)\. +(.+?) *$", re.MULTILINE)


class Passages:
    """The paragraphs of a folder of policy documents."""

    def __init__(self, folder: Path, embeddings: Embeddings) -> None:
        self.folder = folder
        self.embeddings = embeddings
        self._indexes: dict[str, _Index] = {}
        self._lock = threading.Lock()

    def search(
        self, query: str, language: Language, k: int = 3, *, category: Category | None = None
    ) -> list[Passage]:
        """The `k` best passages for a question, those on the topic of `category` first.

        Raises ConfigError if the folder has no documents in this language or in English.
        """
        with self._lock:
            if language not in self._indexes:
                self._indexes[language] = _Index(self._read(language), self.embeddings)
        return self._indexes[language].search(query, k, TOPICS.get(category) if category else None)

    def _read(self, language: Language) -> list[tuple[Passage, str]]:
        """The passages, each with its heading."""
        files = sorted(self.folder.glob(f"*.{language}.md"))
        if not files and language != "en":
            return self._read("en")
        passages = []
        for path in files:
            _, *parts = _PARAGRAPH.split(path.read_text(encoding="utf-8"))
            for number, heading, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
                source, text = f"{path.name.split('.')[0]} §{number}", " ".join(text.split())
                passages.append((Passage(source=source, text=text, language=language), heading))
        if not passages:
            raise ConfigError(
                f"{self.folder} has no paragraphs in files such as returns.{language}.md.",
                hint="Set WORKFLOW_POLICIES to the folder of the policy documents.",
            )
        return passages


class _Index:
    """Vectors and n-grams of the passages in one language."""

    def __init__(self, passages: list[tuple[Passage, str]], embeddings: Any) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = [f"{heading}. {passage.text}" for passage, heading in passages]
        self.passages = [passage for passage, _ in passages]
        self.embeddings = embeddings
        self.vectors: Vectors = embed_texts(embeddings, texts)
        self.ngrams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
        self.matrix = self.ngrams.fit_transform(texts)

    def search(self, query: str, k: int, topic: str | None) -> list[Passage]:
        cosines = self.vectors @ embed_texts(self.embeddings, [query])[0]
        overlaps = (self.matrix @ self.ngrams.transform([query]).T).toarray()[:, 0]
        hits = [
            passage.model_copy(update={"score": round(float(score), 4)})
            for passage, score in zip(self.passages, cosines + _NGRAMS * overlaps, strict=True)
        ]
        on_topic = f"{topic} §"
        return sorted(hits, key=lambda p: -p.score - _TOPIC * p.source.startswith(on_topic))[:k]
