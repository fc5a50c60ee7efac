"""The evaluation: what counts as right, on a server that is right and on one that is not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import jsonschema
import pytest
from aiohttp import web

from llm_service.measure.evaluate import PARTS, SET, evaluate, read, run, table
from llm_service.measure.scoring import (
    arguments_match,
    is_prose,
    judge_calls,
    object_matches,
    schema_error,
    states_result,
)
from seedbed.errors import BadInput, Unauthorized, Unavailable
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


def test_the_shipped_set_is_sound() -> None:
    for name in ("schemas", "tools", "seeded", "refusals"):
        rows = read(f"{name}.jsonl")
        assert len({row["id"] for row in rows}) == len(rows) >= 12
    assert len(read("schemas.jsonl")) >= 40 and len(read("tools.jsonl")) >= 40
    for row in read("schemas.jsonl"):
        jsonschema.Draft202012Validator.check_schema(row["schema"])
    defined = {d["function"]["name"]: d["function"] for d in read("tool_definitions.jsonl")}
    for row in read("tools.jsonl"):
        assert 3 <= len(row["tools"]) <= 6 and set(row["tools"]) <= set(defined)
        if row["expect"]:
            assert row["expect"]["name"] in row["tools"]
            known = defined[row["expect"]["name"]]["parameters"]
            assert set(known["required"]) <= set(row["expect"]["arguments"])
            assert set(row["expect"]["arguments"]) <= set(known["properties"])
    for name in ("tool_results", "forced_tools", "json_objects", "small_talk"):
        rows = read(f"{name}.jsonl")
        assert len({row["id"] for row in rows}) == len(rows)
        assert all(sum(row["split"] == s for row in rows) >= 13 for s in ("test", "tune"))
    kinds = {row["kind"] for row in read("refusals.jsonl")}
    assert kinds == {"injection", "blocked", "pii", "harmless"}
    assert all((SET / file).exists() for _, file in PARTS.values())


@pytest.mark.parametrize(
    ("given", "expected", "free", "right"),
    [
        ('{"city": "Oslo"}', {"city": "Oslo"}, (), True),
        ('{"city": " oslo "}', {"city": "Oslo"}, (), True),
        ('{"city": "Bergen"}', {"city": "Oslo"}, (), False),
        ('{"city": "Oslo", "unit": "celsius"}', {"city": "Oslo"}, (), False),
        ('{"city": "Oslo", "unit": "celsius"}', {"city": "Oslo"}, ("unit",), True),
        ("{}", {"city": "Oslo"}, (), False),
        ('{"n": 5}', {"n": 5.0}, (), True),
        ('{"n": true}', {"n": 1}, (), False),
        ('{"n": "5"}', {"n": 5}, (), False),
        ('{"on": false}', {"on": False}, (), True),
        ('{"on": 0}', {"on": False}, (), False),
        ('{"city": "Munich"}', {"city": ["München", "Munich"]}, (), True),
        ('{"who": ["Ana", "Piet"]}', {"who": ["Ana", "Piet"]}, (), True),
        ('{"who": ["Ana"]}', {"who": ["Ana", "Piet"]}, (), False),
        ('{"title": ""}', {"title": "*"}, (), False),
        ('{"title": "x"}', {"title": "*"}, (), True),
        ("[1]", {}, (), False),
        ("{", {}, (), False),
    ],
)
def test_arguments(given: str, expected: dict[str, Any], free: Any, right: bool) -> None:
    assert arguments_match(given, expected, free) is right


def test_answer_after_a_tool_result_states_it_in_prose_and_no_other_number():
    row = {"prompt": "Rain in Oslo?", "arguments": {}, "result": "rain, 9 degrees"}
    row["facts"] = ["rain", ["9", "nine"]]
    assert states_result("It is Rain at nine degrees.", row)
    assert not states_result("It is 9 degrees.", row)
    assert not states_result("Rain, 9 degrees, wind 12.", row)
    assert is_prose("It rains.") and not any(map(is_prose, ("", " ", '{"a": 1}', "[1]")))


def test_object_matches_by_the_expected_members():
    assert object_matches('{"a": "x", "b": 2}', {"a": ["X", "y"]})
    assert not object_matches('{"a": "z"}', {"a": ["X", "y"]})
    assert not any(object_matches(text, {}) for text in ("{}", "[1]", "{"))


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
    ("choice", "expect", "calls", "found"),
    [
        ("auto", "a", [A], {"tool_parses": 1, "tool_right": 1, "tool_arguments_right": 1}),
        ("auto", "b", [A], {"tool_parses": 1, "tool_right": 0, "tool_arguments_right": 0}),
        ("auto", "a", [], {"tool_right": 0, "tool_arguments_right": 0}),
        ("auto", "a", [A, A], {"tool_parses": 1, "tool_right": 0, "tool_arguments_right": 0}),
        ("auto", None, [], {"no_tool_right": 1}),
        ("auto", None, [A], {"tool_parses": 1, "no_tool_right": 0}),
        ("none", None, [A], {"tool_parses": 1, "choice_kept": 0}),
        ("none", None, [], {"choice_kept": 1}),
        ("required", "a", [], {"choice_kept": 0, "tool_right": 0, "tool_arguments_right": 0}),
        (
            {"function": {"name": "b"}},
            "b",
            [A],
            {"tool_parses": 1, "choice_kept": 0, "tool_arguments_right": 0},
        ),
        (
            "auto",
            "a",
            [{"name": "a", "arguments": '{"x": "1"}'}],
            {"tool_parses": 0, "tool_right": 1, "tool_arguments_right": 0},
        ),
        (
            "auto",
            "a",
            [{"name": "c", "arguments": "{}"}],
            {"tool_parses": 0, "tool_right": 0, "tool_arguments_right": 0},
        ),
    ],
)
def test_calls(choice: Any, expect: str | None, calls: Any, found: dict[str, int]) -> None:
    wanted = expect and {"name": expect, "arguments": {"x": 1}}
    row = {"tools": ["a", "b"], "tool_choice": choice, "expect": wanted}
    assert judge_calls(row, calls, DEFINED) == found


def test_validity_with_formats() -> None:
    schema = {"type": "object", "properties": {"d": {"type": "string", "format": "date"}}}
    assert schema_error('{"d": "2027-02-28"}', schema) == ""
    assert "2027-02-30" in schema_error('{"d": "2027-02-30"}', schema)
    assert schema_error('{"d": ', schema).startswith("no JSON")


async def test_a_server_that_does_as_it_is_told() -> None:
    expected = {row["prompt"]: row for row in read("tools.jsonl")}

    def reply(body: dict[str, Any]) -> web.Response:
        text = body["messages"][-1]["content"]
        if "tools" in body:
            expect = expected[text]["expect"]
            if expect is None:
                return says(None)
            # A list names the values that are right, but for participants, which are a list.
            arguments = {
                name: value[0] if isinstance(value, list) and name != "participants" else value
                for name, value in expect["arguments"].items()
            }
            return says(None, [{**expect, "arguments": json.dumps(arguments)}])
        if "seed" in body:
            return says(f"{text} {body['seed']}")
        kind = next(row["kind"] for row in read("refusals.jsonl") if row["text"] == text)
        if kind in ("injection", "blocked"):
            return blocked()
        return says("ok", **({"x-guardrails": "pii_in:redacted:1"} if kind == "pii" else {}))

    async with serving(reply) as url:
        report = await evaluate(url, parts=("tools", "seeded", "refusals"))
    figures = {name: figure.value for name, figure in report.figures.items()}
    # "*" is what stands for any argument, and no priority of a ticket
    assert figures.pop("tool_parses") > 0.95
    assert figures.pop("false_alarms") == figures.pop("failed") == 0
    assert set(figures.values()) == {1.0}, figures
    assert report.about["model"] == "m"
    result = json.loads(report.to_json())
    assert "pii_caught" in table(result) and url in table(result)


async def test_a_server_that_does_not() -> None:
    failing = {row["prompt"] for row in read("tools.jsonl")[::5]}  # whichever comes first
    count = 0

    def reply(body: dict[str, Any]) -> web.Response:
        nonlocal count
        count += 1
        if count == 1:
            return web.json_response({}, status=429, headers={"retry-after": "0"})
        if "response_format" in body:
            name = body["response_format"]["json_schema"]["schema"]
            return blocked() if "if" in name else says('{"no": "schema"}')
        prompt = body["messages"][-1]["content"]
        if prompt in failing if "tools" in body else count % 5 == 0:
            return web.json_response({"error": {"message": "out of order"}}, status=500)
        return says(f"answer {count}")

    async with serving(reply) as url:
        report = await evaluate(url, parts=("schemas", "tools", "seeded", "refusals"))
    figures = report.figures
    assert figures["schema_valid"].value < 0.1
    assert figures["schema_taken"].value < 1 and figures["schema_taken"].n >= 40
    assert figures["tool_right"].value == 0 and 0.5 < figures["no_tool_right"].value < 1
    assert 0.1 < figures["failed"].value < 0.2, "a failure of the server ends no evaluation"
    assert figures["tool_parses"].n == 0
    assert figures["repeats"].value == figures["repeats_busy"].value == 0
    assert "injection_caught" not in figures and "disabled" in report.about["refusals"]


async def test_what_cannot_be_measured_is_one_line() -> None:
    def refuse(_: dict[str, Any]) -> web.Response:
        return web.json_response({"error": {"message": "wrong key"}}, status=401)

    async with serving(refuse) as url:
        with pytest.raises(Unauthorized, match="wrong key"):
            await evaluate(url, parts=("seeded",))
        with pytest.raises(BadInput, match=r"Unknown part 'x'.*schemas"):
            await evaluate(url, parts=("x",))


def test_no_service_at_the_address() -> None:
    with closed_port() as port, pytest.raises(Unavailable, match="Cannot connect"):
        run(f"http://127.0.0.1:{port}")
