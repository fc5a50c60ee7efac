"""A grid of trainings: one run for each combination of some arguments' values, one after the other.

    finetune-lora train --data train.jsonl --output var/grid --grid "r=4,16 lr=1e-4,5e-4"

The runs are in var/grid/r=4,lr=0.0001 and so on; each has an equal share of --max-minutes, so that
they compare. With --resume, finished runs are kept as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from seedbed.errors import BadInput, SeedbedError

if TYPE_CHECKING:
    from finetune_lora.train.arguments import TrainArgs
    from finetune_lora.train.result import TrainResult

Row = dict[str, Any]


def parse_grid(spec: str, arguments: type[TrainArgs]) -> list[dict[str, Any]]:
    """All combinations of `name=value,value` terms, with the types that the arguments have."""
    from pydantic import TypeAdapter, ValidationError

    types, values = get_type_hints(arguments), {}
    for term in spec.split():
        name, _, listed = term.partition("=")
        name = name.replace("-", "_")
        if name not in types or not listed:
            raise BadInput(f"Invalid grid term {term!r}.", hint="Example: r=4,16 lr=1e-4,5e-4")
        try:
            kind = TypeAdapter(types[name])
            values[name] = [kind.validate_strings(value) for value in listed.split(",")]
        except ValidationError as error:
            raise BadInput(f"{term}: {error.errors()[0]['msg']}.") from None
    return [dict(zip(values, point, strict=True)) for point in product(*values.values())]


def run_grid(
    args: TrainArgs, points: Sequence[dict[str, Any]], train: Callable[[TrainArgs], TrainResult]
) -> list[Row]:
    """Train once for each point; a table row for each, the best evaluation loss first.

    A run that fails is a row with its error, and the others still run.
    """
    rows: list[Row] = []
    for point in points:
        name = ",".join(f"{key}={value}" for key, value in point.items()).replace("/", "_")
        folder = Path(args.output) / name
        shared = {"output": str(folder), "max_minutes": args.max_minutes / len(points)}
        try:
            result = train(replace(args, **{**shared, **point}))
            row = {"eval_loss": result.eval_loss, "seconds": result.seconds, "state": result.state}
        except SeedbedError as error:
            row = {"eval_loss": None, "seconds": None, "state": f"failed: {error}"}
        rows.append({"run": name, **row})
    return sorted(rows, key=lambda row: (row["eval_loss"] is None, row["eval_loss"]))
