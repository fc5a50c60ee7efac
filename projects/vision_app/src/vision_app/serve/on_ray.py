"""Run a task on every file of a folder, on the nodes of a Ray cluster (extra `ray`).

    for row in map_folder([Path("scans")], Vision.classify, Config(), Settings()):
        print(row["file"], row.get("error") or row["labels"][0]["label"])

Ray Data distributes the files to processes that each load the models once, and returns the rows in
the order of the files while others are computed. Without RAY_ADDRESS all cores of this machine are
used. Every node must see the files and the configured models under the same absolute paths.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vision_app.config import Config
from vision_app.files.images import Source, find_files
from vision_app.vision import Vision, open_vision
from seedbed.errors import MissingExtra, public_message
from seedbed.settings import Settings

_log = logging.getLogger(__name__)
_BATCH = 8  # files that a process gets at once
Row = dict[str, Any]
Task = Callable[[Vision, Source], Row]


def map_folder(
    paths: Sequence[Path], task: Task, config: Config, settings: Settings
) -> Iterator[Row]:
    """Yield the result of a task for each file, in the order of the files.

    A task is `Vision.classify`, `Vision.extract`, or a function of your own that returns JSON.
    A file that cannot be read becomes {"file", "error"}. Raises BadInput for folders without
    images, MissingExtra without Ray, and ConnectionError if the cluster cannot be reached.
    """
    files = [{"file": str(file.absolute())} for file in find_files(paths)]
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read at the import
    try:
        import ray.data
    except ImportError:
        raise MissingExtra("ray", "vision-app[ray]") from None
    # Connects, unless the caller has.
    ray.init(include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    blocks = -(-len(files) // _BATCH)
    dataset: Any = ray.data.from_items(files, override_num_blocks=blocks)
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    resources: Any = ray.cluster_resources  # untyped
    processes = max(1, min(blocks, int(resources().get("CPU", 1))))
    dataset = dataset.map_batches(
        Worker,
        fn_constructor_args=(task, config, settings),
        batch_size=None,  # a whole block
        num_cpus=1,
        # No more than the next batch waits at a process, so that none has all the slow files.
        compute=ray.data.ActorPoolStrategy(size=processes, max_tasks_in_flight_per_actor=2),
    )
    return (json.loads(row["json"]) for row in dataset.iter_rows())


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
