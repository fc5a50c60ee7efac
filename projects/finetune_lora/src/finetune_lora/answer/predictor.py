"""Answers from a model: with torch, as it is trained, or through any model spec, as it is served.

Both are `Predictor`s. For classification an answer is the most likely label, as it would be with
decoding constrained to the labels.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from finetune_lora.answer.prediction import Prediction
from finetune_lora.example import Example, Message
from finetune_lora.model.base import Base
from finetune_lora.model.batches import Collator, common_prefix
from finetune_lora.model.encode import Encoded, encode_one, prompt_text, token_ids
from finetune_lora.model.forward import prefix_cache, selected_logits
from seedbed.errors import ContextWindowError, ReplyCutOff

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_BATCH = 16


class TorchPredictor:
    """A base, with its adapter or without, answering greedily in batches.

    `shots` are put before each request as turns of the same conversation. If `task` (an adapter's
    task.json) has labels, an answer is one of them, with the probability of each; other answers are
    generated freely. `bare` disables the adapter: the base alone. Seconds are a batch's, divided by
    its examples.
    """

    def __init__(
        self,
        base: Base,
        name: str,
        task: Mapping[str, Any] | None = None,
        *,
        shots: Sequence[Example] = (),
        bare: bool = False,
    ) -> None:
        self.name = name
        self._model, self._tokenizer = base.model.eval(), base.tokenizer
        self._labels = (task or {}).get("labels") or ()
        self._shots, self._bare = shots, bare

    def answer(self, examples: Sequence[Example], *, max_new_tokens: int = 128) -> list[Prediction]:
        """One prediction for each example, in order."""
        prompts = [
            token_ids(self._tokenizer, prompt_text(self._tokenizer, self._messages(e)))
            for e in examples
        ]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers: dict[int, Prediction] = {}
        with self._answering():
            for start in range(0, len(order), _BATCH):
                indices = order[start : start + _BATCH]
                batch = [prompts[i] for i in indices]
                predictions = (
                    self._classify(batch) if self._labels else self._write(batch, max_new_tokens)
                )
                answers.update(zip(indices, predictions, strict=True))
        return [answers[i] for i in range(len(examples))]

    def log_likelihood(self, prompt: str, continuation: str) -> tuple[float, int]:
        """(log-probability, number of tokens) of a continuation, without a chat template."""
        first = token_ids(self._tokenizer, prompt) or [self._tokenizer.eos_token_id]
        ids = token_ids(self._tokenizer, continuation)
        if not ids:
            return 0.0, 0
        whole = Encoded(first + ids, list(range(len(first), len(first) + len(ids))))
        with self._answering():
            batch = self._collate([whole])
            logs = functional.log_softmax(selected_logits(self._model, batch).float(), dim=-1)
            return float(logs.gather(1, batch["labels"][:, None]).sum()), len(ids)

    def _messages(self, example: Example) -> list[Message]:
        messages = list(example.prompt)
        after_system = 1 if messages and messages[0]["role"] == "system" else 0
        shots = [m for shot in self._shots for m in shot.messages if m["role"] != "system"]
        return messages[:after_system] + shots + messages[after_system:]

    @contextmanager
    def _answering(self) -> Iterator[None]:
        half = self._model.dtype == torch.bfloat16
        bare = self._bare and hasattr(self._model, "disable_adapter")
        with (
            torch.no_grad(),
            torch.autocast(self._model.device.type, torch.bfloat16, enabled=half),
            self._model.disable_adapter() if bare else nullcontext(),
        ):
            yield

    def _collate(self, encoded: Sequence[Encoded]) -> dict[str, torch.Tensor]:
        (batch,) = Collator(self._tokenizer.pad_token_id, most_tokens=sys.maxsize)(encoded)
        return {name: tensor.to(self._model.device) for name, tensor in batch.items()}

    def _write(self, prompts: list[list[int]], max_new_tokens: int) -> list[Prediction]:
        begun = time.perf_counter()
        width, device = max(map(len, prompts)), self._model.device
        shared = common_prefix([Encoded(prompt, [len(prompt)]) for prompt in prompts])
        pad = self._tokenizer.pad_token_id
        # Padding comes after the shared prefix, before the rest of each prompt, and is masked.
        rows = [p[:shared] + [pad] * (width - len(p)) + p[shared:] for p in prompts]
        mask = [[1] * shared + [0] * (width - len(p)) + [1] * (len(p) - shared) for p in prompts]
        options: dict[str, Any] = {}
        if shared:
            prefix = torch.tensor(prompts[0][:shared], device=device)
            options["cache"] = prefix_cache(self._model, prefix, len(prompts))
        out = self._model.generate(
            input_ids=torch.tensor(rows, device=device),
            attention_mask=torch.tensor(mask, device=device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=pad,
            eos_token_id=self._tokenizer.eos_token_id,
            **options,
        )
        texts = self._tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
        seconds = (time.perf_counter() - begun) / len(prompts)
        return [Prediction(text.strip(), seconds) for text in texts]

    def _classify(self, prompts: list[list[int]]) -> list[Prediction]:
        begun = time.perf_counter()
        paths = {label: self._label_ids(label) for label in self._labels}
        scores: list[dict[str, float]] = [dict.fromkeys(paths, 0.0) for _ in prompts]
        for start, following in _forks(list(paths.values())).items():
            logs = self._next_token(prompts, list(start), following)
            for label, path in paths.items():
                if path[: len(start)] == list(start):
                    column = following.index(path[len(start)])
                    for row, score in enumerate(scores):
                        score[label] += float(logs[row, column])
        seconds = (time.perf_counter() - begun) / len(prompts)
        likely = [{label: math.exp(log) for label, log in score.items()} for score in scores]
        return [
            Prediction(max(each, key=each.__getitem__), seconds, each, constrained=True)
            for each in likely
        ]

    def _label_ids(self, label: str) -> list[int]:
        messages = ({"role": "user", "content": ""}, {"role": "assistant", "content": label})
        one = encode_one(self._tokenizer, Example(messages))
        return [one.ids[i] for i in one.learned]

    def _next_token(
        self, prompts: list[list[int]], start: list[int], following: list[int]
    ) -> torch.Tensor:
        """(rows, following): log-probabilities of the tokens that may follow prompt and start."""
        rows = [Encoded([*p, *start, following[0]], [len(p) + len(start)]) for p in prompts]
        logits = selected_logits(self._model, self._collate(rows))
        return functional.log_softmax(logits[:, following].float(), dim=-1)


def _forks(paths: Sequence[list[int]]) -> dict[tuple[int, ...], list[int]]:
    """Where labels diverge: a common prefix → the different tokens that follow it."""
    nodes: dict[tuple[int, ...], list[int]] = {}
    for path in paths:
        for end, token in enumerate(path):
            following = nodes.setdefault(tuple(path[:end]), [])
            if token not in following:
                following.append(token)
    return {start: following for start, following in nodes.items() if len(following) > 1}


class ChatPredictor:
    """Any chat model of LangChain, one request after the other: the answers as they are served.

    If `task` (an adapter's task.json) has labels or a schema, answers are constrained to them by
    the server's structured output: constrained decoding of a local model, `response_format` over
    OpenAI's protocol.
    """

    def __init__(self, chat: BaseChatModel, name: str, task: Mapping[str, Any]) -> None:
        self.name = name
        labels, schema = task.get("labels"), task.get("schema")
        constraint = {"type": "string", "enum": list(labels)} if labels else schema
        self._constrained = bool(constraint)
        self._chat: Any = chat
        if constraint:
            self._chat = chat.with_structured_output(
                dict(constraint), method="json_schema", include_raw=True
            )

    def answer(self, examples: Sequence[Example], **_: Any) -> list[Prediction]:
        """One prediction for each example, in order; the model's own settings bound its length."""
        predictions = []
        for example in examples:
            begun = time.perf_counter()
            try:
                reply = self._chat.invoke([(m["role"], m["content"]) for m in example.prompt])
                text = _text_of(reply).strip()
            except ContextWindowError:  # a request that does not fit counts as a wrong answer
                text = ""
            except ReplyCutOff as error:  # an answer that does not fit counts as it is
                text = error.partial
            seconds = time.perf_counter() - begun
            predictions.append(Prediction(text, seconds, constrained=self._constrained))
        return predictions


def _text_of(reply: Any) -> str:
    """A label without quotes, other JSON in the training data's layout, any other text as it is."""
    if not isinstance(reply, dict):
        return str(reply.text)
    parsed = reply["parsed"]
    if parsed is None:  # the server ignored the schema, and the answer counts as it is
        return str(reply["raw"].text)
    return parsed if isinstance(parsed, str) else json.dumps(parsed, ensure_ascii=False)
