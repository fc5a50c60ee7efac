"""The chatbot as one object: what the command line, the API, the page and the MCP server share.

It checks who may see a collection, keeps conversations, and speaks plain JSON. Searching and
answering are in `retrieve` and `answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from rag_chatbot.answer.answer import Answer, Answerer, Turn, check
from rag_chatbot.config import Config
from rag_chatbot.conversation import Conversations
from rag_chatbot.ingest import Progress, Summary, ingest_bytes
from rag_chatbot.search.retrieve import Hit, Retriever
from rag_chatbot.store.embed import embed_texts
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput, SeedbedError
from seedbed.settings import Settings

LoadModel = Callable[[str], BaseChatModel]

OPERATOR = None
LOCAL = "local"
NO_DOCUMENTS = "This collection has no documents yet: add some first."


@dataclass(frozen=True)
class Question:
    """What someone asks, of which collection, and how to answer it (None: as configured).

    With `keep` it becomes a turn of a conversation, which later questions may continue.
    """

    text: str
    collection: str = "default"
    conversation_id: str | None = None
    k: int | None = None
    mode: str | None = None
    strictness: float | None = None
    model: str | None = None
    keep: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", check(self.text))
        if self.k is not None and not 1 <= self.k <= 50:
            raise BadInput(f"k={self.k} is not a number of passages from 1 to 50.")
        if self.strictness is not None and not 0 <= self.strictness <= 1:
            raise BadInput(f"The strictness {self.strictness} is not between 0 and 1.")


class Chatbot:
    """Owns the store and the conversations; safe to use from many threads; close it when done.

    `caller` is the name of an API key, `"local"` where the server has no keys, or OPERATOR: whoever
    runs commands on the machine, and may use every collection.
    """

    def __init__(
        self, config: Config, embeddings: Embeddings, models: Sequence[str], load_model: LoadModel
    ) -> None:
        """`models` are the specs that may be asked for, the usual one first. Each is loaded by
        `load_model` when it first has to write."""
        self.config = config
        self.models = tuple(dict.fromkeys(models))
        self.store = Store(config, embeddings)
        self.retriever = Retriever(self.store, embeddings, config)
        self.conversations = Conversations(config.data_dir / "conversations.sqlite")
        self._answerers = {
            name: Answerer(self.retriever, partial(load_model, name), config, name)
            for name in self.models
        }
        self._proved = False
        self.store.create_collection("default")

    def close(self) -> None:
        self.store.close()

    # Answering

    def answerer(self, model: str | None = None) -> Answerer:
        """The answerer of a model. Raises BadInput for one that is not offered."""
        name = model or self.models[0]
        if name not in self._answerers:
            raise BadInput(
                f"The model {name!r} is not offered here.", hint=f"Try {self.models[0]!r}."
            )
        return self._answerers[name]

    def search(
        self, question: str, *, collection: str, caller: str | None, k: int | None = None
    ) -> list[dict[str, Any]]:
        """The passages nearest to a question, best first."""
        asked = Question(question, k=k)
        self._require(collection, caller, "read")
        found = self.retriever.search(asked.text, collection=collection, k=k)
        return [passage(hit) for hit in found]

    def ask(self, question: Question, *, caller: str | None) -> dict[str, Any]:
        """Answer at once; the JSON is that of `stream`'s last event."""
        *_, last = self.stream(question, caller=caller)
        assert isinstance(last, dict)
        return last

    def stream(self, question: Question, *, caller: str | None) -> Generator[str | dict[str, Any]]:
        """Yield pieces of the answer as they are ready, then the whole answer as JSON.

        Raises NotFound for a collection or conversation that is not there or not the caller's.
        """
        self._require(question.collection, caller, "read")
        history: list[Turn] = []
        if question.conversation_id:
            turns = self.conversations.turns(question.conversation_id, caller or LOCAL)
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
        shown = answer_json(answer)
        if not answer.passages and not self.store.documents(question.collection):
            shown["notices"].append(NO_DOCUMENTS)
        yield self._keep(question, shown, caller or LOCAL) if question.keep else shown

    def _keep(self, question: Question, answer: dict[str, Any], caller: str) -> dict[str, Any]:
        conversation_id = question.conversation_id or self.conversations.start(
            caller, question.collection, question.text
        )
        turn_id = self.conversations.add(conversation_id, question.text, answer)
        return {"id": turn_id, "conversation_id": conversation_id, **answer}

    # Documents and collections

    def _require(self, name: str, caller: str | None, action: Literal["read", "write"]) -> None:
        if caller is OPERATOR:
            self.store.collection(name)
        else:
            self.store.require(name, caller, action)

    def collections(self, caller: str | None) -> list[str]:
        """The names of the collections that the caller may read."""
        return self.store.collections(caller)

    def create_collection(
        self, name: str, readers: Sequence[str], writers: Sequence[str], caller: str | None
    ) -> None:
        """Make a collection that its creator may always use.

        A key may only take names that begin with its own, as in `alice/notes`: whether a name is
        taken says nothing then about the collections of others.
        """
        if caller not in (OPERATOR, LOCAL) and not name.startswith(f"{caller}/"):
            raise BadInput(
                f"The name of your collection must begin with '{caller}/'.",
                hint=f"Try '{caller}/{name}'.",
            )
        if name in self.store.collections(OPERATOR):
            raise BadInput(f"The name {name!r} cannot be used.", hint="Choose another.")
        self.store.create_collection(name, _with(caller, readers), _with(caller, writers))

    def delete_collection(self, name: str, caller: str | None) -> None:
        """Delete a collection with all its documents."""
        self._require(name, caller, "write")
        self.store.delete_collection(name)

    def documents(self, collection: str, caller: str | None) -> list[dict[str, Any]]:
        """The documents of a collection, by source."""
        self._require(collection, caller, "read")
        return [
            {"source": d.source, "title": d.title, "type": d.type, "chunks": d.chunks,
             "added": d.added}
            for d in self.store.documents(collection)
        ]  # fmt: skip

    def document_text(self, collection: str, source: str, caller: str | None) -> str:
        """A document's text as it was read; citations are spans of it."""
        self._require(collection, caller, "read")
        return self.store.document(collection, source).text

    def upload(
        self,
        files: Sequence[tuple[str, bytes]],
        collection: str,
        caller: str | None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Read uploaded files, given as (name, content). One bad file never stops the rest."""
        self._require(collection, caller, "write")
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

    def delete_document(self, collection: str, source: str, caller: str | None) -> None:
        """Forget one document: its text, its chunks and its vectors."""
        self._require(collection, caller, "write")
        self.store.delete_document(collection, source)

    def check(self) -> None:
        """Raise what keeps the chatbot from answering; cheap once the model has said something."""
        [vector] = embed_texts(self.retriever.embeddings, ["ready"])
        for name in self.store.collections(OPERATOR)[:1]:
            self.store.dense(name, vector, 1)
        writer = self.answerer().writer
        mode = writer.mode if self.config.mode == "auto" else self.config.mode
        if mode == "write" and not self._proved and writer.model is not None:
            self._proved = any(True for _ in writer.model.stream("Hello"))


def open_chatbot(config: Config, settings: Settings) -> Chatbot:
    """The chatbot with the configured models."""
    from seedbed.models.catalog import MODELS
    from seedbed.models.embeddings import load_embeddings

    def load_model(name: str) -> BaseChatModel:
        from seedbed.models.chat import load_chat_model

        return load_chat_model(name, settings=settings)

    # Only what is installed is offered beside the configured model: nobody's choice on the page
    # makes the server download gigabytes.
    shipped = [m.name for m in MODELS.values() if m.kind == "chat" and m.package]
    embeddings = load_embeddings(settings=settings)
    return Chatbot(config, embeddings, [settings.model, *shipped], load_model)


def _with(caller: str | None, names: Sequence[str]) -> list[str]:
    return [*names] if caller is OPERATOR or {"*", caller} & set(names) else [*names, caller]


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
