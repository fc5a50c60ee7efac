"""Classify, read or extract a folder on the nodes of a Ray cluster (extra `ray`).

    for row in map_folder([Path("scans")], "classify", Config(), Settings()):
        print(row["file"], row.get("error") or row["labels"][0]["label"])

Ray Data distributes the files to processes that each load the models once, and returns the rows in
the order of the files while others are computed. Where neither `address` nor RAY_ADDRESS names a
cluster, all cores of this machine are used. Every node must see the files, the data folder and the
classifier under the same paths, e.g. on a shared file system.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vision_app.config import Config
from vision_app.folders.find_files import find_files
from vision_app.images import Source
from vision_app.vision import Vision, open_vision
from seedbed.errors import ConfigError, MissingExtra, Unavailable, public_message
from seedbed.guardrails import reason
from seedbed.settings import Settings

_log = logging.getLogger(__name__)
_BATCH = 8  # files that a process gets at once
Row = dict[str, Any]
Task = Callable[[Vision, Source], Row]


def classify(vision: Vision, source: Source) -> Row:
    """{"file", "labels", "sure"}."""
    return vision.classify(source)


def read(vision: Vision, source: Source) -> Row:
    """{"file", "text"}, with the text of all pages."""
    from vision_app.ocr.formats import as_text

    return {"file": source.name, "text": as_text(vision.read(source))}


def extract(vision: Vision, source: Source) -> Row:
    """{"file", "fields", "evidence", "warnings"} of an invoice."""
    return vision.extract(source, "invoice")


TASKS: dict[str, Task] = {"classify": classify, "read": read, "extract": extract}


def map_folder(
    paths: Sequence[Path],
    task: str | Task,
    config: Config,
    settings: Settings,
    *,
    address: str | None = None,
) -> Iterator[Row]:
    """Run a task of TASKS, or a function of your own, on each file; yields its results as rows.

    A file that cannot be read becomes {"file", "error"}. A function must return JSON and be
    importable on the nodes. Raises BadInput for folders without images, ConfigError for an unknown
    task, MissingExtra without Ray, and Unavailable if the cluster cannot be reached.
    """
    # 1. Check the arguments before anything starts.
    if isinstance(task, str):
        if task not in TASKS:
            raise ConfigError(f"Unknown task {task!r}.", hint=f"Available: {', '.join(TASKS)}.")
        task = TASKS[task]
    files = [str(file.absolute()) for file in find_files(paths)]
    worker = {"task": task, "config": absolute(config), "settings": settings}
    ray = _import_ray()
    # 2. Connect, and hand out the files.
    return _map(ray, files, worker, address)


def _map(ray: Any, files: list[str], worker: dict[str, Any], address: str | None) -> Iterator[Row]:
    own = not ray.is_initialized()
    if own:
        _connect(ray, address)
    try:
        blocks = -(-len(files) // _BATCH)
        processes = max(1, min(blocks, int(ray.cluster_resources().get("CPU", 1))))
        dataset = ray.data.from_items(
            [{"file": file} for file in files], override_num_blocks=blocks
        )
        dataset.context.execution_options.preserve_order = True
        dataset.context.enable_progress_bars = False
        dataset.context.print_on_execution_start = False
        dataset = dataset.map_batches(
            Worker,
            fn_constructor_kwargs=worker,
            batch_size=None,  # a whole block
            num_cpus=1,
            # No more than the next batch waits at a process, so that none has all the slow files.
            compute=ray.data.ActorPoolStrategy(size=processes, max_tasks_in_flight_per_actor=2),
        )
        for row in dataset.iter_rows():
            yield json.loads(row["json"])
    finally:
        if own:
            ray.shutdown()


class Worker:
    """One process of the cluster; Ray calls it with a batch of files."""

    def __init__(self, task: Task, config: Config, settings: Settings) -> None:
        self._task, self._vision = task, open_vision(config, settings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """One JSON text per file, as results of different shapes do not fit Arrow's columns."""
        rows = (self._run(str(file)) for file in batch["file"])
        return {"json": [json.dumps(row, ensure_ascii=False) for row in rows]}

    def _run(self, file: str) -> Row:
        try:
            return self._task(self._vision, self._vision.open(Path(file)))
        except Exception as error:  # one file must not end the work on all others
            return {"file": file, "error": public_message(error, _log)}


def absolute(config: Config) -> Config:
    """The same settings with paths that are valid in a process with another current folder."""
    paths: dict[str, Any] = {"data_dir": config.data_dir.absolute()}
    for name in ("classifier", "search_model", "detector"):
        spec = getattr(config, name)
        if spec and spec.startswith("path:"):
            paths[name] = f"path:{Path(spec.removeprefix('path:')).expanduser().absolute()}"
    return config.model_copy(update=paths)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read at the import
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtra("ray", "vision-app[ray]") from None
    if " " in sys.executable:  # Ray would try to start its workers for minutes
        raise ConfigError(
            f"Ray cannot start workers from a path with spaces: {sys.executable}",
            hint="Move the virtual environment.",
        )
    return ray


def _connect(ray: Any, address: str | None) -> None:
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise Unavailable(
            f"Cannot connect to a Ray cluster at {address!r}: {reason(error)}",
            hint="Start one with `ray start --head` and set RAY_ADDRESS=HOST:6379.",
        ) from error
