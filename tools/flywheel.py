"""The flywheel: what people think of a served model's answers trains the next model.

    make flywheel       # its files are in var/flywheel; an interrupted run is continued

finetune_lora trains a model on a few help-desk requests, and llm_service serves it. Simulated
people rate and correct its answers to new requests over HTTP; the export of their feedback trains
the next model. A gate promotes a model only if it is better than the served one.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from finetune_lora.data.clean import spoken
from finetune_lora.data.read import as_lines, load_dataset, to_rows
from finetune_lora.evaluate.metrics import exact_match
from finetune_lora.example import Dataset, Example
from finetune_lora.helpdesk import requests_file
from finetune_lora.helpdesk.tools import CALL_SCHEMA, system_prompt
from seedbed.cli import table
from seedbed.files import read_json, write_bytes, write_text
from seedbed.runs.evaluation import paired_bootstrap, wilson_interval
from seedbed.testing.launch import free_port, run_server

BIN = Path(sys.executable).parent
Row = dict[str, Any]
SCHEMA = {"name": "call", "strict": True, "schema": CALL_SCHEMA}


@dataclass(frozen=True)
class Plan:
    """The size of everything; tests use less."""

    folder: Path = Path(__file__).parents[1] / "var/flywheel"
    examples: int = 300
    """Examples that round 0 trains on."""
    stream: int = 600
    """New requests that the served model answers before each other round."""
    dev: int = 300
    """Requests on which the gate compares two models."""
    test: int = 130
    """Hand-written requests for the table; the gate does not use them."""
    rounds: int = 2
    # By steps, so that the table does not depend on the machine; otherwise as `finetune-lora run`.
    training: tuple[str, ...] = (
        *("--max-steps", "160", "--max-minutes", "600"),
        *("--batch-size", "8", "--alpha", "128", "--lr", "1e-3"),
    )


def turn(plan: Plan) -> list[Row]:
    """Run all rounds; returns the figures of each. If killed, the next call continues."""
    split(plan)
    figures: list[Row] = []
    served = 0
    for number in range(plan.rounds + 1):
        record = plan.folder / f"round-{number}" / "round.json"
        if not record.exists():
            write_text(record, json.dumps(play(plan, number, served)))
        figures.append(read_json(record))
        served = number if figures[-1]["promoted"] else served
    return figures


def split(plan: Plan) -> None:
    """Split the shipped requests into training, streams, gate and test; no two are alike."""
    if (plan.folder / "test.jsonl").exists():
        return
    datasets = (load_dataset(requests_file(name)) for name in ("train", "handwritten"))
    generated, handwritten = (each.with_system(system_prompt()).examples for each in datasets)
    # Copies that differ in case, punctuation or numbers are one request.
    remaining = list({spoken(example): example for example in generated}.values())
    random.Random(0).shuffle(remaining)
    streams = [(f"stream-{number}", plan.stream) for number in range(1, plan.rounds + 1)]
    for name, size in (("examples", plan.examples), ("dev", plan.dev), *streams):
        write_examples(plan.folder / f"{name}.jsonl", remaining[:size])
        remaining = remaining[size:]
    write_examples(plan.folder / "test.jsonl", handwritten[: plan.test])  # last: marks completion


def play(plan: Plan, number: int, served: int) -> Row:
    """A round: feedback on the answers of the model of round `served`, training, and the gate."""
    begun, folder = time.monotonic(), plan.folder / f"round-{number}"
    # 1. The served model answers new requests, and people rate its answers.
    if number:
        collect(plan, number, served)
    # 2. Train on the examples and all feedback so far, as it was exported.
    feedback = [plan.folder / f"round-{n}/feedback.jsonl" for n in range(1, number + 1)]
    data = "".join(file.read_text("utf-8") for file in (plan.folder / "examples.jsonl", *feedback))
    folder.mkdir(exist_ok=True)
    write_text(folder / "train.jsonl", data)
    train(plan, number)
    # 3. The gate: promote the model if it is better by the whole interval.
    answer(plan, number)
    gain = paired_bootstrap(right(plan, "dev", number), right(plan, "dev", served))
    correct = right(plan, "test", number)
    return {
        "round": number,
        "examples": data.count("\n"),
        "exact_match": share(
            sum(correct) / len(correct), *wilson_interval(sum(correct), len(correct))
        ),
        "gain": share(gain.difference, gain.low, gain.high) if number else None,
        "promoted": not number or gain.low > 0,
        "seconds": round(time.monotonic() - begun),
    }


def collect(plan: Plan, number: int, served: int) -> None:
    """Write the feedback on the answers to a stream of requests, as llm_service exports it."""
    folder = plan.folder / f"round-{number}"
    service, feedback = folder / "service", folder / "feedback.jsonl"
    if feedback.exists():
        return
    print(f"Round {number}: people rate what the model of round {served} answers …", flush=True)
    shutil.rmtree(service, ignore_errors=True)  # of a call that was killed
    stream = load_dataset(plan.folder / f"stream-{number}.jsonl").examples
    chance = random.Random(number)
    with serve(plan, served, service) as client:
        for example, (response_id, text) in zip(stream, ask(client, stream), strict=True):
            wrong = chance.choice(stream).answer
            if opinion := rate(example.answer, text, wrong, chance):
                body = {"response_id": response_id, **opinion}
                client.post("/feedback", json=body).raise_for_status()
    export = service / "feedback.jsonl"
    call("llm-service", "feedback", "export", export, SERVICE_DATA_DIR=str(service))
    export.replace(feedback)


def rate(right: str, text: str, wrong: str, chance: random.Random) -> Row | None:
    """A person's feedback: 60 % of right answers get a thumbs up, 30 % of others a correction."""
    if exact_match(right, text):
        return {"rating": "up"} if chance.random() < 0.6 else None
    if chance.random() >= 0.3:
        return None
    # People make mistakes too.
    return {"rating": "down", "correction": wrong if chance.random() < 0.05 else right}


def train(plan: Plan, number: int) -> None:
    """Train the model of a round and export it; an unfinished training is resumed."""
    run = plan.folder / f"round-{number}/run"
    if not (run / "adapter_config.json").exists():
        print(f"Round {number}: training …", flush=True)
        words = ["--data", run.with_name("train.jsonl"), "--output", run, "--base", "smollm2"]
        call("finetune-lora", "train", *words, "--no-track", *plan.training, "--resume")
    if not (run / "model/task.json").exists():
        call("finetune-lora", "export", "--adapter", run)


def answer(plan: Plan, number: int) -> None:
    """Store the answers of a round's model to the requests of the gate and the test."""
    folder = plan.folder / f"round-{number}"
    if (folder / "test.json").exists():
        return
    print(f"Round {number}: answering the requests of gate and test …", flush=True)
    with serve(plan, number, folder / "comparison") as client:
        for part in ("dev", "test"):
            examples = load_dataset(plan.folder / f"{part}.jsonl").examples
            answers = [text for _, text in ask(client, examples)]
            write_text(folder / f"{part}.json", json.dumps(answers))


def right(plan: Plan, part: str, number: int) -> list[bool]:
    """Whether the model of a round answers each request of the gate or the test right."""
    examples = load_dataset(plan.folder / f"{part}.jsonl").examples
    answers = read_json(plan.folder / f"round-{number}/{part}.json")
    return [exact_match(e.answer, text) for e, text in zip(examples, answers, strict=True)]


@contextmanager
def serve(plan: Plan, number: int, data: Path) -> Iterator[httpx.Client]:
    """A client of llm_service with a round's model, `helpdesk`; its database is in `data`."""
    data.mkdir(parents=True, exist_ok=True)
    spec = json.dumps(f"path:{plan.folder / f'round-{number}/run/model'}")
    models, port = data / "models.toml", free_port()
    write_text(models, f'[models.helpdesk]\nbackend = "local"\nspec = {spec}\n')
    argv = [str(BIN / "llm-service"), "serve", "--port", str(port), "--models", str(models)]
    env = {"SERVICE_DATA_DIR": str(data), "SERVICE_KEEP_CONTENT": "rated"}
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=600, trust_env=False)
    with run_server(argv, port, "/readyz", 300, env=env), client:
        yield client


def ask(client: httpx.Client, examples: Sequence[Example]) -> list[tuple[str, str]]:
    """The id and the text of each answer."""

    def one(example: Example) -> tuple[str, str]:
        body: Row = {"model": "helpdesk", "messages": list(example.prompt)}
        body |= {"temperature": 0, "max_tokens": 128}
        body |= {"response_format": {"type": "json_schema", "json_schema": SCHEMA}}
        answer = client.post("/chat/completions", json=body).raise_for_status().json()
        return answer["id"], answer["choices"][0]["message"]["content"]

    with ThreadPoolExecutor(8) as pool:  # the service batches what arrives together
        return list(pool.map(one, examples))


def call(command: str, *arguments: object, **env: str) -> None:
    """Run a command. Raises CalledProcessError."""
    argv = [str(BIN / command), *map(str, arguments)]
    subprocess.run(argv, env=os.environ | env, check=True)


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, as_lines(to_rows(Dataset(tuple(examples)))))


def share(value: float, low: float, high: float) -> str:
    return f"{value:.1%} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    try:
        rows = turn(Plan())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(error.cmd[0]).name} failed; its message is above.")
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
