"""The example task: a help-desk request becomes one tool call.

`tools.py` defines the tools and the rules for labelling requests. `train.jsonl` and `dev.jsonl`
contain generated requests, `handwritten.jsonl` those of the evaluation.
"""

from pathlib import Path


def requests_file(name: str) -> Path:
    """The requests of the task: train, dev, or handwritten for the evaluation."""
    return Path(__file__).with_name(f"{name}.jsonl")
