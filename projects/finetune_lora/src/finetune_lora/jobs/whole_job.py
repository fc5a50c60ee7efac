"""The whole job on the shipped task: requests are made, an adapter is trained and judged by
requests written by hand, and a model is left that everything else can load.

The page shows it meanwhile; nothing here depends on it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from finetune_lora.config import Config
from finetune_lora.data.read import as_lines, rows
from finetune_lora.data.write import write_together
from finetune_lora.example import Dataset
from finetune_lora.jobs import jobs
from seedbed.settings import Settings, load

Address = tuple[str, int]

# Half the usual batch sees fewer requests in the time and learns more from each. A larger alpha
# lets B learn faster than A, as in LoRA+ (Hayou et al., 2024, https://arxiv.org/abs/2402.12354).
# The system prompt is a quarter of what a step of eight reads.
_SETTINGS: dict[str, dict[str, Any]] = {
    "smollm2": {"batch_size": 8, "alpha": 128, "lr": 1e-3, "prefix_every": 8}
}

REQUESTS = 6000
"""About as many as two cores see in ten minutes, so that these hold what was written by hand."""


def write_task(folder: Path, count: int, seed: int) -> dict[str, int]:
    """Write made requests as train.jsonl, dev.jsonl and test.jsonl; how many each has.

    The parts share no phrasing and no value.
    """
    from finetune_lora.task.generate import generate

    sizes = {"train": count, "dev": min(80, count), "test": min(200, count)}
    files = {}
    for part, size in sizes.items():
        dataset = Dataset(tuple(generate(size, seed, part=part)))
        files[f"{part}.jsonl"] = as_lines(rows(dataset))
    write_together(folder, files)
    return {f"{part}.jsonl": size for part, size in sizes.items()}


def run(
    config: Config,
    *,
    base: str | None = None,
    address: Address | None = None,
    requests: int = REQUESTS,
) -> dict[str, Any]:
    """Data, training, evaluation, export; at `address` the page is there meanwhile and after."""
    from finetune_lora.runs.run_folder import new_run_folder
    from finetune_lora.train.train import TrainArgs

    base = base or load(Settings).model
    with _page(address):
        data = config.data_dir / "data" / "helpdesk"
        typer.echo(f"Generating requests in {data} …", err=True)
        write_task(data, requests, seed=0)
        args = TrainArgs(
            data=str(data / "train.jsonl"),
            eval_data=str(data / "dev.jsonl"),
            output=str(new_run_folder(config.data_dir, base, "helpdesk")),
            base=base,
            max_minutes=config.max_minutes,
            **_SETTINGS.get(base, {}),
        )
        trained = jobs.train_run(args)
        result = finish(trained.folder, "helpdesk")
        typer.echo(summary(result, trained.folder))
        if address is not None:
            where = "http://{}:{}".format(*address)
            typer.echo(f"The page keeps running on {where}. Press Ctrl-C to stop.", err=True)
    return result


def finish(folder: Path, test: str) -> dict[str, Any]:
    """Judge a trained adapter, which writes its report and card, and export the model beside it."""
    from finetune_lora.export import export

    typer.echo("Evaluating on hand-written requests …", err=True)
    result = jobs.evaluate_run(test, adapter=folder)
    exported = export(folder, "openvino", folder / "model", force=True)
    return {**result, "model": exported["path"], "next": exported["next"]}


def summary(result: dict[str, Any], folder: Path) -> str:
    """Before and after in a few lines, and what to type next."""
    lines = [f"\nExact match on {result['n']} hand-written requests (95 % interval):"]
    for name, found in result["systems"].items():
        low, high = found["interval"]
        lines.append(f"  {name:22} {found['exact_match']:6.1%}  [{low:.0%}–{high:.0%}]")
    lines += [
        f"\nReport: {folder / 'report' / 'report.md'}",
        f"Model card: {folder / 'README.md'}",
        f"Next:\n  {result['next']}",
    ]
    return "\n".join(lines)


@contextmanager
def _page(address: Address | None) -> Iterator[None]:
    """The page in a process of its own; on the way out it stays until Ctrl-C."""
    if address is None:
        yield
        return
    host, port = address
    command = [sys.executable, "-m", "finetune_lora", "serve", "--host", host, "--port", str(port)]
    page = subprocess.Popen(command)
    try:
        yield
        page.wait()
    except KeyboardInterrupt:
        typer.echo("", err=True)
    finally:
        page.terminate()
        page.wait()
