"""What `llm-service eval` does: the shipped requests to a service, and how often it was right.

    run()                                  starts a service of its own, guardrails on
    run("http://127.0.0.1:8004")           measures one that runs

It knows a service by its protocol only. The requests lie in `eval/`; every share has its interval.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from llm_service.measure.scoring import (
    arguments_match,
    is_prose,
    judge_calls,
    object_matches,
    schema_error,
    states_result,
)
from seedbed import cli
from seedbed.errors import (
    BadInput,
    Busy,
    Forbidden,
    NotFound,
    SeedbedError,
    Unauthorized,
    Unavailable,
)
from seedbed.files import read_json_lines
from seedbed.runs.evaluation import Figure, Report, log_to_mlflow
from seedbed.testing.launch import free_port, run_server

__all__ = ["PARTS", "run", "service", "table"]

SET = Path(__file__).parents[3] / "eval"
TOGETHER = 8  # requests in flight
# The terms of the set's blocked requests: what an operator would list.
BLOCKED_TERMS = ("project nightjar", "heron-7 valve", "internal use only")
# Answers are left as they are: "[EMAIL]" in place of an address would break a schema's format.
GUARDRAILS = (
    '[models.smollm2]\nbackend = "local"\ntimeout = 600\n\n'
    '[guardrails]\npii_in = "redact"\ninjection = "block"\n'
    f"blocked_terms = {json.dumps(BLOCKED_TERMS)}\n"
)

Case = dict[str, Any]
Progress = Callable[[int, int, str], None]


@dataclass
class Asker:
    """Sends a chat request and waits where the service is full."""

    client: httpx.AsyncClient
    model: str
    progress: Progress | None = None
    split: str = "test"  # of the agents' cases
    total: int = 0
    done: int = 0
    failed: int = 0
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TOGETHER))

    async def ask(self, name: str, **body: Any) -> httpx.Response:
        request = {"model": self.model, **body}
        async with self.slots:
            for _ in range(20):
                response = await _send(self.client, "POST", "chat/completions", json=request)
                if response.status_code != 429:
                    break
                await asyncio.sleep(_seconds(response.headers.get("retry-after", "")))
            else:
                raise Busy(
                    f"{self.client.base_url} kept answering 429 (busy).", hint="Try again later."
                )
        if response.status_code in (401, 403, 404):  # none of the others would be answered either
            _raise_for(response)
        self.failed += response.status_code >= 500
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total, name)
        return response


def _client(url: str, key: str | None) -> httpx.AsyncClient:
    """A client of the API at `url`, with or without `/v1`, that gets no answer from a cache."""
    try:
        address = httpx.URL(url if "://" in url else f"http://{url}")
    except httpx.InvalidURL as error:
        raise BadInput(f"Invalid URL {url!r}: {error}.") from None
    if address.scheme not in ("http", "https") or not address.host:
        raise BadInput(f"Invalid URL {url!r}.", hint="Example: http://127.0.0.1:8004/v1")
    headers = {"cache-control": "no-store"} | ({"authorization": f"Bearer {key}"} if key else {})
    root = address.copy_with(path=address.path.rstrip("/") or "/v1")
    return httpx.AsyncClient(base_url=root, headers=headers, timeout=600, trust_env=False)


async def _send(client: httpx.AsyncClient, method: str, path: str, **given: Any) -> httpx.Response:
    try:
        return await client.request(method, path, **given)
    except httpx.TransportError as error:
        raise Unavailable(
            f"Cannot connect to {client.base_url}: {error or type(error).__name__}.",
            hint="Check that the server is running.",
        ) from None


async def _first_model(client: httpx.AsyncClient) -> str:
    response = await _send(client, "GET", "models")
    _raise_for(response)
    try:
        return str(response.json()["data"][0]["id"])
    except (ValueError, LookupError, TypeError):
        raise BadInput(
            f"{client.base_url} lists no models.",
            hint="Use the base URL of an OpenAI-compatible server, including /v1.",
        ) from None


def _raise_for(response: httpx.Response) -> None:
    """Raise for a server that would answer none of the other requests either."""
    kinds = {401: Unauthorized, 403: Forbidden, 404: NotFound}
    if response.status_code != 200:
        kind = kinds.get(response.status_code, Unavailable)
        raise kind(f"{response.url} returned {response.status_code}: {said(response)}")


def said(response: httpx.Response) -> str:
    try:
        text = str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        text = response.text
    return " ".join(text.split())[:300]


def _seconds(text: str) -> float:
    try:
        return min(30.0, max(0.1, float(text)))
    except ValueError:
        return 1.0


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def message(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.content)["choices"][0]["message"]
    return found


async def schemas(asker: Asker, rows: Sequence[Case]) -> tuple[dict[str, Figure], list[Case]]:
    """Schema validity: of the requests with a json_schema that were answered, those valid."""

    async def one(row: Case) -> Case:
        response = await asker.ask(
            row["id"],
            messages=user(row["prompt"]),
            temperature=0,
            max_tokens=row.get("max_tokens", 200),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": row["schema"]},
            },
        )
        case = {"id": f"schemas/{row['id']}", "taken": int(response.status_code != 400)}
        if response.status_code != 200:
            return {**case, "valid": 0, "wrong": said(response)}
        text = message(response).get("content") or ""
        wrong = schema_error(text, row["schema"])
        return {**case, "valid": int(not wrong), "wrong": wrong, "answer": text}

    cases = list(await asyncio.gather(*map(one, rows)))
    figures = {
        "schema_valid": share(case["valid"] for case in cases if case["taken"]),
        "schema_taken": share(case["taken"] for case in cases),
    }
    return figures, cases


async def tools(asker: Asker, rows: Sequence[Case]) -> tuple[dict[str, Figure], list[Case]]:
    """Of the requests that need a call: right tool, right tool and arguments. Of those that need
    none: answered with text. Of all calls: arguments that are valid. Of the requests with another
    choice than auto: followed."""
    defined = {row["function"]["name"]: row for row in read("tool_definitions.jsonl")}

    async def one(row: Case) -> Case:
        response = await asker.ask(
            row["id"],
            messages=[*row.get("history", ()), *user(row["prompt"])],
            temperature=0,
            max_tokens=200,
            tools=[defined[name] for name in row["tools"]],
            tool_choice=row["tool_choice"],
        )
        if response.status_code != 200:
            nothing = dict.fromkeys(judge_calls(row, [], defined), 0)
            return {"id": f"tools/{row['id']}", **nothing, "wrong": said(response)}
        calls = [call["function"] for call in message(response).get("tool_calls") or ()]
        return {"id": f"tools/{row['id']}", **judge_calls(row, calls, defined), "calls": calls}

    cases = list(await asyncio.gather(*map(one, rows)))

    def of(name: str) -> Figure:
        return share(case[name] for case in cases if name in case)

    names = ("tool_parses", "tool_right", "tool_arguments_right", "no_tool_right", "choice_kept")
    return {name: of(name) for name in names}, cases


async def seeded(asker: Asker, rows: Sequence[Case]) -> tuple[dict[str, Figure], list[Case]]:
    """Of requests with a seed, those answered the same twice: alone, and among other requests."""

    async def text(row: Case) -> str | None:
        response = await asker.ask(
            row["id"],
            messages=user(row["prompt"]),
            max_tokens=48,
            seed=row["seed"],
            temperature=row["temperature"],
        )
        if response.status_code != 200:
            return None
        return str(message(response).get("content"))

    alone = [(await text(row), await text(row)) for row in rows]
    busy = await asyncio.gather(*map(text, rows))
    cases: list[Case] = [
        {
            "id": f"seeded/{row['id']}",
            "repeats": int(a is not None and a == b),
            "repeats_busy": int(a is not None and a == c),
        }
        for row, (a, b), c in zip(rows, alone, busy, strict=True)
    ]
    return {
        "repeats": share(case["repeats"] for case in cases),
        "repeats_busy": share(case["repeats_busy"] for case in cases),
    }, cases


async def refusals(asker: Asker, rows: Sequence[Case]) -> tuple[dict[str, Figure], list[Case]]:
    """Of each kind of unwanted request those caught; of harmless look-alikes those that were too.

    Caught is: refused with `content_policy`, or, for personal data, redacted (`x-guardrails`).
    Empty where the service catches nothing: its guardrails are off.
    """

    async def one(row: Case) -> Case:
        response = await asker.ask(row["id"], messages=user(row["text"]), max_tokens=4)
        decisions = response.headers.get("x-guardrails", "")
        refused = response.status_code == 400 and b"content_policy" in response.content
        caught = refused or "pii_in" in decisions
        return {
            "id": f"refusals/{row['id']}",
            "kind": row["kind"],
            "caught": int(caught),
            "decisions": decisions,
        }

    cases = list(await asyncio.gather(*map(one, rows)))
    if not any(case["caught"] for case in cases):
        return {}, []

    def of(kind: str) -> Figure:
        return share(case["caught"] for case in cases if case["kind"] == kind)

    names = {
        "injection_caught": "injection",
        "blocked_caught": "blocked",
        "pii_caught": "pii",
        "false_alarms": "harmless",
    }
    return {name: of(kind) for name, kind in names.items()}, cases


def conversation(row: Case) -> list[dict[str, Any]]:
    """The messages of an agent's case, up to the user's."""
    system = [{"role": "system", "content": row["system"]}] if "system" in row else []
    return [*system, *user(row["prompt"])]


async def judge_split(
    asker: Asker, rows: Sequence[Case], judge: Callable[[Case], Awaitable[Case]]
) -> list[Case]:
    """The judged cases of the split "test"; the prompts were written with the others in view."""
    return list(await asyncio.gather(*(judge(row) for row in rows if row["split"] == asker.split)))


async def tool_results(asker: Asker, rows: Sequence[Case]) -> tuple[dict[str, Figure], list[Case]]:
    """Of the answers after a tool's result: those that are a text, and those with the facts asked
    for and no number from elsewhere."""

    async def one(row: Case) -> Case:
        arguments = json.dumps(row["arguments"])
        call = {"name": row["tool"], "arguments": arguments}
        parameters = {"type": "object", "properties": {name: {} for name in row["arguments"]}}
        function = {"name": row["tool"], "parameters": parameters}
        response = await asker.ask(
            row["id"],
            messages=[
                *conversation(row),
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "1", "type": "function", "function": call}],
                },
                {"role": "tool", "tool_call_id": "1", "content": row["result"]},
            ],
            tools=[{"type": "function", "function": function}],
        )
        case: Case = {"id": f"tool_results/{row['id']}", "result_text": 0, "result_right": 0}
        if response.status_code != 200:
            return {**case, "wrong": said(response)}
        text = message(response).get("content") or ""
        case["result_text"] = int(is_prose(text) and finish(response) == "stop")
        case["result_right"] = int(case["result_text"] and states_result(text, row))
        return {**case, "answer": text}

    cases = await judge_split(asker, rows, one)
    return shares(("result_text", "result_right"), cases), cases


async def forced_tools(asker: Asker, rows: Sequence[Case]) -> tuple[dict[str, Figure], list[Case]]:
    """Of the requests with one tool that must be called, and of the same ones with its schema as
    `response_format`: those with the right values."""

    async def one(row: Case) -> Case:
        tool = row["tool"]
        chosen = {"type": "function", "function": {"name": tool["name"]}}
        schema = {"name": "answer", "schema": tool["parameters"]}
        forced, formatted = await asyncio.gather(
            asker.ask(
                row["id"],
                messages=conversation(row),
                tools=[{"type": "function", "function": tool}],
                tool_choice=chosen,
                max_tokens=200,
            ),
            asker.ask(
                row["id"],
                messages=conversation(row),
                response_format={"type": "json_schema", "json_schema": schema},
                max_tokens=200,
            ),
        )
        calls = message(forced).get("tool_calls") if forced.status_code == 200 else None
        arguments = calls[0]["function"]["arguments"] if calls else ""
        text = (message(formatted).get("content") or "") if formatted.status_code == 200 else ""
        return {
            "id": f"forced_tools/{row['id']}",
            "forced_right": int(arguments_match(arguments, row["expect"])),
            "schema_right": int(arguments_match(text, row["expect"])),
            "answer": arguments,
        }

    cases = await judge_split(asker, rows, one)
    return shares(("forced_right", "schema_right"), cases), cases


async def json_objects(asker: Asker, rows: Sequence[Case]) -> tuple[dict[str, Figure], list[Case]]:
    """Of the requests for a `json_object`: those answered with the keys and values asked for."""

    async def one(row: Case) -> Case:
        response = await asker.ask(
            row["id"],
            messages=conversation(row),
            response_format={"type": "json_object"},
            max_tokens=200,
        )
        text = (message(response).get("content") or "") if response.status_code == 200 else ""
        right = object_matches(text, row["expect"])
        return {"id": f"json_objects/{row['id']}", "object_right": int(right), "answer": text}

    cases = await judge_split(asker, rows, one)
    return shares(("object_right",), cases), cases


async def small_talk(asker: Asker, rows: Sequence[Case]) -> tuple[dict[str, Figure], list[Case]]:
    """Of the answers to greetings at the default settings: those that end by themselves."""

    async def one(row: Case) -> Case:
        response = await asker.ask(row["id"], messages=conversation(row))
        case: Case = {"id": f"small_talk/{row['id']}", "small_talk_ends": 0}
        if response.status_code != 200:
            return {**case, "wrong": said(response)}
        tokens = json.loads(response.content)["usage"]["completion_tokens"]
        ends = finish(response) == "stop"
        return {**case, "small_talk_ends": int(ends), "tokens": tokens}

    cases = await judge_split(asker, rows, one)
    return shares(("small_talk_ends",), cases), cases


def finish(response: httpx.Response) -> str:
    return str(json.loads(response.content)["choices"][0].get("finish_reason"))


def shares(names: Sequence[str], cases: Sequence[Case]) -> dict[str, Figure]:
    return {name: share(case[name] for case in cases) for name in names}


Part = Callable[[Asker, Sequence[Case]], Awaitable[tuple[dict[str, Figure], list[Case]]]]
PARTS: dict[str, tuple[Part, str]] = {
    "schemas": (schemas, "schemas.jsonl"),
    "tools": (tools, "tools.jsonl"),
    "tool_results": (tool_results, "tool_results.jsonl"),
    "forced_tools": (forced_tools, "forced_tools.jsonl"),
    "json_objects": (json_objects, "json_objects.jsonl"),
    "small_talk": (small_talk, "small_talk.jsonl"),
    "seeded": (seeded, "seeded.jsonl"),
    "refusals": (refusals, "refusals.jsonl"),
}


def share(values: Iterator[int]) -> Figure:
    found = list(values)
    return Figure.share(sum(found), len(found))


def read(name: str) -> list[Case]:
    return [row for _, row in read_json_lines(SET / name)]


async def evaluate(
    url: str,
    *,
    model: str | None = None,
    key: str | None = None,
    parts: Sequence[str] = tuple(PARTS),
    split: str = "test",
    progress: Progress | None = None,
) -> Report:
    """The figures of the service at `url`. Raises SeedbedError where it can't be measured."""
    if unknown := set(parts) - set(PARTS):
        raise BadInput(
            f"Unknown part {sorted(unknown)[0]!r}.", hint=f"Available parts: {', '.join(PARTS)}."
        )
    figures: dict[str, Figure] = {}
    cases: list[Case] = []
    async with _client(url, key) as client:
        asker = Asker(client, model or await _first_model(client), progress, split)
        sets = {part: read(PARTS[part][1]) for part in parts}
        sent = {"seeded": 3, "forced_tools": 2}  # requests per case
        asker.total = sum(
            sent.get(part, 1) * sum(row.get("split", split) == split for row in rows)
            for part, rows in sets.items()
        )
        about = {"url": url, "model": asker.model}
        for part, rows in sets.items():
            found, rows = await PARTS[part][0](asker, rows)
            if not found:
                about[part] = "not measured, because guardrails are disabled on the server"
            figures |= found
            cases += rows
        figures["failed"] = Figure.share(asker.failed, asker.done)
    return Report("llm-service eval", figures, cases, about)


@contextmanager
def service(model: str | None = None) -> Iterator[str]:
    """A service of its own with guardrails on, its data in a temporary folder; gives its URL."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models.toml")
        text = GUARDRAILS
        if model is not None:
            entry = f"[models.evaluated]\nspec = {json.dumps(model)}\n"
            text = text.replace("[models.smollm2]\n", entry)
        models.write_text(text, "utf-8")
        port = free_port()
        argv = [sys.executable, "-m", "llm_service", "serve", "--port", str(port)]
        environment = {
            "SERVICE_DATA_DIR": folder,
            "SEEDBED_LOG_LEVEL": "WARNING",
            "SERVICE_TIMEOUT": "600",
        }
        with _running([*argv, "--models", str(models)], port, environment):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(argv: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """The process, from when it answers; SeedbedError with its last line where it never does."""
    starting = run_server(argv, port, "/readyz", 120.0, env=environment)
    try:
        starting.__enter__()
    except (RuntimeError, TimeoutError) as error:
        raise SeedbedError(f"The service did not start: {str(error).splitlines()[-1]}") from None
    try:
        yield
    finally:
        starting.__exit__(None, None, None)


def run(
    url: str | None = None,
    *,
    model: str | None = None,
    key: str | None = None,
    parts: Sequence[str] = tuple(PARTS),
    split: str = "test",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The verb: measure the service at `url`, or one started for it, and log to MLflow if asked.

    `model` is one that the service at `url` has, or the spec to serve without one. `split` is
    "test" or, while working on prompts, "tune"; it applies to the agents' cases. Gives the
    report as JSON has it: name, figures (value, n, low, high), cases, about. Raises SeedbedError.
    """
    if url is None:
        with service(model) as own:
            report = asyncio.run(
                evaluate(own, key=key, parts=parts, split=split, progress=progress)
            )
    else:
        report = asyncio.run(
            evaluate(url, model=model, key=key, parts=parts, split=split, progress=progress)
        )
    log_to_mlflow(report, "llm_service")
    result: dict[str, Any] = json.loads(report.to_json())
    return result


def table(result: Mapping[str, Any]) -> str:
    """The figures of `run` for a terminal."""
    rows = []
    for name, figure in result["figures"].items():
        known = figure["low"] is not None
        between = f"{figure['low']:.3f} to {figure['high']:.3f}" if known else None
        rows.append((name, f"{figure['value']:.3f}", between, figure["n"]))
    figures = cli.table(("", "value", "95 % interval", "n"), rows)
    notes = [f"{k}: {v}" for k, v in result["about"].items() if k not in ("url", "model")]
    about = f"{result['about']['model']} at {result['about']['url']}"
    return "\n".join([about, figures, *notes])
