"""Train an adapter: the whole job, from a dataset to a folder that can be served.

    result = train(TrainArgs(data="train.jsonl", output="my-run"))

`job.py` loads and checks, `trainer.py` runs the loop; `nano.py` of the project has the same loop in
its simplest form.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from finetune_lora.model import checkpoints
from finetune_lora.model.adapter import CONFIG_FILE
from finetune_lora.train import processes
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.job import check_same, facts, prepare, resumed_args
from finetune_lora.train.signals import on_signal, raise_stopped
from finetune_lora.train.trainer import Event, Listener, TrainResult, create_trainer, run
from seedbed.errors import BadInput


def train(args: TrainArgs, *, listeners: Sequence[Listener] = ()) -> TrainResult:
    """Train and leave the adapter in `args.output`; listeners are called with each event.

    With `resume` the run in `args.output` goes on from its last checkpoint. Raises BadInput for
    data or arguments that cannot be used, TooLarge if memory is short, SeedbedError if the loss
    is not finite, DiskError if the disk is full; checkpoints stay as they were.
    """
    # SIGTERM would otherwise end the process without a message.
    with on_signal(raise_stopped, (signal.SIGTERM,)), processes.closing_process_group():
        # Its local variables must be gone when the group closes: the trainer refers to the group.
        return _train(args, listeners)


def _train(args: TrainArgs, listeners: Sequence[Listener]) -> TrainResult:
    folder, first = Path(args.output), processes.is_first()
    # 1. Check everything before anything is written: an earlier run's record stays intact.
    before = checkpoints.read_job(folder) if args.resume else {}
    if before:
        args = resumed_args(args, before)
    elif not args.data:
        missing = f"{folder} contains no run to resume." if args.resume else "No training data."
        raise BadInput(missing, hint="Start a run with --data FILE.")
    elif first:  # another process may check after this one has begun to write
        _check_folder(folder)
    job = prepare(args)
    if before:
        check_same(before, job)

    def tell(event: Event) -> None:
        for listener in listeners if first else ():
            listener(event)

    trainer = create_trainer(job, folder, tell)
    # 2. Train, with a record of how it ends.
    tell({"event": "start", **facts(job)})
    try:
        return run(trainer)
    except BaseException as error:
        state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        tell({"event": "end", "state": state, "error": str(error) or "Stopped."})
        raise


def _check_folder(folder: Path) -> None:
    """Raise BadInput if a new run would overwrite another one."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file, not a folder.", hint="Choose another --output.")
    if checkpoints.read_job(folder) or (folder / CONFIG_FILE).exists():
        raise BadInput(
            f"{folder} already contains a run.",
            hint="Continue it with --resume, or choose another --output.",
        )
