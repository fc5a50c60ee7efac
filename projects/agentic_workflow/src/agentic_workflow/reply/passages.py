"""Search in the policy documents, files `TOPIC.LANGUAGE.md` with paragraphs `## N. Heading`.

    passages = Passages(folder, load_embeddings())
    passages.search("Where is my parcel?", "en", category="shipping")[0].source    # "shipping §5"

The documents are read and embedded once per process and language.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from agentic_workflow.case import Category, Language, Passage
from agentic_workflow.reply.letter import templates
from seedbed.errors import ConfigError
from seedbed.models.embeddings.load_embeddings import embed_texts

TOPICS = {"refund": "returns", "account": "privacy", "complaint": "complaints"}  # or its own name
# Questions in four languages whose first paragraph is right: 66 of the 70 from which the synonyms
# were written, 18 of 22 others. Without synonyms 60 and 15; with the vectors alone 53 of the 70, as
# MiniLM is made for English.
NGRAM_WEIGHT, TOPIC_BONUS = 0.5, 0.3
_PARAGRAPH = re.compile(r"^## +(\d+)\. +(.+?) *$", re.MULTILINE)


class Passages:
    """The paragraphs of a folder of policy documents."""

    def __init__(self, folder: Path, embeddings: Any) -> None:
        self.folder, self.embeddings = folder, embeddings
        self._index = cache(self._build_index)

    def search(
        self, query: str, language: Language, k: int = 3, *, category: Category | None = None
    ) -> list[Passage]:
        """The best `k` passages in a language, those on the topic of the category first.

        Raises ConfigError if the folder has no documents in this language.
        """
        passages, vectors, ngrams, matrix = self._index(language)
        for words, pattern in templates(language)["synonyms"].items():
            query += f"\n{words}" if re.search(pattern, query, re.IGNORECASE) else ""
        scores = vectors @ embed_texts(self.embeddings, [query], queries=1)[0]
        scores += NGRAM_WEIGHT * (matrix @ ngrams.transform([query]).T).toarray()[:, 0]
        topic = f"{TOPICS.get(str(category), category)} §"
        hits = [
            passage.model_copy(update={"score": float(score)})
            for passage, score in zip(passages, scores, strict=True)
        ]
        return sorted(hits, key=lambda p: -p.score - TOPIC_BONUS * p.source.startswith(topic))[:k]

    def _build_index(self, language: Language) -> tuple[list[Passage], Any, Any, Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        passages, texts = [], []
        for path in sorted(self.folder.glob(f"*.{language}.md")):
            _, *parts = _PARAGRAPH.split(path.read_text(encoding="utf-8"))
            for number, heading, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
                source, text = f"{path.name.split('.')[0]} §{number}", " ".join(text.split())
                passages.append(Passage(source=source, text=text, language=language))
                texts.append(f"{heading}. {text}")
        if not passages:
            problem = f"{self.folder} has no numbered paragraphs in files *.{language}.md."
            raise ConfigError(problem, hint="Set WORKFLOW_POLICIES to a folder that has them.")
        ngrams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
        return passages, embed_texts(self.embeddings, texts), ngrams, ngrams.fit_transform(texts)
