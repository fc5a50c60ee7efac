"""What a cell may use: cached artifacts and checkpoints.

def run_cell(cell: Cell, workspace: Workspace) -> Result:
    base = workspace.artifact("tiny-base", {"width": 128}, pretrain)     # a folder, made once
    for step in workspace.steps(cell, 300, model=model, optimizer=optimizer):
        ...                                                              # resumes after a kill
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from research_repro.paper import Cell, Scale
from seedbed.errors import BadInput
from seedbed.files import disk_errors, new_folder, sync


@dataclass
class Workspace:
    """Files available to a cell."""

    folder: Path
    """The run's folder."""
    cache: Path
    """Folder of artifacts that runs share, such as pre-trained models."""
    scale: Scale = "smoke"
    clock: Callable[[], float] = time.monotonic
    code: str = ""
    """`Paper.code_digest`; results and checkpoints of other code are not used."""
    checkpoint_every_s: float = 20.0
    """Seconds between two checkpoints, more if writing one takes over a twentieth of that."""
    _loops: Counter[str] = field(init=False, default_factory=Counter)

    def identity(self, cell: Cell) -> dict[str, Any]:
        """All that the result of a cell depends on, as JSON values."""
        of_cell = {"name": cell.name, "seed": cell.seed, "settings": dict(cell.settings)}
        return dict(json.loads(json.dumps(of_cell | {"scale": self.scale, "code": self.code})))

    def artifact(
        self, name: str, settings: Mapping[str, Any], make: Callable[[Path], None]
    ) -> Path:
        """The folder that `make` fills, made once for these settings and shared by processes.

        `make` gets an empty folder; a process killed in it leaves nothing behind. Torch's random
        state is the same afterwards, whether it was made or not.
        """
        from filelock import FileLock
        from torch.random import fork_rng

        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        target = self.cache / f"{name}-{digest}"
        self.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"), disk_errors(f"The artifact {name}", target):
            if not target.exists():
                with fork_rng(devices=[]), new_folder(target) as folder:
                    make(folder)
        return target

    def steps(self, cell: Cell, total: int, **state: Any) -> Iterator[int]:
        """Step numbers from 0, or from the last checkpoint, to `total` - 1.

        `state` names objects with state_dict and load_state_dict (models, optimizers, schedules).
        They are saved every `checkpoint_every_s` together with torch's random state, so a killed
        cell continues with the same numbers. Batches must depend on seed and step alone.
        Each loop of a cell has its own checkpoint; loops in an artifact's `make` need another cell.
        Raises BadInput for a checkpoint that cannot be read.
        """
        self._loops[cell.id] += 1
        path = self.folder / "checkpoints" / f"{cell.id}.loop{self._loops[cell.id]}.pt"
        identity = {**self.identity(cell), "steps": total}
        start = _load(path, identity, state) if path.exists() else 0
        due = self.clock() + self.checkpoint_every_s
        for step in range(start, total):
            yield step
            if (now := self.clock()) >= due:
                _save(path, identity, step + 1, state)
                writing = self.clock() - now
                due = now + writing + max(self.checkpoint_every_s, 20 * writing)

    def delete_checkpoints(self, cell: Cell) -> None:
        """Delete what `steps` saved for a cell."""
        for checkpoint in self.folder.glob(f"checkpoints/{cell.id}.loop*"):
            checkpoint.unlink(missing_ok=True)


def _save(path: Path, identity: Mapping[str, Any], step: int, state: Mapping[str, Any]) -> None:
    import torch

    states = {name: item.state_dict() for name, item in state.items()}
    random = torch.get_rng_state()
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors("The checkpoint", path):
        part = path.with_suffix(".part")
        torch.save({"identity": identity, "step": step, "random": random, "state": states}, part)
        sync(part)
        part.replace(path)
        sync(path.parent)


def _load(path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> int:
    """Load the states and return the next step; 0 for a checkpoint of other settings."""
    import torch

    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        if saved["identity"] != identity:
            return 0
        for name, item in state.items():
            item.load_state_dict(saved["state"][name])
        torch.set_rng_state(saved["random"])
        return int(saved["step"])
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError …
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BadInput(
            f"The checkpoint {path} cannot be read: {reason}",
            hint="Delete it to start this cell again.",
        ) from error
