"""What the page and the API know of runs: the folders that `runs` and `evaluate` wrote, read.

It writes nothing and knows no models. A name is looked up among the folders there are, so that it
never becomes a path. What did not change is read once, as an open page asks every two seconds.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from finetune_lora.runs.run_folder import read_progress, read_run
from seedbed.cli import command_line
from seedbed.errors import BadInput, NotFound, SeedbedError

Run = dict[str, Any]
_FILES = ("run.json", "progress.jsonl", "report/report.json", "task.json")
_MOST_BYTES = 8 << 20  # of a report or a card
_BEGINNING = 1 << 16  # bytes of a dataset, for examples


class Library:
    """The runs under `data_dir`/runs, those of sweeps (SWEEP/RUN) among them."""

    def __init__(self, data_dir: Path) -> None:
        self.root = Path(data_dir) / "runs"
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[Any, Any]] = {}

    def names(self) -> dict[str, Path]:
        """Name → folder."""
        found = [*self.root.glob("*/run.json"), *self.root.glob("*/*/run.json")]
        return {path.parent.relative_to(self.root).as_posix(): path.parent for path in found}

    def runs(self) -> list[Run]:
        """All runs, newest first. A folder that cannot be read is a failed run that says why."""
        runs = [self._summary(name, folder) for name, folder in self.names().items()]
        return sorted(runs, key=lambda run: str(run.get("started") or ""), reverse=True)

    def run(self, name: str) -> Run:
        """`run.json` with `last` (its newest figures), `exact_match`, `has_adapter`, `resume`."""
        return self._summary(name, self.folder(name))

    def folder(self, name: str) -> Path:
        """Raises NotFound."""
        folder = self.names().get(name)
        if folder is None:
            shown = name if len(name) <= 80 else name[:80] + "…"
            raise NotFound(f"Unknown run {shown!r}.", hint="GET /v1/runs lists the available runs.")
        return folder

    def progress(self, name: str, after: int = 0) -> list[dict[str, Any]]:
        """The records of the steps after `after`, in order."""
        folder = self.folder(name)
        stamp = _stamp(folder / "progress.jsonl")
        lines = self._cached("progress", name, stamp, lambda: read_progress(folder))
        return [line for line in lines if line["step"] > after]

    def report(self, name: str) -> dict[str, Any] | None:
        """The evaluation's report.json; None before `evaluate`."""
        path = self.folder(name) / "report" / "report.json"
        found: dict[str, Any] | None = self._cached(
            "report", name, _stamp(path), lambda: _object(path)
        )
        return found

    def card(self, name: str) -> dict[str, Any] | None:
        """The data card that `prepare` wrote beside the training data, if it is there."""
        data = self.run(name).get("data")
        path = str(data.get("path") or "") if isinstance(data, Mapping) else ""
        if not path or path.startswith("hf:"):
            return None
        return _object(Path(path).parent / "card.json")

    def model_card(self, name: str) -> str | None:
        """The README.md that `evaluate` wrote for the hub."""
        with suppress(OSError):
            return (self.folder(name) / "README.md").read_text("utf-8", errors="replace")
        return None

    def adapter(self, name: str) -> Path:
        """The folder of a run's adapter. BadInput where there is none yet, with what to do."""
        run = self.run(name)
        if run["has_adapter"]:
            return Path(run["folder"])
        hint = (
            "Wait until it has finished."
            if run.get("state") == "running"
            else f"Run: {run['resume']}"
        )
        raise BadInput(f"Run {name!r} is {run.get('state')} and has no adapter yet.", hint=hint)

    def task(self, folder: Path) -> dict[str, Any]:
        """What an adapter learned (`task.json`)."""
        return _object(folder / "task.json") or {}

    def examples(self, run: Mapping[str, Any], most: int = 4) -> list[str]:
        """Requests of the run's evaluation data, or of its training data, for trying it."""
        for source in (run.get("eval_data"), run.get("data")):
            path = str(source.get("path") or "") if isinstance(source, Mapping) else ""
            if path.endswith(".jsonl") and (texts := _requests(Path(path), most)):
                return texts
        return []

    def _summary(self, name: str, folder: Path) -> Run:
        stamp = tuple(_stamp(folder / file) for file in _FILES)
        run: Run = self._cached("run", name, stamp, lambda: self._read(name, folder))
        if run.get("state") == "running":  # its process can end without a word
            run = self._read(name, folder)
        return run

    def _read(self, name: str, folder: Path) -> Run:
        try:
            run = read_run(folder, name=name)
            last: dict[str, Any] = {}
            for line in read_progress(folder):  # an evaluation's figures stay until the next one
                last |= {key: value for key, value in line.items() if value is not None}
        except (SeedbedError, OSError, ValueError, TypeError, KeyError) as error:
            run = {"name": name, "folder": str(folder), "state": "failed", "error": str(error)}
            last = {}
        report = _object(folder / "report" / "report.json") or {}
        run["last"] = last
        run["exact_match"] = report.get("exact_match")
        run["has_adapter"] = (folder / "adapter_config.json").exists()
        run["resume"] = resume_command(run)
        return run

    def _cached(self, kind: str, name: str, stamp: Any, read: Any) -> Any:
        with self._lock:
            before = self._seen.get((kind, name))
        if before and before[0] == stamp:
            return before[1]
        value = read()
        with self._lock:
            self._seen[kind, name] = (stamp, value)
        return value


def resume_command(run: Mapping[str, Any]) -> str:
    """What to type so that a run goes on: its arguments, as far as they are not the defaults."""
    args = run.get("args")
    args = dict(args) if isinstance(args, Mapping) else {}
    words = ["train", "--data", str(args.pop("data", "TRAIN"))]
    words += ["--output", str(args.pop("output", run.get("folder", "DIR")))]
    defaults = _defaults()
    for key, value in args.items():
        if key == "resume" or value is None or value == defaults.get(key):
            continue
        option = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", str(value)]
    return command_line("finetune-lora", *words, "--resume")


def _defaults() -> dict[str, Any]:
    from finetune_lora.train.train import TrainArgs

    return {field.name: field.default for field in dataclasses.fields(TrainArgs)}


def _stamp(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return None


def _object(path: Path) -> dict[str, Any] | None:
    """A JSON object of a file; None where it is missing, too large or something else."""
    with suppress(OSError, ValueError, RecursionError):
        if path.stat().st_size <= _MOST_BYTES:
            value = json.loads(path.read_text("utf-8"))
            return value if isinstance(value, dict) else None
    return None


def _requests(path: Path, most: int) -> list[str]:
    """The first short ones, each once, from the beginning of a file."""
    from finetune_lora.data.convert import convert, detect

    texts: dict[str, None] = {}
    with suppress(OSError, ValueError, SeedbedError, AttributeError):
        with path.open("rb") as file:
            lines = file.read(_BEGINNING).splitlines()[:-1] or []
        for line in lines:
            row = json.loads(line)
            example = convert(row, detect(row))
            if example and 0 < len(example.text) <= 120:
                texts[example.text] = None
            if len(texts) == most:
                break
    return list(texts)
