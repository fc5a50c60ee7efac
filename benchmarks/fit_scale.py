"""Chooses the scale of a multilingual embedding model for rag_chatbot's hybrid search.

    python -m benchmarks.fit_scale multilingual-e5

Prints, for each scale (see `catalog.Model.scale`), how often the passage that answers is first: the
94 questions of XQuAD in English, German and Chinese, each asked of the passages in each of these
languages, from which a scale is chosen; and all pairs with Spanish on either side, as a check. The
first row is that of the vectors alone.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fit_quotes import write_xquad
from rag_chatbot.config import Config
from rag_chatbot.evaluate.questions import read_questions, temporary_store
from rag_chatbot.ingest import ingest
from rag_chatbot.search.retrieve import Retriever, fuse
from seedbed.models.embeddings.load_embeddings import embed_texts, load_embeddings

CHOOSE, CHECK = ("en", "de", "zh"), "es"
FLOORS, SHARES, FEEDBACK = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), (0.6, 0.7, 0.8, 0.9, 0.95), (0.0, 0.5)

Case = tuple[Any, Any, Any, Any]
"""Query, vectors and BM25 scores of the candidates, and which of them answers."""


def main(spec: str) -> None:
    embeddings = load_embeddings(spec)
    with tempfile.TemporaryDirectory() as folder:
        files = {x: write_xquad(Path(folder, x), x) for x in (*CHOOSE, CHECK)}
        cases = {
            (questions, docs): collect(files[questions][0], files[docs][1], embeddings)
            for questions, docs in product(files, files)
        }
    groups = {
        "chosen by, one language": [(x, x) for x in CHOOSE],
        "chosen by, two languages": [x for x in product(CHOOSE, CHOOSE) if x[0] != x[1]],
        "check, Spanish": [(CHECK, CHECK)],
        "check, Spanish and another": [x for x in cases if (x[0] == CHECK) != (x[1] == CHECK)],
    }
    print("floor share feedback", *groups, sep=" | ")

    def report(name: str, score: Callable[[Any, Any, Any], Any]) -> None:
        shares = []
        for pairs in groups.values():
            group = [case for pair in pairs for case in cases[pair]]
            shares.append(np.mean([case[3][np.argmax(score(*case[:3]))] for case in group]))
        print(name, *(f"{share:.3f}" for share in shares), sep=" | ", flush=True)

    report("vectors alone", lambda query, vectors, _: vectors @ query)
    report("without a scale", lambda *case: fuse(*case, None))
    for scale in product(FLOORS, SHARES, FEEDBACK):
        report(" ".join(map(str, scale)), lambda *case, scale=scale: fuse(*case, scale))


def collect(questions: Path, docs: Path, embeddings: Any) -> list[Case]:
    """The candidates of every question."""
    config, cases = Config(), []
    with temporary_store(config, embeddings) as store:
        ingest(store, [docs])
        retriever = Retriever(store, embeddings, config)
        for case in read_questions(questions):
            hits, vectors = retriever.candidates(case.question)
            [query] = embed_texts(embeddings, [case.question], queries=1)
            bm25 = np.array([hit.bm25 or 0.0 for hit in hits], np.float32)
            gold = np.array([hit.chunk.source.endswith(tuple(case.source)) for hit in hits])
            cases.append((query, vectors, bm25, gold))
    return cases


if __name__ == "__main__":
    main(sys.argv[1])
