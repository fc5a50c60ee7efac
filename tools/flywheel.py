"""A flywheel of three projects, each in its own processes.

    .venv/bin/python -m tools.flywheel       # its files are in var/flywheel

agentic_workflow sorts mails and a scripted person corrects it, finetune_lora trains a small model
on the corrections, and llm_service serves it beside the model that is served now, as an experiment.
A gate promotes the new model only if it wins the experiment and the desk is right more often with
it. The mails of the last table took no part in any of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx

from agentic_workflow.triage.offline.classifier import EXAMPLES
from agentic_workflow.triage.offline.sorter import Sorted, training_example
from seedbed.cli import table
from seedbed.files import read_json_lines, write_text
from seedbed.testing.launch import free_port, run_server

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
Row = dict[str, Any]
SYSTEMS = (
    # name, examples of the classifier, model
    ("before: the classifier alone", "train", "base"),
    ("with the trained model", "train", "tuned"),
    ("the classifier alone, corrections among its examples", "both", "base"),
)


@dataclass(frozen=True)
class Plan:
    """The size of everything; tests use less."""

    folder: Path = ROOT / "var/flywheel"
    sizes: tuple[int, int, int] = (400, 130, 200)
    """Mails to train on, to compare on, and for the last table; the others arrive at the desk."""
    corrections: int = 40
    # By steps, so that the table does not depend on the machine.
    training: tuple[str, ...] = ("--max-steps", "160", "--max-minutes", "30")


def turn(plan: Plan) -> Row:
    """Turn the flywheel once; returns whether the model was promoted, and the last table."""
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    # 1. Mails that train, compare, arrive and measure, which never mix.
    split(plan)
    # 2. The desk works, and a person corrects it.
    corrections = correct(plan)
    # 3. A model learns the mails of the desk's classifier, and the corrections.
    write_rows(plan, "both", [*rows(plan, "train"), *corrections])
    train(plan)
    # 4. It is compared with the model that is served.
    promoted = compare(plan)
    # 5. All systems on mails that none has seen.
    systems = [
        {"system": system, **desk_figure(plan, "unseen", model, examples)}
        for system, examples, model in SYSTEMS
    ]
    return {"promoted": promoted, "corrections": len(corrections), "systems": systems}


def split(plan: Plan) -> None:
    """Share the mails that agentic_workflow ships, in a random order."""
    every = (row for _, row in read_json_lines(EXAMPLES))
    remaining = [row for row in every if f"{row['subject']}{row['text']}".strip()]
    random.Random(0).shuffle(remaining)
    for name, size in zip(("train", "compare", "unseen"), plan.sizes, strict=True):
        write_rows(plan, name, remaining[:size])
        remaining = remaining[size:]
    write_rows(plan, "arriving", remaining)


def correct(plan: Plan) -> list[Row]:
    """Let the desk sort what arrives until a person has corrected it often enough."""
    print("The desk works, and a person corrects it …", flush=True)
    arriving, corrected, port = rows(plan, "arriving"), 0, free_port()
    argv = [str(BIN / "agentic-workflow"), "serve", "--port", str(port)]
    with (
        run_server(argv, port, "/readyz", 300, env=settings(plan)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as desk,
    ):
        while arriving and corrected < plan.corrections:
            # 1. Some mails arrive.
            batch, arriving = arriving[:25], arriving[25:]
            answers = [desk.post("/v1/mails", content=as_mail(row)) for row in batch]
            # 2. The person reads what waits, and changes what is wrong.
            for row, answer in zip(batch, answers, strict=True):
                case = wait_until_read(desk, answer.raise_for_status().json()["id"])
                wrong = case["status"] == "waiting" and case["category"] != row["category"]
                if wrong and corrected < plan.corrections:
                    form = {"category": row["category"], "order": case.get("order_id") or ""}
                    page = f"/cases/{case['id']}/change"
                    desk.post(page, data=form, follow_redirects=True).raise_for_status()
                    corrected += 1
    return [json.loads(line) for line in call(plan, "agentic-workflow", "corrections").splitlines()]


def train(plan: Plan) -> None:
    """Train a model on the mails and corrections, and export it."""
    print("A model learns the corrections …", flush=True)
    write_rows(plan, "lessons", [lesson(row) for row in rows(plan, "both")])
    run, data = plan.folder / "tuned", plan.folder / "lessons.jsonl"
    call(plan, "finetune-lora", "train", "--data", data, "--output", run, *plan.training)
    call(plan, "finetune-lora", "export", "--adapter", run)


def compare(plan: Plan) -> bool:
    """Serve the new model beside the served one, rate all answers, and ask the gate."""
    print("Both models answer users …", flush=True)
    schema = {"name": "mail", "strict": True, "schema": Sorted.model_json_schema()}
    reply_format = {"type": "json_schema", "json_schema": schema}
    with serve_models(plan, "base", "tuned") as url, httpx.Client(base_url=f"{url}/v1") as client:
        for number, row in enumerate(rows(plan, "compare")):
            # 1. Each mail comes from another user, who gets one of the models.
            body = {"model": "sorter", "messages": lesson(row)["messages"][:-1]}
            body |= {"response_format": reply_format, "user": f"user {number}"}
            answer = client.post("/chat/completions", json=body, timeout=120)
            reply = answer.raise_for_status().json()
            # 2. The user likes the right category.
            category = json.loads(reply["choices"][0]["message"]["content"])["category"]
            rating = "up" if category == row["category"] else "down"
            feedback = {"response_id": reply["id"], "rating": rating}
            client.post("/feedback", json=feedback).raise_for_status()
    (report,) = json.loads(call(plan, "llm-service", "experiments", "--json"))
    before, after = (desk_figure(plan, "compare", model) for model in ("base", "tuned"))
    print(f"  {report['verdict']}")
    print(
        f"  the desk is right: {share(before)} with the served model, {share(after)} with the new"
    )
    return passes_gate("tuned", report["verdict"], before, after)


def passes_gate(name: str, verdict: str, desk_before: Row, desk_after: Row) -> bool:
    """Whether a model is better than the served one, and the desk is right more often with it.

    A model can win the experiment and harm the desk, which asks it only where its own classifier is
    unsure, and may be right more often there.
    """
    wins = verdict.startswith(f"{name!r} is better")  # by the whole interval of the difference
    return wins and bool(desk_after["value"] > desk_before["value"])


def desk_figure(plan: Plan, part: str, model: str, examples: str = "train") -> Row:
    """The share of mails whose category the desk finds, with its interval."""
    inbox, gold = plan.folder / f"inbox-{part}", []
    inbox.mkdir(exist_ok=True)
    for number, row in enumerate(rows(plan, part)):
        (inbox / f"{number}.eml").write_bytes(as_mail(row))
        answer = {"file": f"{number}.eml", "category": row["category"], "priority": "normal"}
        gold.append({**answer, "needs_approval": True, "order_id": None, "amount": None})
    write_rows(plan, "gold", gold)
    words = ("eval", "--inbox", inbox, "--gold", plan.folder / "gold.jsonl", "--json")
    with serve_models(plan, model) if model != "base" else nullcontext("") as service:
        printed = call(plan, "agentic-workflow", *words, **settings(plan, service, examples))
    figure: Row = json.loads(printed)["figures"]["category right"]
    return figure


@contextmanager
def serve_models(plan: Plan, *models: str) -> Iterator[str]:
    """llm_service with these models behind the name `sorter`; several are an experiment."""
    lines = ["[models.base]", 'backend = "local"', 'spec = "smollm2"']
    spec = json.dumps(f"path:{plan.folder / 'tuned' / 'model'}")
    lines += ["[models.tuned]", 'backend = "local"', f"spec = {spec}"]
    lines += ["[routes.sorter]", f'targets = [{{ model = "{models[0]}" }}]']
    if len(models) > 1:
        variants = ", ".join(f'{{ name = "{name}", model = "{name}" }}' for name in models)
        lines += ["[experiments.sorter]", 'model = "sorter"', f"variants = [{variants}]"]
    file = plan.folder / "models.toml"
    write_text(file, "\n".join(lines) + "\n")
    port = free_port()
    argv = [str(BIN / "llm-service"), "serve", "--port", str(port), "--models", str(file)]
    with run_server(argv, port, "/readyz", 300, env=settings(plan)):
        yield f"http://127.0.0.1:{port}"


def settings(plan: Plan, service: str = "", examples: str = "train") -> dict[str, str]:
    """The environment of all processes; with `service`, the desk asks its model."""
    env = {
        "SEEDBED_MODEL": "smollm2",
        "SEEDBED_LOG_LEVEL": "ERROR",
        "FINETUNE_DATA_DIR": f"{plan.folder}/finetune",
        "SERVICE_DATA_DIR": f"{plan.folder}/service",
        "SERVICE_KEEP_CONTENT": "rated",
        "WORKFLOW_DATA_DIR": f"{plan.folder}/desk",
        "WORKFLOW_TRIAGE_EXAMPLES": f"{plan.folder}/{examples}.jsonl",
    }
    if service:
        env |= {"WORKFLOW_SORTER": "openai:sorter", "OPENAI_API_KEY": "none"}
        env |= {"SEEDBED_BASE_URL": f"{service}/v1"}
    return env


def call(plan: Plan, command: str, *arguments: object, **env: str) -> str:
    """The output of a command. Raises CalledProcessError."""
    argv = [str(BIN / command), *map(str, arguments)]
    every = os.environ | settings(plan) | env
    return subprocess.run(argv, env=every, stdout=subprocess.PIPE, text=True, check=True).stdout


def rows(plan: Plan, name: str) -> list[Row]:
    return [row for _, row in read_json_lines(plan.folder / f"{name}.jsonl")]


def write_rows(plan: Plan, name: str, values: list[Row]) -> None:
    write_text(plan.folder / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in values))


def lesson(row: Row) -> Row:
    """A labelled mail as the model learns it."""
    return training_example(row["subject"], row["text"], row["category"], row["language"])


def as_mail(row: Row) -> bytes:
    """A labelled mail as it arrives, from a sender of its own."""
    mail, digest = EmailMessage(), hashlib.sha256(json.dumps(row).encode()).hexdigest()[:12]
    mail["From"], mail["To"] = f"{digest}@example.org", "help@shop.example"
    mail["Message-ID"] = f"<{digest}@example.org>"
    mail["Subject"] = row["subject"]
    mail.set_content(row["text"])
    return mail.as_bytes()


def wait_until_read(desk: httpx.Client, case: str) -> Row:
    """The case, once the desk has read its mail."""
    while True:
        record: Row = desk.get(f"/v1/cases/{case}").raise_for_status().json()["case"]
        if record["status"] not in ("received", "working"):
            return record
        time.sleep(0.2)


def share(figure: Row) -> str:
    """A share with its interval."""
    return f"{figure['value']:.0%} ({figure['low']:.0%} to {figure['high']:.0%})"


def main() -> None:
    """Turn once, and print the table."""
    try:
        result = turn(Plan())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(error.cmd[0]).name} failed; its message is above.")
    print(f"{'Promoted' if result['promoted'] else 'Not promoted'}: the model with the corrections")
    lines = [(row["system"], share(row), row["n"]) for row in result["systems"]]
    print(table(("system", "right category of unseen mails", "n"), lines))


if __name__ == "__main__":
    main()
