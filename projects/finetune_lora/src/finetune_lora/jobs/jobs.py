"""The jobs behind the verbs: train with a record, evaluate side by side, and both in one go.

It puts the parts together and knows neither the command line nor the page.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune_lora.config import Config
from finetune_lora.example import Dataset, Example
from seedbed.cli import command_line
from seedbed.errors import BadInput, NotFound
from seedbed.settings import Settings, load

if TYPE_CHECKING:
    from finetune_lora.answer.prediction import Predictor
    from finetune_lora.model.base import Base
    from finetune_lora.train.train import TrainArgs, TrainResult

_SHOTS = 10


def train_run(
    args: TrainArgs,
    *,
    quiet: bool = False,
    track: bool = True,
    workers: int = 0,
    watch: Callable[[dict[str, Any]], None] | None = None,
) -> TrainResult:
    """Train with all that a run keeps: its folder's record, MLflow, the terminal's progress.

    `watch` is told of each step; with `workers` Ray trains, in so many processes.
    """
    from finetune_lora.runs.progress_bar import progress
    from finetune_lora.runs.run_folder import RunFolder
    from finetune_lora.train.train import train

    config, settings = load(Config), load(Settings)
    record = RunFolder(Path(args.output))
    with progress(quiet=quiet) as bar:
        listeners: list[Any] = [record, bar]
        if track:
            from finetune_lora.runs.mlflow_tracker import MlflowTracker

            listeners.insert(
                1, MlflowTracker(record, config.data_dir, experiment=config.experiment)
            )
        if watch is not None:
            listeners.append(lambda event: event["event"] == "step" and watch(event))
        if workers:
            from finetune_lora.train.scale.ray_train import train_on_ray

            return train_on_ray(args, workers=workers, listeners=listeners)
        return train(args, listeners=listeners, settings=settings)


def evaluate_run(
    data: str,
    *,
    adapter: Path | None = None,
    base: str | None = None,
    model: str | None = None,
    quick: bool = False,
    out: Path | None = None,
) -> dict[str, Any]:
    """What `evaluate` documents, for an adapter, a base, or (as served) the `model` of any spec.

    An adapter is set beside its base, with and without examples in the prompt, beside classical
    baselines where its training data is at hand, and its forgetting is measured; `quick` leaves all
    that out. The adapter "latest" is that of the newest finished run, and "helpdesk" stands for the
    hand-written requests. An adapter's report and model card are written into its folder; `written`
    of the result has the paths of all files.
    """
    from finetune_lora.data.read import load_dataset, training_data
    from finetune_lora.evaluate.evaluate import evaluate
    from finetune_lora.runs.run_folder import read_progress, read_run

    adapter = newest() if str(adapter) == "latest" else adapter
    if adapter is not None and not quick:
        out = out or adapter / "report"
    task = _task(adapter) if model is None else _exported(model)
    labels = task.get("labels") or None
    data = str(handwritten()) if data == "helpdesk" else data
    dataset = load_dataset(data, labels=labels, allow_unseen=labels is not None)
    dataset = with_system(dataset, task.get("system"))
    if model is not None:
        result = evaluate(dataset, [_served(model, dataset.labels)], out=out).as_json()
        return result | {"written": _files(out)}
    loaded = _load(adapter, base)
    train = None if quick else training_data(task)
    predictors = _predictors(loaded, dataset, train, task, adapted=adapter is not None, quick=quick)
    run = adapter if adapter is not None and (adapter / "run.json").exists() else None
    result = evaluate(
        dataset,
        predictors,
        train=train,
        out=out,
        run=read_run(run) if run else None,
        progress=read_progress(run) if run else (),
        forgetting=_forgetting(loaded) if adapter and not quick else None,
    ).as_json()
    if run and not quick:
        _keep(run, result)
    card = [str(run / "README.md")] if run and not quick else []
    return result | {"written": _files(out) + card}


def _files(out: Path | None) -> list[str]:
    return [str(path) for path in sorted(out.iterdir())] if out else []


def _keep(folder: Path, result: dict[str, Any]) -> None:
    """Write the model card, and add the figures to the run in MLflow."""
    from finetune_lora.runs.mlflow_tracker import log_results

    write_card(folder, result)
    figures = {k: result[k] for k in ("exact_match", "field_f1", "schema_valid") if result.get(k)}
    log_results(folder, load(Config).data_dir, figures)


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


def handwritten(name: str = "handwritten") -> Path:
    """The file of hand-written requests; `dev` is the one to tune on."""
    return Path(str(resources.files("finetune_lora.task") / f"{name}.jsonl"))


def with_system(dataset: Dataset, system: str | None) -> Dataset:
    """Chat examples without a system message get the one that was trained with."""
    if not system or dataset.is_classification:
        return dataset
    examples = [
        e
        if e.messages[0]["role"] == "system"
        else Example(({"role": "system", "content": system}, *e.messages), e.label, e.tags, e.line)
        for e in dataset.examples
    ]
    return Dataset(tuple(examples), dataset.labels, dataset.source, dataset.sha256)


def shots(train: Dataset, wanted: int = _SHOTS) -> list[Example]:
    """Short training examples for a prompt, one for each label or kind of answer."""
    order = list(train.examples)
    random.Random(0).shuffle(order)
    chosen: dict[str, Example] = {}
    for example in order:
        if len(example.text) < 300:
            chosen.setdefault(example.label or example.tags.get("tool") or example.answer, example)
    return list(chosen.values())[:wanted]


def _predictors(
    loaded: Base,
    dataset: Dataset,
    train: Dataset | None,
    task: dict[str, Any],
    *,
    adapted: bool,
    quick: bool,
) -> Sequence[Predictor]:
    from finetune_lora.answer.predictor import TorchPredictor

    task = {**task, "labels": dataset.labels}
    plain = TorchPredictor.for_task(loaded, "base", task, bare=True)
    if not adapted:
        return [plain]
    adapter = TorchPredictor.for_task(loaded, "adapter", task)
    if quick:
        return [adapter]
    predictors: list[Predictor] = [plain]
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
    return compare(base, forgetting(TorchPredictor(loaded, "adapter")))


def _load(adapter: Path | None, base: str | None) -> Base:
    from finetune_lora.model.adapter import load_adapter
    from finetune_lora.model.base import load_base

    settings = load(Settings)
    if adapter is not None:
        return load_adapter(adapter, base=base, settings=settings)
    return load_base(base or settings.model, settings=settings)


def _served(model: str, labels: Sequence[str]) -> Predictor:
    from finetune_lora.answer.predictor import ChatPredictor
    from seedbed.models.chat.load import load_chat_model
    from seedbed.models.chat.open_engine import folder_to_convert

    settings = load(Settings)
    if folder := folder_to_convert(model):
        raise BadInput(
            f"{model!r} cannot be served: no OpenVINO or GGUF files found.",
            hint="Create them: "
            + command_line("finetune-lora", "export", "--adapter", folder, "--to", "openvino"),
        )
    chat = load_chat_model(model, settings=settings, temperature=0, max_tokens=256)
    return ChatPredictor(chat, model, labels=labels)


def _task(adapter: Path | None) -> dict[str, Any]:
    from finetune_lora.model.adapter import read_task

    return read_task(adapter) if adapter is not None else {}


def write_card(folder: Path, result: dict[str, Any]) -> None:
    """The model card of a run, with its evaluation."""
    from finetune_lora.evaluate.model_card import write_model_card
    from finetune_lora.runs.run_folder import read_run

    data = Path((_task(folder).get("data") or {}).get("path", "")).with_name("DATA_CARD.md")
    write_model_card(
        folder,
        run=read_run(folder),
        result=result,
        task=_task(folder),
        data_card=data.read_text("utf-8") if data.exists() else "",
    )


def next_steps(result: TrainResult) -> str:
    """What to type after a training."""
    from finetune_lora.runs.run_folder import evaluate_command

    loss = "" if result.eval_loss is None else f", {result.eval_loss:.3f} on the evaluation data"
    done = f"Trained {result.steps} steps in {result.seconds:.0f} s"
    return (
        f"{done}: loss {result.train_loss:.3f}{loss}."
        f"\nThe adapter is in {result.folder}. Next:"
        f"\n  {evaluate_command(result.folder)}"
        f"\n  {command_line('finetune-lora', 'export', '--adapter', result.folder)}"
    )


def _exported(model: str) -> dict[str, Any]:
    """The task of a model that `export` wrote; nothing for any other."""
    from finetune_lora.model.adapter import task_beside

    return task_beside(Path(model.removeprefix("path:")))


def is_main_process() -> bool:
    """False in the other processes of `torchrun` and `accelerate launch`."""
    return int(os.environ.get("RANK", "0")) == 0


def check_output(folder: Path | None, data: str) -> Path:
    """Where a run goes: `folder`, or a new one of its own in FINETUNE_DATA_DIR."""
    if folder is not None:
        return folder
    if not is_main_process() or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput(
            "Training with several processes needs an output folder.", hint="Set --output DIR."
        )
    from finetune_lora.runs.run_folder import new_run_folder

    return new_run_folder(load(Config).data_dir, load(Settings).model, data)
