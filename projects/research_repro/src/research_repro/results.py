"""The outcome of a run as a JSON file: written, read, verified, compared with a published one.

    write_outcome(path, outcome)
    outcome = read_outcome(path, paper)
    verify(outcome, paper, run_folder)               # [] if the table can be recomputed
    compare(outcome, published("lora", "laptop"))    # which claims hold here and there

The file contains every cell's result, so claims can be measured again without running anything.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from research_repro.paper import Paper, Results, Scale, Verdict, judge
from seedbed.errors import BadInput, NotFound
from seedbed.files import disk_errors, read_json, write_json

FORMAT = 1
"""Raise it when a reader of earlier files would misunderstand a new one."""
_CELL = {"name", "seed", "settings", "result", "seconds"}
# The fields of a verdict that are measured or decide it; the others are text of the paper.
_MEASURED = ("measured", "interval", "values", "tolerance", "holds", "expected_to_hold")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Outcome:
    """The results of one run of a paper in one version."""

    paper: str
    version: int
    scale: Scale
    seeds: list[int]
    seconds: float
    """Duration of the run, with that of the runs it continues."""
    cells: dict[str, dict[str, Any]]
    """The finished cells by id: their name, seed, settings, result, seconds."""
    verdicts: list[Verdict]
    """The claims as measured, in the paper's order."""
    about: dict[str, Any]
    """Commit, versions, python, platform, cpu, cores, memory, data, started, ended …"""

    @property
    def results(self) -> Results:
        """The cells' results, for claims and figures."""
        return Results({(c["name"], c["seed"]): c["result"] for c in self.cells.values()})

    @property
    def data_sha256(self) -> str:
        """Digest of the data of all cells, from the `data_sha256` of their results; "" if none."""
        digests = {str(cell["result"].get("data_sha256", "")) for cell in self.cells.values()}
        text = "\n".join(sorted(digests - {""}))
        return hashlib.sha256(text.encode()).hexdigest() if "\n" in text else text


@dataclass(frozen=True)
class Comparison:
    """A claim of this run (here) and another one (there)."""

    id: str
    here: float | None
    there: float | None
    """Means over the seeds; None if it was not measured."""
    agrees: bool | None
    """Whether it holds in both or in neither; None if one of them did not measure it."""
    shift: float | None = None
    """here - there, in half widths of the joint 95 % interval: beyond ±1 it is unlikely to be
    chance. None if a run has no interval, or if all seeds gave the same value."""


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome as a JSON object; numbers that JSON lacks become strings such as "NaN"."""
    data = {"format": FORMAT, **asdict(outcome), "data_sha256": outcome.data_sha256}
    return dict(_map(data, _encode))


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Replace a results file in one step. Raises DiskError."""
    with disk_errors("The results", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, outcome_json(outcome))


def results_path(data_dir: Path, paper_name: str, scale: Scale) -> Path:
    """The results file of a paper at a scale.

    >>> results_path(Path("var"), "lora", "smoke").as_posix()
    'var/results/lora-smoke.json'
    """
    return data_dir / "results" / f"{paper_name}-{scale}.json"


def run_path(data_dir: Path, paper_name: str, scale: Scale) -> Path:
    """The folder with the cells and checkpoints of a paper at a scale."""
    return data_dir / "runs" / f"{paper_name}-{scale}"


def read_outcome(path: Path, paper: Paper | None = None) -> Outcome:
    """Read a results file.

    Raises NotFound if there is none, and BadInput if it is damaged, in another format, or of
    another paper or version than `paper`.
    """
    name, _, scale = path.stem.rpartition("-")
    command = f"research-repro run {name} --scale {scale}"
    hint = f"Delete the file and run: {command}"
    try:
        outcome = _parse(read_json(path, hint=hint))
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist.", hint=f"Run: {command}") from None
    except ValueError as error:
        raise BadInput(f"{path} cannot be read: {error}.", hint=hint) from None
    if paper and (outcome.paper, outcome.version) != (paper.name, paper.version):
        raise BadInput(
            f"{path} contains results of {outcome.paper} version {outcome.version}; "
            f"expected {paper.name} version {paper.version}.",
            hint=hint,
        )
    return outcome


def published(paper_name: str, scale: Scale) -> Outcome | None:
    """The published outcome that the package contains, or None."""
    path = Path(__file__).parent / "published" / f"{paper_name}-{scale}.json"
    return read_outcome(path) if path.exists() else None


def _parse(data: Any) -> Outcome:
    """Raises ValueError with one line."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"it is not in format {FORMAT} of this version")
    try:
        outcome = TypeAdapter(Outcome).validate_python(_map(data, _decode))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for cell_id, cell in outcome.cells.items():
        if not cell.keys() >= _CELL or not isinstance(cell["result"], dict):
            raise ValueError(f"the cell {cell_id} is incomplete")
    return outcome


def _encode(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, float) and not math.isfinite(value) else value


def _decode(value: Any) -> Any:
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change every leaf of a JSON value."""
    if isinstance(value, Mapping):
        return {key: _map(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map(item, change) for item in value]
    return change(value)


def verify(outcome: Outcome, paper: Paper, run_folder: Path | None = None) -> list[str]:
    """What cannot be recomputed from the stored cells, one line each; empty if all is right.

    The claims are measured again. The cells are compared with those that the paper defines, and
    with their files in `run_folder` if it exists.
    """
    if outcome.version != paper.version:
        return [f"The results are of version {outcome.version}, the paper is {paper.version}."]
    return [*_changed_claims(outcome, paper), *_changed_cells(outcome, paper, run_folder)]


def _changed_claims(outcome: Outcome, paper: Paper) -> Iterator[str]:
    stored = {verdict.id: verdict for verdict in outcome.verdicts}
    for claim_id in stored.keys() ^ {claim.id for claim in paper.claims}:
        yield f"Claim {claim_id}: only in the {'table' if claim_id in stored else 'paper'}."
    for claim in (claim for claim in paper.claims if claim.id in stored):
        try:
            again = judge(claim, outcome.results, outcome.scale)
        except Exception as error:  # the paper's own code, with results that it may not expect
            yield f"Claim {claim.id}: cannot be recomputed: {error!r}."
            continue
        for name in _MEASURED:
            old, new = getattr(stored[claim.id], name), getattr(again, name)
            if not _equal(old, new):
                yield f"Claim {claim.id}: {name} is {old}, recomputed {new}."


def _changed_cells(outcome: Outcome, paper: Paper, run_folder: Path | None) -> Iterator[str]:
    folder = run_folder / "cells" if run_folder else None
    defined = {cell.id: cell.settings for cell in paper.cells(outcome.scale, outcome.seeds)}
    for cell_id, cell in outcome.cells.items():
        if not _equal(cell["settings"], defined.get(cell_id)):
            yield f"Cell {cell_id}: the paper does not define it with these settings."
        if folder and folder.is_dir():
            record = None
            with suppress(OSError, BadInput):
                record = read_json(folder / f"{cell_id}.json")
            if not isinstance(record, dict):
                yield f"Cell {cell_id}: its file in {folder} is missing or damaged."
            elif not all(_equal(cell[name], record.get(name)) for name in ("settings", "result")):
                yield f"Cell {cell_id}: differs from its file in {folder}."


def _equal(a: Any, b: Any) -> bool:
    """Whether JSON values are equal: tuples are lists, and numbers may differ by rounding."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) or (a != a and b != b)
    return bool(a == b)


def compare(outcome: Outcome, other: Outcome) -> list[Comparison]:
    """The claims of two runs of a paper at the same scale, in the order of `outcome`."""
    there = {verdict.id: verdict for verdict in other.verdicts}
    return [_compare_claim(verdict, there.get(verdict.id)) for verdict in outcome.verdicts]


def _compare_claim(here: Verdict, there: Verdict | None) -> Comparison:
    if there is None or here.holds is None or there.holds is None:
        return Comparison(here.id, here.measured, there.measured if there else None, None)
    intervals, shift = [v.interval for v in (here, there) if v.interval], None
    half = math.hypot(*(high - low for low, high in intervals)) / 2 if len(intervals) == 2 else 0
    if half and here.measured is not None and there.measured is not None:
        shift = (here.measured - there.measured) / half
    return Comparison(here.id, here.measured, there.measured, here.holds == there.holds, shift)
