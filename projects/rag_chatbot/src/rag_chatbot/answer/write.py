"""Write mode: a chat model writes from fenced passages, and every sentence is checked.

    draft = yield from AnswerWriter(model, embeddings).write(question, hits)

The model names the quote that supports each of its sentences. A sentence that equals one in a
passage is shown, and one without evidence is dropped, see `verify`. All others are judged by the
model, or shown with a mark, `[1]?`.
"""

from __future__ import annotations

import queue
import re
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from anyio import sleep, to_thread
from anyio.from_thread import start_blocking_portal
from langchain_core.language_models import BaseChatModel

from rag_chatbot.answer.claims import read_claims
from rag_chatbot.answer.evidence import Draft
from rag_chatbot.answer.follow_up import MAX_EXCHANGES, Exchange
from rag_chatbot.answer.judge import judge
from rag_chatbot.answer.verify import Checked, Verifier
from rag_chatbot.read.language import context
from seedbed.errors import ModelError
from seedbed.models.prompts import as_data, load_prompt
from seedbed.models.weights import catalog
from seedbed.observe.telemetry import UsageCallback
from seedbed.safety.injection import screen_injection
from seedbed.structured.reply_text import without_thinking

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit

UNCHECKED = "The model's reply could not be checked against the documents."
HEARTBEAT = 0.25  # seconds: how often a caller who waits for the model gets an empty piece
_REFUSAL = re.compile(r"^\W*not found\b", re.IGNORECASE)
_SKIPPED = ("?", ":")  # small models repeat the question, others announce the answer
_LOCAL = ("path:", "hf:")  # specs of models on this machine that the catalogue does not list


class AnswerWriter:
    """Writes answers with one chat model, which is loaded at its first use."""

    def __init__(
        self,
        load_model: Callable[[], BaseChatModel] | None,
        embeddings: Any,
        spec: str = "",
        *,
        judges: bool = True,
    ) -> None:
        """`load_model` loads the model of this `spec`; None where answers only quote.

        With `judges` a model behind an API decides about its doubtful sentences.
        """
        self.embeddings = embeddings
        self.prompt = load_prompt("rag_chatbot", "answer")
        # Name, version and hash of the prompt, as logged with each answer.
        self.version = f"{self.prompt.name}/{self.prompt.version}-{self.prompt.hash}"
        entry = catalog.find(spec)
        # `quote` without a model, and for one that the catalogue rates too weak.
        self.mode = "quote" if load_model is None else entry.answer_mode if entry else "write"
        # A model on this machine is too weak to judge.
        self.judges = judges and not (entry or spec.startswith(_LOCAL))
        self._load_model = load_model

    @cached_property
    def model(self) -> BaseChatModel:
        """The chat model; loads it if necessary."""
        assert self._load_model is not None, "there is no model to write with"
        return self._load_model()

    def condense(
        self, question: str, history: Sequence[Exchange], usage: UsageCallback
    ) -> Generator[str, None, str]:
        """Yield empty pieces while the model rewrites a follow-up; return it, or "" if unusable."""
        exchanges = "\n".join(
            f"User: {exchange.question}\nAnswer: {exchange.answer[:500]}"
            for exchange in history[-MAX_EXCHANGES:]
        )
        prompt = load_prompt("rag_chatbot", "condense").render(
            history=as_data(exchanges, "conversation"), question=question
        )
        reply = ""
        for piece in self._stream(prompt, usage):
            reply += piece
            yield ""
        lines = without_thinking(reply).strip().splitlines()
        # What comes before the question, such as "Sure! Here it is:", is not part of it.
        rewritten = lines[-1].strip("`*\"'“” ") if lines else ""
        return rewritten if 3 < len(rewritten) <= 500 else ""

    def write(
        self, question: str, hits: Sequence[Hit], usage: UsageCallback
    ) -> Generator[str, None, Draft]:
        """Yield sentences that a passage supports, with their citations; return the whole draft.

        An empty piece is yielded for a sentence that is withheld, and while the model is working,
        so that a caller can stop reading. `usage` counts the calls. If the model fails after some
        sentences, they are the answer, with a notice; otherwise its ModelError is raised.
        """
        # 1. Leave out passages that try to instruct the model; they cannot be cited either.
        safe = [hit.chunk for hit in hits if not screen_injection(hit.chunk.text)]
        notices = [
            f"A passage of {hit.chunk.source} was left out: it tries to instruct the model."
            for hit in hits
            if hit.chunk not in safe
        ]
        if not safe:
            return Draft(notices=notices)

        # 2. Let the model write, and check each sentence. From the first doubtful one on, all wait
        #    for the judge, so that they stay in order.
        numbered = "\n\n".join(
            f"[{number}] {context(chunk.title, chunk.heading)}\n{chunk.text}"
            for number, chunk in enumerate(safe, 1)
        )
        prompt = self.prompt.render(passages=as_data(numbered, "passages"), question=question)
        verifier = Verifier(self.embeddings, safe)
        draft = Draft(notices=notices)
        waiting: list[Checked] = []
        left_out = 0
        refuses = False  # once the model says that the passages don't contain the answer
        seen = set[str]()
        try:
            for claim in read_claims(self._stream(prompt, usage)):
                if claim is None:
                    yield ""
                    continue
                sentence = claim.sentence
                refuses |= bool(_REFUSAL.match(sentence))
                # What comes after a refusal is read, but not used: the tokens of a reply are
                # reported at its end.
                repeated = sentence and sentence.lower() in seen
                if refuses or repeated or sentence.endswith(_SKIPPED):
                    continue
                seen.add(sentence.lower())
                checked = verifier.verify(claim)
                if checked.verdict == "refused":
                    left_out += 1
                elif waiting or (checked.verdict == "doubtful" and self.judges):
                    waiting.append(checked)
                else:
                    yield draft.add(checked.sentence, checked.spans, checked.verdict == "doubtful")
        except ModelError as error:
            if not draft.text and not waiting:
                raise
            notices.append(f"The answer is incomplete: {error}")

        # 3. Let the model judge what is doubtful.
        doubtful = [checked for checked in waiting if checked.verdict == "doubtful"]
        if doubtful:
            yield from self._judge(question, doubtful, usage, notices)
        for checked in waiting:
            if checked.verdict == "refused":
                left_out += 1
            else:
                yield draft.add(checked.sentence, checked.spans, checked.verdict == "doubtful")

        if left_out:
            notices.append(f"Left out: {left_out} sentence(s) not supported by the documents.")
        if "]?" in draft.text:
            notices.append("Sentences marked [n]? could not be confirmed: compare the source.")
        draft.failure = "" if draft.text or refuses else UNCHECKED
        return draft

    def _stream(self, prompt: str, usage: UsageCallback) -> Iterator[str]:
        """The text of the model's reply as it comes, and "" at least every HEARTBEAT seconds."""
        chunks = self.model.astream(prompt, config={"callbacks": [usage]})
        return _in_background(str(chunk.text) async for chunk in chunks)

    def _judge(
        self, question: str, doubtful: Sequence[Checked], usage: UsageCallback, notices: list[str]
    ) -> Iterator[str]:
        """Replace doubts by the judge's verdicts; yields empty pieces while it is working."""
        pairs = [(c.sentence, " … ".join(s.quote for s in c.spans)) for c in doubtful]
        ask = partial(judge, self.model, question, pairs, config={"callbacks": [usage]})

        async def call() -> AsyncIterator[Any]:
            yield await to_thread.run_sync(ask, abandon_on_cancel=True)

        try:
            for verdicts in _in_background(call()):
                yield ""
                for checked, verdict in zip(doubtful, verdicts, strict=False):
                    checked.verdict = "supported" if verdict == "supported" else "refused"
        except ModelError as error:
            notices.append(f"Doubtful sentences were not judged: {error}")


def _in_background(call: AsyncIterator[Any]) -> Iterator[Any]:
    """The items of a call of the model, which runs in a thread, and "" while there are none yet.

    Closing the iterator cancels the call.
    """
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def run() -> None:
        async for item in call:
            items.put(item)
            await sleep(0)  # a call that never waits can be cancelled here

    with start_blocking_portal() as portal:
        running = portal.start_task_soon(run)
        running.add_done_callback(lambda _: items.put(""))
        try:
            while not (running.done() and items.empty()):
                try:
                    yield items.get(timeout=HEARTBEAT)
                except queue.Empty:
                    yield ""
            running.result()  # raises what the call raised
        finally:
            running.cancel()
