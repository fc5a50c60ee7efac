"""Faults of a vendor: one sentence says what failed, and what was verified before is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rag_chatbot.chatbot import OPERATOR, Question
from rag_chatbot.talk.api import create_app
from seedbed.errors import ModelError
from seedbed.settings import Settings, load
from seedbed.testing.launch import serve_app
from seedbed.testing.vendor.script import Reply

QUESTION = "How large is the context window of SmolLM2-135M?"
FACT = "SmolLM2-135M has a window of 8,192 tokens."
GOOD = json.dumps({"sentence": FACT, "passage": 1, "quote": FACT})
REWORDED = json.dumps(
    {"sentence": "It can hold 8,192 tokens in its context window.", "passage": 1, "quote": FACT}
)
JUDGE = "Check each numbered sentence"
OPENAI, ANTHROPIC = "openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"
FAULTS = {
    "401": Reply(fault="401"),
    "404": Reply(fault="404"),
    "429": Reply(fault="429", retry_after=0.01),
    "insufficient_quota": Reply(fault="insufficient_quota"),
    "500": Reply(fault="500"),
    "hang": Reply(fault="hang"),
    "empty choices": Reply(fault="empty_choices"),
    "empty": Reply(""),
    "content filter": Reply("", finish="content_filter"),
    "refusal": Reply(refusal="I can't help with that."),
    "length": Reply('{"sentence": "', finish="length"),
}
each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


def assert_one_sentence(text: str) -> None:
    assert text and "\n" not in text and "Traceback" not in text
    assert "logged" not in text, f"the reason is hidden: {text}"


@each_fault
@pytest.mark.parametrize("spec", [OPENAI, ANTHROPIC])
def test_fault_before_any_sentence_is_one_sentence(
    ask: Callable[..., Any], fault: Reply, spec: str
) -> None:
    with pytest.raises(ModelError) as failure:
        ask(QUESTION, [fault] * 8, spec=spec, timeout=1.5)
    assert_one_sentence(str(failure.value))


def test_passing_fault_is_not_noticed(
    ask: Callable[..., Any], check_spent: Callable[[Any], None]
) -> None:
    asked = ask(QUESTION, [FAULTS["429"], FAULTS["500"], GOOD], timeout=60)
    assert asked.answer["answer"] == f"{FACT} [1]"
    check_spent(asked)


def test_anthropic_answers_with_tokens_and_cost(
    ask: Callable[..., Any], check_spent: Callable[[Any], None]
) -> None:
    asked = ask(QUESTION, [f"{GOOD}\n{REWORDED}", judgement("supported")], spec=ANTHROPIC)
    assert asked.answer["answer"].count("8,192 tokens") == 2
    assert not asked.vendor.problems
    check_spent(asked)


@pytest.mark.parametrize(
    "reply",
    [Reply(f"{GOOD}\n{GOOD[:40]}", finish="length"), Reply(f"{GOOD}\n" * 4, fault="cut")],
    ids=["length", "cut"],
)
def test_sentences_before_a_fault_are_kept(ask: Callable[..., Any], reply: Reply) -> None:
    asked = ask(QUESTION, [reply], timeout=60)
    assert asked.answer["answer"] == f"{FACT} [1]"
    [notice] = [note for note in asked.answer["notices"] if "incomplete" in note]
    assert_one_sentence(notice)
    _, turns = asked.chatbot.conversation(asked.answer["conversation_id"], "local")
    assert turns[-1].answer["answer"] == f"{FACT} [1]"


def test_objects_that_are_not_json_are_left_out(ask: Callable[..., Any]) -> None:
    broken = '{"sentence": "It is" 8,192}'
    asked = ask(QUESTION, [f"{broken}\n{GOOD}\n{broken}"])
    assert asked.answer["answer"] == f"{FACT} [1]"
    assert any("2 sentence(s)" in notice for notice in asked.answer["notices"])


def test_usage_that_the_vendor_does_not_report_has_no_price(ask: Callable[..., Any]) -> None:
    asked = ask(QUESTION, [Reply(GOOD, usage=False)])
    assert asked.answer["answer"] == f"{FACT} [1]"
    assert asked.answer["usage"] == {"input_tokens": None, "output_tokens": None, "cost_usd": None}


@pytest.mark.parametrize("k", [3, 7])
def test_model_gets_as_many_passages_as_rag_k_says(ask: Callable[..., Any], k: int) -> None:
    asked = ask(QUESTION, [GOOD], k=k)
    prompt = asked.vendor.calls[-1].body["messages"][-1]["content"]
    assert len(re.findall(r"^\[\d+\] ", prompt, re.MULTILINE)) == k


def judgement(*verdicts: str) -> Reply:
    rows = [{"number": n, "verdict": verdict} for n, verdict in enumerate(verdicts, 1)]
    return Reply(json.dumps({"judgements": rows}), match=JUDGE)


def test_judge_decides_about_doubtful_sentences(
    ask: Callable[..., Any], check_spent: Callable[[Any], None]
) -> None:
    asked = ask(QUESTION, [REWORDED, judgement("supported")])
    assert "8,192 tokens in its context window. [1]" in asked.answer["answer"]
    assert not asked.answer["answer"].endswith("?")
    check_spent(asked)
    asked = ask(QUESTION, [REWORDED, judgement("contradicted")])
    assert asked.answer["abstained"]
    assert any("1 sentence" in notice for notice in asked.answer["notices"])


def test_judge_that_leaves_out_a_sentence_is_asked_again(ask: Callable[..., Any]) -> None:
    asked = ask(QUESTION, [REWORDED, judgement(), judgement("supported")])
    assert "8,192" in asked.answer["answer"] and len(asked.vendor.calls) == 3


def test_doubtful_sentences_are_marked_when_the_judge_fails(ask: Callable[..., Any]) -> None:
    fault = Reply(fault="insufficient_quota", match=JUDGE)
    asked = ask(QUESTION, [f"{GOOD}\n{REWORDED}", fault], timeout=60)
    assert asked.answer["answer"].startswith(f"{FACT} [1]")
    assert asked.answer["answer"].endswith("[1]?")
    [notice] = [note for note in asked.answer["notices"] if "not judged" in note]
    assert_one_sentence(notice)


def test_doubtful_sentences_are_marked_without_a_judge(ask: Callable[..., Any]) -> None:
    asked = ask(QUESTION, [REWORDED], judge=False)
    assert asked.answer["answer"].endswith("[1]?")
    assert any("could not be confirmed" in notice for notice in asked.answer["notices"])


def test_sentence_appears_before_the_model_has_finished(ask: Callable[..., Any]) -> None:
    bot = ask.chatbot([Reply(f"{GOOD}\n{GOOD}\n{GOOD}\n{GOOD}", fault="stall")])  # type: ignore[attr-defined]
    events = bot.stream(Question(QUESTION, keep=False), caller=OPERATOR)
    assert next(filter(None, events)) == f"{FACT} [1]"  # while the vendor hangs
    events.close()
    ask.vendor.wait_until(lambda: ask.vendor.calls[0].disconnected)  # type: ignore[attr-defined]


def test_reply_that_cannot_be_checked_is_not_called_a_refusal(ask: Callable[..., Any]) -> None:
    for reply in ('{"answer": "8,192", "citations": []}', "It was written by Napoleon in 1805."):
        answer = ask(QUESTION, [reply]).answer
        assert answer["abstained"] and "could not be checked" in answer["answer"]
        assert answer["passages"]
    assert ask(QUESTION, ["NOT FOUND"]).answer["answer"].startswith("I can't find this")


def test_model_completes_follow_ups_in_any_language(ask: Callable[..., Any]) -> None:
    rewritten = Reply(f"Sure! Here is the question:\n\n{QUESTION}", match="Rewrite the last")
    asked = ask("Und wie lange gilt das?", [rewritten, GOOD], ["Was ist SmolLM2?"])
    assert asked.answer["question"] == QUESTION
    assert asked.answer["answer"] == f"{FACT} [1]"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["ask", "chat/completions"])
@pytest.mark.parametrize("fault", ["hang", "stall"])
def test_call_ends_when_the_client_leaves(
    ask: Callable[..., Any], path: str, stream: bool, fault: str
) -> None:
    bot = ask.chatbot([Reply(REWORDED, fault=fault)])  # type: ignore[attr-defined]
    body: dict[str, Any] = {"question": QUESTION, "stream": stream}
    if path != "ask":
        messages = [{"role": "user", "content": QUESTION}]
        body = {"model": "default", "messages": messages, "stream": stream}
    with serve_app(create_app(bot, load(Settings, api_keys=""))) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/{path}", json=body, timeout=1.0)
        ask.vendor.wait_until(  # type: ignore[attr-defined]
            lambda: ask.vendor.calls and ask.vendor.calls[0].disconnected  # type: ignore[attr-defined]
        )


def test_call_ends_when_the_page_is_closed_before_the_first_word(ask: Callable[..., Any]) -> None:
    bot = ask.chatbot([Reply(REWORDED, fault="hang")])  # type: ignore[attr-defined]
    with serve_app(create_app(bot, load(Settings, api_keys=""))) as url, httpx.Client() as browser:
        config = browser.get(f"{url}/config").json()
        [number] = [d["id"] for d in config["dependencies"] if d["api_name"] == "ask"]
        data = [QUESTION, [], [], "default", None]
        body = {"data": data, "fn_index": number, "session_hash": "s"}
        browser.post(f"{url}/gradio_api/queue/join", json=body)
        with browser.stream("GET", f"{url}/gradio_api/queue/data?session_hash=s") as events:
            next(line for line in events.iter_lines() if "Looking for an answer" in line)
        ask.vendor.wait_until(  # type: ignore[attr-defined]
            lambda: ask.vendor.calls and ask.vendor.calls[0].disconnected  # type: ignore[attr-defined]
        )


def test_api_reports_a_fault_with_its_status_and_a_price_with_the_answer(
    ask: Callable[..., Any],
) -> None:
    bot = ask.chatbot([FAULTS["401"], GOOD], k=11)  # type: ignore[attr-defined]
    with serve_app(create_app(bot, load(Settings))) as url:
        body = {"question": QUESTION}
        failed = httpx.post(f"{url}/v1/ask", json=body)
        assert failed.status_code == 502
        assert_one_sentence(failed.json()["error"]["message"])
        answer = httpx.post(f"{url}/v1/ask", json=body).json()
        assert answer["usage"]["cost_usd"] > 0
