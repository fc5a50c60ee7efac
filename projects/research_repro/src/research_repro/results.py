"""The outcome of a run as a JSON file, and what keeps it from passing or being published.

    write_outcome(results_path(data_dir, "ddim", "laptop"), outcome)
    outcome = load_outcome(data_dir, paper, "laptop")       # of the last run, or as published
    problems(outcome, paper)                                # why the run does not pass
    next(unpublishable(outcome, paper), None)               # why it cannot be published

The file contains every cell's result, so claims can be measured again without running anything.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from research_repro.paper import SCALES, Paper, Results, Scale, Verdict, judge
from seedbed.errors import BadInput, NotFound
from seedbed.files import disk_errors, write_text


class Record(TypedDict):
    """The result of a cell, and all that it depends on."""

    name: str
    seed: int
    settings: dict[str, Any]
    scale: Scale
    code: str
    """`Paper.code_digest`."""
    result: dict[str, Any]
    seconds: float
    origin: dict[str, Any]
    """Commit, start time and environment; an absent key was not recorded."""


@dataclass(frozen=True)
class Outcome:
    """The results of one run of a paper."""

    paper: str
    scale: Scale
    seeds: list[int]
    cells: dict[str, Record]
    """The finished cells by id."""
    verdicts: list[Verdict]
    """The claims as measured, in the paper's order."""
    judged: dict[str, Any]
    """Commit and time of the process that compared the results with the claims."""
    failed: dict[str, str] = field(default_factory=dict)
    """Reasons by cell id."""
    not_run: list[str] = field(default_factory=list)

    @property
    def results(self) -> Results:
        """The cells' results, for claims and figures."""
        return Results({(c["name"], c["seed"]): c["result"] for c in self.cells.values()})

    @property
    def seconds(self) -> float:
        """Computing time: the sum of the cells' durations."""
        return math.fsum(cell["seconds"] for cell in self.cells.values())

    def with_status(self, *statuses: str) -> list[Verdict]:
        """The verdicts with one of these statuses."""
        return [verdict for verdict in self.verdicts if verdict.status in statuses]


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Replace a results file in one step. Raises DiskError."""
    with disk_errors("The results", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(six_digits(asdict(outcome)), ensure_ascii=False, indent=1)
        text = re.sub(r"\s*\n\s*(?=[-\d\]])", " ", text)  # lists of numbers in one line
        write_text(path, text + "\n")


def six_digits(value: Any) -> Any:
    """A JSON value whose fractions have six significant digits: the others are noise.

    >>> six_digits({"bleu": [54.123456789, 7680]})
    {'bleu': [54.1235, 7680]}
    """
    if isinstance(value, dict):
        return {key: six_digits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [six_digits(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def results_path(data_dir: Path, paper_name: str, scale: Scale) -> Path:
    """The results file of a paper at a scale.

    >>> results_path(Path("var"), "lora", "smoke").as_posix()
    'var/results/lora-smoke.json'
    """
    return data_dir / "results" / f"{paper_name}-{scale}.json"


def run_path(data_dir: Path, paper_name: str, scale: Scale) -> Path:
    """The folder with the cells and checkpoints of a paper at a scale."""
    return data_dir / "runs" / f"{paper_name}-{scale}"


def load_outcome(data_dir: Path, paper: Paper, scale: Scale) -> Outcome:
    """The last run on this machine, or else the published one.

    Raises NotFound if there is neither, and BadInput for a file that cannot be read.
    """
    path = results_path(data_dir, paper.name, scale)
    outcome = None if path.exists() else published(paper, scale)
    return outcome or read_outcome(path, paper.name, scale)


def published(paper: Paper, scale: Scale) -> Outcome | None:
    """The outcome in the paper's folder, or None."""
    path = paper.folder / "published" / f"{scale}.json"
    return read_outcome(path, paper.name, scale) if path.exists() else None


def read_outcome(path: Path, paper_name: str, scale: Scale) -> Outcome:
    """Read a results file. Raises NotFound, or BadInput if it is damaged or of another paper."""
    command = f"research-repro run {paper_name} --scale {scale}"
    hint = f"Delete the file and run: {command}"
    try:
        outcome = TypeAdapter(Outcome).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist.", hint=f"Run: {command}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        raise BadInput(f"{path} cannot be read: {place}{first['msg']}.", hint=hint) from None
    if (outcome.paper, outcome.scale) != (paper_name, scale):
        text = f"{path} contains results of {outcome.paper} at {outcome.scale} scale."
        raise BadInput(text, hint=hint)
    return outcome


def problems(outcome: Outcome, paper: Paper) -> list[str]:
    """Why a run does not pass, one line each.

    A claim that was tested must hold, unless its failure is published with the same reason. No
    tolerance may differ from what was published, and no cell may have failed.
    """
    reference = published(paper, outcome.scale)
    failures = reference.with_status("not reproduced") if reference else []
    reasons = {v.id: v.not_reproduced for v in failures}
    lines = [f"{cell_id} failed: {reason}" for cell_id, reason in outcome.failed.items()]
    lines += _changed_claims(paper)
    for v in outcome.with_status("fails", "not measured"):
        lines.append(f"Claim {v.id}: {v.status}.")
    for v in outcome.with_status("not reproduced"):
        if reasons.get(v.id) != v.not_reproduced:
            lines.append(f"Claim {v.id}: not reproduced, which is not published yet.")
    return lines


def _changed_claims(paper: Paper) -> Iterator[str]:
    """A line for each published claim that was removed, or whose tolerance or scales changed."""
    claims = {claim.id: claim for claim in paper.claims}
    for reference in filter(None, (published(paper, scale) for scale in SCALES)):
        for old in reference.verdicts:
            if old.id not in claims:
                yield f"Claim {old.id}: published at {reference.scale} scale, but removed."
                continue
            new = judge(claims[old.id], Results({}), reference.scale)
            for name in ("tolerance", "tested"):
                if (before := getattr(old, name)) != (now := getattr(new, name)):
                    yield f"Claim {old.id}: {name} is {now}, published as {before}."


def unpublishable(outcome: Outcome, paper: Paper) -> Iterator[str]:
    """Why an outcome cannot be published, a sentence each.

    It needs exactly the seeds that the paper declares, every cell, a reason for each failure, and
    cells computed by the present code, which must be committed.
    """
    seeds, code = list(paper.seeds[outcome.scale]), paper.code_digest()
    if list(outcome.seeds) != seeds:
        yield f"its seeds are {outcome.seeds}, the paper declares {seeds}."
    if missing := [*outcome.failed, *outcome.not_run]:
        yield f"the cells {', '.join(missing)} did not finish."
    for verdict in outcome.with_status("fails", "not measured"):
        yield f"claim {verdict.id}: {verdict.status}. Write date and reason as not_reproduced."
    for cell_id, cell in outcome.cells.items():
        commit = cell["origin"].get("commit") or "no commit"
        if cell["code"] != code:
            yield f"cell {cell_id} was computed by other code. Run it again."
        if not commit.isalnum():
            yield f"cell {cell_id} was computed by {commit}. Commit, then run with --fresh."
