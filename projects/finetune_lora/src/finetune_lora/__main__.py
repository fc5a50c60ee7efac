"""The command line: verbs only.

finetune-lora run                                       the whole job on the shipped task
finetune-lora prepare FILE --output DIR                 check, clean and split a dataset
finetune-lora train --data DIR/train.jsonl --output RUN an adapter
finetune-lora evaluate --data DIR/test.jsonl --adapter RUN
finetune-lora export --adapter RUN --to openvino        a model that everything else can load
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedbed import cli
from seedbed.cli import Host, Json, Port, show

if TYPE_CHECKING:
    from finetune_lora.config import Config

app = cli.create_app(
    "Fine-tune a small language model with LoRA, evaluate it against baselines, and serve it."
)

Base = Annotated[
    str | None,
    typer.Option(
        "--base", help="Base model: smollm2, path:DIR or hf:ORG/REPO@REV. Default: SEEDBED_MODEL."
    ),
]
Adapter = Annotated[Path, typer.Option("--adapter", help="Run folder that contains the adapter.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", help="Run folder. Default: a new folder in FINETUNE_DATA_DIR/runs."),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        "--max-minutes",
        help="Maximum training time in minutes. Default: FINETUNE_MAX_MINUTES (10).",
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Overwrite a folder that is not an earlier export; those always are."
    ),
]
Seed = Annotated[int, typer.Option(help="Random seed.")]


def read_config(*, server: bool = False, **overrides: Any) -> Config:
    """The settings as the environment says; logs are set up, dependencies silenced."""
    from finetune_lora.config import Config
    from seedbed.observe.startup import start
    from seedbed.runs.quiet import quiet
    from seedbed.settings import Settings, load

    start("finetune_lora", load(Settings).log_level, server=server)
    quiet()
    return load(Config, **overrides)


@app.command()
def generate(
    output: Annotated[Path, typer.Option("--output", help="Folder to write to.")],
    count: Annotated[int, typer.Option(min=1, help="Number of training requests.")] = 5000,
    seed: Seed = 0,
) -> None:
    """Generate the help-desk dataset: train.jsonl, dev.jsonl and test.jsonl."""
    read_config()
    from finetune_lora.jobs.whole_job import write_task

    for name, n in write_task(output, count, seed).items():
        typer.echo(f"{n:6} requests in {output / name}")


@app.command()
def prepare(
    source: Annotated[
        str, typer.Argument(help="Dataset: a JSONL, CSV or Parquet file, or hf:ORG/NAME@REV.")
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder to write to.")],
    dev: Annotated[float, typer.Option(help="Share of rows for the dev split (0 to 1).")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of rows for the test split (0 to 1).")] = 0.1,
    dev_data: Annotated[
        str | None, typer.Option(help="Separate dataset to use as the dev split.")
    ] = None,
    test_data: Annotated[
        str | None, typer.Option(help="Separate dataset to use as the test split.")
    ] = None,
    seed: Seed = 0,
    base: Base = "smollm2",
    max_tokens: Annotated[
        int, typer.Option(min=8, help="Token limit per row. Longer rows are kept, but reported.")
    ] = 1024,
    near: Annotated[
        float,
        typer.Option(help="Similarity (0.5 to 1) above which two texts count as duplicates."),
    ] = 0.8,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Move invalid rows to rejected.jsonl instead of failing."),
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
        base=base,
        max_tokens=max_tokens,
        near=near,
        skip_bad=skip_bad,
    )
    show(card, as_json, to_text=lambda _: (output / "DATA_CARD.md").read_text("utf-8"))


@app.command()
def train(
    data: Annotated[str, typer.Option(help="Training dataset: a file or hf:ORG/NAME@REV.")],
    eval_data: Annotated[
        str | None, typer.Option(help="Dataset evaluated during training.")
    ] = None,
    base: Base = None,
    output: Output = None,
    max_minutes: Minutes = None,
    epochs: Annotated[
        float | None,
        typer.Option(help="Passes over the training data. Default: depends on the amount of data."),
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(help="Number of optimizer steps; overrides --epochs.")
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Peak learning rate. Default: depends on the size of the base model."),
    ] = None,
    r: Annotated[int | None, typer.Option(help="LoRA rank. Default: 16.")] = None,
    alpha: Annotated[
        int | None,
        typer.Option(help="LoRA scaling numerator; updates are scaled by alpha / r. Default: 32."),
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Dropout on the adapter's input (0 to 1). Default: 0.")
    ] = None,
    word_dropout: Annotated[
        float | None,
        typer.Option(
            help="Share of words dropped from labelled texts after the first epoch. Default: 0.2."
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="lora, dora, rslora, or qlora (GPU only). Default: lora.")
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(
            help="Layers to adapt: all-linear, or comma-separated names. Default: all-linear."
        ),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option(
            help="Number of last layers to adapt; 0 for all. Default: half on a CPU, all on a GPU."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Examples per batch and process. Default: 16.")
    ] = None,
    accumulation: Annotated[
        int | None,
        typer.Option(help="Number of batches accumulated before each optimizer step. Default: 1."),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Token limit per row; a longer row is an error. Default: 1024."),
    ] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Truncate rows longer than --max-tokens.")
    ] = False,
    dtype: Annotated[
        str | None, typer.Option(help="Weight type: auto, float32 or bfloat16. Default: auto.")
    ] = None,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option(
            "--gradient-checkpointing", help="Recompute activations: less memory, slower training."
        ),
    ] = False,
    prefix_every: Annotated[
        int | None,
        typer.Option(
            help="Recompute the prompt prefix shared by all examples every N steps. 1 is exact "
            "(default); higher values are faster."
        ),
    ] = None,
    eval_every: Annotated[
        int | None,
        typer.Option(help="Steps between evaluations. Default: 5 evaluations per training."),
    ] = None,
    save_every: Annotated[
        int | None, typer.Option(help="Steps between checkpoints. Default: 50.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after this many evaluations without improvement and keep the best adapter. "
            "Default: 0 (off)."
        ),
    ] = None,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume from the last checkpoint in --output.")
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="Train once for each combination of the given VALUES."),
    ] = False,
    values: Annotated[
        list[str] | None, typer.Argument(help="With --sweep, e.g. r=4,16 lr=1e-4,3e-4.")
    ] = None,
    ray: Annotated[
        int, typer.Option("--ray", help="Number of Ray workers; 0 trains without Ray.")
    ] = 0,
    track: Annotated[bool, typer.Option(help="Log the run to MLflow.")] = True,
    as_json: Json = False,
) -> None:
    """Train a LoRA adapter."""
    given = {k: v for k, v in locals().items() if v is not None}
    for name in ("sweep", "values", "ray", "track", "as_json", "output", "base"):
        given.pop(name, None)
    config = read_config()
    from finetune_lora.jobs import jobs
    from finetune_lora.train.train import TrainArgs
    from seedbed.settings import Settings, load

    given.setdefault("max_minutes", config.max_minutes)
    if values and not sweep:
        raise typer.BadParameter(
            f"Unexpected argument {values[0]!r}: values are only allowed with --sweep."
        )
    # Checked before a folder is made for the run.
    args = TrainArgs(**given, output="", base=base or load(Settings).model)
    args = replace(args, output=str(jobs.check_output(output, data)))
    if sweep:
        _sweep(args, values or [], as_json=as_json, track=track)
        return
    result = jobs.train_run(args, quiet=as_json, track=track, workers=ray)
    if not jobs.is_main_process():
        return
    if as_json:
        show(result.as_json())
    else:
        typer.echo(jobs.next_steps(result))


def _sweep(args: Any, values: list[str], *, as_json: bool, track: bool) -> None:
    from finetune_lora.jobs import jobs
    from finetune_lora.jobs.sweep import parse_sweep, run_sweep
    from finetune_lora.train.train import TrainArgs

    result = run_sweep(
        args,
        parse_sweep(values, TrainArgs),
        Path(args.output),
        lambda point: jobs.train_run(point, quiet=as_json, track=track),
        resume=args.resume,
        report=lambda said: typer.echo(said, err=True),
    )
    if as_json:
        show(result.as_json())
    else:
        typer.echo(result.to_text())


@app.command()
def evaluate(
    data: Annotated[str, typer.Option(help="Test dataset: a file, hf:ORG/NAME@REV, or helpdesk.")],
    adapter: Annotated[Path | None, typer.Option(help="Run folder to evaluate, or latest.")] = None,
    base: Base = None,
    model: Annotated[
        str | None, typer.Option(help="Evaluate a served model instead: path:DIR, openai:NAME …")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Evaluate the adapter only, without baselines.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Report folder. Default with --adapter: report/ in it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate an adapter against its base model, few-shot prompting and classical baselines."""
    read_config()
    from finetune_lora.evaluate import report
    from finetune_lora.jobs import jobs

    result = jobs.evaluate_run(
        data, adapter=adapter, base=base, model=model, quick=quick, out=output
    )
    show(result, as_json, to_text=report.to_markdown)
    for path in () if as_json else result["written"]:
        typer.echo(f"Wrote {path}", err=True)


@app.command()
def export(
    adapter: Adapter,
    to: Annotated[str, typer.Option(help="Output format: merged, gguf or openvino.")] = "openvino",
    output: Annotated[
        Path | None, typer.Option("--output", help="Output folder. Default: next to the adapter.")
    ] = None,
    type: Annotated[
        str | None,
        typer.Option(
            help="Weight type: F16, Q8_0, Q4_1 or Q4_0 (gguf), float32 or bfloat16 (merged)."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Calibration data for 4-bit weights. Default: the training data."),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Merge an adapter into its base model and write it in a format that servers load."""
    read_config()
    from finetune_lora.export import export

    result = export(adapter, to, output, type=type, data=data, force=force)
    show(result, as_json, to_text=_export_text)


def _export_text(result: dict[str, Any]) -> str:
    merged = result["kind"] == "merged"
    next_step = "Next, as Seedbed serves OpenVINO and GGUF files only" if merged else "Next"
    return (
        f"Wrote {result['path']} ({result['type']}, {result['megabytes']} MB)."
        f"\n{next_step}:\n  {result['next']}"
    )


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Folder of an adapter or of an exported model.")],
    repo: Annotated[str, typer.Option(help="Target repository on the Hugging Face Hub: ORG/NAME.")],
    public: Annotated[bool, typer.Option("--public", help="Make the repository public.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm the upload.")] = False,
) -> None:
    """Upload a model to the Hugging Face Hub. Without --yes, only show what would be sent."""
    read_config()
    from finetune_lora.export.push import push

    typer.echo(push(folder, repo, private=not public, yes=yes))


@app.command()
def run(
    max_minutes: Minutes = None,
    port: Port = 8007,
    host: Host = "127.0.0.1",
    page: Annotated[
        bool, typer.Option(help="Serve the page during and after the training.")
    ] = True,
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
    from finetune_lora.page.api import create_app
    from seedbed.server import service

    typer.echo(f"Page: http://{host}:{port}", err=True)
    service.serve(create_app(config), port=port, host=host)


@app.command()
def runs(as_json: Json = False) -> None:
    """List all runs, newest first."""
    config = read_config()
    from finetune_lora.runs.run_folder import list_runs

    show(list_runs(config.data_dir), as_json, to_text=_runs_table)


def _runs_table(found: list[dict[str, Any]]) -> str:
    if not found:
        return f"No runs yet. Start one: {cli.command_line('finetune-lora', 'run')}"
    rows = [(run["name"], run.get("state", ""), run.get("base", "")) for run in found]
    return cli.table(("run", "state", "base"), rows)


@app.command()
def plan(
    params: Annotated[
        list[float] | None, typer.Option(help="Model size in parameters, e.g. 3e9; repeatable.")
    ] = None,
    tokens: Annotated[float, typer.Option(help="Number of training tokens.")] = 5e6,
    as_json: Json = False,
) -> None:
    """Estimate GPU memory and training time. The figures are calculated, not measured."""
    from finetune_lora.train.scale import estimate

    shapes = tuple(estimate.shape_for(size) for size in params or ()) or estimate.SHAPES
    found = estimate.rows(shapes, tokens)
    show(found, as_json, to_text=lambda rows: estimate.table(rows, tokens))


@app.command()
def mlflow(port: Port = 5000) -> None:
    """Start MLflow's web interface on the recorded runs."""
    from finetune_lora.runs.mlflow_tracker import show_mlflow

    show_mlflow(read_config().data_dir, port)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: an error is one line and exit status 2."""
    from finetune_lora.train.scale.processes import line_of

    # OpenMP's threads spin while they wait, which takes the core from what they wait for where
    # other work runs: by default two trainings at once took three times as long as with this.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    cli.main(app, arguments, describe=line_of)


if __name__ == "__main__":
    main()
