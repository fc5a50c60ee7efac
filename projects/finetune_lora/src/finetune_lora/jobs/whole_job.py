"""The whole job on the help-desk task: training, evaluation on hand-written requests, export."""

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
from finetune_lora.data.read import as_lines, load_dataset, rows
from finetune_lora.example import Dataset
from finetune_lora.helpdesk.tools import system_prompt
from finetune_lora.jobs.evaluate_job import evaluate_run, helpdesk, with_system
from finetune_lora.jobs.train_job import train_run
from finetune_lora.train.signals import on_signal, raise_stopped
from seedbed.files import write_text
from seedbed.settings import Settings, load

Address = tuple[str, int]

# Half the usual batch sees fewer requests in the time and learns more from each. A larger alpha
# lets B learn faster than A, as in LoRA+ (Hayou et al., 2024, https://arxiv.org/abs/2402.12354).
_SETTINGS: dict[str, dict[str, Any]] = {"smollm2": {"batch_size": 8, "alpha": 128, "lr": 1e-3}}


def write_task(folder: Path, count: int | None = None) -> None:
    """Write `count` help-desk requests (default: all) as train.jsonl, and all of dev.jsonl.

    They are those that the package contains, with the system prompt added.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "dev"):
        shipped = with_system(load_dataset(helpdesk(part)), system_prompt())
        examples = shipped.examples[: count if part == "train" else None]
        write_text(folder / f"{part}.jsonl", as_lines(rows(Dataset(examples))).decode())


def run(
    config: Config,
    *,
    base: str | None = None,
    address: Address | None = None,
    requests: int | None = None,
    test: str = "helpdesk",
) -> dict[str, Any]:
    """Data, training, export, evaluation; the page is served at `address`, also afterwards."""
    from finetune_lora.runs.run_folder import new_run_folder
    from finetune_lora.train.arguments import TrainArgs

    base = base or load(Settings).model
    with _page(address) as page:
        data = config.data_dir / "data" / "helpdesk"
        write_task(data, requests)
        args = TrainArgs(
            data=str(data / "train.jsonl"),
            eval_data=str(data / "dev.jsonl"),
            output=str(new_run_folder(config.data_dir, base, "helpdesk")),
            base=base,
            max_minutes=config.max_minutes,
            **_SETTINGS.get(base, {}),
        )
        trained = train_run(args)
        result = finish(trained.folder, test)
        typer.echo(summary(result, trained.folder))
        if page is not None and page.poll() is None and address is not None:
            where = "http://{}:{}".format(*address)
            typer.echo(f"The page keeps running on {where}. Press Ctrl-C to stop.", err=True)
            with suppress(KeyboardInterrupt):
                page.wait()
    return result


def finish(folder: Path, test: str) -> dict[str, Any]:
    """Export the trained model, and evaluate it as it is served; writes the report and the card."""
    from finetune_lora.export import export

    typer.echo("Exporting the model …", err=True)
    exported = export(folder, "openvino", folder / "model", force=True)
    result = evaluate_run(test, adapter=folder, tell=lambda line: typer.echo(line, err=True))
    return {**result, "model": exported["path"], "next": exported["next"]}


def summary(result: dict[str, Any], folder: Path) -> str:
    """Before and after in a few lines, and what to type next."""
    lines = [f"\nExact match on {result['n']} hand-written requests (95 % interval):"]
    for name, figures in result["systems"].items():
        low, high = figures["interval"]
        lines.append(f"  {name:22} {figures['exact_match']:6.1%}  [{low:.0%}–{high:.0%}]")
    lines += [
        f"\nReport: {folder / 'report' / 'report.md'}",
        f"Model card: {folder / 'README.md'}",
        f"Next:\n  {result['next']}",
    ]
    return "\n".join(lines)


@contextmanager
def _page(address: Address | None) -> Iterator[subprocess.Popen[bytes] | None]:
    """The page in a process of its own, which ends with this one also if that is by SIGTERM."""
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
