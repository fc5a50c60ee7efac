"""Words of content of questions and documents, in a form in which they can be compared.

content("How long is the warranty on three kettles?")    # {'warranti', '3', 'kettl'}
Synonyms(index)("How cold is the fridge?")               # {'fridg': {'refriger'}}
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

from multi_agent.documents.index import DocumentIndex, stems
from seedbed.models.embeddings.load import Vectors, embed_texts

SYNONYM = 0.8  # cosine of two words; fridge and refrigerator 0.96, vegetarian and vegan 0.75
_HITS = 20  # passages whose words may be synonyms
_WORD = re.compile(r"[^\W\d_]{3,}")

DATA: dict[str, Any] = tomllib.loads(
    resources.files(__package__).joinpath("kinds.toml").read_text("utf-8")
)
_SAME = {
    stem: next(stems(line))
    for line in DATA["words"]["same"].strip().splitlines()
    for stem in stems(line)
}
_IGNORED = frozenset(stems(DATA["words"]["ignored"]))


@lru_cache(100_000)
def content(text: str) -> frozenset[str]:
    """The stems of a text without empty words; digits for numbers, one stem for synonyms.

    >>> content("Three kettles with a guarantee") == content("3 kettle warranties")
    True
    """
    from text_to_num import alpha2digit

    words = str(alpha2digit(text, "en", threshold=1))  # from two on: "one" is seldom a number
    return frozenset(_SAME.get(stem, stem.replace(",", "")) for stem in stems(words)) - _IGNORED


class Synonyms:
    """Words of the documents that mean the same as words that no document has."""

    def __init__(self, index: DocumentIndex) -> None:
        self._index = index
        self._known = {t for p in index.passages for t in content(f"{p.heading} {p.text}")}
        self._vectors: dict[str, Vectors] = {}

    def __call__(self, question: str) -> dict[str, frozenset[str]]:
        """Terms of the question with those that may stand for them in a passage.

        Only close ones: "refrigerator" for "fridge", not "dog" for "cat". Names have none.
        """
        unknown = [w for w in _WORD.findall(question) if w.islower() and content(w) - self._known]
        hits = self._index.search(question, _HITS) if unknown else ()
        texts = (f"{hit.heading} {hit.text}" for hit in hits)
        others = sorted({w for text in texts for w in _WORD.findall(text) if w.islower()})
        missing = [word for word in {*unknown, *others} if word not in self._vectors]
        vectors = embed_texts(self._index.embeddings, missing) if missing else ()
        self._vectors |= dict(zip(missing, vectors, strict=True))
        synonyms = dict[str, frozenset[str]]()
        for word in unknown:
            near = (o for o in others if self._vectors[word] @ self._vectors[o] >= SYNONYM)
            synonyms |= dict.fromkeys(content(word), content(" ".join(near)))
        return synonyms
