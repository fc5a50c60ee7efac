"""A training as a user starts it: with its run folder, its progress on the terminal, and MLflow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune_lora.config import Config
from finetune_lora.train import processes
from seedbed.cli import command_line
from seedbed.errors import BadInput
from seedbed.settings import Settings, load

if TYPE_CHECKING:
    from finetune_lora.train.arguments import TrainArgs
    from finetune_lora.train.result import TrainResult


def train_run(
    args: TrainArgs,
    *,
    quiet: bool = False,
    track: bool = True,
    watch: Callable[[dict[str, Any]], None] | None = None,
) -> TrainResult:
    """Train, record the run in its folder and, at its end, in MLflow.

    `quiet` shows no progress; `watch` is called with each step's event.
    """
    from finetune_lora.runs.progress_bar import progress
    from finetune_lora.runs.run_folder import RunFolder
    from finetune_lora.train.train import train

    config, settings = load(Config), load(Settings)
    folder = Path(args.output)
    with progress(quiet=quiet) as bar:
        listeners: list[Any] = [RunFolder(folder), bar]
        if watch is not None:
            listeners.append(lambda event: event["event"] == "step" and watch(event))
        try:
            result = train(args, listeners=listeners, settings=settings)
        except BaseException:
            with suppress(OSError):  # it is not empty: the run has begun
                folder.rmdir()
            raise
    if track and processes.is_first():
        from finetune_lora.runs.mlflow_import import import_run

        import_run(folder, config.data_dir, config.experiment)
    return result


def next_steps(result: TrainResult) -> str:
    """The outcome of a training, and the commands to continue with."""
    from finetune_lora.runs.run_folder import evaluate_command

    loss = "" if result.eval_loss is None else f", {result.eval_loss:.3f} on the evaluation data"
    done = f"Trained {result.steps} steps in {result.seconds:.0f} s"
    return (
        f"{done}: loss {result.train_loss:.3f}{loss}."
        f"\nThe adapter is in {result.folder}. Next:"
        f"\n  {command_line('finetune-lora', 'export', '--adapter', result.folder)}"
        f"\n  {evaluate_command(result.folder)}"
    )


def run_folder_for(folder: Path | None, args: TrainArgs) -> Path:
    """The folder of a new run: `folder`, or a new one in FINETUNE_DATA_DIR."""
    if folder is not None:
        return folder
    if not processes.is_first() or processes.count() > 1:
        raise BadInput(
            "Training with several processes needs an output folder.", hint="Set --output DIR."
        )
    from finetune_lora.runs.run_folder import new_run_folder

    return new_run_folder(load(Config).data_dir, args.base, args.data)
