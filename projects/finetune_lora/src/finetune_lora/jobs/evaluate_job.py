"""An evaluation as a user starts it: which systems answer, and where the report goes.

    result = evaluate_run("test.jsonl", adapter=Path("var/run"))

An adapter is compared with its base model, with few-shot prompting, and with classical baselines if
its training data is available. If it was exported to RUN/model, that model answers last, through
the structured output of its server: its figure is the one that users of the server get, and the
headline of the report.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune_lora.answer.prediction import ADAPTER, SERVED
from finetune_lora.config import Config
from finetune_lora.example import Dataset, Example
from seedbed.cli import command_line
from seedbed.errors import BadInput, NotFound
from seedbed.settings import Settings, load

if TYPE_CHECKING:
    from finetune_lora.answer.prediction import Predictor
    from finetune_lora.model.base import Base

_SHOTS = 10
_MAX_TOKENS = 256  # of a served answer
Tell = Callable[[str], None]


def evaluate_run(
    data: str,
    *,
    adapter: Path | None = None,
    base: str | None = None,
    model: str | None = None,
    columns: str = "",
    quick: bool = False,
    out: Path | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Evaluate an adapter, a base, or a served `model` (any spec); the report as JSON.

    With both an adapter and a `model`, the model is the adapter as it is served, e.g. `openai:NAME`
    of a running server. The adapter "latest" is the newest finished run, and the data
    "helpdesk" the hand-written requests. `quick` evaluates the adapter alone. An adapter's report
    and model card are written into its folder; `written` in the result lists all files. `tell` is
    called with a line before each step.
    """
    from finetune_lora.data.read import load_dataset, training_data
    from finetune_lora.evaluate.evaluate import evaluate
    from finetune_lora.model.adapter import read_task, task_beside
    from finetune_lora.runs.run_folder import read_progress, read_run

    tell = tell or (lambda line: print(line, file=sys.stderr, flush=True))
    # 1. Load the data, in the form in which the adapter learned its task.
    adapter = newest() if str(adapter) == "latest" else adapter
    if adapter is not None:
        task = read_task(adapter)
    else:
        task = task_beside(Path(model.removeprefix("path:"))) if model else {}
    labels = task.get("labels") or None
    source = str(helpdesk("handwritten")) if data == "helpdesk" else data
    dataset = load_dataset(source, labels=labels, allow_unseen=labels is not None, columns=columns)
    dataset = with_system(dataset, task.get("system"))
    task = {**task, "labels": dataset.labels}
    # 2. A served model by itself: only its answers.
    if adapter is None and model is not None:
        tell(f"Evaluating {model} on {len(dataset)} examples …")
        served = _served(model, model, task)
        result = evaluate(dataset, [served], schema=task.get("schema"), out=out)
        return result | {"written": _files(out)}
    # 3. Otherwise all systems, the served one last.
    loaded = _load(adapter, base)
    train = training_data(task)
    if adapter is not None and not quick:
        out = out or adapter / "report"
        model = model or _exported(adapter)
    predictors = _predictors(
        loaded, None if quick else train, task, adapted=adapter is not None, quick=quick
    )
    if model is not None:
        predictors = [*predictors, _served(model, SERVED, task)]
    run = adapter if adapter is not None and (adapter / "run.json").exists() else None
    with _marked(run):
        result = evaluate(
            dataset,
            predictors,
            schema=task.get("schema"),
            train=train,
            out=out,
            run=read_run(run) if run else None,
            progress=read_progress(run) if run else (),
            forgetting=(lambda: _forgetting(loaded)) if adapter and not quick else None,
            tell=tell,
        )
    # 4. Keep the result with the run.
    written = _files(out)
    if run and not quick:
        written += [str(_keep(run, result))]
    return result | {"written": written}


@contextmanager
def _marked(run: Path | None) -> Iterator[None]:
    """Note in the run's record that it is being evaluated, so that the page can show it."""
    from finetune_lora.runs.process import process_identity
    from finetune_lora.runs.run_folder import RunFolder

    if run is None:
        yield
        return
    RunFolder(run).update(evaluation=process_identity())
    try:
        yield
    finally:
        RunFolder(run).update(evaluation=None)


def _files(out: Path | None) -> list[str]:
    from finetune_lora.evaluate.report import FILES

    return [str(out / name) for name in FILES if (out / name).exists()] if out else []


def _keep(folder: Path, result: dict[str, Any]) -> Path:
    """Write the model card, and add the figures to the run in MLflow."""
    from finetune_lora.runs.mlflow_import import add_evaluation

    card = write_card(folder, result)
    names = ("exact_match", "field_f1", "schema_valid")
    figures = {name: result[name] for name in names if result[name] is not None}
    add_evaluation(folder, load(Config).data_dir, figures)
    return card


def newest() -> Path:
    """The folder of the newest finished run."""
    from finetune_lora.runs.run_folder import list_runs

    config = load(Config)
    for run in list_runs(config.data_dir):
        if run.get("state") == "finished":
            return Path(run["folder"])
    raise NotFound(
        f"No finished run in {config.data_dir / 'runs'}.",
        hint=f"Run: {command_line('finetune-lora', 'run')}",
    )


def helpdesk(name: str) -> Path:
    """A data set of the help-desk task: train, dev, or handwritten for the evaluation."""
    return Path(str(resources.files("finetune_lora.helpdesk") / f"{name}.jsonl"))


def with_system(dataset: Dataset, system: str | None) -> Dataset:
    """The dataset with a system message in chats that have none, as in the training data."""
    if not system or dataset.is_classification:
        return dataset
    examples = [
        e
        if e.messages[0]["role"] == "system"
        else Example(({"role": "system", "content": system}, *e.messages), e.label, e.tags, e.line)
        for e in dataset.examples
    ]
    return Dataset(tuple(examples), dataset.labels, dataset.source, dataset.sha256)


def shots(train: Dataset, count: int = _SHOTS) -> list[Example]:
    """Short training examples for a prompt, one for each label or kind of answer."""
    order = list(train.examples)
    random.Random(0).shuffle(order)
    kinds: dict[str, Example] = {}
    for example in order:
        if len(example.text) < 300:
            kinds.setdefault(example.label or example.tags.get("tool") or example.answer, example)
    return list(kinds.values())[:count]


def _predictors(
    loaded: Base, train: Dataset | None, task: Mapping[str, Any], *, adapted: bool, quick: bool
) -> Sequence[Predictor]:
    """The base model, the baselines, and the adapter; with `quick` the adapter only."""
    from finetune_lora.answer.predictor import TorchPredictor

    base = TorchPredictor.for_task(loaded, "base", task, bare=True)
    if not adapted:
        return [base]
    adapter = TorchPredictor.for_task(loaded, ADAPTER, task)
    if quick:
        return [adapter]
    predictors: list[Predictor] = [base]
    if train is not None:
        from finetune_lora.evaluate.baselines import classical

        few = shots(train)
        name = f"base, {len(few)} shots"
        predictors.append(TorchPredictor.for_task(loaded, name, task, shots=few, bare=True))
        predictors += classical(train)
    return [*predictors, adapter]


def _forgetting(loaded: Base) -> dict[str, Any]:
    from finetune_lora.answer.predictor import TorchPredictor
    from finetune_lora.evaluate.forgetting import compare, forgetting

    base = forgetting(TorchPredictor(loaded, "base", bare=True))
    return compare(base, forgetting(TorchPredictor(loaded, ADAPTER)))


def _load(adapter: Path | None, base: str | None) -> Base:
    from finetune_lora.model.adapter import load_adapter
    from finetune_lora.model.base import load_base

    settings = load(Settings)
    if adapter is not None:
        return load_adapter(adapter, base=base, settings=settings)
    return load_base(base or settings.model, settings=settings)


def _exported(adapter: Path) -> str | None:
    """The spec of the model that `export` wrote into the run's folder, if it was trained before."""
    model = adapter / "model"
    exported, trained = model / "export.json", adapter / "adapter_config.json"
    if exported.exists() and exported.stat().st_mtime >= trained.stat().st_mtime:
        return f"path:{model}"
    return None


def _served(model: str, name: str, task: Mapping[str, Any]) -> Predictor:
    from finetune_lora.answer.predictor import ChatPredictor
    from seedbed.models.load import load_chat_model
    from seedbed.models.local.open_engine import folder_to_convert

    settings = load(Settings)
    if folder := folder_to_convert(model):
        raise BadInput(
            f"{model!r} cannot be served: no OpenVINO or GGUF files found.",
            hint="Create them: "
            + command_line("finetune-lora", "export", "--adapter", folder, "--to", "openvino"),
        )
    chat = load_chat_model(model, settings=settings, temperature=0, max_tokens=_MAX_TOKENS)
    return ChatPredictor.for_task(chat, name, task)


def write_card(folder: Path, result: dict[str, Any]) -> Path:
    """Write the model card of a run, with its evaluation."""
    from finetune_lora.evaluate.model_card import write_model_card
    from finetune_lora.model.adapter import read_task
    from finetune_lora.runs.run_folder import read_run

    task = read_task(folder)
    data = Path((task.get("data") or {}).get("path", "")).with_name("DATA_CARD.md")
    data_card = data.read_text("utf-8") if data.is_file() else ""
    return write_model_card(
        folder, run=read_run(folder), result=result, task=task, data_card=data_card
    )
