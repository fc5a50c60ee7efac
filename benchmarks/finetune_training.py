"""Training speed: useful tokens per second beside TRL's SFTTrainer at its best settings on a CPU.

Useful tokens are those of the examples, without padding. Each trains in a process of its own, one
pass over the same requests with the same rank, learning rate, batch size and length, in float32 and
on the same layers, and the adapters are judged by the loss of the same held-out answers. TRL runs
without gradient checkpointing and bf16, its defaults, which are meant for GPUs and slow on a CPU;
with and without packing, and the faster of the two counts. The upper half of the layers, our
default on a CPU, is measured beside it.

The ways take turns, `ROUNDS` times, and each figure is the median. Processor seconds are counted
too: unlike tokens per second, they change little when other work runs on the machine.

    python benchmarks/finetune_training.py
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXAMPLES, BATCH, LR, RANK, ROUNDS = 48, 8, 1e-3, 16, 2
Mark = tuple[float, float, float]  # tokens, seconds and processor seconds so far


def speed(marks: list[Mark]) -> dict[str, float]:
    """From the end of the first step, which is slower, to that of the last."""
    tokens, seconds, processor = (b - a for a, b in zip(marks[0], marks[-1], strict=True))
    return {
        "tokens_per_second": tokens / seconds,
        "processor_ms_per_token": 1000 * processor / tokens,
    }


def ours(folder: Path, *, share_prefix: bool = True, layers: int = 0) -> dict[str, Any]:
    from finetune_lora.train.arguments import TrainArgs
    from finetune_lora.train.train import train

    args = TrainArgs(
        data=str(folder / "train.jsonl"),
        eval_data=str(folder / "dev.jsonl"),
        epochs=1,
        output=tempfile.mkdtemp(dir=folder),
        lr=LR,
        r=RANK,
        save_every=10_000,
        eval_every=10_000,
        share_prefix=share_prefix,
        layers=layers,
        max_minutes=60,
        batch_size=BATCH,
        dtype="float32",
    )
    marks: list[Mark] = []

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            marks.append((event["tokens"], event["seconds"], time.process_time()))

    result = train(args, listeners=[listen])
    return {
        **speed(marks),
        "loss": result.eval_loss,
        "peak_mb": result.peak_memory_mb,
    }


def trl(folder: Path, *, packing: bool = False) -> dict[str, Any]:
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from finetune_lora.model.base import load_base

    base = load_base("smollm2", dtype="float32")
    files = {part: str(folder / f"{part}.jsonl") for part in ("train", "dev")}
    data = load_dataset("json", data_files=files)

    def split(row: dict[str, Any]) -> dict[str, Any]:
        return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}

    data = data.map(split, remove_columns=data["train"].column_names)
    times: list[tuple[float, float]] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append((time.perf_counter(), time.process_time()))

    trainer = SFTTrainer(
        model=base.model,
        processing_class=base.tokenizer,
        args=SFTConfig(
            output_dir=str(folder / "trl"),
            num_train_epochs=1,
            # Packed rows are longer; eight of them took more than 20 GB.
            per_device_train_batch_size=BATCH // 2 if packing else BATCH,
            learning_rate=LR,
            max_length=1024,
            packing=packing,
            bf16=False,
            gradient_checkpointing=False,
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
    # Of whole rows and packed ones alike: packing adds no tokens.
    tokens = sum(len(row["input_ids"]) for row in trainer.train_dataset)
    trainer.train()
    marks = [(tokens / len(times) * step, *at) for step, at in enumerate(times, 1)]
    return {
        **speed(marks),
        "loss": trainer.evaluate()["eval_loss"],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "settings": {
            name: str(getattr(trainer.args, name))
            for name in ("per_device_train_batch_size", "bf16", "gradient_checkpointing", "packing")
        },
    }


WAYS = {
    "ours": ours,
    "ours, upper half of the layers": lambda folder: ours(folder, layers=15),
    "ours, prefix not shared": lambda folder: ours(folder, share_prefix=False),
    "trl": trl,
    "trl, packed": lambda folder: trl(folder, packing=True),
}


def in_a_process(way: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--way", way, str(folder)], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> dict[str, Any]:
    from finetune_lora.jobs.whole_job import write_task

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_task(folder, EXAMPLES)
        rounds = [{way: in_a_process(way, folder) for way in WAYS} for _ in range(ROUNDS)]
    ways = {way: medians([figures[way] for figures in rounds]) for way in WAYS}
    peer = max(("trl", "trl, packed"), key=lambda way: ways[way]["tokens_per_second"])

    def ratio(way: str) -> float:
        return round(ways[way]["tokens_per_second"] / ways[peer]["tokens_per_second"], 2)

    processor = "processor_ms_per_token"
    return {
        "ratio": ratio("ours"),
        "ratio_without_sharing": ratio("ours, prefix not shared"),
        "ratio_upper_half": ratio("ours, upper half of the layers"),
        "ratio_processor_time": round(ways[peer][processor] / ways["ours"][processor], 2),
        "loss_difference": round(ways["ours"]["loss"] - ways[peer]["loss"], 4),
        "peer": peer,
        "ways": ways,
    }


def medians(figures: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each number over the rounds; other values are equal in all of them."""
    return {
        name: statistics.median(each[name] for each in figures)
        if isinstance(value, (int, float))
        else value
        for name, value in figures[0].items()
    }


if __name__ == "__main__":
    if "--way" in sys.argv:
        print(json.dumps(WAYS[sys.argv[-2]](Path(sys.argv[-1]))))
    else:
        print(json.dumps(main(), indent=2))
