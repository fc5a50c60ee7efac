"""Training speed: useful tokens a second beside TRL's SFTTrainer with its defaults, same data.

Useful tokens are those of the examples, without padding. Each trains in a process of its own, one
pass over the same requests with the same rank and learning rate (TRL's default, 2e-5, is meant for
full fine-tuning) on the same layers, and the adapters are judged by the loss of the same held-out
answers. The upper half of the layers, our default on a CPU, is measured beside it.

    python benchmarks/finetune_training.py [--json]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXAMPLES, HELD_OUT, LR, RANK = 160, 64, 1e-3, 16


def write_data(folder: Path) -> None:
    from finetune_lora.data.read import as_lines, rows
    from finetune_lora.example import Dataset
    from finetune_lora.task.generate import generate

    for part, n in (("train", EXAMPLES), ("dev", HELD_OUT)):
        (folder / f"{part}.jsonl").write_bytes(
            as_lines(rows(Dataset(tuple(generate(n, 1, part=part)))))
        )


def ours(folder: Path, *, share_prefix: bool = True, layers: int = 0) -> dict[str, Any]:
    from finetune_lora.train.train import TrainArgs, train

    args = TrainArgs(
        data=str(folder / "train.jsonl"),
        eval_data=str(folder / "dev.jsonl"),
        epochs=1,
        output=str(folder / f"ours-{share_prefix}-{layers}"),
        lr=LR,
        r=RANK,
        save_every=10_000,
        eval_every=10_000,
        share_prefix=share_prefix,
        layers=layers,
        max_minutes=60,
        batch_size=8,
    )
    steps: list[dict[str, Any]] = []

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            steps.append(event)

    result = train(args, listeners=[listen])
    seconds = steps[-1]["seconds"] - steps[0]["seconds"]
    return {
        "tokens_per_second": (steps[-1]["tokens"] - steps[0]["tokens"]) / seconds,
        "loss": result.eval_loss,
        "peak_mb": result.peak_memory_mb,
    }


def trl(folder: Path) -> dict[str, Any]:
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from finetune_lora.model.base import load_base

    base = load_base("smollm2")
    files = {part: str(folder / f"{part}.jsonl") for part in ("train", "dev")}
    data = load_dataset("json", data_files=files)

    def split(row: dict[str, Any]) -> dict[str, Any]:
        return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}

    data = data.map(split, remove_columns=data["train"].column_names)
    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append(time.perf_counter())

    trainer = SFTTrainer(
        model=base.model,
        processing_class=base.tokenizer,
        args=SFTConfig(
            output_dir=str(folder / "trl"),
            num_train_epochs=1,
            learning_rate=LR,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=data["train"],
        eval_dataset=data["dev"],
        peft_config=LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear"),
        callbacks=[Clock()],
    )
    tokens = sum(len(row["input_ids"]) for row in trainer.train_dataset)
    trainer.train()
    per_step = tokens / len(marks)
    return {
        "tokens_per_second": per_step * (len(marks) - 1) / (marks[-1] - marks[0]),
        "loss": trainer.evaluate()["eval_loss"],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "defaults": {
            name: str(getattr(trainer.args, name))
            for name in ("per_device_train_batch_size", "bf16", "gradient_checkpointing", "packing")
        },
    }


WAYS = {
    "ours": ours,
    "ours, upper half of the layers": lambda folder: ours(folder, layers=15),
    "ours, prefix not shared": lambda folder: ours(folder, share_prefix=False),
    "trl": trl,
}


def in_a_process(way: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--way", way, str(folder)], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_data(folder)
        found = {way: in_a_process(way, folder) for way in WAYS}
    peer = found["trl"]["tokens_per_second"]
    return {
        "ratio": round(found["ours"]["tokens_per_second"] / peer, 2),
        "ratio_without_sharing": round(
            found["ours, prefix not shared"]["tokens_per_second"] / peer, 2
        ),
        "ratio_upper_half": round(
            found["ours, upper half of the layers"]["tokens_per_second"] / peer, 2
        ),
        "loss_difference": round(found["ours"]["loss"] - found["trl"]["loss"], 4),
        "ways": found,
    }


if __name__ == "__main__":
    if "--way" in sys.argv:
        print(json.dumps(WAYS[sys.argv[-2]](Path(sys.argv[-1]))))
    else:
        print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
