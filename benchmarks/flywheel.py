"""Two turns of `make flywheel`: the categories of unseen mails by each system, gates and minutes.

python benchmarks/flywheel.py [--json]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # it is run as a program
from tools.flywheel import Flywheel, Plan

NAMES = ("before", "round_one", "round_two", "classifier_corrected")


def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        rows = Flywheel(Plan(Path(folder))).run()
        return result(rows, json.loads(Path(folder, "stages.json").read_text("utf-8")))


def result(rows: list[dict[str, Any]], stages: dict[str, Any]) -> dict[str, Any]:
    done = {name: stage["result"] for name, stage in stages.items()}
    return {
        "systems": dict(zip(NAMES, rows, strict=True)),
        "promoted": {name: done[f"compare {name}"] for name in ("round1", "round2")},
        "mails": done["split"],
        "corrected": done["correct"],
        "minutes": round(sum(stage["seconds"] for stage in stages.values()) / 60, 1),
        "minutes_of": {name: round(stage["seconds"] / 60, 1) for name, stage in stages.items()},
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
