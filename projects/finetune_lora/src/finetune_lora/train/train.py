"""Train an adapter: the whole job, from a dataset to a folder that can be served.

    result = train(TrainArgs(data="train.jsonl", output="my-run"))

`job.py` loads and checks, `trainer.py` runs the loop; `nano.py` of the project has the same loop in
its simplest form.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path

from finetune_lora.model import checkpoints
from finetune_lora.runs.run_folder import read_run
from finetune_lora.train import processes
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.job import Job, check_same, facts, identity, prepare
from finetune_lora.train.result import Event, Listener, TrainResult
from finetune_lora.train.signals import on_signal, raise_stopped
from finetune_lora.train.trainer import CompletionTrainer, create_trainer, run
from seedbed.errors import BadInput, SeedbedError
from seedbed.settings import Settings


def train(
    args: TrainArgs, *, listeners: Sequence[Listener] = (), settings: Settings | None = None
) -> TrainResult:
    """Train and leave the adapter in `args.output`; listeners are called with each event.

    With `resume` it continues from the last whole checkpoint. Raises BadInput for data or arguments
    that cannot be used, TooLarge if memory is short, TrainingFailed if the loss is not finite,
    DiskError if the disk is full; checkpoints stay as they were.
    """
    # SIGTERM would otherwise end the process without a message.
    with on_signal(raise_stopped, (signal.SIGTERM,)), processes.closing_process_group():
        # Its local variables must be gone when the group closes: the trainer refers to the group.
        return _train(args, listeners, settings)


def _train(
    args: TrainArgs, listeners: Sequence[Listener], settings: Settings | None
) -> TrainResult:
    folder = Path(args.output)
    # 1. Check everything. Until then nothing is written: an earlier run's record stays true.
    if processes.is_first():  # it may have begun to write before another process looks
        _check_folder(folder, args)
    job = prepare(args, settings)
    if args.resume:
        _check_record(folder, job)
    tell = _teller(listeners if processes.is_first() else ())
    trainer = create_trainer(job, folder, tell)
    # 2. Train, with a record of how it ends.
    return _recorded(trainer, tell)


def _recorded(trainer: CompletionTrainer, tell: Listener) -> TrainResult:
    tell({"event": "start", **facts(trainer.job)})
    try:
        return run(trainer)
    except BaseException as error:
        state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        tell({"event": "end", "state": state, "error": str(error) or "Stopped."})
        raise


def _teller(listeners: Sequence[Listener]) -> Listener:
    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell


def _check_folder(folder: Path, args: TrainArgs) -> None:
    """Raise BadInput if a new run would overwrite another one."""
    if args.resume or not folder.exists():
        return
    if not folder.is_dir():
        raise BadInput(f"{folder} is a file, not a folder.", hint="Choose another --output.")
    trained = any((folder / name).exists() for name in ("checkpoints", "adapter_config.json"))
    if trained or ((folder / "run.json").exists() and not _failed_early(folder)):
        raise BadInput(
            f"{folder} already contains a run.",
            hint="Continue it with --resume, or choose another --output.",
        )


def _failed_early(folder: Path) -> bool:
    """Whether a run ended before its first step, so that another start loses nothing."""
    try:
        run = read_run(folder)
    except SeedbedError:  # a damaged record may belong to a run that got further
        return False
    return run.get("state") in ("failed", "stopped") and not run["last"]


def _check_record(folder: Path, job: Job) -> None:
    """Raise BadInput if the run in the folder was started with other data or arguments."""
    last = checkpoints.latest(folder)
    if last is not None:
        check_same(json.loads((last / "job.json").read_text("utf-8"))["identity"], job)
    elif (folder / "run.json").exists():  # killed before its first checkpoint
        check_same(identity(read_run(folder)), job)
