"""Write mode: a chat model writes from fenced passages, and every sentence is checked.

    draft = yield from AnswerWriter(model, embeddings).write(question, hits)

The model names the quote that supports each of its sentences. A sentence that equals one of the
passages is shown, see `verify`. Others are decided by the model as a judge, or shown with a mark,
`[1]?`.
"""

from __future__ import annotations

import contextvars
import queue
import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from rag_chatbot.answer.claims import read_claims
from rag_chatbot.answer.evidence import Draft, Span
from rag_chatbot.answer.follow_up import MAX_EXCHANGES, Exchange
from rag_chatbot.answer.judge import judge
from rag_chatbot.answer.verify import Checked, Verifier
from rag_chatbot.read.language import context
from seedbed.errors import ModelError
from seedbed.models.prompts import load_prompt, quote
from seedbed.models.weights import catalog
from seedbed.observe.usage import UsageCallback
from seedbed.safety.injection import screen_injection
from seedbed.structured.reply_text import without_thinking

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit
    from rag_chatbot.store.records import Chunk

DEFAULT_WINDOW = 8192  # tokens, for a model whose context window is unknown
REPLY_TOKENS = 512  # reserved for the answer
MIN_PASSAGES, MAX_PASSAGES = 600, 12_000  # tokens of passages in a prompt
HEARTBEAT = 0.25  # seconds: how often a caller who waits for the model gets an empty piece
MAX_SENTENCES = 8  # of an answer, supported or not; a model that writes twice as many is stopped
_REFUSAL = re.compile(r"^\W*not found\b", re.IGNORECASE)
_SKIPPED = ("?", ":")  # small models repeat the question, others announce the answer
_LOCAL = ("path:", "hf:")  # specs of models on this machine that the catalogue does not list


class AnswerWriter:
    """Writes answers with one chat model, which is loaded at its first use."""

    def __init__(
        self,
        model: BaseChatModel | Callable[[], BaseChatModel] | None,
        embeddings: Any,
        spec: str = "",
        *,
        judges: bool = True,
    ) -> None:
        """`model` may be a function that loads it, called once; None where answers only quote.

        `spec` names the model before it is loaded. With `judges` a model behind an API decides
        about its doubtful sentences.
        """
        self.spec = spec
        self.embeddings = embeddings
        self.prompt = load_prompt("rag_chatbot", "answer")
        self.condense_prompt = load_prompt("rag_chatbot", "condense")
        self._judges = judges
        self._model = model
        self._lock = threading.Lock()

    @property
    def model(self) -> BaseChatModel | None:
        """The chat model; loads it if necessary."""
        with self._lock:
            if self._model is not None and not isinstance(self._model, BaseChatModel):
                self._model = self._model()
            return self._model

    @property
    def name(self) -> str:
        """The spec of the model, or the name that it gives itself; "" without a model."""
        return self.spec or _model_name(self.model)

    @property
    def mode(self) -> str:
        """`write`; `quote` without a model and for one that the catalogue rates too weak."""
        if self._model is None:
            return "quote"
        entry = catalog.find(self.name)
        return entry.answer_mode if entry else "write"

    @property
    def judges(self) -> bool:
        """Whether the model is asked about doubtful sentences; models on this machine are not."""
        return self._judges and not (catalog.find(self.name) or self.name.startswith(_LOCAL))

    @cached_property
    def window(self) -> int:
        """The model's context window in tokens."""
        entry = catalog.find(self.name)
        return (
            (entry.context_window if entry else 0) or _profile_window(self.model) or DEFAULT_WINDOW
        )

    @property
    def version(self) -> str:
        """Name, version and hash of the prompt, as logged with each answer."""
        return f"{self.prompt.name}/{self.prompt.version}-{self.prompt.hash}"

    @property
    def budget(self) -> int:
        """Tokens of passages: a tenth of the window keeps a small model quick and to the point."""
        available = self.window - 2 * REPLY_TOKENS
        return min(MAX_PASSAGES, max(MIN_PASSAGES, self.window // 10), max(MIN_PASSAGES, available))

    def condense(
        self, question: str, history: Sequence[Exchange], usage: UsageCallback
    ) -> Generator[str, None, str]:
        """Yield empty pieces while the model rewrites a follow-up; return it, or "" if unusable."""
        exchanges = "\n".join(
            f"User: {exchange.question}\nAnswer: {exchange.answer[:500]}"
            for exchange in history[-MAX_EXCHANGES:]
        )
        prompt = self.condense_prompt.render(
            history=quote(exchanges, "conversation"), question=question
        )
        pieces: list[str] = []
        for piece in self._stream(prompt, usage):
            pieces.append(piece)
            yield ""
        lines = without_thinking("".join(pieces)).strip().splitlines()
        # What comes before the question, such as "Sure! Here it is:", is not part of it.
        rewritten = lines[-1].strip("`*\"'“” ") if lines else ""
        return rewritten if 3 < len(rewritten) <= 500 else ""

    def write(
        self, question: str, hits: Sequence[Hit], usage: UsageCallback
    ) -> Generator[str, None, Draft]:
        """Yield sentences that a passage supports, with their citations; return the whole draft.

        An empty piece is yielded for a sentence that is withheld, and while the model is awaited,
        so that a caller can stop reading. `usage` counts the calls. If the model fails after some
        sentences, they are the answer, with a notice; otherwise its ModelError is raised.
        """
        # 1. Leave out passages that try to instruct the model: they may not support it either.
        safe = [hit.chunk for hit in hits if not screen_injection(hit.chunk.text)]
        notices = [
            f"A passage of {hit.chunk.source} was left out: it tries to instruct the model."
            for hit in hits
            if hit.chunk not in safe
        ]
        passages = self._within_budget(safe)
        if not passages:
            return Draft("", notices=tuple(notices))

        # 2. Let the model write, and check each sentence. From the first doubtful one on they wait
        #    for the judge, so that none appears before it is decided.
        prompt = self.prompt.render(passages=_fence(passages), question=question)
        verifier = Verifier(self.embeddings, passages)
        page = _Page()
        waiting: list[Checked] = []
        left_out = count = 0
        refuses = False  # once the model says that the passages don't contain the answer
        seen = set[str]()
        try:
            for claim in read_claims(self._stream(prompt, usage)):
                if claim is None:
                    yield ""
                    continue
                sentence = claim.sentence
                refuses |= bool(_REFUSAL.match(sentence))
                count += 1
                # The rest of a reply is read, because its tokens are reported at its end; but not
                # for ever, and then it has no figures.
                if count > 2 * MAX_SENTENCES:
                    usage.cost_usd, usage.complete = None, False
                    break
                repeated = sentence and sentence.lower() in seen
                if refuses or repeated or len(seen) == MAX_SENTENCES or sentence.endswith(_SKIPPED):
                    continue
                seen.add(sentence.lower())
                checked = verifier.verify(claim)
                if checked.verdict == "refused":
                    left_out += 1
                elif waiting or (checked.verdict == "doubtful" and self.judges):
                    waiting.append(checked)
                else:
                    yield page.add(checked)
        except ModelError as error:
            if not page.text and not waiting:
                raise
            notices.append(f"The answer is incomplete: {error}")

        # 3. Let the model judge what is doubtful.
        yield from self._judge(question, waiting, usage, notices)
        for checked in waiting:
            if checked.verdict == "refused":
                left_out += 1
            else:
                yield page.add(checked)

        if left_out:
            notices.append(f"Left out: {left_out} sentence(s) not supported by the documents.")
        if page.doubtful:
            notices.append("Sentences marked [n]? could not be confirmed: compare the source.")
        return Draft(
            page.text, tuple(page.cited), tuple(notices), unchecked=not (page.text or refuses)
        )

    def _stream(self, prompt: str, usage: UsageCallback) -> Iterator[str]:
        """The text of the model's reply as it comes, and "" at least every HEARTBEAT seconds."""

        def call(model: BaseChatModel) -> Iterator[str]:
            for chunk in model.stream([HumanMessage(prompt)], config={"callbacks": [usage]}):
                yield str(chunk.text)

        return _in_background(self.model, call)

    def _within_budget(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """The best chunks, as many as the prompt has room for."""
        left = self.budget
        passages: list[Chunk] = []
        for chunk in chunks:
            left -= len(chunk.text) // 4 + 1  # tokens, roughly
            if left < 0 and passages:
                break
            passages.append(chunk)
        return passages

    def _judge(
        self,
        question: str,
        waiting: Sequence[Checked],
        usage: UsageCallback,
        notices: list[str],
    ) -> Iterator[str]:
        """Replace doubts by the judge's verdicts; yields empty pieces until they are there."""
        doubtful = [checked for checked in waiting if checked.verdict == "doubtful"]
        if not doubtful:
            return
        pairs = [(checked.sentence, checked.evidence) for checked in doubtful]

        def call(model: BaseChatModel) -> Iterator[Any]:
            yield judge(model, question, pairs, config={"callbacks": [usage]})

        try:
            for verdicts in _in_background(self.model, call):
                yield ""
                for checked, verdict in zip(doubtful, verdicts, strict=False):
                    checked.verdict = "supported" if verdict == "supported" else "refused"
        except ModelError as error:
            notices.append(f"Doubtful sentences were not judged: {error}")


class _Page:
    """The answer as it grows: its text, and the spans that its marks cite."""

    def __init__(self) -> None:
        self.text = ""
        self.cited: list[Span] = []
        self.doubtful = False

    def add(self, checked: Checked) -> str:
        """Append a sentence with its marks; returns what was appended."""
        self.cited += [span for span in checked.spans if span not in self.cited]
        marks = "".join(f" [{self.cited.index(span) + 1}]" for span in checked.spans)
        doubt = "?" if checked.verdict == "doubtful" else ""
        self.doubtful |= bool(doubt)
        piece = f"{' ' if self.text else ''}{checked.sentence}{marks}{doubt}"
        self.text += piece
        return piece


def _in_background(
    model: BaseChatModel | None, call: Callable[[BaseChatModel], Iterator[Any]]
) -> Iterator[Any]:
    """The items of a call of the model, which runs in a thread, and "" while they are awaited.

    Closing the iterator ends the call: that of a vendor at once, any other after its next item.
    """
    if model is None:
        return
    left = threading.Event()
    if "cancel" in type(model).model_fields:
        model = model.model_copy(update={"cancel": left})
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()
    end = object()

    def run(model: BaseChatModel) -> None:
        try:
            for item in call(model):
                items.put(item)
                if left.is_set():
                    return
            items.put(end)
        except BaseException as error:
            items.put(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run, model), daemon=True).start()
    try:
        while True:
            try:
                item = items.get(timeout=HEARTBEAT)
            except queue.Empty:
                item = ""
            if item is end:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()


def _fence(chunks: Sequence[Chunk]) -> str:
    """The passages of a prompt, numbered, below their headings."""
    texts = [
        f"[{number}] {context(chunk.title, chunk.heading)}\n{chunk.text}"
        for number, chunk in enumerate(chunks, 1)
    ]
    return quote("\n\n".join(texts), "passages")


def _model_name(model: BaseChatModel | None) -> str:
    for attribute in ("spec", "model_name", "model"):
        value = getattr(model, attribute, None)
        if isinstance(value, str) and value:
            return value
    return type(model).__name__ if model is not None else ""


def _profile_window(model: BaseChatModel | None) -> int:
    return int((getattr(model, "profile", None) or {}).get("max_input_tokens", 0))
