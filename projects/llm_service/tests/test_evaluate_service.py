"""The evaluation: what counts as right, on a server that is right and on one that is not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from llm_service.evaluate import evaluate, judge_calls, read
from seedbed.errors import Unavailable

Reply = Callable[[dict[str, Any]], web.Response]


@contextlib.asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[str]:
    async def chat(request: web.Request) -> web.Response:
        return reply(await request.json())

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def says(text: str | None, *calls: dict[str, Any], **headers: str) -> web.Response:
    made = [{"id": "1", "type": "function", "function": call} for call in calls]
    message = {"role": "assistant", "content": text, **({"tool_calls": made} if made else {})}
    return web.json_response({"choices": [{"index": 0, "message": message}]}, headers=headers)


def blocked() -> web.Response:
    return web.json_response({"error": {"code": "content_policy"}}, status=400)


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


async def test_figures_are_shares_of_the_answers() -> None:
    kinds = {row["text"]: row["kind"] for row in read("refusals.jsonl")}
    failing = {row["prompt"] for row in read("tools.jsonl")[::5]}
    full = iter([True])

    def reply(body: dict[str, Any]) -> web.Response:
        text = body["messages"][-1]["content"]
        if next(full, False):
            return web.json_response({}, status=429, headers={"retry-after": "0"})
        if "response_format" in body:
            schema = body["response_format"]["json_schema"]["schema"]
            return blocked() if "if" in schema else says('{"no": "schema"}')
        if "tools" in body:
            wrong = {"name": "unknown", "arguments": "{}"}
            return web.json_response({}, status=500) if text in failing else says(None, wrong)
        if kinds[text] in ("injection", "blocked"):
            return blocked()
        return says("ok", **({"x-guardrails": "pii_in:redacted:1"} if kinds[text] == "pii" else {}))

    async with serving(reply) as url:
        report = await asyncio.to_thread(evaluate, url)
    figures = {name: figure.value for name, figure in report.figures.items()}
    stopped = {name: value for name, value in figures.items() if name.endswith("_stopped")}
    assert stopped.pop("harmless_stopped") == 0 and set(stopped.values()) == {1.0}
    assert 0.5 < figures["schema_accepted"] < 1 and figures["schema_valid"] < 0.1
    assert figures["tool_parses"] == 0
    assert 0.03 < figures["failed"] < 0.2, "a failure of the server ends no evaluation"
    assert report.about["model"] == "m"


async def test_evaluation_stops_at_a_wrong_key() -> None:
    def refuse(_: dict[str, Any]) -> web.Response:
        return web.json_response({"error": {"message": "wrong key"}}, status=401)

    async with serving(refuse) as url:
        with pytest.raises(Unavailable, match="wrong key"):
            await asyncio.to_thread(evaluate, url)
