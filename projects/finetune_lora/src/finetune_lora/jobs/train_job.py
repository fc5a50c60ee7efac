"""A training as a user starts it: with its run folder, its progress on the terminal, and MLflow."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from finetune_lora.config import Config
from finetune_lora.runs.mlflow_import import import_run
from finetune_lora.runs.progress_bar import progress
from finetune_lora.runs.run_folder import (
    RunFolder,
    evaluate_command,
    new_run_folder,
    read_run,
    state_of,
)
from finetune_lora.train import processes
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.train import train
from finetune_lora.train.trainer import TrainResult
from seedbed.cli import command_line
from seedbed.errors import BadInput
from seedbed.settings import load


def train_run(args: TrainArgs, *, quiet: bool = False, track: bool = True) -> TrainResult:
    """Train, record the run in its folder and, at its end, in MLflow.

    The folder is `args.output`, or a new one in FINETUNE_DATA_DIR. `quiet` shows no progress.
    """
    config = load(Config)
    if not args.output:
        if processes.count() > 1:
            needed = "Training with several processes needs an output folder."
            raise BadInput(needed, hint="Set --output DIR.")
        args = replace(args, output=str(new_run_folder(config.data_dir, args.data)))
    folder = Path(args.output)
    with progress(quiet=quiet) as bar:
        try:
            result = train(args, listeners=[RunFolder(folder), bar])
        except BaseException:
            with suppress(OSError):  # it is not empty: the run has begun
                folder.rmdir()
            raise
    if track and processes.is_first():
        import_run(folder, config.data_dir)
    return result


def next_steps(result: TrainResult) -> str:
    """The outcome of a training, and the commands to continue with."""
    loss = "" if result.eval_loss is None else f", {result.eval_loss:.3f} on the evaluation data"
    return (
        f"{state_of(read_run(result.folder)).capitalize()} in {result.seconds:.0f} s: "
        f"loss {result.train_loss:.3f}{loss}."
        f"\nThe adapter is in {result.folder}. Next:"
        f"\n  {command_line('finetune-lora', 'export', '--adapter', result.folder)}"
        f"\n  {evaluate_command(result.folder)}"
    )
