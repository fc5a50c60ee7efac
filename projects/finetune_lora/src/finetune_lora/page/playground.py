"""One question to a model before and after its training: the base is loaded once for both.

An adapter stays loaded until another one is requested. Questions are answered one at a time.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune_lora.evaluate import metrics
from finetune_lora.example import Example
from finetune_lora.model.adapter import load_adapter, read_task
from finetune_lora.model.base import Base
from finetune_lora.model.encode import prompt_text, token_ids
from seedbed.errors import Busy, ContextWindowError

MOST_TOKENS = 128  # of an answer
_PATIENCE_S = 120.0  # how long a question waits for those before it


class Playground:
    """Answers with a run's adapter, and with the same base without it. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[Path, int] | None = None
        self._base: Base | None = None

    def answer(self, folder: Path, text: str, *, bare: bool) -> dict[str, Any]:
        """`text`, `seconds`, `scores` of labels (or None) and `problems` (None without a schema).

        `bare` disables the adapter. Raises ContextWindowError if the text is too long, Busy if the
        questions before it take too long.
        """
        if not self._lock.acquire(timeout=_PATIENCE_S):
            raise Busy("The playground is busy with another request.", retry_after=5)
        try:
            task = read_task(folder)
            base = self._loaded(folder, task)
            return _answer(base, task, text, bare=bare)
        finally:
            self._lock.release()

    def _loaded(self, folder: Path, task: Mapping[str, Any]) -> Base:
        # The time is in the key, so that a retrained adapter is loaded again.
        key = (folder, (folder / "adapter_config.json").stat().st_mtime_ns)
        if self._base is None or key != self._key:
            self._base = None
            gc.collect()  # modules refer to each other, so their weights would stay for a while
            self._key, self._base = key, load_adapter(folder)
            # The first pass is slow, and would distort the time of the first answer.
            _answer(self._base, task, "Hello", most=1)
        return self._base


def _answer(
    base: Base, task: Mapping[str, Any], text: str, *, bare: bool = False, most: int = MOST_TOKENS
) -> dict[str, Any]:
    from finetune_lora.answer.predictor import TorchPredictor

    messages = [{"role": "user", "content": text}]
    if task.get("system"):
        messages.insert(0, {"role": "system", "content": task["system"]})
    length = len(token_ids(base.tokenizer, prompt_text(base.tokenizer, messages)))
    window = base.model.config.max_position_embeddings
    if length + most > window:
        raise ContextWindowError(
            f"The prompt has {length:,} tokens; the model can read at most {window - most:,}.",
            hint="Shorten the text.",
        )
    example = Example((*messages, {"role": "assistant", "content": ""}))
    predictor = TorchPredictor(base, "playground", task, bare=bare)
    (prediction,) = predictor.answer([example], max_new_tokens=most)
    return {
        "text": prediction.text,
        "seconds": round(prediction.seconds, 3),
        "scores": prediction.scores,
        "problems": _problems(prediction.text, task.get("schema")),
    }


def _problems(text: str, schema: Mapping[str, Any] | None) -> list[str] | None:
    """How an answer violates the schema of its task; None without one."""
    if not schema:
        return None
    try:
        answer = metrics.parse(text)
    except ValueError:
        return ["The answer is not valid JSON."]
    return metrics.schema_problems(answer, schema)
