"""Intent classification: an adapter trained for ten minutes beside MiniLM with logistic regression.

The data is yours: INTENTS names folders, parted by colons, each with a train.jsonl and a test.jsonl
of rows of text and label. Figures are over the rows of all of them.

    INTENTS=DIR:DIR python benchmarks/finetune_intents.py [--json]
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any


def main() -> dict[str, Any]:
    sets = {data.name: judge(data) for data in map(Path, os.environ["INTENTS"].split(":"))}
    n = sum(found["n"] for found in sets.values())
    right: Counter[str] = Counter()
    for found in sets.values():
        right.update(found["right"])
    classical = next(name for name in right if "minilm" in name.lower())
    return {
        "accuracy": round(right["adapter"] / n, 4),
        "minilm": round(right[classical] / n, 4),
        "above_minilm": round((right["adapter"] - right[classical]) / n, 4),
        "n": n,
        "training_minutes": max(found["training_minutes"] for found in sets.values()),
        "sets": sets,
    }


def judge(data: Path) -> dict[str, Any]:
    """How many test rows each system has right, after a training on one folder's rows."""
    from finetune_lora.jobs.evaluate_job import evaluate_run
    from finetune_lora.jobs.train_job import train_run
    from finetune_lora.train.arguments import TrainArgs

    with tempfile.TemporaryDirectory() as scratch:
        args = TrainArgs(data=str(data / "train.jsonl"), output=str(Path(scratch, "run")))
        trained = train_run(args, track=False)
        found = evaluate_run(str(data / "test.jsonl"), adapter=trained.folder)
    n = found["n"]
    right = {name: round(figures["exact_match"] * n) for name, figures in found["systems"].items()}
    return {"n": n, "training_minutes": round(trained.seconds / 60, 2), "right": right}


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
