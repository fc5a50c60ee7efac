"""A run's folder: `run.json` (configuration, state) and `progress.jsonl` (metrics of each step).

`RunFolder` listens to a trainer's events and writes them; the functions read. A process killed at
any instant leaves files that the readers read and that the next start with `--resume` continues.
"""

from __future__ import annotations

import fcntl
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import IO, Any

from finetune_lora.model.checkpoints import RESUME_HINT
from finetune_lora.runs.json_file import to_json
from seedbed.cli import command_line
from seedbed.errors import BadInput, DiskError, NotFound, SeedbedError
from seedbed.files import disk_errors, read_json, write_text
from seedbed.runs import training

_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "numpy", "mlflow")
_LOCK = "run.lock"
_LIST = "`finetune-lora runs` lists all runs."


class RunFolder:
    """The writer of one run's folder: call it with each event of the trainer."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._locked: IO[bytes] | None = None
        self._keep: int | None = 0  # last earlier step to keep in the log; None once it is cut

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Raises DiskError when the disk is full, BadInput when the folder is in use."""
        write = getattr(self, f"_{event['event']}", None)
        try:
            with disk_errors("The run's record", self.path, hint=RESUME_HINT):
                if write:
                    write({name: value for name, value in event.items() if name != "event"})
        except DiskError:
            if event["event"] != "end":  # the end is reported either way
                raise

    def update(self, **facts: Any) -> None:
        """Add to `run.json`, atomically."""
        _write(self.path, {**_read(self.path), **facts})

    def _start(self, facts: dict[str, Any]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._locked = lock(self.path)
        self._keep = 0
        args = facts.get("args") or {}
        earlier = _read(self.path) if args.get("resume") else {}
        run = facts | training.describe_environment(_LIBRARIES)
        run |= {"planned_steps": run.pop("steps", None), "seed": args.get("seed")}
        run |= {"git_commit": training.git_commit(Path(__file__).parent)}
        run |= {"state": "running", "started": earlier.get("started", now())}
        _write(self.path, run)

    def _resume(self, facts: dict[str, Any]) -> None:
        self._keep = facts["step"]  # later steps are repeated, and logged again

    def _step(self, figures: dict[str, Any]) -> None:
        file = self.path / "progress.jsonl"
        if self._keep is not None:
            earlier = [line for line in _lines(file) if 0 < line["step"] <= self._keep]
            write_text(file, "".join(to_json(line) + "\n" for line in earlier))
            self._keep = None
        with file.open("a", encoding="utf-8") as lines:
            lines.write(to_json(figures) + "\n")

    _eval = _step

    def _end(self, facts: dict[str, Any]) -> None:
        state, error = facts.pop("state"), facts.pop("error", None)
        last = _last(self.path)  # the event of a failure has no figures
        steps = facts.get("steps", last.get("step"))
        seconds = facts.get("seconds", last.get("seconds"))
        about = {"state": state, "error": error, "steps": steps, "seconds": seconds}
        try:
            self.update(ended=now(), results=facts, **about)
        finally:
            if self._locked is not None:
                self._locked.close()


def lock(folder: Path) -> IO[bytes]:
    """Lock a run until the result is closed or this process ends. Raises BadInput if it is in use.

    The system releases the lock of a killed process, so a run can go on in another container.
    """
    file = (folder / _LOCK).open("ab")
    for _ in range(10):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        time.sleep(0.05)  # `_in_use` takes the lock for an instant
    file.close()
    raise BadInput(
        f"{folder} is in use by another process.",
        hint="Wait for it, stop it, or choose another --output.",
    )


def _in_use(folder: Path) -> bool:
    with suppress(FileNotFoundError), (folder / _LOCK).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def new_run_folder(data_dir: Path, data: str) -> Path:
    """Make an empty folder under `data_dir`/runs named by time and data: 20261124-2210-helpdesk.

    The data is named by its file, or by the folder of a train.jsonl. Runs of the same minute are
    numbered.
    """
    path = Path(data)
    topic = re.sub(r"[^\w.]+", "-", path.parent.name if path.stem == "train" else path.stem)
    name = f"{datetime.now():%Y%m%d-%H%M}-{topic[:40]}".strip("-.")
    runs = Path(data_dir) / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = runs / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("count() ends")


def list_runs(data_dir: Path) -> list[dict[str, Any]]:
    """All runs under `data_dir`/runs, newest first.

    A folder that cannot be read is a failed run with the error.
    """
    runs = []
    for file in (Path(data_dir) / "runs").glob("*/run.json"):
        folder = file.parent
        try:
            runs.append(read_run(folder))
        except (SeedbedError, OSError, ValueError, TypeError) as error:
            run = {"name": folder.name, "folder": str(folder), "state": "failed", "last": {}}
            runs.append({**run, "error": str(error), "has_adapter": False, "in_use": False})
    return sorted(runs, key=lambda run: str(run.get("started", "")), reverse=True)


def find_run(data_dir: Path, name: str, *, adapter: bool = False) -> dict[str, Any]:
    """The run of that name, which is looked up among the existing ones and never becomes a path.

    Raises NotFound for an unknown name, and with `adapter` BadInput if the run has none yet.
    """
    run = next((run for run in list_runs(data_dir) if run["name"] == name), None)
    if run is None:
        raise NotFound(f"Unknown run {name[:80]!r}.", hint=_LIST)
    if adapter and not run["has_adapter"]:
        hint = "Wait until it has finished, or continue it with --resume."
        raise BadInput(f"Run {name!r} is {run.get('state')} and has no adapter yet.", hint=hint)
    return run


def read_run(folder: Path) -> dict[str, Any]:
    """`run.json`, with `name`, `folder`, `last` (its newest figures), `has_adapter` and `in_use`.

    A run recorded as running whose process is gone reads as stopped. Raises NotFound for a folder
    without a run.
    """
    folder = Path(folder)
    run = _read(folder)
    if not run:
        raise NotFound(f"{folder} does not contain a run.", hint=_LIST)
    in_use = _in_use(folder)
    if run.get("state") == "running" and not in_use:
        run["state"] = "stopped"
    return {
        **run,
        "name": folder.name,
        "folder": str(folder),
        "last": dict(_last(folder)),
        "has_adapter": (folder / "adapter_config.json").exists(),
        "in_use": in_use,
    }


def state_of(run: Mapping[str, Any]) -> str:
    """The state as text for people, with the steps if the time limit cut the training."""
    if (run.get("results") or {}).get("stopped_by") == "time":
        return f"{run['state']} by the time limit, {run['steps']} of {run['planned_steps']} steps"
    return str(run.get("state", ""))


def read_progress(folder: Path) -> list[dict[str, Any]]:
    """One record a step, in order: what training and evaluation logged there, put together."""
    steps: dict[int, dict[str, Any]] = {}
    for line in _lines(Path(folder) / "progress.jsonl"):
        steps.setdefault(line["step"], {}).update(line)
    return [steps[step] for step in sorted(steps)]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _read(folder: Path) -> dict[str, Any]:
    hint = "Fix the file, or remove the folder of the run."
    with suppress(FileNotFoundError):
        return dict(read_json(folder / "run.json", hint=hint))
    return {}


def _write(folder: Path, run: Mapping[str, Any]) -> None:
    write_text(folder / "run.json", to_json(run, indent=2) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    """All complete lines; a partial last line is skipped."""
    lines = []
    with suppress(FileNotFoundError):
        for line in path.read_bytes().split(b"\n"):
            with suppress(ValueError):
                lines.append(json.loads(line))
    return lines


def _last(folder: Path) -> Mapping[str, Any]:
    """The newest figures; those of an evaluation stay until the next one."""
    with suppress(FileNotFoundError):
        file = (folder / "progress.jsonl").stat()
        return _read_last(folder, file.st_mtime_ns, file.st_size)
    return {}


@lru_cache(maxsize=1000)  # a page that polls all runs reads again only what has changed
def _read_last(folder: Path, *_version: int) -> Mapping[str, Any]:
    last: dict[str, Any] = {}
    for line in read_progress(folder):
        last |= {name: value for name, value in line.items() if value is not None}
    return last


def evaluate_command(folder: Path, *, model: Path | None = None) -> str:
    """The command that evaluates a run, or the model that was exported from it.

    It names the test.jsonl beside the training data if there is one.
    """
    from finetune_lora.model.adapter import task_beside

    trained_on = Path((task_beside(folder).get("data") or {}).get("path", ""))
    test = trained_on.with_name("test.jsonl") if trained_on.name else Path()
    data = test if test.is_file() else "TEST.jsonl"
    what = ("--adapter", folder) if model is None else ("--model", f"path:{model}")
    return command_line("finetune-lora", "evaluate", "--data", data, *what)
