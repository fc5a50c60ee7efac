"""The command line: verbs only.

finetune-lora run                                       the whole job on the shipped task
finetune-lora prepare FILE --output DIR                 check, clean and split a dataset
finetune-lora train --data DIR/train.jsonl --output RUN an adapter
finetune-lora evaluate --data DIR/test.jsonl --adapter RUN
finetune-lora export --adapter RUN --to openvino        a model that everything else can load
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from finetune_lora.train.arguments import TrainArgs, train_options
from seedbed import cli
from seedbed.cli import Host, Json, Port, show

if TYPE_CHECKING:
    from finetune_lora.config import Config

app = cli.create_app(
    "Fine-tune a small language model with LoRA, evaluate it against baselines, and serve it."
)
_BASES = "smollm2, path:DIR or hf:ORG/REPO@REV"
Base = Annotated[str | None, Option(help=f"Base model: {_BASES}. Default: SEEDBED_MODEL.")]
Minutes = Annotated[
    float | None,
    Option(min=0.01, help="Maximum training time in minutes. Default: FINETUNE_MAX_MINUTES (10)."),
]
Columns = Annotated[
    str, Option(help="Names of the columns, if they differ: text=description,label=section.")
]


def read_config(*, server: bool = False, **overrides: Any) -> Config:
    """Settings from the environment; sets up logging and silences dependencies."""
    from finetune_lora.config import Config
    from seedbed.observe.logs_and_traces import start
    from seedbed.runs.training import quiet
    from seedbed.settings import Settings, load

    start("finetune_lora", load(Settings).log_level, server=server)
    quiet()
    return load(Config, **overrides)


@app.command()
def prepare(
    source: Annotated[
        str, typer.Argument(help="Dataset: a JSONL, CSV or Parquet file, or hf:ORG/NAME@REV.")
    ],
    output: Annotated[Path, Option(help="Folder to write to.")],
    dev: Annotated[float, Option(help="Share of rows for the dev split (0 to 1).")] = 0.1,
    test: Annotated[float, Option(help="Share of rows for the test split (0 to 1).")] = 0.1,
    dev_data: Annotated[str | None, Option(help="Separate dataset for the dev split.")] = None,
    test_data: Annotated[str | None, Option(help="Separate dataset for the test split.")] = None,
    columns: Columns = "",
    seed: Annotated[int, Option(help="Random seed.")] = 0,
    skip_bad: Annotated[
        bool, Option("--skip-bad", help="Move invalid rows to rejected.jsonl instead of failing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Validate, deduplicate and split a dataset, and write its DATA_CARD.md."""
    read_config()
    from finetune_lora.data.prepare import prepare

    card = prepare(
        source,
        output,
        dev=dev,
        test=test,
        seed=seed,
        dev_data=dev_data,
        test_data=test_data,
        columns=columns,
        skip_bad=skip_bad,
    )
    show(card, as_json, to_text=lambda _: (output / "DATA_CARD.md").read_text("utf-8"))


@app.command()
@train_options
def train(
    *,
    base: Base = None,
    output: Annotated[
        Path | None, Option(help="Run folder. Default: a new folder in FINETUNE_DATA_DIR/runs.")
    ] = None,
    max_minutes: Minutes = None,
    track: Annotated[bool, Option(help="Log the finished run to MLflow.")] = True,
    as_json: Json = False,
    **arguments: Any,
) -> None:
    """Train a LoRA adapter."""
    config = read_config()
    from finetune_lora.jobs.train_job import next_steps, train_run
    from finetune_lora.train import processes
    from seedbed.settings import Settings, load

    if not arguments["resume"]:  # a resumed run keeps the options it was started with
        base = base or load(Settings).model
        max_minutes = max_minutes or config.max_minutes
    options = {"base": base, "max_minutes": max_minutes, "output": str(output or "")}
    arguments |= {name: value for name, value in options.items() if value is not None}
    result = train_run(TrainArgs(**arguments), quiet=as_json, track=track)
    if processes.is_first():
        show(result.as_json(), as_json, to_text=lambda _: next_steps(result))


@app.command()
def evaluate(
    data: Annotated[str, Option(help="Test dataset: a file, hf:ORG/NAME@REV, or helpdesk.")],
    adapter: Annotated[Path | None, Option(help="Run folder to evaluate, or latest.")] = None,
    base: Annotated[
        str | None, Option(help=f"Base model: {_BASES}. Default: the one of the training.")
    ] = None,
    model: Annotated[
        str | None, Option(help="Evaluate a served model instead: path:DIR, openai:NAME …")
    ] = None,
    columns: Columns = "",
    quick: Annotated[
        bool, Option("--quick", help="Evaluate the adapter only, without baselines.")
    ] = False,
    output: Annotated[
        Path | None, Option(help="Report folder. Default with --adapter: report/ in it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate an adapter against its base model, few-shot prompting and classical baselines."""
    read_config()
    from finetune_lora.evaluate import report
    from finetune_lora.jobs.evaluate_job import evaluate_run

    result = evaluate_run(
        data, adapter=adapter, base=base, model=model, columns=columns, quick=quick, out=output
    )
    show(result, as_json, to_text=report.to_markdown)
    for path in () if as_json else result["written"]:
        typer.echo(f"Wrote {path}", err=True)


@app.command()
def export(
    adapter: Annotated[Path, Option(help="Run folder that contains the adapter.")],
    to: Annotated[str, Option(help="Output format: merged, gguf or openvino.")] = "openvino",
    output: Annotated[
        Path | None, Option(help="Output folder. Default: next to the adapter.")
    ] = None,
    type: Annotated[
        str | None,
        Option(help="Weight type: Q8_0 or F16 (gguf, openvino), bfloat16 or float32 (merged)."),
    ] = None,
    force: Annotated[
        bool,
        Option("--force", help="Replace a folder that is not an earlier export of this format."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Merge an adapter into its base model and write it in a format that servers load."""
    read_config()
    from finetune_lora.export import export

    result = export(adapter, to, output, type=type, force=force)
    convert = ", as Seedbed serves OpenVINO and GGUF files only" if to == "merged" else ""
    text = "Wrote {path} ({type}, {megabytes} MB).\nNext" + convert + ":\n  {next}"
    show(result, as_json, to_text=lambda result: text.format(**result))


@app.command()
def run(
    max_minutes: Minutes = None,
    port: Port = 8007,
    host: Host = "127.0.0.1",
    page: Annotated[bool, Option(help="Serve the page during and after the training.")] = True,
    base: Base = None,
) -> None:
    """Run everything on the help-desk task: data, training, evaluation and export."""
    config = read_config(max_minutes=max_minutes)
    from finetune_lora.jobs.whole_job import run

    run(config, base=base, address=(host, port) if page else None)


@app.command()
def demo() -> None:
    """Run a tiny training once. Exits with 1 unless the loss halves and all answers are valid."""
    read_config()
    from finetune_lora.jobs.demo import run

    raise typer.Exit(1 if run() else 0)


@app.command()
def serve(port: Port = 8007, host: Host = "127.0.0.1") -> None:
    """Serve the page: runs, live training curves, and a before/after playground."""
    config = read_config(server=True)
    from finetune_lora.page.page import create_app
    from seedbed.server import service

    typer.echo(f"Page: http://{host}:{port}", err=True)
    service.serve(create_app(config), port=port, host=host)


@app.command()
def runs(as_json: Json = False) -> None:
    """List all runs, newest first."""
    config = read_config()
    from finetune_lora.runs.run_folder import list_runs, state_of

    records = list_runs(config.data_dir)
    rows = [(run["name"], state_of(run), run.get("base", "")) for run in records]
    start = f"No runs yet. Start one: {cli.command_line('finetune-lora', 'run')}"
    show(
        records,
        as_json,
        to_text=lambda _: cli.table(("run", "state", "base"), rows) if rows else start,
    )


@app.command()
def mlflow(port: Port = 5000) -> None:
    """Start MLflow's web interface on the recorded runs."""
    from finetune_lora.runs.mlflow_import import show_mlflow

    show_mlflow(read_config().data_dir, port)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: an error is one line and exit status 2."""
    # Waiting OpenMP threads spin, which on a busy machine takes the core from the thread they wait
    # for: without this setting, two trainings at once took three times as long.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    cli.main(app, arguments)


if __name__ == "__main__":
    main()
