"""A training that Ray manages: workers on the nodes of a cluster, started again when one is lost.

It is the same `train` in each worker, in the process group that Ray Train sets up; what is new is
who starts it. All nodes must see the run's folder, the data and the base under the same paths.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from finetune_lora.data.read import load_dataset
from finetune_lora.train.train import Event, Listener, TrainArgs, TrainResult, check_folder, train
from seedbed.errors import BadInput, ConfigError, MissingExtra, SeedbedError, Unavailable
from seedbed.safety.secrets import reason


def train_on_ray(
    args: TrainArgs,
    *,
    workers: int,
    address: str | None = None,
    listeners: Sequence[Listener] = (),
    cpus_per_worker: int = 1,
    use_gpu: bool = False,
    max_losses: int = 3,
) -> TrainResult:
    """Train with `workers` workers on the cluster at `address`; without one, on this machine.

    A lost worker is replaced, `max_losses` times, and costs what was done since the last checkpoint
    (`save_every` steps). Listeners are called here, in a thread. Raises what `train` does,
    MissingExtra without Ray, Unavailable where the cluster cannot be reached or workers were lost
    too often.
    """
    if workers < 1:
        raise ConfigError(f"Invalid number of workers: {workers}.", hint="Use 1 or more.")
    args = absolute(args)
    check_folder(Path(args.output), args)
    load_dataset(args.data)  # what is wrong with it is said before anything is started
    ray = _ray()
    if " " in sys.executable:  # Ray would try to start its workers for minutes
        raise ConfigError(
            f"Ray cannot start workers from a path with spaces: {sys.executable}",
            hint="Move the virtual environment, or use torchrun.",
        )
    started = not ray.is_initialized()
    if started:
        _connect(ray, address)
    try:
        with _events(listeners) as queue:
            return _fit(args, queue, workers, cpus_per_worker, use_gpu, max_losses)
    except SeedbedError as error:
        for listener in listeners:
            listener({"event": "end", "state": "failed", "error": str(error)})
        raise
    finally:
        if started:
            ray.shutdown()


def absolute(args: TrainArgs) -> TrainArgs:
    """The same with paths that hold in a worker, which runs in a folder of its own."""

    def path(given: str) -> str:
        return given if given.startswith("hf:") else str(Path(given).absolute())

    base = args.base
    if base.startswith("path:"):
        base = f"path:{Path(base.removeprefix('path:')).absolute()}"
    return replace(
        args,
        base=base,
        data=path(args.data),
        eval_data=args.eval_data and path(args.eval_data),
        output=path(args.output),
    )


def _ray() -> Any:
    # Read when Ray is imported: no usage reports, and the Train of Ray 2.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    try:
        import ray
        import ray.train.torch
    except ImportError as error:
        raise MissingExtra("ray", "finetune-lora[ray]") from error
    return ray


def _connect(ray: Any, address: str | None) -> None:
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise Unavailable(
            f"Cannot connect to a Ray cluster at {address!r}: {reason(error)}",
            hint="Start one with `ray start --head` and set RAY_ADDRESS=HOST:6379.",
        ) from error


def _fit(
    args: TrainArgs, queue: Any, workers: int, cpus_per_worker: int, use_gpu: bool, max_losses: int
) -> TrainResult:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    folder = Path(args.output)
    trainer = TorchTrainer(
        _work,  # type: ignore[arg-type]  # what the first worker returns comes back
        train_loop_config={"args": asdict(args), "queue": queue},
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": cpus_per_worker, **({"GPU": 1} if use_gpu else {})},
            placement_strategy="SPREAD",
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=max_losses),
        ),
    )
    try:
        fitted: Any = trainer.fit()  # annotated with the older Result, without `return_value`
        result: TrainResult = fitted.return_value
    except TrainingFailedError as error:
        raise cause(error) from error
    return result


def _work(config: dict[str, Any]) -> TrainResult:
    """What each worker does; the first one sends what happens."""
    queue = config["queue"]

    def send(event: Event) -> None:
        # A failure may be followed by a new start; the last one is told by who waits for it.
        if event.get("state") != "failed":
            queue.put(event)

    # Where no checkpoint is there yet, resuming is beginning.
    return train(replace(TrainArgs(**config["args"]), resume=True), listeners=[send])


def cause(error: Any) -> SeedbedError:
    """The workers' own error where one of them had one to tell."""
    failures = [_inner(e) for _, e in sorted(getattr(error, "worker_failures", {}).items())]
    known = [e for e in failures if isinstance(e, SeedbedError)]
    known.sort(key=lambda e: not isinstance(e, BadInput))  # before that another process was lost
    if known:
        return known[0]
    return Unavailable(
        f"Training on Ray failed: {reason(failures[0] if failures else error)}",
        hint="Continue from the last checkpoint with --resume.",
    )


def _inner(error: BaseException) -> BaseException:
    """The exception that a worker raised, out of those that Ray wraps it in."""
    while True:
        wrapped = getattr(error, "_base_exc", None) or getattr(error, "cause", None)
        if not isinstance(wrapped, BaseException):
            return error
        error = wrapped


@contextmanager
def _events(listeners: Sequence[Listener]) -> Iterator[Any]:
    """A queue whose events are told to the listeners."""
    from ray.util.queue import Queue

    queue = Queue(actor_options={"num_cpus": 0})

    def pass_on() -> None:
        while (event := queue.get()) is not None:
            for listener in listeners:
                listener(event)

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        queue.put(None)
        thread.join(timeout=30)
        queue.shutdown()
