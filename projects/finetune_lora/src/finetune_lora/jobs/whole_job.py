"""The whole job on the help-desk task: training, export, evaluation on hand-written requests."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer

from finetune_lora.config import Config
from finetune_lora.data.read import as_lines, load_dataset, to_rows
from finetune_lora.example import Dataset
from finetune_lora.export import export
from finetune_lora.helpdesk import requests_file
from finetune_lora.helpdesk.tools import system_prompt
from finetune_lora.jobs.evaluate_job import evaluate_run
from finetune_lora.jobs.train_job import train_run
from finetune_lora.model.adapter import load_adapter
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.signals import on_signal, raise_stopped
from seedbed.cli import table
from seedbed.files import write_bytes
from seedbed.settings import Settings, load

# Half the usual batch sees fewer requests in the time and learns more from each. A larger alpha
# lets B learn faster than A, as in LoRA+ (Hayou et al., 2024, https://arxiv.org/abs/2402.12354).
_SETTINGS: dict[str, dict[str, Any]] = {"smollm2": {"batch_size": 8, "alpha": 128, "lr": 1e-3}}


def write_task(folder: Path, count: int | None = None) -> None:
    """Write `count` help-desk requests (default: all) as train.jsonl, and all of dev.jsonl.

    They are those that the package contains, with the system prompt added.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part, number in (("train", count), ("dev", None)):
        shipped = load_dataset(requests_file(part)).with_system(system_prompt())
        lines = as_lines(to_rows(Dataset(shipped.examples[:number])))
        write_bytes(folder / f"{part}.jsonl", lines)


def run(
    config: Config,
    *,
    base: str | None = None,
    address: tuple[str, int] | None = None,
    requests: int | None = None,
    test: str = "helpdesk",
) -> dict[str, Any]:
    """Data, training, export, evaluation; the page is served at `address`, also afterwards."""
    base = base or load(Settings).model
    with _page(address) as page:
        # 1. Train.
        data = config.data_dir / "data" / "helpdesk"
        write_task(data, requests)
        args = TrainArgs(
            data=str(data / "train.jsonl"),
            eval_data=str(data / "dev.jsonl"),
            output="",
            base=base,
            max_minutes=config.max_minutes,
            **_SETTINGS.get(base, {}),
        )
        folder = train_run(args).folder
        # 2. Export the adapter, and evaluate it beside its exported form.
        typer.echo("Exporting the model …", err=True)
        adapter = load_adapter(folder, dtype="float32")
        exported = export(folder, "openvino", force=True, adapter=adapter)
        result = evaluate_run(test, adapter=folder, loaded=adapter)
        typer.echo(summary(result, folder, exported["next"]))
        # 3. Leave the page running.
        if address is not None and page is not None and page.poll() is None:
            where = "http://{}:{}".format(*address)
            typer.echo(f"The page keeps running on {where}. Press Ctrl-C to stop.", err=True)
            with suppress(KeyboardInterrupt):
                page.wait()
    return result


def summary(result: dict[str, Any], folder: Path, next_command: str) -> str:
    """Before and after in a few lines, and the next command."""
    rows = [
        (name, f"{figures['exact_match']:.1%}", "{:.0%} to {:.0%}".format(*figures["interval"]))
        for name, figures in result["systems"].items()
    ]
    return (
        f"\nExact match on {result['n']} hand-written requests:"
        f"\n{table(('system', 'exact match', '95 % interval'), rows)}"
        f"\n\nReport: {folder / 'report' / 'report.md'}\nModel card: {folder / 'README.md'}"
        f"\nNext:\n  {next_command}"
    )


@contextmanager
def _page(address: tuple[str, int] | None) -> Iterator[subprocess.Popen[bytes] | None]:
    """The page in a process of its own, which ends with this one, even on SIGTERM."""
    if address is None:
        yield None
        return
    host, port = address
    command = [sys.executable, "-m", "finetune_lora", "serve", "--host", host, "--port", str(port)]
    with on_signal(raise_stopped, (signal.SIGTERM,)), subprocess.Popen(command) as page:
        try:
            yield page
        finally:
            page.terminate()
