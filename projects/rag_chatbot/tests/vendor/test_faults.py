"""Faults of a vendor: one sentence says what failed, and what was verified before is kept."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from rag_chatbot.chatbot import OPERATOR, Question
from rag_chatbot.talk.api import create_app
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
QUOTA = Reply(fault="insufficient_quota")
FAULTS = {
    "401": Reply(fault="401"),
    "404": Reply(fault="404"),
    "429": Reply(fault="429", retry_after=0.01),
    "insufficient_quota": QUOTA,
    "500": Reply(fault="500"),
    "hang": Reply(fault="hang"),
    "empty choices": Reply(fault="empty_choices"),
    "empty": Reply(""),
    "content filter": Reply("", finish="content_filter"),
    "refusal": Reply(refusal="I can't help with that."),
    "length": Reply('{"sentence": "', finish="length"),
}


def assert_one_sentence(text: str) -> None:
    assert text and "\n" not in text and "Traceback" not in text
    assert "logged" not in text, f"the reason is hidden: {text}"


def judgement(*verdicts: str) -> Reply:
    rows = [{"number": n, "verdict": verdict} for n, verdict in enumerate(verdicts, 1)]
    return Reply(json.dumps({"judgements": rows}), match=JUDGE)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault_before_any_sentence_is_one_sentence(ask: Any, fault: Reply) -> None:
    bot = ask.chatbot([fault] * 8, timeout=1.5)
    with serve_app(create_app(bot, load(Settings, api_keys=""))) as url:
        response = httpx.post(f"{url}/v1/ask", json={"question": QUESTION}, timeout=60)
    assert response.status_code in (429, 502, 503, 504)
    assert_one_sentence(response.json()["error"]["message"])


def test_anthropic_answers_with_tokens_and_cost(ask: Any) -> None:
    pytest.importorskip("langchain_anthropic")
    replies = [f"{GOOD}\n{REWORDED}", judgement("supported")]
    answer = ask(QUESTION, replies, spec="anthropic:claude-haiku-4-5")
    assert answer["answer"].count("8,192 tokens") == 2
    assert not ask.vendor.problems
    ask.check_spent(answer)


@pytest.mark.parametrize(
    "reply",
    [Reply(f"{GOOD}\n{GOOD[:40]}", finish="length"), Reply(f"{GOOD}\n" * 4, fault="cut")],
    ids=["length", "cut"],
)
def test_sentences_before_a_fault_are_kept(ask: Any, reply: Reply) -> None:
    answer = ask(QUESTION, [reply])
    assert answer["answer"] == f"{FACT} [1]"
    [notice] = [note for note in answer["notices"] if "incomplete" in note]
    assert_one_sentence(notice)


def test_usage_that_the_vendor_does_not_report_has_no_price(ask: Any) -> None:
    usage = ask(QUESTION, [Reply(GOOD, usage=False)])["usage"]
    assert usage == {"input_tokens": None, "output_tokens": None, "cost_usd": None}


@pytest.mark.parametrize("k", [3, 7])
def test_model_gets_as_many_passages_as_rag_k_says(ask: Any, k: int) -> None:
    ask(QUESTION, [GOOD], k=k)
    prompt = ask.vendor.calls[-1].body["messages"][-1]["content"]
    assert len(re.findall(r"^\[\d+\] ", prompt, re.MULTILINE)) == k


def test_judge_decides_about_doubtful_sentences(ask: Any) -> None:
    answer = ask(QUESTION, [REWORDED, judgement(), judgement("supported")])
    assert answer["answer"].endswith("8,192 tokens in its context window. [1]")
    assert len(ask.vendor.calls) == 3, "a judge that leaves out a sentence is asked again"
    ask.check_spent(answer)
    answer = ask(QUESTION, [REWORDED, judgement("contradicted")])
    assert answer["abstained"]
    assert any("1 sentence" in notice for notice in answer["notices"])


@pytest.mark.parametrize(
    ("judges", "notice"), [(True, "not judged"), (False, "could not be confirmed")]
)
def test_doubtful_sentences_are_marked_without_a_verdict(
    ask: Any, judges: bool, notice: str
) -> None:
    answer = ask(QUESTION, [f"{GOOD}\n{REWORDED}", QUOTA], judge=judges)
    assert answer["answer"].startswith(f"{FACT} [1]")
    assert answer["answer"].endswith("[1]?")
    [reason] = [note for note in answer["notices"] if notice in note]
    assert_one_sentence(reason)


def test_sentence_appears_before_the_model_has_finished(ask: Any) -> None:
    bot = ask.chatbot([Reply(f"{GOOD}\n{GOOD}\n{GOOD}\n{GOOD}", fault="stall")])
    events = bot.stream(Question(QUESTION, keep=False), caller=OPERATOR)
    assert next(filter(None, events)) == f"{FACT} [1]"  # while the vendor hangs
    events.close()
    ask.vendor.wait_until(lambda: ask.vendor.calls[0].disconnected)


def test_reply_that_cannot_be_checked_is_not_called_a_refusal(ask: Any) -> None:
    for reply in ('{"answer": "8,192", "citations": []}', "It was written by Napoleon in 1805."):
        answer = ask(QUESTION, [reply])
        assert answer["abstained"] and "could not be checked" in answer["answer"]
        assert answer["passages"]
    assert ask(QUESTION, ["NOT FOUND"])["answer"].startswith("I can't find this")


def test_model_completes_follow_ups_in_any_language(ask: Any) -> None:
    rewritten = Reply(f"Sure! Here is the question:\n\n{QUESTION}", match="Rewrite the last")
    answer = ask("Und wie lange gilt das?", [rewritten, GOOD], ["Was ist SmolLM2?"])
    assert answer["question"] == QUESTION
    assert answer["answer"] == f"{FACT} [1]"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["ask", "chat/completions"])
def test_call_ends_when_the_client_leaves(ask: Any, path: str, stream: bool) -> None:
    bot = ask.chatbot([Reply(REWORDED, fault="hang")])
    body: dict[str, Any] = {"question": QUESTION, "stream": stream}
    if path != "ask":
        messages = [{"role": "user", "content": QUESTION}]
        body = {"model": "default", "messages": messages, "stream": stream}
    with serve_app(create_app(bot, load(Settings, api_keys=""))) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/{path}", json=body, timeout=1.0)
        ask.vendor.wait_until(lambda: ask.vendor.calls and ask.vendor.calls[0].disconnected)


def test_call_ends_when_the_page_is_closed_before_the_first_word(ask: Any) -> None:
    bot = ask.chatbot([Reply(REWORDED, fault="hang")])
    with (
        serve_app(create_app(bot, load(Settings, api_keys=""))) as url,
        httpx.Client(timeout=60) as browser,
    ):
        config = browser.get(f"{url}/config").json()
        [number] = [d["id"] for d in config["dependencies"] if d["api_name"] == "ask"]
        data = [QUESTION, [], [], "default", None]
        body = {"data": data, "fn_index": number, "session_hash": "s"}
        browser.post(f"{url}/gradio_api/queue/join", json=body)
        with browser.stream("GET", f"{url}/gradio_api/queue/data?session_hash=s") as events:
            next(line for line in events.iter_lines() if "Looking for an answer" in line)
        ask.vendor.wait_until(lambda: ask.vendor.calls and ask.vendor.calls[0].disconnected)
