"""The editions of one file against the projects: each through the project's own evaluation.

    python benchmarks/nano.py rag [--json]      # agents, finetune, rag, research, service,
                                                # vision, workflow

Without a model behind an API. Every share is {"value", "n", "low", "high"} with a 95 % interval.
`full` is measured in the same run, except where another benchmark measures it: rag-answers and
finetune-task.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seedbed.runs.evaluation import Figure
from seedbed.testing.launch import free_port, import_file, run_server

ROOT = Path(__file__).parents[1]
PROJECTS = ROOT / "projects"
SHARES = ("value", "n", "low", "high")


def share(outcomes: Iterable[object]) -> dict[str, Any]:
    listed = [bool(outcome) for outcome in outcomes]
    return rounded(asdict(Figure.share(sum(listed), len(listed))))


def rounded(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {key: round(figure[key], 4) for key in SHARES}


def project_json(package: str, *arguments: str) -> Any:
    """What a project's own command prints, with its data in a folder that is deleted."""
    with tempfile.TemporaryDirectory() as folder:
        variables = ("WORKFLOW", "AGENTS", "VISION")
        env = {**os.environ, **{f"{name}_DATA_DIR": folder for name in variables}}
        command = [sys.executable, "-m", package, *arguments, "--json"]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def rag() -> dict[str, Any]:
    """The shipped questions; `quote_answer` answers, as no bigger model is there."""
    from rag_chatbot.answer.answer import Answer, Citation
    from rag_chatbot.evaluate.questions import _score, _summary, read_questions

    nano = import_file(PROJECTS / "rag_chatbot/nano.py")
    chatbot = nano.Chatbot(ROOT / "docs")
    results = []
    for case in read_questions(PROJECTS / "rag_chatbot/eval/questions.jsonl"):
        start = time.perf_counter()
        found = chatbot.ask(case.question)
        citations = tuple(
            Citation(n, c.source, None, c.heading, c.quote, 0.0, 0, 0, 0)
            for n, c in enumerate(found.citations, 1)
        )
        answer = Answer(found.text, not found.text, citations, case.question, "", "")
        results.append(_score(case, answer, time.perf_counter() - start))
    summary = _summary(results)
    return {"nano": {name: rounded(figure) for name, figure in summary["intervals"].items()}}


def agents() -> dict[str, Any]:
    """The shipped tasks. Nobody approves a proposed query, so each is an answer that is missing."""
    from langgraph.checkpoint.memory import InMemorySaver

    from multi_agent.evaluate.tasks import read_tasks

    nano = import_file(PROJECTS / "multi_agent/nano.py")
    file = PROJECTS / "multi_agent/eval/tasks.jsonl"
    solved, confident_wrong = [], []
    with tempfile.TemporaryDirectory() as folder:
        nano.DATA = Path(folder)
        graph = nano.build_graph(InMemorySaver())
        for task in read_tasks(file):
            thread = {"configurable": {"thread_id": task.id}}
            # The proposal would only be shown, so the model need not write it.
            state = graph.invoke({"task": task.task}, thread, interrupt_before=["propose"])
            confident = "answer" in state
            right = task.solved(state.get("answer", nano.NO_ANSWER), confident=confident)
            solved.append(right)
            confident_wrong.append(confident and not right)
    full = project_json("multi_agent", "eval", "--tasks", str(file))
    families = full["families"].values()
    n = sum(family["n"] for family in families)

    def of(name: str) -> dict[str, Any]:
        count = sum(round(family[name] * family["n"]) for family in families)
        return share([True] * count + [False] * (n - count))

    return {
        "nano": {"solved": share(solved), "confident_wrong": share(confident_wrong)},
        "full": {"solved": of("success"), "confident_wrong": of("confident_wrong")},
    }


def workflow() -> dict[str, Any]:
    """The shipped mails. Nothing is refunded without a person, so only the category is compared."""
    nano = import_file(PROJECTS / "agentic_workflow/nano.py")
    folder, gold = (PROJECTS / "agentic_workflow/eval" / name for name in ("mails", "gold.jsonl"))
    rows = [json.loads(line) for line in gold.read_text("utf-8").splitlines()]
    right = [
        nano.read_mail((folder / row["file"]).read_bytes()).category == row["category"]
        for row in rows
    ]
    english = [hit for hit, row in zip(right, rows, strict=True) if row["file"].startswith("en/")]
    figures = project_json("agentic_workflow", "eval", "--inbox", str(folder), "--gold", str(gold))[
        "figures"
    ]
    harmless = sum(not row["needs_approval"] for row in rows)
    return {
        "nano": {
            "category": share(right),
            "category_english": share(english),
            "handled_alone": share([False] * harmless),
        },
        "full": {
            "category": rounded(figures["category right"]),
            "handled_alone": rounded(figures["harmless handled alone"]),
            "alone_where_a_person_is_needed": rounded(
                figures["acted alone where a person is needed"]
            ),
        },
    }


def vision() -> dict[str, Any]:
    """The fields of the shipped documents."""
    from vision_app.evaluate.documents import evaluate

    nano = import_file(PROJECTS / "vision_app/nano.py")
    folder = PROJECTS / "vision_app/eval"

    def read(path: Path, _: str) -> Mapping[str, Any]:
        fields: Mapping[str, Any] = nano.find_fields(
            nano.read_text(nano.open_picture(path))
        ).model_dump()
        return fields

    report = evaluate(folder, read)
    full = project_json("vision_app", "eval", str(folder))["figures"]
    name = "all: fields right"
    return {
        "nano": {"fields": rounded(asdict(report.figures[name]))},
        "full": {"fields": rounded(full[name])},
    }


def research() -> dict[str, Any]:
    """The project's five claims about LoRA's equations, of either layer, with its tolerances."""
    import torch
    from torch import nn

    from research_repro.papers.lora.claims import CLAIMS
    from research_repro.papers.lora.equations import check_equations
    from research_repro.papers.lora.method import LoRALinear

    nano = import_file(PROJECTS / "research_repro/nano.py")

    class NanoLayer(LoRALinear):
        """The layer of the edition, with the switch for merging that the check uses."""

        def __init__(
            self, linear: nn.Linear, rank: int, alpha: float, dropout: float, generator: Any
        ) -> None:
            super().__init__(linear, rank, alpha, dropout, generator)
            layer = nano.LoRALinear(linear, rank, alpha)
            self.A, self.B, self.scale = layer.A, layer.B, layer.scale

        def delta(self) -> Any:
            return nano.LoRALinear.delta(self)

        def forward(self, x: Any) -> Any:
            plain = nn.functional.linear(x, self.weight, self.bias)
            return plain if self.merged else nano.LoRALinear.forward(self, x)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 48), nn.Tanh(), nn.Linear(48, 16))
    claims = {claim.id: claim for claim in CLAIMS}

    def holding(layer: type[LoRALinear]) -> dict[str, Any]:
        numbers = check_equations(model, torch.randn(8, 32), ["0", "2"], layer=layer)
        return share(value in claims[key].tolerance for key, value in numbers.items())

    return {"nano": {"equations": holding(NanoLayer)}, "full": {"equations": holding(LoRALinear)}}


def service() -> dict[str, Any]:
    """Schemas, tool calls and guardrails of the two servers, with the default model."""
    from llm_service import evaluate

    port = free_port()
    command = [sys.executable, str(PROJECTS / "llm_service/nano.py")]
    with run_server(command, port, timeout=300.0, env={"PORT": str(port)}):
        nano = asyncio.run(evaluate.evaluate(f"http://127.0.0.1:{port}"))
    full = evaluate.run()
    return {
        name: {key: rounded(asdict(figure)) for key, figure in report.figures.items()}
        for name, report in (("nano", nano), ("full", full))
    }


def finetune() -> dict[str, Any]:
    """Exact matches on the hand-written requests, before and after; MINUTES of training (4)."""
    nano = import_file(PROJECTS / "finetune_lora/nano.py")
    test = nano.read_examples(nano.DATA / "handwritten.jsonl")
    tokenizer: Any
    model, tokenizer = nano.load_model("smollm2")
    before, _ = nano.score(model, tokenizer, test)
    train = nano.without_test(nano.read_examples(nano.DATA / "train.jsonl"), test)
    random.Random(0).shuffle(train)
    rows = [row for example in train if (row := nano.encode(tokenizer, example))]
    model = nano.add_lora(model)
    data = nano.batches(rows, tokenizer.pad_token_id)
    minutes, processor = float(os.environ.get("MINUTES", "4")), time.process_time()
    losses = nano.train(model, data, minutes, 100_000)
    seconds = time.process_time() - processor
    after, _ = nano.score(model, tokenizer, test)
    n = len(test)
    return {
        "nano": {
            "before": rounded(asdict(Figure.share(round(before * n), n))),
            "exact_match": rounded(asdict(Figure.share(round(after * n), n))),
            "steps": len(losses),
            "processor_minutes": round(seconds / 60, 1),
        }
    }


PARTS = {
    "agents": agents,
    "finetune": finetune,
    "rag": rag,
    "research": research,
    "service": service,
    "vision": vision,
    "workflow": workflow,
}


def main(part: str) -> dict[str, Any]:
    return PARTS[part]()


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1]), indent=None if "--json" in sys.argv else 2))
