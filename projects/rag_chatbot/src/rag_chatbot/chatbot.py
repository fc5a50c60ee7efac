"""The chatbot as one object, shared by the command line, the HTTP API, the page and the MCP server.

    chatbot = open_chatbot(Config(), Settings())
    chatbot.ask(Question("How do I change the port?"), caller=LOCAL)["answer"]

A question passes through `Chatbot.stream`, `Answerer.stream`, `Retriever.search`,
`Store.keyword_search`, `Store.vector_search`, `fuse`, and `quote` or `AnswerWriter.write`. This
module checks access, keeps conversations, and returns plain JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from rag_chatbot.answer.answer import Answer, Answerer, clean_question
from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.config import Config
from rag_chatbot.conversation import Conversation, Conversations, Turn
from rag_chatbot.ingest import Summary, ingest_uploads
from rag_chatbot.search.retrieve import Hit, Retriever
from rag_chatbot.store.catalogue import OPERATOR, allows
from rag_chatbot.store.store import Store, StoredDocument
from seedbed.errors import BadInput, Conflict
from seedbed.models.embeddings.load_embeddings import embed_texts
from seedbed.server.callers import LOCAL, Caller
from seedbed.settings import Settings

__all__ = ["LOCAL", "OPERATOR", "Caller", "Chatbot", "Question", "open_chatbot"]
NO_DOCUMENTS = "This collection has no documents yet. Add some first."


@dataclass(frozen=True)
class Question:
    """A question to a collection. Raises BadInput if it is too long or has no words.

    With `keep` it becomes a turn of a conversation. `history` has the earlier exchanges of a
    question without a conversation.
    """

    text: str
    collection: str | None = None  # that of the conversation, or `default`
    conversation_id: str | None = None
    keep: bool = True
    history: tuple[Exchange, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean_question(self.text))


class Chatbot:
    """Owns the store and the conversations; safe to use from many threads; close it when done.

    `caller` is who asks: `LOCAL` on a server without keys, and OPERATOR for the person who runs
    commands on this machine and may use every collection.
    """

    def __init__(
        self,
        config: Config,
        embeddings: Embeddings,
        load_model: Callable[[], BaseChatModel],
        spec: str = "",
    ) -> None:
        """`load_model` loads the model of this `spec` when it first has to write."""
        self.config = config
        self.store = Store(config, embeddings)
        self.retriever = Retriever(self.store, embeddings, config)
        self.conversations = Conversations(config.data_dir / "conversations.sqlite")
        self.answerer = Answerer(self.retriever, load_model, config, spec)
        self._model_works = False
        self.store.collections.create("default")

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    # Answering

    def search(
        self, question: str, *, collection: str, caller: Caller, k: int | None = None
    ) -> list[dict[str, Any]]:
        """The `k` passages nearest to a question, best first. BadInput unless `k` is 1 to 50."""
        if k is not None and not 1 <= k <= 50:
            raise BadInput(f"k={k} is out of range.", hint="Use 1 to 50 passages.")
        owner = self.store.collections.require(collection, caller, "read")
        hits = self.retriever.search(clean_question(question), owner, k=k)
        return [passage(hit) for hit in hits]

    def ask(self, question: Question, *, caller: Caller) -> dict[str, Any]:
        """The whole answer as JSON, as in the last event of `stream`."""
        *_, last = self.stream(question, caller=caller)
        assert isinstance(last, dict)
        return last

    def stream(self, question: Question, *, caller: Caller) -> Generator[str | dict[str, Any]]:
        """Yield the answer's text piece by piece as it is ready, then the whole answer as JSON.

        An empty piece means that the answer is not ready yet. Raises NotFound for a collection or
        conversation that does not exist or is not accessible to the caller.
        """
        # 1. Check access to the collection and to the conversation.
        name, history = question.collection or "default", list(question.history)
        if question.conversation_id:
            conversation, turns = self.conversation(question.conversation_id, caller)
            name = conversation.collection
            if question.collection not in (None, name):
                problem = f"The conversation is about the collection {name!r}."
                raise BadInput(problem, hint="Start a new one to ask about another collection.")
            history = [Exchange(turn.question, turn.answer["answer"]) for turn in turns]
        collection = self.store.collections.require(name, caller, "read")

        # 2. Answer.
        answer: Answer | None = None
        for event in self.answerer.stream(question.text, collection, history=history):
            if isinstance(event, Answer):
                answer = event
            else:
                yield event
        assert answer is not None, "an answerer's last event is its answer"

        # 3. Add the turn to the conversation.
        result = asdict(answer) | {"passages": [passage(hit) for hit in answer.passages]}
        if not answer.passages and not self.store.documents(name):
            result["notices"] = (*answer.notices, NO_DOCUMENTS)
        if question.keep:
            conversation_id = question.conversation_id or self.conversations.start(
                _name(caller), name, question.text
            )
            turn_id = self.conversations.add(
                conversation_id, question.text, result | {"passages": []}
            )
            result = {"id": turn_id, "conversation_id": conversation_id, **result}
        yield result

    # Conversations

    def list_conversations(self, caller: Caller, limit: int = 50) -> list[Conversation]:
        """The caller's conversations about collections that it may read, the last updated first."""
        return self.conversations.list(_name(caller), self.collections(caller), limit)

    def conversation(self, identifier: str, caller: Caller) -> tuple[Conversation, list[Turn]]:
        """A conversation with its turns.

        Raises NotFound for one of another caller, or about a collection that it may not read.
        """
        conversation, turns = self.conversations.read(identifier, _name(caller))
        self.store.collections.require(conversation.collection, caller, "read")
        return conversation, turns

    # Documents and collections

    def collections(self, caller: Caller) -> list[str]:
        """The names of the collections that the caller may read."""
        return self.store.collections.names(caller)

    def create_collection(
        self, name: str, readers: Sequence[str], writers: Sequence[str], caller: Caller
    ) -> None:
        """Create a collection that its creator may always use.

        The name must begin with the caller's own, as in `alice/notes`, so that a name that is
        taken reveals nothing about the collections of others.
        """
        if caller.name not in (OPERATOR.name, LOCAL.name) and not name.startswith(f"{caller}/"):
            raise BadInput(
                f"The name of your collection must begin with '{caller}/'.",
                hint=f"Example: '{caller}/{name}'.",
            )
        if name in self.store.collections.names(OPERATOR):
            raise Conflict(f"The name {name!r} is not available.", hint="Choose another.")
        self.store.collections.create(name, _include(caller, readers), _include(caller, writers))

    def delete_collection(self, name: str, caller: Caller) -> None:
        """Delete a collection with all its documents; `default` stays, without documents."""
        self.store.collections.require(name, caller, "write")
        self.store.delete_collection(name)
        self.conversations.erase_deleted(name, ())
        if name == "default":
            self.store.collections.create(name)

    def documents(self, collection: str, caller: Caller) -> list[dict[str, Any]]:
        """The documents of a collection as JSON, ordered by source."""
        self.store.collections.require(collection, caller, "read")
        fields = ("source", "title", "type", "chunks", "added")
        documents = self.store.documents(collection)
        return [{name: getattr(document, name) for name in fields} for document in documents]

    def document(self, collection: str, source: str, caller: Caller) -> StoredDocument:
        """A document with its text. Raises NotFound."""
        self.store.collections.require(collection, caller, "read")
        return self.store.document(collection, source)

    def upload(
        self, files: Sequence[tuple[str, bytes]], collection: str, caller: Caller
    ) -> Summary:
        """Ingest uploaded files, given as (name, content), see `ingest_uploads`."""
        self.store.collections.require(collection, caller, "write")
        return ingest_uploads(self.store, files, collection=collection)

    def delete_document(self, collection: str, source: str, caller: Caller) -> None:
        """Delete a document with its chunks and vectors, and its text in answers."""
        self.store.collections.require(collection, caller, "write")
        self.store.delete_document(collection, source)
        self.store.update_index()
        self.erase_deleted(collection)

    def erase_deleted(self, collection: str) -> None:
        """Erase the answers of conversations that cite deleted documents of a collection."""
        sources = {document.source for document in self.store.documents(collection)}
        self.conversations.erase_deleted(collection, sources)

    def check_ready(self) -> None:
        """Raise the error that would prevent an answer; cheap once the model has worked."""
        self.conversations.list(LOCAL.name, [], limit=1)
        [vector] = embed_texts(self.retriever.embeddings, ["ready"])
        for name in self.collections(OPERATOR)[:1]:
            self.store.vector_search(self.store.collections.get(name), vector, 1)
        if self.writes and not self._model_works and (model := self.answerer.writer.model):
            self._model_works = any(True for _ in model.stream("Hello"))

    @property
    def writes(self) -> bool:
        """Whether the model writes the answers."""
        mode = self.config.mode
        return (self.answerer.writer.mode if mode == "auto" else mode) == "write"


def open_chatbot(config: Config, settings: Settings) -> Chatbot:
    """The chatbot with the configured models; they are loaded at their first use."""
    from seedbed.models.embeddings.load_embeddings import load_embeddings
    from seedbed.models.load import load_chat_model

    load_model = partial(load_chat_model, settings.model, settings=settings)
    return Chatbot(config, load_embeddings(settings=settings), load_model, settings.model)


def _include(caller: Caller, names: Sequence[str]) -> list[str]:
    """`names`, and the caller where they don't include it."""
    return [*names] if allows(names, caller) else [*names, caller.name]


def _name(caller: Caller) -> str:
    """The name under which a caller's conversations are stored; the operator's are local ones."""
    return LOCAL.name if caller is OPERATOR else caller.name


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
