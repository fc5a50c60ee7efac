"""What a cell may use: cached artifacts, checkpoints, the data folder, and a progress line.

def run_cell(cell: Cell, workspace: Workspace) -> Result:
    base = workspace.artifact("tiny-base", {"width": 128}, pretrain)     # a folder, made once
    for step in workspace.steps(cell, 300, model=model, optimizer=optimizer):
        ...                                                              # resumes after a kill
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from research_repro.paper import Cell, Scale
from seedbed.errors import BadInput
from seedbed.files import new_folder

CHECKPOINT_EVERY_S = 20.0


@dataclass
class Workspace:
    """The surroundings of a cell."""

    folder: Path
    """The run's folder."""
    cache: Path
    """Folder of artifacts that runs share, such as pre-trained models."""
    scale: Scale = "smoke"
    data: str | None = None
    """RESEARCH_DATA: a folder, or hf:ORG/REPO@REVISION."""
    progress: Callable[[str, int, int], None] = field(default=lambda *_: None)
    """Called with the cell's id, the steps done, and their number."""
    clock: Callable[[], float] = time.monotonic

    def artifact(
        self, name: str, settings: Mapping[str, Any], make: Callable[[Path], None]
    ) -> Path:
        """The folder that `make` fills, made once for these settings and shared by processes.

        `make` gets an empty folder; a process killed in it leaves nothing behind.
        """
        from filelock import FileLock

        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        target = self.cache / f"{name}-{digest}"
        self.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.exists():
                with new_folder(target) as folder:
                    make(folder)
        return target

    def steps(self, cell: Cell, total: int, **state: Any) -> Iterator[int]:
        """Step numbers from 0, or from the last checkpoint, to `total` - 1.

        `state` names objects with state_dict and load_state_dict (models, optimizers, schedules).
        They are saved every 20 seconds together with torch's random state, so that a cell that
        was killed continues with the same numbers. Batches must depend on seed and step alone.
        Raises BadInput for a checkpoint that cannot be read.
        """
        import torch

        path = self.folder / "checkpoints" / f"{cell.id}.pt"
        start = _load(path, state) if path.exists() else 0
        saved = self.clock()
        for step in range(start, total):
            self.progress(cell.id, step, total)
            yield step
            if self.clock() - saved >= CHECKPOINT_EVERY_S:
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_suffix(".part")
                states = {name: item.state_dict() for name, item in state.items()}
                torch.save(
                    {"step": step + 1, "random": torch.get_rng_state(), "state": states}, part
                )
                part.replace(path)
                saved = self.clock()


def _load(path: Path, state: Mapping[str, Any]) -> int:
    import torch

    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        for name, item in state.items():
            item.load_state_dict(saved["state"][name])
        torch.set_rng_state(saved["random"])
        return int(saved["step"])
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError …
        raise BadInput(
            f"The checkpoint {path} cannot be read: {error}.".replace("\n", " "),
            hint="Delete it to start this cell again.",
        ) from error
