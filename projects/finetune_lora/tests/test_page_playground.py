"""A question before and after, with the tiny model."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from finetune_fakes import tiny_adapter, tiny_base

from finetune_lora.helpdesk.tools import ARGUMENTS, CALL_SCHEMA, call
from finetune_lora.model.adapter import load_adapter
from finetune_lora.page.playground import MOST_CHARACTERS, Playground, _call
from seedbed.errors import BadInput, ContextWindowError

pytestmark = pytest.mark.timeout(300)  # the imports alone take long on a busy machine
HELP_DESK = "Tools: " + " ".join(ARGUMENTS)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_base(tmp_path_factory.mktemp("base"))


def adapter(folder: Path, base: str, **task: object) -> Path:
    tiny_adapter(folder, base)
    known = json.loads((folder / "task.json").read_text())
    (folder / "task.json").write_text(json.dumps(known | task))
    return folder


class Loads:
    def __init__(self) -> None:
        self.folders: list[Path] = []

    def __call__(self, folder: Path) -> object:
        self.folders.append(folder)
        return load_adapter(folder)


@pytest.mark.slow
def test_before_is_the_base_and_after_the_adapter(tmp_path: Path, base: str) -> None:
    playground = Playground()
    folder = adapter(tmp_path / "a", base, system="Say it.")
    before = playground.answer(folder, "status of T-104", "before")
    after = playground.answer(folder, "status of T-104", "after")
    assert before["text"] != after["text"]
    assert playground.answer(folder, "status of T-104", "before")["text"] == before["text"]
    assert before["seconds"] > 0
    assert (before["scores"], before["problems"]) == (None, None)


@pytest.mark.slow
def test_labels_have_probabilities(tmp_path: Path, base: str) -> None:
    folder = adapter(tmp_path / "a", base, labels=["good", "bad"], kind="labels")
    found = [Playground().answer(folder, "great laptop", side) for side in ("before", "after")]
    for answer in found:
        assert sum(answer["scores"].values()) == pytest.approx(1)
        assert answer["text"] == max(answer["scores"], key=answer["scores"].get)
    assert found[0]["scores"] != found[1]["scores"]


@pytest.mark.slow
def test_a_model_is_loaded_once_and_only_one_is_held(tmp_path: Path, base: str) -> None:
    loads = Loads()
    playground = Playground(loads)
    one, two = adapter(tmp_path / "one", base), adapter(tmp_path / "two", base)
    assert not playground.holds(one)
    for folder in (one, one, two):
        for side in ("before", "after"):
            playground.answer(folder, "hello", side)
    assert loads.folders == [one, two]
    assert playground.holds(two)
    assert not playground.holds(one)


@pytest.mark.slow
def test_questions_at_the_same_time_wait_for_each_other(tmp_path: Path, base: str) -> None:
    playground = Playground()
    folder = adapter(tmp_path / "a", base)
    alone = {side: playground.answer(folder, "hello", side)["text"] for side in ("before", "after")}
    found: list[tuple[str, str]] = []

    def ask(side: str) -> None:
        found.append((side, playground.answer(folder, "hello", side)["text"]))

    sides = ("before", "after") * 3
    threads = [threading.Thread(target=ask, args=(side,), daemon=True) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(list(alone.items()) * 3)


@pytest.mark.slow
def test_what_cannot_be_asked_is_said(tmp_path: Path, base: str) -> None:
    playground = Playground()
    folder = adapter(tmp_path / "a", base)
    with pytest.raises(BadInput, match="empty"):
        playground.answer(folder, "  \n", "after")
    with pytest.raises(BadInput, match="8,001 characters"):
        playground.answer(folder, "x" * (MOST_CHARACTERS + 1), "after")
    with pytest.raises(BadInput, match="surrogate"):
        playground.answer(folder, "x\ud800", "after")
    with pytest.raises(ContextWindowError, match="can read at most 384"):
        playground.answer(folder, "many words " * 300, "after")


@pytest.mark.slow
def test_answer_is_checked_against_the_schema_of_the_task(tmp_path: Path, base: str) -> None:
    good = call("ticket_status", ticket="T-1")
    assert _call(good, CALL_SCHEMA) == (json.loads(good), [])
    wrong = '{"name": "ticket_status", "arguments": {"ticket": "12"}}'
    parsed, problems = _call(wrong, CALL_SCHEMA)
    assert parsed == json.loads(wrong)
    assert problems and "12" in problems[0]
    assert _call("sure!", CALL_SCHEMA) == (None, ["The answer is not valid JSON."])
    assert _call("sure!", None) == (None, None)
    assert _call('{"name": "f"}', None) == ({"name": "f"}, None)
    folder = adapter(tmp_path / "a", base, system=HELP_DESK, schema=CALL_SCHEMA)
    assert Playground().answer(folder, "hello", "after")["problems"]
