"""Many runs compared: the grid of some arguments' values, trained one after the other.

It knows a dataclass of arguments and a function that trains with them, and neither models nor data.
`--sweep r=4,16 lr=1e-4,3e-4` are four runs, in DIR/r=4,lr=0.0001 and so on, with one table over all
of them in DIR/sweep.json and DIR/sweep.md.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from seedbed.cli import markdown_table, table
from seedbed.errors import BadInput
from seedbed.files import write_json

Point = dict[str, Any]
"""The arguments of one run that the sweep sets."""

_NOT_SWEPT = {"output", "resume"}  # the sweep sets them


@dataclasses.dataclass(frozen=True)
class Row:
    """One run of the table. `state` is finished, stopped or failed (then `error` says why)."""

    name: str
    point: Point
    state: str
    eval_loss: float | None = None
    exact_match: float | None = None
    tokens_per_second: float | None = None
    seconds: float | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What came of the runs so far, in the order of the grid."""

    folder: Path
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row | None:
        """Of the finished runs: the highest exact match, where there is none the lowest loss."""
        done = [row for row in self.rows if row.state == "finished"]
        if done and all(row.exact_match is not None for row in done):
            return max(done, key=lambda row: (row.exact_match, -(row.eval_loss or 0)))
        done = [row for row in done if row.eval_loss is not None]
        return min(done, key=lambda row: typing.cast(float, row.eval_loss), default=None)

    def as_json(self) -> dict[str, Any]:
        best = self.best
        return {
            "folder": str(self.folder),
            "best": best.name if best else None,
            "runs": [dataclasses.asdict(row) for row in self.rows],
        }

    def to_text(self) -> str:
        """The table in columns; the best run has a star."""
        return table(*self._table())

    def to_markdown(self) -> str:
        return markdown_table(*self._table()) + "\n"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        swept = list(self.rows[0].point) if self.rows else []
        exact = any(row.exact_match is not None for row in self.rows)
        head = ["", *swept, "eval loss", *["exact match"] * exact, "tok/s", "seconds", "state"]
        return head, [self._line(row, swept, exact) for row in self.rows]

    def _line(self, row: Row, swept: list[str], exact: bool) -> list[str]:
        figures = [_figure(row.eval_loss, ".4f"), *[_figure(row.exact_match, ".3f")] * exact]
        figures += [_figure(row.tokens_per_second, ".0f"), _figure(row.seconds, ".0f")]
        values = [str(row.point[name]) for name in swept]
        state = f"{row.state}: {row.error}" if row.error else row.state
        return ["*" if row == self.best else "", *values, *figures, state]


def parse_sweep(specs: Sequence[str], arguments: type) -> list[Point]:
    """The grid of `name=value,value` terms, typed as the fields of the dataclass `arguments`.

    The first term varies slowest. Raises BadInput for a term without `=`, for an unknown name
    (listing the known ones), for a value of another type, and for no values.
    """
    terms = " ".join(specs).split()
    if not terms:
        raise BadInput("--sweep needs values.", hint="Example: --sweep r=4,16 lr=1e-4,3e-4")
    values: dict[str, list[Any]] = {}
    for term in terms:
        name, equals, listed = term.partition("=")
        name = name.replace("-", "_")
        if not equals or not listed.strip(","):
            raise BadInput(f"{term!r} has no values.", hint="Example: r=4,16")
        if name in values:
            raise BadInput(f"{name!r} is given twice.", hint=f"Combine the values: {name}=1,2,3")
        hint = _type_of(name, arguments)
        values[name] = list(dict.fromkeys(_value(name, text, hint) for text in listed.split(",")))
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def run_sweep(
    args: Any,
    points: Sequence[Point],
    folder: Path,
    train: Callable[[Any], Any],
    *,
    resume: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Sweep:
    """Train with `args`, a dataclass, once for each point, into `folder`/NAME; the table of all.

    `args.max_minutes` is for all runs together: each has an equal share, so that they compare.
    `train(args)` returns an object with `state`, `eval_loss`, `tokens_per_second`, `seconds`, and
    maybe `exact_match`. A run that raises is a failed row; one that was stopped ends the sweep.
    `resume` goes on with a sweep of the same arguments: finished runs are not run again.
    """
    folder = Path(folder)
    done = _before(folder, args, resume)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for number, (name, point) in enumerate(zip(_names(points), points, strict=True), 1):
        row = done.get(name)
        if row is None:
            report(f"Run {number} of {len(points)}: {name}")
            row = _run(_of_run(args, point, len(points), folder / name, resume), name, point, train)
        rows.append(row)
        _write(sweep := Sweep(folder, tuple(rows)), args)
        if row.state == "stopped":
            break
    return sweep


def _run(args: Any, name: str, point: Point, train: Callable[[Any], Any]) -> Row:
    try:
        result = train(args)
    except Exception as error:  # whatever it is, the other runs are still wanted
        said = " ".join(str(error).split()) or type(error).__name__
        return Row(name, point, "failed", error=said)
    figures = ("eval_loss", "exact_match", "tokens_per_second", "seconds")
    return Row(name, point, result.state, **{f: getattr(result, f, None) for f in figures})


def _of_run(args: Any, point: Point, runs: int, output: Path, resume: bool) -> Any:
    kind = typing.get_type_hints(type(args))["output"]
    changed: Point = {"output": output if kind is Path else str(output)}
    if args.max_minutes:
        changed["max_minutes"] = args.max_minutes / runs
    if resume and output.exists():
        changed["resume"] = True
    return dataclasses.replace(args, **{**changed, **point})


def _write(sweep: Sweep, args: Any) -> None:
    write_json(sweep.folder / "sweep.json", {**sweep.as_json(), "args": _comparable(args)})
    (sweep.folder / "sweep.md").write_text(sweep.to_markdown(), encoding="utf-8")


def _before(folder: Path, args: Any, resume: bool) -> dict[str, Row]:
    """The finished runs of a sweep that was here already."""
    file = folder / "sweep.json"
    if not file.exists():
        return {}
    if not resume:
        raise BadInput(
            f"{folder} already contains a sweep.",
            hint="Continue it with --resume, or choose another --output.",
        )
    before = json.loads(file.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(_comparable(args), default=str))
    differs = [k for k in now if now[k] != before["args"].get(k)]
    if differs:
        name = differs[0]
        raise BadInput(
            f"{folder} contains a sweep with {name}={before['args'].get(name)!r}, not "
            f"{now[name]!r}.",
            hint="Use the same arguments, or choose another --output.",
        )
    return {row["name"]: Row(**row) for row in before["runs"] if row["state"] == "finished"}


def _comparable(args: Any) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(args).items() if k not in _NOT_SWEPT}


def _names(points: Sequence[Point]) -> list[str]:
    """A folder's name for each point; two that would be the same are numbered."""
    seen: Counter[str] = Counter()
    names = []
    for point in points:
        name = ",".join(f"{k}={_slug(str(v))}" for k, v in point.items())
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names


def _slug(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", text).strip("_.")[:60]


def _type_of(name: str, arguments: type) -> Any:
    hints = typing.get_type_hints(arguments)
    known = sorted(f.name for f in dataclasses.fields(arguments) if f.name not in _NOT_SWEPT)
    if name not in known:
        raise BadInput(f"Unknown argument {name!r}.", hint=f"Available: {', '.join(known)}.")
    return hints[name]


def _value(name: str, text: str, hint: Any) -> Any:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(hint).validate_strings(text)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise BadInput(f"{name}={text}: {said}.", hint=f"Example: {name}=1,2") from None


def _figure(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)
