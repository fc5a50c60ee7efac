"""Intent classification: an adapter trained for ten minutes beside MiniLM with logistic regression.

The data is yours: INTENTS names a folder with train.jsonl and test.jsonl, rows of text and label.

    INTENTS=DIR python benchmarks/finetune_intents.py [--json]
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> dict[str, Any]:
    from finetune_lora.jobs import evaluate_run, train_run
    from finetune_lora.train import TrainArgs

    data = Path(os.environ["INTENTS"])
    with tempfile.TemporaryDirectory() as scratch:
        args = TrainArgs(data=str(data / "train.jsonl"), output=str(Path(scratch, "run")))
        trained = train_run(args, track=False)
        found = evaluate_run(str(data / "test.jsonl"), adapter=trained.folder)
    systems = {name: round(figures["exact_match"], 4) for name, figures in found["systems"].items()}
    classical = max(value for name, value in systems.items() if "minilm" in name.lower())
    return {
        "accuracy": systems["adapter"],
        "minilm": classical,
        "above_minilm": round(systems["adapter"] - classical, 4),
        "n": found["n"],
        "training_minutes": round(trained.seconds / 60, 2),
        "systems": systems,
        "data": data.name,
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
