"""One question to a model before and after its training: the base is loaded once for both.

It keeps one adapter at a time, from the first question on until another is asked for. Questions
wait for each other.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from finetune_lora.evaluate import metrics
from finetune_lora.example import Example
from seedbed.errors import BadInput, Busy, ContextWindowError

if TYPE_CHECKING:
    from finetune_lora.model.base import Base

MOST_CHARACTERS = 8000
MOST_TOKENS = 128  # of an answer
_PATIENCE_S = 120.0  # how long a question waits for those before it

Side = Literal["before", "after"]
SIDES: tuple[Side, Side] = ("before", "after")


@dataclass
class _Loaded:
    key: tuple[str, int]
    base: Base
    task: dict[str, Any]


class Playground:
    """Answers with a run's adapter, and with the same base without it. Safe for threads."""

    def __init__(self, load: Callable[[Path], Base] | None = None) -> None:
        self._load = load or _load
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def holds(self, folder: Path) -> bool:
        """Whether a question is answered without loading first."""
        loaded = self._loaded
        return loaded is not None and loaded.key == _key(folder)

    def answer(self, folder: Path, text: str, side: Side) -> dict[str, Any]:
        """`text`, `seconds`, and what it is: `scores` of labels, or `call` and its `problems`.

        Raises BadInput for a text that cannot be asked, Busy where others take too long.
        """
        check(text)
        with self._turn():
            loaded = self._ready(folder)
            without = loaded.base.model.disable_adapter() if side == "before" else nullcontext()
            with without:
                return _answer(loaded, text)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=_PATIENCE_S):
            raise Busy("The playground is busy with another request.", retry_after=5)
        try:
            yield
        finally:
            self._lock.release()

    def _ready(self, folder: Path) -> _Loaded:
        from finetune_lora.model.adapter import read_task

        if not self.holds(folder):
            self._forget()
            loaded = _Loaded(_key(folder), self._load(folder), read_task(folder))
            _answer(loaded, "Hello", most=1)  # the first pass is slow, and would count as "before"
            self._loaded = loaded
        assert self._loaded is not None
        return self._loaded

    def _forget(self) -> None:
        self._loaded = None
        gc.collect()  # modules refer to each other: their weights would stay until some later day


def check(text: str) -> None:
    """Raise BadInput for a text that is empty or too long."""
    if not text.strip():
        raise BadInput("The text is empty.", hint="Enter a request.")
    if len(text) > MOST_CHARACTERS:
        raise BadInput(
            f"The text is too long: {len(text):,} characters, at most {MOST_CHARACTERS:,} "
            "are allowed."
        )
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise BadInput("The text contains half a surrogate pair.", hint="Send valid Unicode.")


def _answer(loaded: _Loaded, text: str, most: int = MOST_TOKENS) -> dict[str, Any]:
    from finetune_lora.answer.predictor import TorchPredictor

    task, labels = loaded.task, loaded.task.get("labels") or ()
    system = task.get("system")
    messages = [{"role": "system", "content": str(system)}] if system else []
    messages += [{"role": "user", "content": text}]
    _check_length(loaded.base, messages, most)
    example = Example((*messages, {"role": "assistant", "content": ""}))
    predictor = TorchPredictor.for_task(loaded.base, "playground", task)
    (prediction,) = predictor.answer([example], max_new_tokens=most)
    call, problems = (None, None) if labels else _call(prediction.text, task.get("schema"))
    return {
        "text": prediction.text,
        "seconds": round(prediction.seconds, 3),
        "scores": prediction.scores,
        "call": call,
        "problems": problems,
    }


def _check_length(base: Base, messages: list[dict[str, str]], most: int) -> None:
    from finetune_lora.model.encode import prompt_text, token_ids

    length = len(token_ids(base.tokenizer, prompt_text(base.tokenizer, messages)))
    window = getattr(base.model.config, "max_position_embeddings", None)
    if window and length + most > window:
        raise ContextWindowError(
            f"The prompt has {length:,} tokens; the model can read at most {window - most:,}.",
            hint="Shorten the text.",
        )


def _call(text: str, schema: Mapping[str, Any] | None) -> tuple[Any, list[str] | None]:
    """(the JSON object, its schema violations); these are None without a schema."""
    try:
        answer = metrics.parse(text)
    except metrics.NoJson:
        return None, ["The answer is not valid JSON."] if schema else None
    call = answer if isinstance(answer, dict) else None
    return call, metrics.schema_problems(answer, schema) if schema else None


def _key(folder: Path) -> tuple[str, int]:
    """An adapter that was trained again is another one."""
    return str(folder), (folder / "adapter_config.json").stat().st_mtime_ns


def _load(folder: Path) -> Base:
    from finetune_lora.model.adapter import load_adapter

    return load_adapter(folder)
