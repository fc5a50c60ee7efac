"""The evaluation: what counts as right, on a server that is right and on one that is not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import jsonschema
import pytest
from aiohttp import web

from llm_service.evaluate import SET, evaluate, judge_calls, read, run, schema_error, table
from seedbed.errors import Unauthorized, Unavailable
from seedbed.testing.launch import closed_port

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


def says(text: str | None, calls: list[dict[str, Any]] | None = None, **headers: str):
    message = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": "1", "type": "function", "function": call} for call in calls
        ]
    return web.json_response({"choices": [{"index": 0, "message": message}]}, headers=headers)


def blocked() -> web.Response:
    error = {"message": "no", "type": "blocked", "code": "content_policy"}
    return web.json_response({"error": error}, status=400)


def test_shipped_requests_are_unique_and_their_schemas_valid() -> None:
    for name in ("schemas", "tools", "refusals"):
        rows = read(f"{name}.jsonl")
        assert len({row["id"] for row in rows}) == len(rows) >= 40
    for row in read("schemas.jsonl"):
        jsonschema.Draft202012Validator.check_schema(row["schema"])
    defined = {d["function"]["name"] for d in read("tool_definitions.jsonl")}
    assert all(set(row["tools"]) <= defined for row in read("tools.jsonl"))
    kinds = {row["kind"] for row in read("refusals.jsonl")}
    assert kinds == {"injection", "blocked", "pii", "harmless"}
    assert {path.name for path in SET.glob("*")} == {
        f"{name}.jsonl" for name in ("schemas", "tools", "tool_definitions", "refusals")
    }


DEFINED = {
    name: {
        "function": {
            "parameters": {
                "type": "object",
                "required": ["x"],
                "properties": {"x": {"type": "integer"}},
            }
        }
    }
    for name in ("a", "b")
}
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
    assert judge_calls({"tools": ["a", "b"], "tool_choice": choice}, calls, DEFINED) == figures


def test_schema_error_checks_formats() -> None:
    schema = {"type": "object", "properties": {"d": {"type": "string", "format": "date"}}}
    assert schema_error('{"d": "2027-02-28"}', schema) == ""
    assert "2027-02-30" in schema_error('{"d": "2027-02-30"}', schema)
    assert schema_error('{"d": ', schema).startswith("not JSON")


async def test_figures_of_a_correct_server_are_one() -> None:
    kinds = {row["text"]: row["kind"] for row in read("refusals.jsonl")}
    defined = {row["function"]["name"]: row["function"] for row in read("tool_definitions.jsonl")}

    def call_of(name: str) -> dict[str, str]:
        samples = {"string": "x", "integer": 1, "number": 1, "boolean": True, "array": []}
        fields = defined[name]["parameters"]["properties"].items()
        values = {f: s["enum"][0] if "enum" in s else samples[s["type"]] for f, s in fields}
        return {"name": name, "arguments": json.dumps(values)}

    def reply(body: dict[str, Any]) -> web.Response:
        if "response_format" in body:
            return blocked()
        if "tools" in body:
            choice, names = body["tool_choice"], [t["function"]["name"] for t in body["tools"]]
            if choice == "none":
                return says("text")
            name = choice["function"]["name"] if isinstance(choice, dict) else names[0]
            return says(None, [call_of(name)])
        kind = kinds[body["messages"][-1]["content"]]
        if kind in ("injection", "blocked"):
            return blocked()
        return says("ok", **({"x-guardrails": "pii_in:redacted:1"} if kind == "pii" else {}))

    async with serving(reply) as url:
        report = await evaluate(url)
    figures = {name: figure.value for name, figure in report.figures.items()}
    assert figures.pop("schema_accepted") == figures.pop("schema_valid") == 0
    assert figures.pop("tool_parses") > 0.8  # samples ignore minimum, format and the like
    assert figures.pop("false_alarms") == figures.pop("failed") == 0
    assert set(figures.values()) == {1.0}, figures
    assert report.about["model"] == "m"
    assert "pii_stopped" in table(report) and url in table(report)


async def test_figures_of_a_faulty_server_show_its_faults() -> None:
    failing = {row["prompt"] for row in read("tools.jsonl")[::5]}  # in any order of arrival
    count = 0

    def reply(body: dict[str, Any]) -> web.Response:
        nonlocal count
        count += 1
        if count == 1:
            return web.json_response({}, status=429, headers={"retry-after": "0"})
        if "response_format" in body:
            schema = body["response_format"]["json_schema"]["schema"]
            return blocked() if "if" in schema else says('{"no": "schema"}')
        if "tools" in body and body["messages"][-1]["content"] in failing:
            return web.json_response({"error": {"message": "out of order"}}, status=500)
        return says(f"answer {count}")

    async with serving(reply) as url:
        report = await evaluate(url)
    figures = report.figures
    assert figures["schema_valid"].value < 0.1
    assert figures["schema_accepted"].value < 1 and figures["schema_accepted"].n >= 40
    assert figures["tool_parses"].value == 0
    assert 0.03 < figures["failed"].value < 0.2, "a failure of the server ends no evaluation"
    assert "injection_stopped" not in figures and "no guardrails" in report.about["refusals"]


async def test_evaluation_stops_at_a_wrong_key() -> None:
    def refuse(_: dict[str, Any]) -> web.Response:
        return web.json_response({"error": {"message": "wrong key"}}, status=401)

    async with serving(refuse) as url:
        with pytest.raises(Unauthorized, match="wrong key"):
            await evaluate(url)


def test_evaluation_without_a_server_reports_the_address() -> None:
    with closed_port() as port, pytest.raises(Unavailable, match="Cannot connect"):
        run(f"http://127.0.0.1:{port}")
