"""What the answers of a dataset have in common, and decoding that keeps to it."""

import json
from pathlib import Path

import pytest

from finetune_lora.answer.answer_space import AnswerSpace, Walk
from finetune_lora.example import Example
from finetune_lora.testing import tiny_base


def asked(text: str, **answer: object) -> Example:
    said = {"role": "assistant", "content": json.dumps(answer)}
    return Example(({"role": "user", "content": text}, said))


def call(text: str, name: str, **arguments: object) -> Example:
    return asked(text, name=name, arguments=arguments)


@pytest.fixture(scope="module")
def space() -> AnswerSpace:
    examples = [
        call("reset anna.b on the vpn", "reset", user="anna.b", system="vpn"),
        call("Reset BOB, his mail", "reset", user="bob", system="mail"),
        call("reset kim", "reset", user="kim"),
        call("reset lee_k on the vpn", "reset", user="lee_k", system="vpn"),
        call("reset noor on vpn", "reset", user="noor", system="vpn"),
        call("reset the mail of u77", "reset", user="u77", system="mail"),
        call("how is ticket 104?", "status", ticket="T-104"),
        call("T-7 please", "status", ticket="T-7"),
        call("two docks", "order", quantity=2),
        call("12 docks", "order", quantity=12),
        call("thanks", "none"),
    ]
    found = AnswerSpace.learn(examples)
    assert found is not None
    return found


def letters(text: str) -> list[int]:
    return [ord(c) for c in text]


def reachable(space: AnswerSpace, request: str, answer: str) -> bool:
    walk = Walk(space, request, letters, 0)
    for token in [*letters(answer), 0]:
        if token not in walk.allowed():
            return False
        walk.push(token)
    return True


def test_values_are_listed_or_copied(space: AnswerSpace) -> None:
    assert space.slots["reset./arguments/system"].values == ("mail", "vpn")
    assert space.slots["reset./arguments/user"].copied == "lower words"
    ticket = space.slots["status./arguments/ticket"]
    assert (ticket.copied, ticket.prefix) == ("digits", "T-")
    assert space.slots["order./arguments/quantity"].copied == "numbers"


@pytest.mark.parametrize(
    ("request_", "answer", "allowed"),
    [
        ("reset zoe99 now", call("", "reset", user="zoe99", system="vpn").answer, True),
        ("reset zoe99 now", call("", "reset", user="zoe9", system="vpn").answer, False),
        ("reset zoe99 now", call("", "reset", user="zoe99", system="wiki").answer, False),
        ("RESET ZOE99", call("", "reset", user="zoe99").answer, True),
        ("RESET ZOE99", call("", "reset", user="ZOE99").answer, False),
        ("reset zoe99 now", call("", "reset", system="vpn").answer, False),
        ("and 5512?", call("", "status", ticket="T-5512").answer, True),
        ("and 5512?", call("", "status", ticket="T-551").answer, False),
        ("half a dozen", call("", "order", quantity=6).answer, True),
        ("half a dozen", call("", "order", quantity=12).answer, False),
        ("anything", call("", "none").answer, True),
    ],
)
def test_only_what_the_data_and_the_request_allow(
    space: AnswerSpace, request_: str, answer: str, allowed: bool
) -> None:
    assert reachable(space, request_, answer) is allowed


def test_it_is_kept_as_json(space: AnswerSpace) -> None:
    again = AnswerSpace.from_json(json.loads(json.dumps(space.as_json())))
    assert again.slots == space.slots
    assert reachable(again, "T 9", call("", "status", ticket="T-9").answer)


def test_no_space_for_free_text_or_other_answers() -> None:
    story = [asked(f"tell {i}", story=f"a tale without {i}, made up {i * i}") for i in range(80)]
    assert AnswerSpace.learn(story) is None
    assert AnswerSpace.learn([Example(({"role": "assistant", "content": "Hello"},))]) is None
    assert AnswerSpace.learn([]) is None


def test_a_name_keeps_its_capitals_where_the_data_does() -> None:
    users = ("Anna.B", "bob", "KIM", "Lee_k", "noor")
    found = AnswerSpace.learn([call(f"reset {user}", "reset", user=user) for user in users])
    assert found is not None
    assert found.slots["reset./arguments/user"].copied == "words"
    assert reachable(found, "reset Zoe", call("", "reset", user="Zoe").answer)


def test_a_field_is_a_list_where_it_is_one_elsewhere() -> None:
    often = [call(f"reset {s}", "reset", system=s) for s in ("vpn", "mail", "wiki")] * 4
    found = AnswerSpace.learn([*often, call("unlock vpn", "unlock", system="vpn")])
    assert found is not None
    assert found.slots["unlock./arguments/system"].values == ("vpn",)


def test_a_number_is_never_written_with_leading_zeros() -> None:
    found = AnswerSpace.learn([call(f"pay {n}", "pay", amount=n) for n in (5, 8, 41, 77)])
    assert found is not None
    assert found.slots["pay./arguments/amount"].copied == "numbers"
    assert not reachable(found, "pay 007", '{"name": "pay", "arguments": {"amount": 007}}')


def test_a_value_that_the_request_lacks_is_listed_where_it_comes_again() -> None:
    copied = [call(f"{n} docks", "order", quantity=n) for n in range(2, 60)]
    rare = [call("a pair of docks", "order", quantity=2)] * 2 + [call("docks", "order", quantity=7)]
    found = AnswerSpace.learn([*copied, *rare])
    assert found is not None
    assert found.slots["order./arguments/quantity"].values == ("2",)


def test_no_place_of_a_request_is_copied_twice_where_the_data_never_does() -> None:
    found = AnswerSpace.learn(
        [
            call(f"{n} euros for order {n + 9}", "pay", order=f"A-{n + 9}", amount=n)
            for n in range(20, 60)
        ]
    )
    assert found is not None and found.once
    assert found.allows(call("", "pay", order="A-5", amount=7).answer, "5 and 7")
    assert not found.allows(call("", "pay", order="A-5", amount=5).answer, "5 and 7")
    assert found.allows(call("", "pay", order="A-5", amount=5).answer, "5 and 5")
    assert reachable(found, "5 and 5", call("", "pay", order="A-5", amount=5).answer)
    assert not reachable(found, "5 and 7", call("", "pay", order="A-5", amount=5).answer)
    assert AnswerSpace.from_json(json.loads(json.dumps(found.as_json()))).once


def test_a_place_is_copied_twice_where_the_data_does() -> None:
    found = AnswerSpace.learn([call(f"{n} in all", "pay", due=n, paid=n) for n in range(20, 60)])
    assert found is not None and not found.once
    assert reachable(found, "7 in all", call("", "pay", due=7, paid=7).answer)


def test_even_a_random_model_gives_allowed_answers(space: AnswerSpace, tmp_path: Path) -> None:
    from finetune_lora.answer.predictor import TorchPredictor
    from finetune_lora.model.base import load_base

    base = load_base(tiny_base(tmp_path / "base"), dtype="float32")
    requests = ["reset anna on the vpn", "T-104", "please order 12 laptops for bob"]
    examples = [call(text, "none") for text in requests]
    found = TorchPredictor(base, "random", space=space).answer(examples)
    for example, answer in zip(examples, found, strict=True):
        assert reachable(space, example.text, answer.text), answer.text
