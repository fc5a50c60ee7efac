"""A question to a model before and after its training."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from finetune_fakes import tiny_adapter, tiny_base

from finetune_lora.helpdesk.tools import CALL_SCHEMA
from finetune_lora.model.adapter import load_adapter
from finetune_lora.page import playground
from finetune_lora.page.playground import Playground
from seedbed.errors import ContextWindowError


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_base(tmp_path_factory.mktemp("base"))


def adapter(folder: Path, base: str, **task: object) -> Path:
    tiny_adapter(folder, base)
    saved = json.loads((folder / "task.json").read_text())
    (folder / "task.json").write_text(json.dumps(saved | task))
    return folder


@pytest.mark.slow
def test_one_model_is_loaded_at_a_time_and_questions_wait(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    monkeypatch.setattr(playground, "load_adapter", lambda f: loads.append(f) or load_adapter(f))
    one, two = adapter(tmp_path / "one", base, system="Say it."), adapter(tmp_path / "two", base)
    model = Playground()
    alone = [model.answer(one, "hello", bare=bare)["text"] for bare in (True, False)]
    assert alone[0] != alone[1]
    texts: dict[int, str] = {}

    def ask(number: int) -> None:
        texts[number] = model.answer(one, "hello", bare=number % 2 == 0)["text"]

    threads = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [texts[number] for number in range(6)] == alone * 3
    model.answer(two, "hello", bare=False)
    assert loads == [one, two]


@pytest.mark.slow
def test_labels_have_probabilities_and_json_is_checked(tmp_path: Path, base: str) -> None:
    labels = adapter(tmp_path / "labels", base, labels=["good", "bad"], kind="labels")
    scores = [Playground().answer(labels, "great", bare=bare)["scores"] for bare in (True, False)]
    assert [sum(each.values()) for each in scores] == pytest.approx([1, 1])
    assert scores[0] != scores[1]
    calls = adapter(tmp_path / "calls", base, schema=CALL_SCHEMA)
    answer = Playground().answer(calls, "hello", bare=False)
    assert answer["problems"] and answer["scores"] is None
    with pytest.raises(ContextWindowError, match="can read at most 384"):
        Playground().answer(calls, "many words " * 300, bare=False)
