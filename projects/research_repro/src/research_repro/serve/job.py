"""A run in the background, one at a time.

job = Job(config)
job.start(paper, "laptop")
job.progress.text          # "5 of 27 cells finished, about 12 min left. Now: full-seed1."
job.stop()                 # finished cells are stored; the next start continues
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Literal

from research_repro.config import Config
from research_repro.paper import Paper, Scale
from research_repro.report.words import duration
from research_repro.run import run_paper
from research_repro.runs.sweep import Event
from seedbed.errors import BadInput, Conflict, NotFound, public_message
from seedbed.files import read_json, write_json


class _Stopped(Exception):
    """Ends `run_paper` from within its callback."""


@dataclass
class Progress:
    """The last run."""

    paper: str
    scale: Scale
    seeds: list[int] | None
    cells: dict[str, str] = field(default_factory=dict)
    """By cell id: "waiting", "running", "step 3 of 300", "finished" or "failed"."""
    state: Literal["running", "finished", "stopped", "failed"] = "running"
    share: float = 0.0
    """Part of the run that is done, 0 to 1."""
    text: str = "Starting."
    error: str = ""

    def update(self, event: Event) -> None:
        """Apply an event of the run."""
        step = f"step {event.step} of {event.total}"
        names = {"started": "running", "stored": "finished", "step": step}
        self.cells[event.cell] = names.get(event.kind, event.kind)
        done = [cell for cell, now in self.cells.items() if now == "finished"]
        rest = ("finished", "failed", "waiting")
        active = [f"{cell} ({now})" for cell, now in self.cells.items() if now not in rest]
        left = f", about {duration(event.seconds_left)} left" if event.seconds_left else ""
        self.text = f"{len(done)} of {len(self.cells)} cells finished{left}."
        self.text += " Storing the results." * (event.share == 1)
        self.text += f" Now: {', '.join(active)}." * bool(active)
        self.text += f" Finished: {', '.join(done)}." * bool(done)
        self.error = f"{event.cell} failed: {event.reason}" if event.reason else self.error
        self.share = event.share


class Job:
    """Runs a paper in a thread; its cells run in processes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._file = config.data_dir / "last_run.json"  # for the next server, to continue the run
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._thread = threading.Thread()
        self.progress: Progress | None = None
        with suppress(BadInput, TypeError, OSError):
            self.progress = Progress(**read_json(self._file))
            if self.progress.state == "running":  # the server was killed
                self.progress.state = "stopped"

    def start(self, paper: Paper, scale: Scale, seeds: list[int] | None = None) -> Progress:
        """Start or continue a run. Raises Conflict while one is in progress."""
        with self._lock:
            if self._thread.is_alive():
                raise Conflict("A run is in progress.", hint="Stop it first, or wait for its end.")
            cells = paper.cells(scale, paper.seeds[scale] if seeds is None else seeds)
            waiting = {cell.id: "waiting" for cell in cells}
            self.progress = Progress(paper.name, scale, seeds, waiting)
            self._stopping.clear()
            self._save(self.progress)
            self._thread = threading.Thread(
                target=self._run, args=(paper, self.progress), daemon=True
            )
            self._thread.start()
            return self.progress

    def stop(self) -> Progress:
        """Stop the run and wait for its end, at most 10 s. Raises NotFound if none is running."""
        if self.progress is None or not self._thread.is_alive():
            raise NotFound("No run is in progress.")
        self._stopping.set()
        for process in multiprocessing.active_children():  # so that the next event comes at once
            process.kill()
        self._thread.join(10)
        return self.progress

    def _run(self, paper: Paper, progress: Progress) -> None:
        def on_event(event: Event) -> None:
            if self._stopping.is_set():
                raise _Stopped
            progress.update(event)

        try:
            run_paper(paper, progress.scale, self._config, progress.seeds, on_event=on_event)
            progress.state = "finished"
        except _Stopped:
            progress.state = "stopped"
        except Exception as error:
            progress.error = public_message(error, logging.getLogger(__name__))
            progress.state = "failed"
        self._save(progress)

    def _save(self, progress: Progress) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._file, asdict(progress))
