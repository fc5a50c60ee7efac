"""The chatbot as one object: what the command line, the API, the page and the MCP server share.

It checks who may see a collection, keeps conversations, and speaks plain JSON. Searching and
answering are in `retrieve` and `answer`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from rag_chatbot.answer import Answer, Answerer, Turn
from rag_chatbot.config import Config
from rag_chatbot.conversation import Conversations
from rag_chatbot.ingest import Progress, Summary, ingest_bytes
from rag_chatbot.retrieve import Hit, Retriever
from rag_chatbot.store import Store
from seedbed.errors import BadInput, SeedbedError
from seedbed.settings import Settings

LoadModel = Callable[[str], BaseChatModel]


@dataclass(frozen=True)
class Question:
    """What someone asks, of which collection, and how to answer it (None: as configured)."""

    text: str
    collection: str = "default"
    conversation_id: str | None = None
    k: int | None = None
    mode: str | None = None
    strictness: float | None = None
    model: str | None = None


class Chatbot:
    """Owns the store and the conversations; safe to use from many threads; close it when done.

    `caller` is the name of an API key, or `local` for whoever can read the files anyway.
    """

    def __init__(
        self, config: Config, embeddings: Embeddings, models: Sequence[str], load_model: LoadModel
    ) -> None:
        """`models` are the specs that may be asked for, the usual one first."""
        self.config = config
        self.models = tuple(dict.fromkeys(models))
        self.store = Store(config, embeddings)
        self.retriever = Retriever(self.store, embeddings, config)
        self.conversations = Conversations(config.data_dir / "conversations.sqlite")
        self._load_model = load_model
        self._answerers: dict[str, Answerer] = {}
        self._lock = threading.Lock()
        self.store.create_collection("default")

    def close(self) -> None:
        self.store.close()

    # Answering

    def answerer(self, model: str | None = None) -> Answerer:
        """The answerer of a model, loaded at its first use. Raises BadInput for one not offered."""
        name = model or self.models[0]
        if name not in self.models:
            raise BadInput(
                f"The model {name!r} is not offered here.", hint=f"Try {self.models[0]!r}."
            )
        with self._lock:
            if name not in self._answerers:
                chat_model = self._load_model(name)
                self._answerers[name] = Answerer(self.retriever, chat_model, self.config)
            return self._answerers[name]

    def search(
        self, question: str, *, collection: str = "default", k: int | None = None,
        caller: str = "local",
    ) -> list[dict[str, Any]]:
        """The passages nearest to a question, best first."""
        self.store.require(collection, caller, "read")
        return [passage(hit) for hit in self.retriever.search(question, collection=collection, k=k)]

    def ask(self, question: Question, *, caller: str = "local") -> dict[str, Any]:
        """Answer at once; the JSON is that of `stream`'s last event."""
        *_, last = self.stream(question, caller=caller)
        assert isinstance(last, dict)
        return last

    def stream(self, question: Question, *, caller: str = "local") -> Iterator[str | dict[str, Any]]:
        """Yield pieces of the answer as they are ready, then the whole answer as JSON.

        Raises NotFound for a collection or conversation that is not there or not the caller's, and
        BadInput for a question that cannot be used.
        """
        self.store.require(question.collection, caller, "read")
        history: list[Turn] = []
        if question.conversation_id:
            turns = self.conversations.turns(question.conversation_id, caller)
            history = [Turn(turn.question, turn.answer["answer"]) for turn in turns]
        answer: Answer | None = None
        for event in self.answerer(question.model).stream(
            question.text,
            collection=question.collection,
            history=history,
            k=question.k,
            mode=question.mode,
            strictness=question.strictness,
        ):
            if isinstance(event, Answer):
                answer = event
            else:
                yield event
        assert answer is not None, "an answerer's last event is its answer"
        yield self._keep(question, answer_json(answer), caller)

    def _keep(self, question: Question, answer: dict[str, Any], caller: str) -> dict[str, Any]:
        conversation_id = question.conversation_id or self.conversations.start(
            caller, question.collection, question.text
        )
        turn_id = self.conversations.add(conversation_id, question.text, answer)
        return {**answer, "id": turn_id, "conversation_id": conversation_id}

    # Documents and collections

    def collections(self, caller: str) -> list[str]:
        """The names of the collections that the caller may read."""
        return self.store.collections(caller)

    def create_collection(
        self, name: str, readers: Sequence[str], writers: Sequence[str], caller: str
    ) -> None:
        """Make a collection. Raises BadInput for a name that is taken, whoever has it.

        The caller is always among its readers and writers: nobody locks themselves out.
        """
        if name in self.store.collections(None):
            raise BadInput(f"The name {name!r} cannot be used.", hint="Choose another.")
        self.store.create_collection(name, _with(caller, readers), _with(caller, writers))

    def delete_collection(self, name: str, caller: str) -> None:
        """Delete a collection with all its documents."""
        self.store.require(name, caller, "write")
        self.store.delete_collection(name)

    def documents(self, collection: str, caller: str) -> list[dict[str, Any]]:
        """The documents of a collection, by source."""
        self.store.require(collection, caller, "read")
        return [
            {"source": d.source, "title": d.title, "type": d.type, "chunks": d.chunks,
             "added": d.added}
            for d in self.store.documents(collection)
        ]  # fmt: skip

    def document_text(self, collection: str, source: str, caller: str) -> str:
        """A document's text as it was read; citations are spans of it."""
        self.store.require(collection, caller, "read")
        return self.store.document(collection, source).text

    def upload(
        self, files: Sequence[tuple[str, bytes]], collection: str, caller: str,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Read uploaded files, given as (name, content). One bad file never stops the rest."""
        self.store.require(collection, caller, "write")
        summary = Summary()
        for number, (name, data) in enumerate(files):
            if progress:
                progress(number, len(files), name)
            try:
                _, change, chunks = ingest_bytes(self.store, name, data, collection=collection)
            except SeedbedError as error:
                if error.status >= 500 or error.status == 429:
                    raise
                summary.failed.append({"path": name, "reason": str(error)})
                continue
            setattr(summary, change, getattr(summary, change) + 1)
            summary.chunks += chunks if change != "unchanged" else 0
        return summary.as_json()

    def delete_document(self, collection: str, source: str, caller: str) -> None:
        """Forget one document: its text, its chunks and its vectors."""
        self.store.require(collection, caller, "write")
        self.store.delete_document(collection, source)

    def check(self) -> None:
        """Raise what keeps the chatbot from answering; cheap once its models are loaded."""
        self.store.database.connection().execute("SELECT 1")
        self.answerer()


def open_chatbot(config: Config, settings: Settings) -> Chatbot:
    """The chatbot with the configured models."""
    from seedbed.catalog import MODELS
    from seedbed.chat import load_chat_model
    from seedbed.embeddings import load_embeddings

    return Chatbot(
        config,
        load_embeddings(settings=settings),
        [settings.model, *(m.name for m in MODELS.values() if m.kind == "chat")],
        lambda name: load_chat_model(name, settings=settings),
    )


def _with(caller: str, names: Sequence[str]) -> list[str]:
    return list(names) if "*" in names or caller in names else [*names, caller]


def passage(hit: Hit) -> dict[str, Any]:
    """A retrieved chunk as JSON."""
    chunk = hit.chunk
    return {
        "source": chunk.source,
        "page": chunk.page,
        "heading": chunk.heading,
        "text": chunk.text,
        "score": round(hit.score, 4),
        "start": chunk.start,
        "end": chunk.end,
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """An answer as JSON: the retrieved chunks in short form, everything else field by field."""
    shown = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
    shown["citations"] = [asdict(citation) for citation in answer.citations]
    shown["passages"] = [passage(hit) for hit in answer.passages]
    shown["notices"] = list(answer.notices)
    return shown
