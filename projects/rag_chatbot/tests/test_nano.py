"""The edition of one file: it quotes without a bigger model, and checks what a bigger one cites."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from seedbed.testing.launch import import_file
from seedbed.testing.vendor.server import launch_vendor

FILE = Path(__file__).parents[1] / "nano.py"
QUESTION = "How old does an oak get?"


@pytest.fixture(scope="module")
def nano() -> ModuleType:
    return import_file(FILE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trees.md").write_text(
        "# Trees\n\nTrees are tall.\n\n## Oak\n\nAn oak gets 600 years old. Its wood is hard.\n\n"
        "## Birch\n\nA birch gets 120 years old. Its bark is white.\n",
        "utf-8",
    )
    return tmp_path


def test_default_model_quotes_or_declines(
    nano: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "smollm2")
    chatbot = nano.Chatbot(folder)
    answer = chatbot.ask(QUESTION)
    assert answer.text.startswith("An oak gets 600 years old. [1]")
    assert answer.citations[0].source == "trees.md"
    assert "[1] trees.md, Trees › Oak" in str(answer)
    unknown = chatbot.ask("Who won the football match?")
    assert (unknown.text, unknown.citations) == ("", [])
    assert str(unknown) == "I can't find this in these documents."


def test_bigger_model_is_shown_only_with_verbatim_quotes(
    nano: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [
        ("Oaks reach 600 years.", 1, "An oak gets 600 years old."),
        ("Oaks reach 900 years.", 1, "An oak gets 900 years old."),
        ("Birches are white.", 7, "Its bark is white."),
    ]
    names = ("sentence", "passage", "quote")
    reply = json.dumps({"sentences": [dict(zip(names, claim, strict=True)) for claim in claims]})
    with launch_vendor([reply, '{"sentences": []}']) as vendor:
        monkeypatch.setenv("SEEDBED_MODEL", "openai:gpt-4o-mini")
        monkeypatch.setenv("SEEDBED_BASE_URL", f"{vendor.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        chatbot = nano.Chatbot(folder)
        answer, empty = chatbot.ask(QUESTION), chatbot.ask(QUESTION)
        assert not vendor.problems
        prompt = vendor.calls[0].body["messages"][-1]["content"]
        assert "[1] Trees › Oak\nAn oak gets 600" in prompt
    assert answer.text == "Oaks reach 600 years. [1]"
    assert [citation.quote for citation in answer.citations] == ["An oak gets 600 years old."]
    assert not empty.text
