"""Answers: what `make eval-rag` measures, on the questions that ship with the project.

python benchmarks/answers.py [--json]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
QUESTIONS = ROOT / "projects" / "rag_chatbot" / "eval" / "questions.jsonl"


def main() -> dict[str, Any]:
    command = Path(sys.executable).with_name("rag-chatbot")
    arguments = ["eval", "--qa", str(QUESTIONS), "--docs", str(ROOT / "docs"), "--json"]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=True)
    return {key: value for key, value in json.loads(done.stdout).items() if key != "cases"}


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
