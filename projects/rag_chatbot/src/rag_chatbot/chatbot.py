"""The chatbot as one object, shared by the command line, the HTTP API, the page and the MCP server.

    chatbot = open_chatbot(Config(), Settings())
    chatbot.ask(Question("How do I change the port?"), caller=LOCAL)["answer"]

A question passes through `Chatbot.stream` → `Answerer.stream` → `Retriever.search` → `Store.text`
and `Store.dense` → `fuse` → `Quoter.quote` or `AnswerWriter.write`. This module
checks access, keeps conversations, and returns plain JSON.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from rag_chatbot.answer.answer import Answer, Answerer, clean_question
from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.config import Config
from rag_chatbot.conversation import Conversations, Origin
from rag_chatbot.ingest import Progress, Summary, ingest_bytes
from rag_chatbot.read.decode import clean_name
from rag_chatbot.search.retrieve import Hit, Retriever
from rag_chatbot.store.callers import LOCAL, OPERATOR, Caller
from rag_chatbot.store.store import Store, StoredDocument
from seedbed.errors import BadInput, Conflict, SeedbedError, public_message
from seedbed.models.embeddings.load_embeddings import embed_texts
from seedbed.settings import Settings

log = logging.getLogger(__name__)

__all__ = ["LOCAL", "OPERATOR", "Caller", "Chatbot", "Question", "open_chatbot"]
_DOCUMENT_FIELDS = ("source", "title", "type", "chunks", "added")
NO_DOCUMENTS = "This collection has no documents yet. Add some first."


@dataclass(frozen=True)
class Question:
    """A question to a collection, and how to answer it; None: as configured.

    `k` is the number of chunks to retrieve, `mode` is auto, quote or write, `strictness` runs from
    0 (always answer) to 1 (never). With `keep` the question becomes a turn of a conversation; a new
    one is recorded with its `origin`. `history` has the turns before it if it has no conversation.
    """

    text: str
    collection: str = "default"
    conversation_id: str | None = None
    k: int | None = None
    mode: str | None = None
    strictness: float | None = None
    keep: bool = True
    origin: Origin = "api"
    history: tuple[Exchange, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean_question(self.text))
        if self.k is not None and not 1 <= self.k <= 50:
            raise BadInput(f"k={self.k} is out of range.", hint="Use 1 to 50 passages.")
        if self.strictness is not None and not 0 <= self.strictness <= 1:
            raise BadInput(f"strictness={self.strictness} is out of range.", hint="Use 0 to 1.")


class Chatbot:
    """Owns the store and the conversations; safe to use from many threads; close it when done.

    `caller` is the name of an API key, LOCAL on a server without keys, or OPERATOR, the person who
    runs commands on this machine and may use every collection.
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
        self.store.create_collection("default")

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    # Answering

    def search(
        self, question: str, *, collection: str, caller: Caller, k: int | None = None
    ) -> list[dict[str, Any]]:
        """The passages nearest to a question, best first."""
        checked = Question(question, k=k)
        self.store.require(collection, caller, "read")
        hits = self.retriever.search(checked.text, collection=collection, k=k)
        return [passage(hit) for hit in hits]

    def ask(self, question: Question, *, caller: Caller) -> dict[str, Any]:
        """The whole answer as JSON, as in the last event of `stream`."""
        *_, last = self.stream(question, caller=caller)
        assert isinstance(last, dict)
        return last

    def stream(self, question: Question, *, caller: Caller) -> Generator[str | dict[str, Any]]:
        """Yield the answer's text piece by piece as it is ready, then the whole answer as JSON.

        Raises NotFound for a collection or conversation that does not exist or is not accessible to
        the caller.
        """
        # 1. Check access to the collection and to the conversation.
        self.store.require(question.collection, caller, "read")
        owner = LOCAL if caller is OPERATOR else caller
        history: Sequence[Exchange] = question.history
        if question.conversation_id:
            turns = self.conversations.turns(question.conversation_id, owner)
            history = [Exchange(turn.question, turn.answer["answer"]) for turn in turns]

        # 2. Answer.
        answer: Answer | None = None
        for event in self.answerer.stream(
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

        # 3. Add the turn to the conversation.
        result = answer_json(answer)
        if not answer.passages and not self.store.documents(question.collection):
            result["notices"].append(NO_DOCUMENTS)
        yield self._keep(question, result, owner) if question.keep else result

    def _keep(self, question: Question, answer: dict[str, Any], owner: str) -> dict[str, Any]:
        conversation_id = question.conversation_id or self.conversations.start(
            owner, question.collection, question.text, question.origin
        )
        turn_id = self.conversations.add(conversation_id, question.text, answer)
        return {"id": turn_id, "conversation_id": conversation_id, **answer}

    # Documents and collections

    def collections(self, caller: Caller) -> list[str]:
        """The names of the collections that the caller may read."""
        return self.store.collections(caller)

    def create_collection(
        self, name: str, readers: Sequence[str], writers: Sequence[str], caller: Caller
    ) -> None:
        """Create a collection that its creator may always use.

        The name must begin with the caller's own, as in `alice/notes`, so that a name that is
        taken reveals nothing about the collections of others.
        """
        if caller not in (OPERATOR, LOCAL) and not name.startswith(f"{caller}/"):
            raise BadInput(
                f"The name of your collection must begin with '{caller}/'.",
                hint=f"Example: '{caller}/{name}'.",
            )
        if name in self.store.collections(OPERATOR):
            raise Conflict(f"The name {name!r} is not available.", hint="Choose another.")
        self.store.create_collection(name, _with(caller, readers), _with(caller, writers))

    def delete_collection(self, name: str, caller: Caller) -> None:
        """Delete a collection with all its documents; `default` stays, without documents."""
        self.store.require(name, caller, "write")
        self.store.delete_collection(name)
        if name == "default":
            self.store.create_collection(name)

    def documents(self, collection: str, caller: Caller) -> list[dict[str, Any]]:
        """The documents of a collection as JSON, ordered by source."""
        self.store.require(collection, caller, "read")
        return [
            {name: getattr(document, name) for name in _DOCUMENT_FIELDS}
            for document in self.store.documents(collection)
        ]

    def document(self, collection: str, source: str, caller: Caller) -> StoredDocument:
        """A document with its text. Raises NotFound."""
        self.store.require(collection, caller, "read")
        return self.store.document(collection, source)

    def upload(
        self,
        files: Sequence[tuple[str, bytes]],
        collection: str,
        caller: Caller,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Ingest uploaded files, given as (name, content), and return a summary as JSON.

        A file that cannot be read is listed under `failed`; the others are ingested all the same.
        When the server cannot go on, the files before that are in the summary; an error is raised
        only if there are none.
        """
        self.store.require(collection, caller, "write")
        start = time.monotonic()
        summary = Summary()
        for number, (name, data) in enumerate(files):
            if progress:
                progress(number, len(files), name)
            try:
                _, change, chunks = ingest_bytes(self.store, name, data, collection=collection)
            except SeedbedError as error:
                stops = error.status >= 500 or error.status == 429  # and not because of this file
                if stops and not (summary.added or summary.updated or summary.unchanged):
                    raise
                rest = files[number:] if stops else [(name, data)]
                summary.failed += [_failure(name, error) for name, _ in rest]
                if stops:
                    break
            except Exception as error:  # a bug in a parser must not stop the other files
                summary.failed.append(_failure(name, error))
            else:
                setattr(summary, change, getattr(summary, change) + 1)
                summary.chunks += chunks if change != "unchanged" else 0
        summary.seconds = time.monotonic() - start
        return summary.as_json()

    def delete_document(self, collection: str, source: str, caller: Caller) -> None:
        """Delete a document with its chunks and vectors. Raises NotFound."""
        self.store.require(collection, caller, "write")
        self.store.delete_document(collection, source)

    def check(self) -> None:
        """Raise the error that would prevent an answer; cheap once the model has worked."""
        self.conversations.list(LOCAL, limit=1)
        [vector] = embed_texts(self.retriever.embeddings, ["ready"])
        for name in self.store.collections(OPERATOR)[:1]:
            self.store.dense(name, vector, 1)
        if self.writes and not self._model_works and (model := self.answerer.writer.model):
            self._model_works = any(True for _ in model.stream("Hello"))

    @property
    def writes(self) -> bool:
        """Whether the model writes answers, unless a question sets another mode."""
        mode = self.config.mode
        return (self.answerer.writer.mode if mode == "auto" else mode) == "write"


def open_chatbot(config: Config, settings: Settings) -> Chatbot:
    """The chatbot with the configured models; they are loaded at their first use."""
    from seedbed.models.embeddings.load_embeddings import load_embeddings
    from seedbed.models.load import load_chat_model

    load_model = partial(load_chat_model, settings.model, settings=settings)
    return Chatbot(config, load_embeddings(settings=settings), load_model, settings.model)


def _with(caller: Caller, names: Sequence[str]) -> list[str]:
    """`names`, and the caller where they don't include it."""
    included = caller is OPERATOR or "*" in names or caller in names
    return [*names] if included else [*names, str(caller)]


def _failure(name: str, error: Exception) -> dict[str, str]:
    return {"path": clean_name(name), "reason": public_message(error, log)}


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
    """An answer as JSON: all fields, with the retrieved chunks in short form."""
    fields = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
    return {
        **fields,
        "citations": [asdict(citation) for citation in answer.citations],
        "passages": [passage(hit) for hit in answer.passages],
        "notices": list(answer.notices),
    }
