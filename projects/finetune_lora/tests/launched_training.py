"""One of several processes of a training, for launchers: arguments as JSON, events as JSON lines.

torchrun --nproc-per-node 2 tests/launched_training.py '{"data": "train.jsonl", …}'
"""

from __future__ import annotations

import json
import sys
from typing import Any

from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.train import train
from seedbed.errors import SeedbedError


def main(text: str) -> int:
    """Train; the first process prints what happens, a line each. Returns the exit code."""

    def show(event: dict[str, Any]) -> None:
        print(json.dumps(event, default=str), flush=True)

    try:
        train(TrainArgs(**json.loads(text)), listeners=[show])
    except SeedbedError as error:
        print(str(error), file=sys.stderr, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
