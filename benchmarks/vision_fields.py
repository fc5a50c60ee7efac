"""How well the rules of vision_app read documents.

    VISION_DOCUMENTS=FOLDER python benchmarks/vision_fields.py

FOLDER has documents and a `truth.jsonl`, as `vision-app eval` takes it. The 115 documents of the
README are drawn by `benchmarks/vision_documents/make_documents.py` of this repository's history,
before commit bc3c8e56. Those of others are not ours to distribute.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from vision_app.config import Config
from vision_app.evaluate import judge
from vision_app.vision import Vision
from seedbed.settings import Settings

SURE = 0.9  # confidence from which a value counts as nearly certain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(Path(os.environ["VISION_DOCUMENTS"]))
    print(json.dumps(result, indent=None if arguments.json else 2))


def measure(folder: Path) -> dict[str, Any]:
    """Fields right, wrong, missed and invented; how many values are sure, and of those right."""
    vision = Vision(Config(), Settings(model="smollm2"))
    rows = [json.loads(line) for line in (folder / "truth.jsonl").read_text("utf-8").splitlines()]
    counts = dict.fromkeys(("right", "wrong", "missed", "invented"), 0)
    sure = sure_right = 0
    for row in rows:
        result = vision.extract(vision.open(folder / row["file"]), row["schema"])
        for name, expected in row["fields"].items():
            value = result["fields"].get(name)
            outcome = judge(name, expected, value, row.get("accept", {}).get(name, ()))
            counts[outcome] += 1
            evidence = result["evidence"].get(name)
            if value is not None and evidence and evidence["confidence"] >= SURE:
                sure += 1
                sure_right += outcome == "right"
    fields = sum(counts.values())
    absent = sum(value is None for row in rows for value in row["fields"].values())
    shares = {"right_share": counts["right"] / fields, "sure_wrong_share": 1 - sure_right / sure}
    return {
        **{"documents": len(rows), "fields": fields, "absent": absent, **counts},
        **{"sure": sure, "sure_right": sure_right},
        **{name: round(value, 4) for name, value in shares.items()},
    }


if __name__ == "__main__":
    main()
