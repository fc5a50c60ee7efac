"""Made requests: answers that can be read off them, disjoint parts, the same each time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from random import Random
from typing import Any

import pytest

from finetune_lora.example import Example
from finetune_lora.helpdesk.tools import ARGUMENTS, call, parse, system_prompt
from tools.helpdesk import noise
from tools.helpdesk import values as words
from tools.helpdesk.copied_values import numbers as in_words
from tools.helpdesk.generate import FOLDER, SIZES, as_lines, generate
from tools.helpdesk.grammar import PARTS, expand, fraction, part_of, read_phrases, split
from tools.helpdesk.slots import Facts
from seedbed.errors import BadInput

PACKAGE = "tools.helpdesk"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def made() -> dict[str, list[Example]]:
    return {part: generate(700, 3, part=part) for part in PARTS}


def arguments(example: Example) -> dict[str, Any]:
    return json.loads(example.answer)["arguments"]


def test_every_answer_is_a_canonical_valid_call(made: dict[str, list[Example]]) -> None:
    for example in (e for examples in made.values() for e in examples):
        answer = parse(example.answer)
        assert answer is not None, example.answer
        assert example.answer == call(answer["name"], **answer["arguments"])
        assert "\n" not in example.answer
        assert answer["name"] == example.tags["tool"]
        assert [m["role"] for m in example.messages] == ["system", "user", "assistant"]
        assert example.messages[0]["content"] == system_prompt()


def near(word: str, text: str) -> bool:
    """Does a word stand in the text, perhaps misspelt?"""
    return bool(get_close_matches(word, re.findall(r"\w+", text), cutoff=0.7))


def test_every_value_that_must_be_copied_stands_in_the_request(
    made: dict[str, list[Example]],
) -> None:
    for example in (e for examples in made.values() for e in examples):
        text, stated = example.text.lower(), arguments(example)
        digits = re.sub(r"[ ()./-]", "", text)
        numbers = set(re.findall(r"\d+", text))
        numbers |= {str(n) for n in range(100) if words.number_word(n) in text}
        numbers |= {n.lstrip("0") or "0" for n in numbers if n.isdigit()}
        assert stated.get("user", "") in text
        assert str(stated.get("phone", "")) in digits
        for argument in ("ticket", "order"):
            assert str(stated.get(argument, "-")).split("-")[1] in numbers | {""}
        if "quantity" in stated:
            assert str(stated["quantity"]) in {*numbers, *(n.value for n in in_words(text))}
        if "amount" in stated:
            amount = stated["amount"]
            assert f"{amount:.2f}" in text or str(amount) in {
                *numbers,
                *(n.value for n in in_words(text)),
            }
        if "hour" in stated:
            hour = stated["hour"]
            twelve = str(hour % 12 or 12)
            said = re.search("noon|midday|midnight", text) or near("noon", text)
            assert numbers & {str(hour), twelve} or said
        if "day" in stated and example.tags["noise"] in ("clean", "lower case"):
            day = stated["day"]
            assert day[:3] in text or near(day, text) or "tmrw" in text


def test_systems_and_items_are_called_by_one_of_their_names(
    made: dict[str, list[Example]],
) -> None:
    checked = 0
    for example in (e for examples in made.values() for e in examples):
        stated = arguments(example)
        if example.tags["noise"] != "clean":
            continue
        if example.tags["tool"] in ("reset_password", "unlock_account") and "system" in stated:
            system = stated["system"]
            names = words.words()["system"][system] + words.words()["the_system"][system]
            assert any(name.lower() in example.text.lower() for name in names), example.text
            checked += 1
    assert checked > 50


def test_the_parts_share_no_phrase_and_together_are_all() -> None:
    for tool in ARGUMENTS:
        phrases = read_phrases(PACKAGE, f"{tool}.txt")
        texts = {part: {p.text for p in split(phrases, part)} for part in PARTS}
        assert not texts["train"] & texts["dev"]
        assert not texts["train"] & texts["test"]
        assert not texts["dev"] & texts["test"]
        assert set.union(*texts.values()) == {p.text for p in phrases}
        assert len(texts["train"]) >= 30, tool
        assert len({p.text for p in phrases}) == len(phrases), (
            f"{tool}: a phrase stands there twice"
        )


def test_the_parts_share_no_request_and_no_copied_value(made: dict[str, list[Example]]) -> None:
    def seen(part: str) -> set[tuple[str, Any]]:
        kinds = ("user", "ticket", "order", "phone", "amount")
        found = [(k, v) for e in made[part] for k, v in arguments(e).items() if k in kinds]
        return {*found, *(("text", e.text) for e in made[part] if e.tags["kind"] != "no tool")}

    assert len(seen("train")) > 500
    assert not seen("train") & seen("dev")
    assert not seen("train") & seen("test")
    assert not seen("dev") & seen("test")


@pytest.mark.parametrize("part", SIZES)
def test_committed_requests_are_those_the_generator_writes(part: str) -> None:
    written = (ROOT / FOLDER / f"{part}.jsonl").read_text("utf-8")
    assert written == as_lines(generate(SIZES[part], seed=0, part=part))


def test_no_request_is_made_twice(made: dict[str, list[Example]]) -> None:
    for examples in made.values():
        assert len({e.text for e in examples}) == len(examples)


def test_another_process_makes_the_same_requests(made: dict[str, list[Example]]) -> None:
    script = (
        "import hashlib; from tools.helpdesk.generate import generate\n"
        "made = repr([(e.text, e.answer) for e in generate(700, 3, part='dev')])\n"
        "print(hashlib.sha256(made.encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    here = repr([(e.text, e.answer) for e in made["dev"]])
    assert done.stdout.strip() == hashlib.sha256(here.encode()).hexdigest()
    assert generate(50, 4)[0].text != generate(50, 5)[0].text


def test_tools_kinds_and_noise_are_balanced(made: dict[str, list[Example]]) -> None:
    examples = made["train"]
    tools = Counter(e.tags["tool"] for e in examples)
    assert set(tools) == set(ARGUMENTS)
    assert 0.14 < tools["none"] / len(examples) < 0.2
    assert all(count / len(examples) > 0.05 for count in tools.values())
    assert {e.tags["noise"] for e in examples} == set(noise.NOISES)
    kinds = Counter(e.tags["kind"] for e in examples)
    assert set(kinds) >= {
        "plain",
        "no tool",
        "missing fact",
        "extra facts",
        "chit-chat first",
        "two wishes",
        "correction",
    }
    assert all(count >= 3 for count in kinds.values())
    assert {e.tags["language"] for e in examples} == {"en"}


def test_every_phrase_can_be_read_and_states_only_what_its_tool_takes() -> None:
    rng = Random(1)
    others = "terse talk thanks solved policy howto outside opinion".split()
    for tool in ARGUMENTS:
        for phrase in read_phrases(PACKAGE, f"{tool}.txt"):
            facts = Facts(tool, rng, "train")
            for _ in range(4):
                text = expand(phrase.text, rng, facts.fill)
                assert not re.search(r"[<>\[\]{}|]", text), phrase.text
            assert set(facts.stated) <= set(ARGUMENTS[tool]), phrase.text
            assert set(phrase.given) <= {*ARGUMENTS[tool], *others}, phrase.text


def test_an_unknown_part_is_an_error_that_names_the_parts() -> None:
    with pytest.raises(BadInput, match=r"'prod'.*train, dev, test"):
        generate(1, 1, part="prod")


def test_a_phrase_is_expanded_from_left_to_right() -> None:
    told: list[str] = []

    def fill(slot: str) -> str:
        told.append(slot)
        return slot.upper()

    readings = {expand("<a|b <c|>>{x}[ and {y}]", Random(seed), fill) for seed in range(60)}
    assert readings == {f"{a}X{y}" for a in ("a", "b ", "b c") for y in ("", " and Y")}
    assert set(told) == {"x", "y"}
    with pytest.raises(ValueError, match="unclosed"):
        expand("<a|b", Random(1), fill)


def test_a_text_belongs_to_one_part_in_every_process() -> None:
    assert fraction("mia_k") == fraction("mia_k")
    shares = Counter(part_of(f"user{n}") for n in range(3000))
    assert 0.8 < shares["train"] / 3000 < 0.88
    assert shares["dev"] > 150
    assert shares["test"] > 150


@pytest.mark.parametrize("name", [name for name, (_, change) in noise.NOISES.items() if change])
def test_noise_changes_the_text_and_no_guarded_value(name: str) -> None:
    change = noise.NOISES[name][1]
    assert change is not None
    rng = Random(2)
    user = noise.guard("Anna.Schmidt@corp.example")
    text = f"Please, reset the password of {user} today. Thank you!"
    noisy = [noise.clean(change(text, rng)) for _ in range(20)]
    assert all("anna.schmidt@corp.example" in t.lower() for t in noisy)
    assert sum(t != noise.clean(text) for t in noisy) >= 10
