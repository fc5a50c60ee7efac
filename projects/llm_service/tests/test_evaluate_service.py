"""The evaluation: what counts as right, on a server that is right and on one that is not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from llm_service.evaluate import evaluate, judge_calls, read
from seedbed.errors import Unavailable
from seedbed.testing.launch import serve_app

Reply = Callable[[dict[str, Any]], JSONResponse]


def serving(reply: Reply) -> AbstractContextManager[str]:
    """The address of a server whose chats are answered by `reply`."""

    async def chat(request: Request) -> JSONResponse:
        return reply(await request.json())

    async def models(_: Request) -> JSONResponse:
        return JSONResponse({"data": [{"id": "m"}]})

    chats = Route("/v1/chat/completions", chat, methods=["POST"])
    return serve_app(Starlette(routes=[chats, Route("/v1/models", models)]))


def says(text: str | None, *calls: dict[str, Any], **headers: str) -> JSONResponse:
    made = [{"id": "1", "type": "function", "function": call} for call in calls]
    message = {"role": "assistant", "content": text, **({"tool_calls": made} if made else {})}
    return JSONResponse({"choices": [{"index": 0, "message": message}]}, headers=headers)


def blocked() -> JSONResponse:
    return JSONResponse({"error": {"code": "content_policy"}}, 400)


INTEGER = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}
OFFERED = {name: {"function": {"parameters": INTEGER}} for name in ("a", "b")}
A = {"name": "a", "arguments": '{"x": 1}'}


@pytest.mark.parametrize(
    ("choice", "calls", "figures"),
    [
        ("auto", [A], {"tool_parses": 1}),
        ("auto", [], {}),
        ("none", [A], {"tool_parses": 1, "tool_choice_followed": 0}),
        ("none", [], {"tool_choice_followed": 1}),
        ("required", [], {"tool_choice_followed": 0}),
        ({"function": {"name": "b"}}, [A], {"tool_parses": 1, "tool_choice_followed": 0}),
        ("auto", [A, {"name": "a", "arguments": '{"x": "1"}'}], {"tool_parses": 0}),
        ("auto", [{"name": "c", "arguments": "{}"}], {"tool_parses": 0}),
    ],
)
def test_tool_calls_are_judged_by_schema_and_choice(
    choice: Any, calls: Any, figures: dict[str, int]
) -> None:
    assert judge_calls(choice, calls, OFFERED) == figures


def test_figures_are_shares_of_the_answers() -> None:
    kinds = {row["text"]: row["kind"] for row in read("refusals.jsonl")}
    failing = {row["prompt"] for row in read("tools.jsonl")[::5]}
    full = iter([True])

    def reply(body: dict[str, Any]) -> JSONResponse:
        text = body["messages"][-1]["content"]
        if next(full, False):
            return JSONResponse({}, 429, {"retry-after": "0"})
        if "response_format" in body:
            schema = body["response_format"]["json_schema"]["schema"]
            return blocked() if "if" in schema else says('{"no": "schema"}')
        if "tools" in body:
            wrong = {"name": "unknown", "arguments": "{}"}
            return JSONResponse({}, 500) if text in failing else says(None, wrong)
        if kinds[text] in ("injection", "blocked"):
            return blocked()
        return says("ok", **({"x-guardrails": "pii_in:redacted:1"} if kinds[text] == "pii" else {}))

    with serving(reply) as url:
        report = evaluate(url)
    figures = {name: figure.value for name, figure in report.figures.items()}
    stopped = {name: value for name, value in figures.items() if name.endswith("_stopped")}
    assert stopped.pop("harmless_stopped") == 0 and set(stopped.values()) == {1.0}
    assert 0.5 < figures["schema_accepted"] < 1 and figures["schema_valid"] < 0.1
    assert figures["tool_parses"] == 0
    assert 0.03 < figures["failed"] < 0.2, "a failure of the server ends no evaluation"
    assert report.about["model"] == "m"


@pytest.mark.parametrize("status", [401, 429])
def test_evaluation_stops_at_a_wrong_key_and_a_spent_budget(status: int) -> None:
    def refuse(_: dict[str, Any]) -> JSONResponse:
        return JSONResponse({"error": {"message": "No.", "code": "insufficient_quota"}}, status)

    with serving(refuse) as url, pytest.raises(Unavailable, match=f"returned {status}"):
        evaluate(url)
