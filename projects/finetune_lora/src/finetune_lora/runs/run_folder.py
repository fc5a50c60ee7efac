"""A run's folder: `run.json` (configuration, state) and `progress.jsonl` (metrics of each step).

`RunFolder` listens to a trainer's events and writes them; the functions read. A process killed at
any instant leaves files that the readers read and that the next start with `--resume` continues.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any

from finetune_lora.model.checkpoints import RESUME_HINT
from finetune_lora.runs.json_file import to_json, write_json
from finetune_lora.runs.process import is_alive, lock, process_identity
from seedbed.cli import command_line
from seedbed.errors import BadInput, DiskError, NotFound, SeedbedError
from seedbed.files import disk_errors, read_json, write_text
from seedbed.runs import training

_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "numpy", "mlflow")
_LOCK = "run.lock"
_DULL = {"train", "data", "dataset", "rows", "examples"}  # file names without meaning


class RunFolder:
    """The writer of one run's folder: call it with each event of the trainer."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._locked: IO[bytes] | None = None
        self._keep: int | None = 0  # up to this step what an earlier process logged stays

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Raises DiskError when the disk takes nothing, BadInput when the folder is in use."""
        write = getattr(self, f"_{event['event']}", None)
        try:
            with disk_errors("The run's record", self.path, hint=RESUME_HINT):
                if write:
                    write(event)
        except DiskError:
            if event["event"] != "end":  # the end is reported either way
                raise

    def update(self, **facts: Any) -> None:
        """Add to `run.json`, atomically."""
        with self._lock:
            run = {**_read(self.path), **facts}
            write_json(self.path / "run.json", run)

    def _start(self, event: Mapping[str, Any]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        before = _read(self.path)
        if before.get("pid") != os.getpid() and _alive(before, self.path):
            raise BadInput(
                f"{self.path} is in use by process {before['pid']}.",
                hint="Wait for it, stop it, or choose another --output.",
            )
        args = event.get("args") or {}
        earlier = {
            k: before[k] for k in ("started", "mlflow") if args.get("resume") and k in before
        }
        about = {"seed": args.get("seed"), "planned_steps": event.get("steps")}
        about |= {k: v for k, v in event.items() if k not in ("event", "steps")}
        about |= {"state": "running", "started": now(), **process_identity()}
        about |= {"git_commit": training.git_commit(Path(__file__).parent)}
        about |= training.describe_environment(_LIBRARIES)
        self._keep = 0
        self._locked = lock(self.path / _LOCK)  # until this process ends
        with self._lock:
            write_json(self.path / "run.json", about | earlier)

    def _resume(self, event: Mapping[str, Any]) -> None:
        self._keep = event["step"]  # what was logged after it happens again
        self.update(resumed_at=event["step"])

    def _step(self, event: Mapping[str, Any]) -> None:
        file = self.path / "progress.jsonl"
        if self._keep is not None:
            _cut(file, self._keep)
            self._keep = None
        with file.open("a", encoding="utf-8") as lines:
            lines.write(to_json({k: v for k, v in event.items() if k != "event"}) + "\n")

    _eval = _step

    def _end(self, event: Mapping[str, Any]) -> None:
        results = {k: v for k, v in event.items() if k not in ("event", "state", "error")}
        last = _last(self.path)  # the event of a failure has no figures
        self.update(
            state=event["state"],
            error=event.get("error"),
            ended=now(),
            results=results,
            seconds=event.get("seconds", last.get("seconds")),
            steps=event.get("steps", last.get("step")),
        )


def new_run_folder(data_dir: Path, base: str, data: str) -> Path:
    """Make an empty folder under `data_dir`/runs named by time and data: 20261124-2210-helpdesk.

    A base other than the default is named too; runs of the same minute are numbered.
    """
    name = "-".join(filter(None, (f"{datetime.now():%Y%m%d-%H%M}", _topic(data), _model(base))))
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
            about = {
                "name": folder.name,
                "folder": str(folder),
                "state": "failed",
                "error": str(error),
            }
            runs.append({**about, "last": {}, "has_adapter": False, "exact_match": None})
    return sorted(runs, key=lambda run: str(run.get("started", "")), reverse=True)


def find_run(data_dir: Path, name: str, *, adapter: bool = False) -> dict[str, Any]:
    """The run of that name, which is looked up among the existing ones and never becomes a path.

    Raises NotFound for an unknown name, and with `adapter` BadInput if the run has none yet.
    """
    run = next((run for run in list_runs(data_dir) if run["name"] == name), None)
    if run is None:
        short = name if len(name) <= 80 else name[:80] + "…"
        raise NotFound(f"Unknown run {short!r}.", hint="`finetune-lora runs` lists them.")
    if adapter and not run["has_adapter"]:
        running = run.get("state") == "running"
        raise BadInput(
            f"Run {name!r} is {run.get('state')} and has no adapter yet.",
            hint="Wait until it has finished." if running else "Continue it with --resume.",
        )
    return run


def is_being_evaluated(run: Mapping[str, Any]) -> bool:
    """Whether a process is evaluating the run."""
    evaluation = run.get("evaluation")
    return is_alive(evaluation, Path(run["folder"]) / _LOCK) if evaluation else False


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report.json of a run; None before its evaluation."""
    with suppress(OSError, ValueError):
        report = json.loads((folder / "report" / "report.json").read_text("utf-8"))
        return report if isinstance(report, dict) else None
    return None


def read_run(folder: Path) -> dict[str, Any]:
    """`run.json`, with `name`, `folder`, `last` (its newest figures), `has_adapter`, `exact_match`.

    A run recorded as running whose process is gone reads as stopped. Raises NotFound for a folder
    without a run.
    """
    folder = Path(folder)
    run = _read(folder)
    if not run:
        there = sorted(path.parent.name for path in folder.parent.glob("*/run.json"))
        raise _unknown(folder.name, there, folder.parent)
    if run.get("state") == "running" and not _alive(run, folder):
        run["state"] = "stopped"
    return {
        **run,
        "name": folder.name,
        "folder": str(folder),
        "last": _last(folder),
        "has_adapter": (folder / "adapter_config.json").exists(),
        "exact_match": (read_report(folder) or {}).get("exact_match"),
    }


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


def _alive(run: Mapping[str, Any], folder: Path) -> bool:
    return run.get("state") == "running" and is_alive(run, folder / _LOCK)


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines; the half one that a kill left last is none."""
    lines = []
    with suppress(FileNotFoundError):
        for line in path.read_bytes().split(b"\n"):
            with suppress(ValueError):
                lines.append(json.loads(line))
    return lines


def _last(folder: Path) -> dict[str, Any]:
    """The newest figures; those of an evaluation stay until the next one."""
    last: dict[str, Any] = {}
    for line in read_progress(folder):
        last |= {name: value for name, value in line.items() if value is not None}
    return last


def _cut(path: Path, step: int) -> None:
    """Keep what was logged up to `step`; nothing of it if that is 0."""
    lines = (line for line in _lines(path) if step and line["step"] <= step)
    write_text(path, "".join(to_json(line) + "\n" for line in lines))


def _unknown(name: str, there: list[str], where: Path) -> NotFound:
    names = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
    return NotFound(
        f"Unknown run {name!r} in {where}.",
        hint=f"Available runs: {names}." if there else "No runs yet. Start one with `train`.",
    )


def _topic(data: str) -> str:
    """`data/helpdesk/train.jsonl` and `hf:org/helpdesk@main:train` are both about helpdesk."""
    if data.startswith("hf:"):
        return _slug(re.split("[@:]", data[3:])[0].rsplit("/", 1)[-1])
    path = Path(data)
    return _slug(path.parent.name if path.stem in _DULL and path.parent.name else path.stem)


def _model(base: str) -> str:
    if base == "smollm2":
        return ""
    kind, _, rest = base.rpartition(":")
    return _slug((rest if kind in ("path", "hf") else base).split("@")[0].rsplit("/", 1)[-1])


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[:40]


def evaluate_command(folder: Path, *, exported: bool = False) -> str:
    """The command that evaluates a run, or a model that was exported.

    It names the test.jsonl beside the training data if there is one.
    """
    from finetune_lora.model.adapter import task_beside

    trained_on = Path((task_beside(folder).get("data") or {}).get("path", ""))
    test = trained_on.with_name("test.jsonl") if trained_on.name else Path()
    data = test if test.is_file() else "TEST.jsonl"
    what = ("--model", f"path:{folder}") if exported else ("--adapter", folder)
    return command_line("finetune-lora", "evaluate", "--data", data, *what)
