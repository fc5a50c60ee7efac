"""An answerer over a few handwritten documents, with the model's replies where it has to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from rag_chatbot.answer.answer import Answerer
from rag_chatbot.config import Config
from rag_chatbot.search.retrieve import Hit
from rag_chatbot.store.store import Chunk
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel

GUIDE = """# Kestrel

Kestrel keeps its settings in `kestrel.toml`. The server listens on port 7421 by default.

To change the port, run:

```
kestrel config set port 9000
```

Logs are rotated every 14 days. Old logs are deleted.
"""


class Shelf:
    """A retriever that ranks whole documents by shared words."""

    def __init__(self, *texts: str) -> None:
        self.embeddings = HashEmbeddings()
        self.texts = texts

    def search(self, question: str, _: object = None, *, k: int) -> list[Hit]:
        query = self.embeddings.embed_query(question)
        hits = []
        for n, text in enumerate(self.texts):
            vector = self.embeddings.embed_query(text)
            cosine = sum(a * b for a, b in zip(query, vector, strict=True))
            chunk = Chunk(
                n, n, f"{n}.md", 0, text, "Guide", None, 0, len(text), "Guide", "markdown"
            )
            hits.append(Hit(chunk, cosine, cosine, None))
        return sorted(hits, key=lambda hit: -hit.score)[:k]


@pytest.fixture
def guide() -> str:
    return GUIDE


@pytest.fixture
def answerer() -> Callable[..., Answerer]:
    def open_answerer(
        *texts: str, replies: Sequence[str] | None = None, strictness: float = 0
    ) -> Answerer:
        if replies is None:
            return Answerer(Shelf(*texts), None, Config(strictness=strictness))
        model = ScriptedChatModel(list(replies))
        return Answerer(Shelf(*texts), lambda: model, Config(mode="write"))

    return open_answerer
