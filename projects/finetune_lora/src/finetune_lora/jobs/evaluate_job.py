"""An evaluation as a user starts it: which systems answer, and where the report goes.

    result = evaluate_run("test.jsonl", adapter=Path("var/run"))

An adapter is compared with its base model, with few-shot prompting, and with classical baselines if
its training data is available. If it was exported to RUN/model, that model answers last, through
the structured output of its server: its figure is the one that users of the server get, and the
headline of the report.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import typer

from finetune_lora.answer.prediction import ADAPTER, SERVED, Predictor
from finetune_lora.answer.predictor import ChatPredictor, TorchPredictor
from finetune_lora.config import Config
from finetune_lora.data.read import load_dataset, training_data
from finetune_lora.evaluate.baselines import classical
from finetune_lora.evaluate.evaluate import evaluate
from finetune_lora.evaluate.forgetting import forgetting
from finetune_lora.evaluate.model_card import write_model_card
from finetune_lora.evaluate.report import FILES
from finetune_lora.example import Dataset, Example
from finetune_lora.helpdesk import requests_file
from finetune_lora.model.adapter import load_adapter, read_task, task_beside
from finetune_lora.model.base import Base
from finetune_lora.runs.mlflow_import import add_evaluation
from finetune_lora.runs.run_folder import RunFolder, list_runs, lock, read_progress, read_run
from seedbed.cli import command_line
from seedbed.errors import BadInput, NotFound
from seedbed.models.load import load_chat_model
from seedbed.settings import Settings, load

_SHOTS = 10
_MAX_TOKENS = 256  # of a served answer
_TELL = partial(typer.echo, err=True)


def evaluate_run(
    data: str,
    *,
    adapter: Path | None = None,
    base: str | None = None,
    model: str | None = None,
    columns: str = "",
    quick: bool = False,
    out: Path | None = None,
    loaded: Base | None = None,
) -> dict[str, Any]:
    """Evaluate an adapter, or a served `model` (any spec); the report as JSON.

    With both, the model is the adapter as it is served, e.g. `openai:NAME` of a running server. The
    adapter "latest" is the newest finished run, and the data "helpdesk" the hand-written requests.
    `quick` evaluates the adapter alone; `loaded` is the adapter, if the caller has it in memory. An
    adapter's report and model card are written into its folder; `written` in the result lists all
    files.
    """
    # 1. Load the data, in the form in which the adapter learned its task.
    adapter = newest() if str(adapter) == "latest" else adapter
    if adapter is not None:
        task = read_task(adapter)
    elif model is not None:
        task = task_beside(Path(model.removeprefix("path:")))
    else:
        raise BadInput("Nothing to evaluate.", hint="Set --adapter RUN or --model SPEC.")
    labels = task.get("labels") or None
    source = str(requests_file("handwritten")) if data == "helpdesk" else data
    dataset = load_dataset(source, labels=labels, allow_unseen=labels is not None, columns=columns)
    dataset = dataset.with_system(task.get("system"))
    task = {**task, "labels": dataset.labels}
    # 2. Choose the systems. The served model comes last.
    systems: list[Predictor] = []
    options: dict[str, Any] = {"schema": task.get("schema")}
    run = adapter if adapter is not None and (adapter / "run.json").exists() else None
    if adapter is not None:
        loaded = loaded or load_adapter(adapter, base=base)
        options["train"] = training_data(task)
        systems = _systems(loaded, task, options["train"], quick=quick)
        if not quick:
            options["forgetting"] = partial(_forgetting, loaded)
            out, model = out or adapter / "report", model or _exported(adapter)
    if model is not None:
        systems.append(_served(model, SERVED if adapter is not None else model, task))
    if run is not None:
        options |= {"run": read_run(run), "progress": read_progress(run)}
    # 3. Let them answer, and keep the result with the run.
    with lock(run) if run else nullcontext():  # the page shows that it is being evaluated
        result = evaluate(dataset, systems, out=out, tell=_TELL, **options)
        written = [str(out / name) for name in FILES if (out / name).exists()] if out else []
        if run is not None and not quick:
            written.append(str(_keep(run, task, result)))
    return result | {"written": written}


def newest() -> Path:
    """The folder of the newest finished run."""
    data_dir = load(Config).data_dir
    for run in list_runs(data_dir):
        if run.get("state") == "finished":
            return Path(run["folder"])
    hint = f"Run: {command_line('finetune-lora', 'run')}"
    raise NotFound(f"No finished run in {data_dir / 'runs'}.", hint=hint)


def shots(train: Dataset, count: int = _SHOTS) -> list[Example]:
    """Short training examples for a prompt, one for each label or kind of answer."""
    order = list(train.examples)
    random.Random(0).shuffle(order)
    kinds: dict[str, Example] = {}
    for example in order:
        if len(example.text) < 300:
            kinds.setdefault(example.label or example.tags.get("tool") or example.answer, example)
    return list(kinds.values())[:count]


def _systems(
    loaded: Base, task: Mapping[str, Any], train: Dataset | None, *, quick: bool
) -> list[Predictor]:
    """The base model, the baselines, and the adapter; with `quick` the adapter only."""
    adapter = TorchPredictor(loaded, ADAPTER, task)
    if quick:
        return [adapter]
    systems: list[Predictor] = [TorchPredictor(loaded, "base", task, bare=True)]
    if train is not None:
        few = shots(train)
        name = f"base, {len(few)} shots"
        systems.append(TorchPredictor(loaded, name, task, shots=few, bare=True))
        systems += classical(train)
    return [*systems, adapter]


def _forgetting(loaded: Base) -> dict[str, Any]:
    base, adapter = TorchPredictor(loaded, "base", bare=True), TorchPredictor(loaded, ADAPTER)
    return forgetting(base.log_likelihood, adapter.log_likelihood)


def _exported(adapter: Path) -> str | None:
    """The spec of the model exported into the run's folder, unless the adapter is newer."""
    manifest, config = adapter / "model" / "export.json", adapter / "adapter_config.json"
    if manifest.exists() and manifest.stat().st_mtime >= config.stat().st_mtime:
        return f"path:{manifest.parent}"
    return None


def _served(model: str, name: str, task: Mapping[str, Any]) -> Predictor:
    chat = load_chat_model(model, settings=load(Settings), temperature=0, max_tokens=_MAX_TOKENS)
    return ChatPredictor(chat, name, task)


def _keep(folder: Path, task: Mapping[str, Any], result: dict[str, Any]) -> Path:
    """Write the model card, and add the figures to the run's records; the card's path."""
    run = read_run(folder)
    data = Path(run["data"]["path"]).with_name("DATA_CARD.md")
    data_card = data.read_text("utf-8") if data.is_file() else ""
    card = write_model_card(folder, run=run, result=result, task=task, data_card=data_card)
    names = ("exact_match", "field_f1", "schema_valid")
    figures = {name: result[name] for name in names if result[name] is not None}
    RunFolder(folder).update(exact_match=result["exact_match"])
    add_evaluation(folder, load(Config).data_dir, figures)
    return card
