"""The outcome of a run as a JSON file: written, read, verified, published, compared.

    write_outcome(results_path(data_dir, "ddim", "laptop"), outcome)
    outcome = load_outcome(data_dir, paper, "laptop")       # of the last run, or as published
    problems(outcome, paper)                                # why the run does not pass
    verify(outcome, paper)                                  # [] if the table can be recomputed
    publish(outcome, paper)                                 # papers/ddim/published/laptop.json

The file contains every cell's result, so claims can be measured again without running anything.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from research_repro.paper import SCALES, Paper, Results, Scale, Verdict, judge
from seedbed.errors import BadInput, NotFound
from seedbed.files import disk_errors, read_json, write_text

FORMAT = 2
"""Raise it when a reader of earlier files would misunderstand a new one."""
_CELL = {"name", "seed", "settings", "result", "seconds", "origin"}


@dataclass(frozen=True)
class Outcome:
    """The results of one run of a paper."""

    paper: str
    scale: Scale
    seeds: list[int]
    cells: dict[str, dict[str, Any]]
    """The finished cells by id: name, seed, settings, result, seconds, and their origin: commit,
    started, environment, and digests of the code and the claims. An empty one is not recorded."""
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
        text = json.dumps({"format": FORMAT, **asdict(outcome)}, ensure_ascii=False, indent=1)
        text = re.sub(r"\s*\n\s*(?=[-\d\]])", " ", text)  # lists of numbers in one line
        write_text(path, text + "\n")


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
    """The last run here, or else the published one.

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
        data = read_json(path, hint=hint)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"it is not in format {FORMAT}")
        outcome: Outcome = TypeAdapter(Outcome).validate_python(data)
        for cell_id, cell in outcome.cells.items():
            if not cell.keys() >= _CELL or not isinstance(cell["result"], dict):
                raise ValueError(f"the cell {cell_id} is incomplete")
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist.", hint=f"Run: {command}") from None
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise BadInput(f"{path} cannot be read: {problem}.", hint=hint) from None
    except ValueError as error:
        raise BadInput(f"{path} cannot be read: {error}.", hint=hint) from None
    if (outcome.paper, outcome.scale) != (paper_name, scale):
        text = f"{path} contains results of {outcome.paper} at {outcome.scale} scale."
        raise BadInput(text, hint=hint)
    return outcome


def problems(outcome: Outcome, paper: Paper) -> list[str]:
    """Why a run does not pass, one line each.

    A claim that was tested must hold, unless its failure is published with the same reason. No
    claim may differ from what it was when its cells were computed, or from what was published.
    """
    reference = published(paper, outcome.scale)
    failures = reference.with_status("not reproduced") if reference else []
    reasons = {verdict.id: verdict.not_reproduced for verdict in failures}
    lines = list(_changed_claims(outcome, paper))
    for verdict in outcome.with_status("fails", "not measured", "not reproduced"):
        if verdict.status == "not reproduced":
            if reasons.get(verdict.id) == verdict.not_reproduced:
                continue
            lines.append(f"Claim {verdict.id}: not reproduced, which is not published yet.")
        else:
            lines.append(f"Claim {verdict.id}: {verdict.status}.")
    return lines


def _changed_claims(outcome: Outcome, paper: Paper) -> Iterator[str]:
    """A line for each claim that was changed after its results were known."""
    claims = {claim.id: claim for claim in paper.claims}
    for cell_id, cell in outcome.cells.items():
        digests = cell["origin"].get("claims")
        if digests is None:  # not recorded
            continue
        changed = [id_ for id_, claim in claims.items() if digests.get(id_) != claim.digest()]
        if lost := sorted(digests.keys() - claims.keys()):
            yield f"Claims removed after {cell_id} was computed: {', '.join(lost)}."
        if changed:
            yield f"Claims changed after {cell_id} was computed: {', '.join(changed)}."
        if changed or lost:
            break  # the others are of the same run
    for reference in filter(None, (published(paper, scale) for scale in SCALES)):
        for old in reference.verdicts:
            if old.id not in claims:
                yield f"Claim {old.id}: published at {reference.scale} scale, but removed."
                continue
            new = judge(claims[old.id], Results({}), reference.scale)
            for name in ("source", "statement", "expected", "tolerance", "tested"):
                if (before := getattr(old, name)) != (now := getattr(new, name)):
                    yield f"Claim {old.id}: {name} is {now}, published as {before}."


def verify(outcome: Outcome, paper: Paper) -> list[str]:
    """What differs from the paper and the stored cells, one line each; empty if all is right.

    Every claim is measured again and compared with the table: statement, source, expectation,
    tolerance, reason and note as well as the numbers. The cells must be those that the paper
    defines for these seeds, computed by the code and judged by the claims that are here now.
    """
    return [
        *_changed_verdicts(outcome, paper),
        *_changed_cells(outcome, paper),
        *_changed_claims(outcome, paper),
    ]


def _changed_verdicts(outcome: Outcome, paper: Paper) -> Iterator[str]:
    stored = {verdict.id: verdict for verdict in outcome.verdicts}
    for claim_id in sorted(stored.keys() ^ {claim.id for claim in paper.claims}):
        yield f"Claim {claim_id}: only in the {'table' if claim_id in stored else 'paper'}."
    for claim in (claim for claim in paper.claims if claim.id in stored):
        try:
            again = asdict(judge(claim, outcome.results, outcome.scale))
        except Exception as error:  # the paper's own code, with results that it may not expect
            yield f"Claim {claim.id}: cannot be recomputed: {error!r}."
            continue
        for name, old in asdict(stored[claim.id]).items():
            if not _equal(old, again[name]):
                yield f"Claim {claim.id}: {name} is {old}, recomputed {again[name]}."


def _changed_cells(outcome: Outcome, paper: Paper) -> Iterator[str]:
    defined = {cell.id: cell.settings for cell in paper.cells(outcome.scale, outcome.seeds)}
    for cell_id, cell in outcome.cells.items():
        if not _equal(cell["settings"], defined.get(cell_id)):
            yield f"Cell {cell_id}: the paper does not define it with these settings."
        if cell["origin"].get("code", code := paper.code_digest()) != code:
            yield f"Cell {cell_id}: computed by other code than the paper's."
    for cell_id in defined.keys() - outcome.cells.keys() - outcome.failed.keys():
        if cell_id not in outcome.not_run:
            yield f"Cell {cell_id}: missing, although seeds {outcome.seeds} include it."


def _equal(a: Any, b: Any) -> bool:
    """Whether JSON values are equal: tuples are lists, and numbers may differ by rounding."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return bool(a == b)


def publish(outcome: Outcome, paper: Paper) -> Path:
    """Write an outcome into the paper's folder, with which later runs are compared.

    Raises BadInput if cells are missing, a failure has no reason, a claim was changed after the
    cells were computed, or a cell does not name a commit that contains its code.
    """
    if problem := next(_unpublishable(outcome, paper), None):
        raise BadInput(f"{paper.name} cannot be published: {problem}")
    path = paper.folder / "published" / f"{outcome.scale}.json"
    write_outcome(path, outcome)
    return path


def _unpublishable(outcome: Outcome, paper: Paper) -> Iterator[str]:
    if missing := [*outcome.failed, *outcome.not_run]:
        yield f"the cells {', '.join(missing)} did not finish."
    for verdict in outcome.with_status("fails", "not measured"):
        yield f"claim {verdict.id}: {verdict.status}. Write date and reason as not_reproduced."
    yield from (*_changed_verdicts(outcome, paper), *_changed_cells(outcome, paper))
    for cell_id, cell in outcome.cells.items():
        commit = cell["origin"].get("commit") or "no commit"
        if not commit.isalnum():
            yield f"cell {cell_id} was computed by {commit}. Commit, then run with --fresh."


def compare(outcome: Outcome, other: Outcome) -> dict[str, tuple[float | None, bool | None]]:
    """For each claim the other run's mean, and whether both verdicts are the same.

    The second is None if one of them did not measure it.
    """
    there = {verdict.id: verdict for verdict in other.verdicts}
    rows: dict[str, tuple[float | None, bool | None]] = {}
    for here in outcome.verdicts:
        verdict = there.get(here.id)
        both = verdict is not None and None not in (here.holds, verdict.holds)
        agrees = here.holds == verdict.holds if verdict and both else None
        rows[here.id] = (verdict.measured if verdict else None, agrees)
    return rows
