"""A flywheel of three projects, each in its own processes: `make flywheel`.

    python -m tools.flywheel             # goes on where the last one was stopped; var/flywheel
    python -m tools.flywheel rollback    # the model before the promoted one is served again

finetune_lora trains a small model to sort mails, llm_service compares it with the model that is
served, agentic_workflow asks the better one where its own classifier is not sure, a scripted person
corrects what is wrong, and the corrections train the next model. A gate promotes only a model that
is better than the served one, and with which the desk is right more often. The mails of the last
table took no part in any of it.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx

from agentic_workflow.triage.offline.classifier import EXAMPLES
from agentic_workflow.triage.offline.sorter import Sorted, training_example
from seedbed.cli import table
from seedbed.files import read_json_lines, write_text
from seedbed.runs.tracking import open_client
from seedbed.testing.launch import free_port, run_server

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
MODEL = "finetune_lora"  # the registered model, in MLflow
Row = dict[str, Any]
SYSTEMS = (
    # name, examples of the classifier, model
    ("before: the classifier alone", "train", "base"),
    ("with the model of round one", "train", "round1"),
    ("with the model of round two", "train", "round2"),
    ("the classifier alone, corrections among its examples", "both", "base"),
)


@dataclass(frozen=True)
class Plan:
    """How much of everything; a test takes less."""

    folder: Path = ROOT / "var/flywheel"
    sizes: tuple[int, int, int] = (500, 150, 250)
    """Mails to train on, to compare on, and for the last table; the others arrive at the desk."""
    corrections: int = 40
    # By steps, so that the table does not depend on the machine.
    training: tuple[str, ...] = ("--max-steps", "160", "--max-minutes", "30")


@dataclass
class Flywheel:
    """The stages in their order; each is done once, and a stopped one begins again."""

    plan: Plan = field(default_factory=Plan)

    def run(self) -> list[Row]:
        """Turn twice, and return the rows of the last table."""
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        # 1. Mails that train, compare, arrive and measure, which never mix.
        self._once("split", self.split)
        # 2. The first round: a model that learned the same mails as the desk's classifier.
        self._once("train round1", lambda: self.train("round1", self._rows("train")))
        self._once("compare round1", lambda: self.compare("round1"))
        # 3. The desk works, and a person corrects it.
        self._once("correct", self.correct)
        # 4. The second round: the same mails, and the corrections.
        more = [*self._rows("train"), *self._rows("corrections")]
        self._once("train round2", lambda: self.train("round2", more))
        self._once("compare round2", lambda: self.compare("round2"))
        # 5. All of them on mails that none has seen.
        rows: list[Row] = self._once("measure", self.measure)
        return rows

    def _once(self, stage: str, work: Callable[[], Any]) -> Any:
        """The result of a stage, which is kept once it has ended."""
        path = self.plan.folder / "stages.json"
        done: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if stage not in done:
            started = time.monotonic()
            print(f"{stage} …", flush=True)
            result = work()
            done[stage] = {"seconds": round(time.monotonic() - started, 1), "result": result}
            write_text(path, json.dumps(done, indent=1))
        print(f"{stage}: {done[stage]['seconds']} s", flush=True)
        return done[stage]["result"]

    # ── the stages ──────────────────────────────────────────────────────────────────────────

    def split(self) -> dict[str, int]:
        """Share the mails that agentic_workflow ships, in a random order."""
        every = (row for _, row in read_json_lines(EXAMPLES))
        rows = [row for row in every if f"{row['subject']}{row['text']}".strip()]
        random.Random(0).shuffle(rows)
        parts = {}
        for name, size in zip(("train", "compare", "unseen"), self.plan.sizes, strict=True):
            parts[name], rows = rows[:size], rows[size:]
        parts["arriving"] = rows
        for name, part in parts.items():
            self._write(name, part)
        return {name: len(part) for name, part in parts.items()}

    def train(self, name: str, rows: list[Row]) -> Row:
        """Train and export a model; its version in MLflow names what it learned from."""
        run, data = self.plan.folder / name, self._path(name)
        if not run.exists():
            self._write(name, [lesson(row) for row in rows])
        resume = ["--resume"] if (run / "run.json").exists() else []
        options = [*self.plan.training, *resume]
        self._call("finetune-lora", "train", "--data", data, "--output", run, *options)
        self._call("finetune-lora", "export", "--adapter", run)
        run_id = json.loads((run / "run.json").read_text("utf-8"))["mlflow"]["run_id"]
        client = self._mlflow()
        (version,) = client.search_model_versions(f"run_id = '{run_id}'")
        tags = {
            "round": name,
            "data_sha256": hashlib.sha256(data.read_bytes()).hexdigest(),
            "corrections": str(sum("change" in row for row in rows)),
            "served_before": self.promoted()[-1],
        }
        for key, value in tags.items():
            client.set_model_version_tag(MODEL, version.version, key, value)
        return {"version": version.version, "examples": len(rows), **tags}

    def compare(self, name: str) -> Row:
        """Serve a new model beside the served one, rate all answers, and promote the better."""
        before = [model for model in self.promoted() if model != name]  # it was stopped at the end
        old = before[-1]
        shutil.rmtree(self.plan.folder / "service", ignore_errors=True)  # a stopped comparison
        schema = {"name": "mail", "strict": True, "schema": Sorted.model_json_schema()}
        reply_format = {"type": "json_schema", "json_schema": schema}
        with self._service(old, name) as url, httpx.Client(base_url=f"{url}/v1") as client:
            for number, row in enumerate(self._rows("compare")):
                # 1. Each mail is a user's, who gets one of the models.
                body = {"model": "sorter", "messages": lesson(row)["messages"][:-1]}
                body |= {"response_format": reply_format, "user": f"user {number}"}
                answer = client.post("/chat/completions", json=body, timeout=120)
                reply = answer.raise_for_status().json()
                # 2. The user likes the right category.
                found = json.loads(reply["choices"][0]["message"]["content"])["category"]
                rating = "up" if found == row["category"] else "down"
                told = {"response_id": reply["id"], "rating": rating}
                client.post("/feedback", json=told).raise_for_status()
        (report,) = json.loads(self._call("llm-service", "experiments", "--json"))
        # 3. The gate.
        desk = {model: self._desk_figure("compare", model) for model in (old, name)}
        if better := passes_gate(name, report["verdict"], desk[old], desk[name]):
            self.promote([*before, name])
        print(f"  {report['verdict']}")
        print(f"  the desk is right: {', '.join(f'{of(f)} with {m}' for m, f in desk.items())}")
        print(f"  {'promoted' if better else 'not promoted'}: {name}")
        return {"promoted": better, "desk": desk, **report}

    def correct(self) -> Row:
        """Let the desk sort what arrives until a person has corrected it often enough."""
        arriving, corrected, model = self._rows("arriving"), 0, self.promoted()[-1]
        served = self._service(model) if model != "base" else nullcontext("")
        with served as service, self._desk(service) as desk:
            while arriving and corrected < self.plan.corrections:
                # 1. Some mails arrive; one that came before is recognized.
                batch, arriving = arriving[:25], arriving[25:]
                answers = [desk.post("/mails", content=as_mail(row)) for row in batch]
                # 2. The person reads what waits, and changes what is wrong.
                for row, answer in zip(batch, answers, strict=True):
                    case = wait_until_read(desk, answer.raise_for_status().json()["id"])
                    wrong = case["status"] == "waiting" and case["category"] != row["category"]
                    if (case["triage"] or {}).get("changed_by"):  # before this stage was stopped
                        corrected += 1
                    elif wrong and corrected < self.plan.corrections:
                        change = {"category": row["category"]}
                        desk.post(f"/cases/{case['id']}/change", json=change).raise_for_status()
                        corrected += 1
        rows = [json.loads(r) for r in self._call("agentic-workflow", "corrections").splitlines()]
        self._write("corrections", rows)
        return {"mails": len(self._rows("arriving")) - len(arriving), "corrections": len(rows)}

    def measure(self) -> list[Row]:
        """The categories of unseen mails by each system, with intervals."""
        self._write("both", [*self._rows("train"), *self._rows("corrections")])
        return [
            {"system": system, **self._desk_figure("unseen", model, examples)}
            for system, examples, model in SYSTEMS
        ]

    def _desk_figure(self, part: str, model: str, examples: str = "train") -> Row:
        """The share of mails whose category the desk finds, with its interval."""
        inbox = self.plan.folder / f"inbox-{part}"
        inbox.mkdir(exist_ok=True)
        gold = []
        for number, row in enumerate(self._rows(part)):
            (inbox / f"{number}.eml").write_bytes(as_mail(row))
            answer = {"file": f"{number}.eml", "category": row["category"], "priority": "normal"}
            gold.append({**answer, "needs_approval": True, "order_id": None, "amount": None})
        self._write(f"gold-{part}", gold)
        words = ("eval", "--inbox", inbox, "--gold", self._path(f"gold-{part}"), "--json")
        with self._service(model) if model != "base" else nullcontext("") as service:
            report = json.loads(
                self._call("agentic-workflow", *words, **self._settings(service, examples))
            )
        figure: Row = report["figures"]["category right"]
        return figure

    # ── the model that is served ────────────────────────────────────────────────────────────

    def promoted(self) -> list[str]:
        """The models that passed the gate, the one that is served last."""
        path = self.plan.folder / "promoted.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else ["base"]

    def promote(self, models: list[str]) -> str:
        """Serve the last of `models`; in MLflow its version is `champion`."""
        write_text(self.plan.folder / "promoted.json", json.dumps(models))
        client, name = self._mlflow(), models[-1]
        versions = client.search_model_versions(f"name = '{MODEL}'")
        client.delete_registered_model_alias(MODEL, "champion")
        for version in versions:
            if version.tags.get("round") == name:
                client.set_registered_model_alias(MODEL, "champion", version.version)
        return name

    def rollback(self) -> str:
        """Serve the model before the promoted one again."""
        models = self.promoted()
        return self.promote(models[:-1] or models)

    @contextmanager
    def _service(self, *models: str) -> Iterator[str]:
        """llm_service with these models behind the name `sorter`; several are an experiment."""
        lines = ["[models.base]", 'backend = "local"', 'spec = "smollm2"']
        for name in models:
            if name != "base":
                spec = json.dumps(f"path:{self.plan.folder / name / 'model'}")
                lines += [f"[models.{name}]", 'backend = "local"', f"spec = {spec}"]
        lines += ["[routes.sorter]", f'targets = [{{ model = "{models[0]}" }}]']
        if len(models) > 1:
            variants = ", ".join(f'{{ name = "{name}", model = "{name}" }}' for name in models)
            lines += ["[experiments.sorter]", 'model = "sorter"', f"variants = [{variants}]"]
        file = self.plan.folder / "models.toml"
        write_text(file, "\n".join(lines) + "\n")
        port = free_port()
        argv = [str(BIN / "llm-service"), "serve", "--port", str(port), "--models", str(file)]
        url, hello = f"http://127.0.0.1:{port}", [{"role": "user", "content": "Hello"}]
        with run_server(argv, port, "/readyz", 300, env=self._settings()):
            for name in models:  # which are loaded by the first request
                body = {"model": name, "messages": hello, "max_tokens": 1}
                httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120).raise_for_status()
            yield url

    # ── helpers ─────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _desk(self, service: str) -> Iterator[httpx.Client]:
        """A client of agentic_workflow, which asks the model of `service`."""
        port = free_port()
        argv = [str(BIN / "agentic-workflow"), "serve", "--port", str(port)]
        with (
            run_server(argv, port, "/readyz", 300, env=self._settings(service)),
            httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=60) as client,
        ):
            yield client

    def _settings(self, service: str = "", examples: str = "train") -> dict[str, str]:
        """The environment of all processes; with `service`, the desk asks its model."""
        folder = self.plan.folder
        settings = {
            "SEEDBED_MODEL": "smollm2",
            "SEEDBED_LOG_LEVEL": "ERROR",
            "FINETUNE_DATA_DIR": f"{folder}/finetune",
            "SERVICE_DATA_DIR": f"{folder}/service",
            "WORKFLOW_DATA_DIR": f"{folder}/desk",
            "WORKFLOW_TRIAGE_EXAMPLES": str(self._path(examples)),
        }
        if service:
            settings |= {"WORKFLOW_SORTER": "openai:sorter", "OPENAI_API_KEY": "none"}
            settings |= {"SEEDBED_BASE_URL": f"{service}/v1"}
        return settings

    def _mlflow(self) -> Any:
        return open_client(self.plan.folder / "finetune")

    def _call(self, command: str, *arguments: object, **settings: str) -> str:
        """What a command prints. Raises CalledProcessError."""
        argv = [str(BIN / command), *map(str, arguments)]
        env = os.environ | self._settings() | settings
        return subprocess.run(argv, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout

    def _path(self, name: str) -> Path:
        return self.plan.folder / f"{name}.jsonl"

    def _rows(self, name: str) -> list[Row]:
        return [row for _, row in read_json_lines(self._path(name))]

    def _write(self, name: str, rows: list[Row]) -> None:
        write_text(self._path(name), "".join(json.dumps(row) + "\n" for row in rows))


def of(figure: Row) -> str:
    """A share with its interval."""
    return f"{figure['value']:.0%} ({figure['low']:.0%} to {figure['high']:.0%})"


def passes_gate(name: str, verdict: str, desk_before: Row, desk_with: Row) -> bool:
    """Whether a model is better than the served one, and the desk is right more often with it.

    A model can win the experiment and harm the desk, which asks it only where its own classifier is
    unsure, and may be right more often there.
    """
    wins = verdict.startswith(f"{name!r} is better")  # by the whole interval of the difference
    return wins and bool(desk_with["value"] > desk_before["value"])


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
        record: Row = desk.get(f"/cases/{case}").raise_for_status().json()["case"]
        if record["status"] not in ("received", "working"):
            return record
        time.sleep(0.2)


def main(arguments: list[str]) -> None:
    """Turn, and print the table; or go back to the model before."""
    flywheel = Flywheel()
    if arguments == ["rollback"]:
        print(f"{flywheel.rollback()} is served.")
        return
    try:
        found = flywheel.run()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(error.cmd[0]).name} failed, as it says above. Then: make flywheel")
    rows = [(row["system"], of(row), row["n"]) for row in found]
    print(table(("system", "right category of unseen mails", "n"), rows))


if __name__ == "__main__":
    main(sys.argv[1:])
