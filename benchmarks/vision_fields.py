"""How well the rules of vision_app read documents.

    VISION_DOCUMENTS=FOLDER python benchmarks/vision_fields.py

FOLDER has documents and a `truth.jsonl`, as `vision-app eval` takes it. The 115 documents of the
README are drawn by `benchmarks/vision_documents/make_documents.py` of this repository's history,
before commit bc3c8e56. Those of others are not ours to distribute.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from vision_app.config import Config
from vision_app.evaluate import evaluate
from vision_app.vision import Vision
from seedbed.settings import Settings

SURE = 0.9  # confidence from which a value counts as nearly certain


def main() -> None:
    print(json.dumps(measure(Path(os.environ["VISION_DOCUMENTS"])), indent=2))


def measure(folder: Path) -> dict[str, Any]:
    """Fields right, wrong, missed and invented; how many values are sure, and of those right."""
    vision = Vision(Config(), Settings(model="smollm2"))
    sure: list[set[str]] = []  # the names of each document's sure fields

    def read(path: Path, schema: str) -> dict[str, Any]:
        sure.append(set())
        result = vision.extract(vision.open(path), schema)
        fields, evidence = result["fields"], result["evidence"]
        present = [name for name in evidence if fields.get(name) is not None and evidence[name]]
        sure[-1].update(name for name in present if evidence[name]["confidence"] >= SURE)
        return dict(fields)

    cases = evaluate(folder, read).cases
    counts = Counter(outcome for case in cases for outcome in case["outcomes"].values())
    certain = [
        outcome
        for case, names in zip(cases, sure, strict=True)
        for name, outcome in case["outcomes"].items()
        if name in names
    ]
    fields, right = counts.total(), certain.count("right")
    return {
        "documents": len(cases),
        "fields": fields,
        "absent": sum(len(case["absent"]) for case in cases),
        **{outcome: counts[outcome] for outcome in ("right", "wrong", "missed", "invented")},
        "sure": len(certain),
        "sure_right": right,
        "right_share": round(counts["right"] / fields, 4),
        "sure_wrong_share": round(1 - right / len(certain), 4),
    }


if __name__ == "__main__":
    main()
