"""Retrieval quality on a collection in the BEIR layout, which BEIR names; none ships with this.

BEIR=DIR python benchmarks/beir.py [--json]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def main() -> dict[str, Any]:
    command = Path(sys.executable).with_name("rag-chatbot")
    arguments = ["eval", "--beir", os.environ["BEIR"], "--json"]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    ndcg = {arm: round(found[arm]["ndcg@10"], 4) for arm in ("bm25", "dense", "hybrid")}
    gain = ndcg["hybrid"] - max(ndcg["bm25"], ndcg["dense"])
    return {
        "collection": Path(os.environ["BEIR"]).name,
        "queries": found["queries"],
        "documents": found["documents"],
        "ndcg@10": ndcg,
        "gain": round(gain, 4),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
