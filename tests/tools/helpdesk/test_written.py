"""Hand-written requests of the generator, with other names and numbers in them."""

import json
import re
from importlib import resources
from pathlib import Path
from random import Random

import pytest

from finetune_lora.helpdesk.tools import ARGUMENTS, problems
from tools.helpdesk import written as written_module
from tools.helpdesk.noise import MARK, clean, guard
from tools.helpdesk.values import number_word
from tools.helpdesk.written import Deck, rewrite, written

HERE = Path(written_module.__file__).parent
SHIPPED = resources.files("finetune_lora.helpdesk")
HELD_OUT = {"dev": HERE / "dev.jsonl", "handwritten": SHIPPED / "handwritten.jsonl"}
ROWS = [
    json.loads(line)
    for tool in ARGUMENTS
    for line in (HERE / "requests" / f"{tool}.jsonl").read_text("utf-8").splitlines()
]


def test_every_request_has_a_right_call() -> None:
    assert [r for r in ROWS if problems({"name": r["name"], "arguments": r["arguments"]})] == []
    assert {r["name"] for r in ROWS} == set(ARGUMENTS)
    assert len({r["text"] for r in ROWS}) == len(ROWS)


def test_none_of_them_is_in_the_test_set() -> None:
    test = HELD_OUT["handwritten"].read_text("utf-8")
    known = {json.loads(line)["messages"][0]["content"].lower() for line in test.splitlines()}
    assert known
    assert not known & {r["text"].lower() for r in ROWS}


def triples(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z']+", text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))


@pytest.mark.parametrize("held_out", HELD_OUT)
def test_none_of_them_is_near_one_held_out(held_out: str) -> None:
    """Of the shorter text's runs of three words at most two thirds are shared."""
    rows = map(json.loads, HELD_OUT[held_out].read_text("utf-8").splitlines())
    known = list(filter(None, (triples(row["messages"][-2]["content"]) for row in rows)))
    assert len(known) > 80
    for mine, text in ((triples(r["text"]), r["text"]) for r in ROWS):
        assert not any(3 * len(mine & k) > 2 * min(len(mine), len(k)) for k in known if mine), text


def test_an_amount_in_words_is_exchanged_for_another_in_words() -> None:
    row = {"text": "Twenty-five quid back, twelve mugs broke", "arguments": {"amount": 25}}
    text, found = rewrite(row, Random(1), "train")
    assert found["amount"] not in (25, 12)
    assert clean(text).lower() == f"{number_word(found['amount'])} quid back, twelve mugs broke"


@pytest.mark.parametrize(("said", "quantity"), [("three", 3), ("half a dozen", 6)])
def test_a_number_in_words_is_kept_from_typos(said: str, quantity: int) -> None:
    row = {"text": f"{said} docks, call at Three", "arguments": {"quantity": quantity, "hour": 15}}
    text, found = rewrite(row, Random(1), "train")
    assert found == row["arguments"]
    assert guard(said) in text and MARK * 2 not in text


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("unlock Kim.B, and kim.b2 can wait", {"user": "kim.b"}),
        ("how is t104 (not 1045)?", {"ticket": "T-104"}),
        ("39.99 back for order no. 7, please", {"order": "A-7", "amount": 39.99}),
        ("call (0) 30-12 34 56 at 5", {"phone": "030123456", "hour": 5}),
        ("ring +49 151 234567", {"phone": "+49151234567"}),
    ],
)
def test_copied_values_are_exchanged_in_text_and_call(
    text: str, arguments: dict[str, object]
) -> None:
    row = {"text": text, "arguments": arguments}
    new, found = rewrite(row, Random(1), "train")
    new = clean(new)
    assert new != text
    for name, value in arguments.items():
        assert name == "hour" or found[name] != value
        if name == "phone":
            assert str(found[name]) in "".join(c for c in new if c.isdigit() or c == "+")
        elif name in ("ticket", "order"):
            assert str(found[name])[2:] in new
        elif name != "hour":
            assert str(found[name]) in new
    assert ("kim.b2" in new) == ("kim.b2" in text)
    assert ("1045" in new) == ("1045" in text)


def test_each_is_dealt_before_one_comes_again() -> None:
    rows = written("reset_password", "train")
    deck = Deck("reset_password", "train", Random(0))
    first, second = ([deck.deal()["text"] for _ in rows] for _ in range(2))
    assert sorted(first) == sorted(second) == sorted(row["text"] for row in rows)
    assert first != second


def test_parts_share_no_request() -> None:
    parts = {
        part: {r["text"] for tool in ARGUMENTS for r in written(tool, part)}
        for part in ("train", "dev", "test")
    }
    assert sum(map(len, parts.values())) == len(ROWS)
    assert parts["train"].isdisjoint(parts["dev"] | parts["test"])
    assert len(parts["train"]) > len(ROWS) / 2
