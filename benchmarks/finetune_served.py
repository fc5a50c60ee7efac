"""Does a tuned model serve as fast as its base? Tokens a second of both, exported as by `export`.

Both run in the engine that every project uses, in turns, and each turn gives a ratio: a machine's
speed varies more from minute to minute than the two models differ.

    python benchmarks/finetune_served.py
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

TOKENS, TURNS = 128, 15
PROMPT = "<|im_start|>user\nTell me about the sea, the sky and the land.<|im_end|>\n"


def adapter(folder: Path) -> Path:
    """An adapter after a short training: speed does not depend on the values of the weights."""
    from finetune_lora.jobs.whole_job import write_task
    from finetune_lora.train.arguments import TrainArgs
    from finetune_lora.train.train import train

    write_task(folder / "data", 64)
    data = str(folder / "data" / "train.jsonl")
    return train(TrainArgs(data=data, output=str(folder / "run"), max_steps=4)).folder


def tokens_per_second(engine: Any, streams: int) -> float:
    from seedbed.engine.generation import Sampling

    sampling = Sampling(max_new_tokens=TOKENS, min_new_tokens=TOKENS, ignore_eos=True)
    started = time.perf_counter()
    answers = [engine.submit(PROMPT + str(i), sampling) for i in range(streams)]
    tokens = sum(len(answer.result().token_ids) for answer in answers)
    return tokens / (time.perf_counter() - started)


def main() -> dict[str, Any]:
    from finetune_lora.export import export
    from seedbed.engine.engine import Engine
    from seedbed.models.weights.ensure import ensure

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        exported = export(adapter(folder), "openvino", folder / "model", force=False)
        engines = {"base": Engine(ensure("smollm2")), "tuned": Engine(folder / "model")}
        measured: dict[tuple[str, int], list[float]] = {}
        for turn in range(TURNS + 1):
            first_and_second = list(engines.items())[:: -1 if turn % 2 else 1]
            for streams in (1, 16):
                for name, engine in first_and_second:
                    rate = tokens_per_second(engine, streams)
                    measured.setdefault((name, streams), []).append(rate)
        for engine in engines.values():
            engine.close()
    rates = {key: values[1:] for key, values in measured.items()}  # the first is a warm-up
    return {
        "type": exported["type"],
        "megabytes": exported["megabytes"],
        "ratio_1": ratio(rates["tuned", 1], rates["base", 1]),
        "ratio_16": ratio(rates["tuned", 16], rates["base", 16]),
        **{f"{n}_{streams}": round(statistics.median(r), 1) for (n, streams), r in rates.items()},
    }


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median ratio over the turns."""
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3)


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
