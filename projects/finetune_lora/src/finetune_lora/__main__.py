"""The command line: verbs only.

finetune-lora run                                       the whole job on the shipped task
finetune-lora prepare FILE --output DIR                 check, clean and split a dataset
finetune-lora train --data DIR/train.jsonl --output RUN an adapter
finetune-lora evaluate --data DIR/test.jsonl --adapter RUN
finetune-lora export --adapter RUN --to openvino        a model that everything else can load
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from finetune_lora.config import Config

app = typer.Typer(
    help="Make a small model good at one job with LoRA, prove it, and serve it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Base = Annotated[str | None, typer.Option("--base", help="smollm2, path:DIR or hf:ORG/REPO@REV.")]
Adapter = Annotated[Path, typer.Option("--adapter", help="The folder of a run.")]
Output = Annotated[Path | None, typer.Option("--output", help="Where to write.")]
Minutes = Annotated[float | None, typer.Option("--max-minutes", help="Training ends after them.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Port = Annotated[int, typer.Option(envvar="PORT")]
Host = Annotated[str, typer.Option(help="Beyond this machine keys are needed.")]


def read_config(**overrides: Any) -> Config:
    """The settings as the environment says; logs are set up, dependencies silenced."""
    from finetune_lora.config import Config
    from seedbed.observe.startup import start
    from seedbed.settings import Settings, load

    start("finetune_lora", load(Settings).log_level)
    return load(Config, **overrides)


def show(value: Any) -> None:
    """Print JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


@app.command()
def generate(
    output: Annotated[Path, typer.Option("--output", help="A folder for the files.")],
    count: Annotated[int, typer.Option(min=1, help="Requests to train on.")] = 5000,
    seed: int = 0,
) -> None:
    """Write requests of the shipped help-desk task: train.jsonl, dev.jsonl, test.jsonl."""
    read_config()
    from finetune_lora.run import write_task

    for name, n in write_task(output, count, seed).items():
        typer.echo(f"{n:6} requests in {output / name}")


@app.command()
def prepare(
    source: Annotated[str, typer.Argument(help="JSONL, CSV, Parquet or hf:ORG/NAME@REV.")],
    output: Annotated[Path, typer.Option("--output", help="A folder for the files.")],
    dev: Annotated[float, typer.Option(help="Share of rows to tune on.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of rows to judge by.")] = 0.1,
    dev_data: Annotated[str | None, typer.Option(help="A source for it instead.")] = None,
    test_data: Annotated[str | None, typer.Option(help="A source for it instead.")] = None,
    seed: int = 0,
    base: Base = "smollm2",
    max_tokens: Annotated[int, typer.Option(min=8, help="Longer rows are counted.")] = 1024,
    near: Annotated[float, typer.Option(help="From which likeness two texts are one.")] = 0.8,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Set bad rows aside.")] = False,
    as_json: Json = False,
) -> None:
    """Check, clean and split a dataset, and describe it in DATA_CARD.md."""
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
    if as_json:
        show(card)
    else:
        typer.echo((output / "DATA_CARD.md").read_text("utf-8"))


@app.command()
def train(
    data: Annotated[str, typer.Option(help="What to learn: a file or hf:ORG/NAME@REV.")],
    eval_data: Annotated[str | None, typer.Option(help="What to watch meanwhile.")] = None,
    base: Base = None,
    output: Output = None,
    max_minutes: Minutes = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the data.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Steps, in place of epochs.")] = None,
    lr: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    r: Annotated[int | None, typer.Option(help="Rank of the adapter.")] = None,
    alpha: Annotated[int | None, typer.Option(help="Its scale is alpha/r.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Of the adapter's input.")] = None,
    word_dropout: Annotated[
        float | None, typer.Option(help="Share of words left out of labelled texts.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="lora, dora, rslora or qlora.")] = None,
    targets: Annotated[str | None, typer.Option(help="all-linear, or layer names.")] = None,
    layers: Annotated[int | None, typer.Option(help="Only the last so many layers.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a process.")] = None,
    accumulation: Annotated[int | None, typer.Option(help="Batches a step.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="A longer row is an error.")] = None,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut longer rows.")] = False,
    dtype: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16.")] = None,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time.")
    ] = False,
    prefix_every: Annotated[
        int | None, typer.Option(help="Steps between readings of a common prompt; 1 is exact.")
    ] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations.")] = None,
    save_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many evaluations without a better one.")
    ] = None,
    seed: int = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Try values: r=4,16 lr=1e-4,3e-4")] = False,
    values: Annotated[list[str] | None, typer.Argument(help="What to sweep.")] = None,
    ray: Annotated[int, typer.Option("--ray", help="Train with so many workers of Ray.")] = 0,
    track: Annotated[bool, typer.Option(help="Keep the run in MLflow too.")] = True,
    as_json: Json = False,
) -> None:
    """Train an adapter; what is not given stays as TrainArgs says."""
    given = {k: v for k, v in locals().items() if v is not None}
    for name in ("sweep", "values", "ray", "track", "as_json", "output", "base"):
        given.pop(name, None)
    config = read_config()
    from finetune_lora import jobs
    from finetune_lora.train import TrainArgs
    from seedbed.settings import Settings, load

    given.setdefault("max_minutes", config.max_minutes)
    folder = jobs.check_output(output, data)
    args = TrainArgs(**given, output=str(folder), base=base or load(Settings).model)
    if sweep:
        _sweep(args, values or [], as_json=as_json, track=track)
        return
    if values:
        raise typer.BadParameter(f"Got {values[0]!r}; values to try follow --sweep.")
    result = jobs.train_run(args, quiet=as_json, track=track, workers=ray)
    if not jobs.is_main_process():
        return
    if as_json:
        show(result.as_json())
    else:
        typer.echo(jobs.next_steps(result))


def _sweep(args: Any, values: list[str], *, as_json: bool, track: bool) -> None:
    from finetune_lora import jobs
    from finetune_lora.sweep import parse_sweep, run_sweep
    from finetune_lora.train import TrainArgs

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
    data: Annotated[str, typer.Option(help="A file, hf:ORG/NAME@REV, or helpdesk.")],
    adapter: Annotated[Path | None, typer.Option(help="The folder of a run, or latest.")] = None,
    base: Base = None,
    model: Annotated[
        str | None, typer.Option(help="A model as it is served: path:DIR, openai:NAME …")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The adapter alone.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="For the report; with --adapter its report/.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure an adapter beside its base, examples in the prompt and classical baselines."""
    read_config()
    from finetune_lora import jobs, report

    result = jobs.evaluate_run(
        data, adapter=adapter, base=base, model=model, quick=quick, out=output
    )
    if as_json:
        show(result)
    else:
        typer.echo(report.to_markdown(result))


@app.command()
def export(
    adapter: Adapter,
    to: Annotated[str, typer.Option(help="merged, gguf or openvino.")] = "openvino",
    output: Output = None,
    type: Annotated[str | None, typer.Option(help="How numbers are stored, e.g. Q8_0.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Rows to choose 4-bit weights on: else those trained on.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write an adapter and its base as one model."""
    read_config()
    from finetune_lora.export import export

    result = export(adapter, to, output, type=type, data=data, force=force)
    if as_json:
        show(result)
    else:
        typer.echo(f"{result['path']}\n{result['next']}")


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="An adapter, or what `export` wrote.")],
    repo: Annotated[str, typer.Option(help="ORG/NAME on the Hugging Face hub.")],
    public: Annotated[bool, typer.Option("--public", help="Anybody may see it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Really upload.")] = False,
) -> None:
    """Upload a model to the Hugging Face hub; nothing leaves this machine without --yes."""
    read_config()
    from finetune_lora.export.push import push

    typer.echo(push(folder, repo, private=not public, yes=yes))


@app.command()
def run(
    max_minutes: Minutes = None,
    port: Port = 8007,
    host: Host = "127.0.0.1",
    page: Annotated[bool, typer.Option(help="Show it on a page meanwhile and after.")] = True,
    base: Base = None,
) -> None:
    """The whole job on the shipped task: data, training, evaluation, a model to serve."""
    config = read_config(max_minutes=max_minutes)
    from finetune_lora.run import run

    run(config, base=base, address=(host, port) if page else None)


@app.command()
def demo() -> None:
    """A tiny training that must lower the loss and keep answers valid; exits 1 if it does not."""
    read_config()
    from finetune_lora.demo import run

    raise typer.Exit(1 if run() else 0)


@app.command()
def serve(port: Port = 8007, host: Host = "127.0.0.1") -> None:
    """Serve the page: runs, curves while training, before and after on your own input."""
    config = read_config()
    from finetune_lora.api import create_app
    from seedbed.server import service

    typer.echo(f"Runs on http://{host}:{port}", err=True)
    service.serve(create_app(config), port=port, host=host)


@app.command()
def runs(as_json: Json = False) -> None:
    """The runs there are, newest first."""
    config = read_config()
    from finetune_lora.runs import list_runs

    found = list_runs(config.data_dir)
    if as_json:
        show(found)
        return
    for one in found:
        typer.echo(f"{one['name']:32} {one.get('state', ''):9} {one.get('base', '')}")
    if not found:
        typer.echo("No runs yet. Start one: finetune-lora run")


@app.command()
def plan(
    params: Annotated[
        list[float] | None, typer.Option(help="Parameters of a model, e.g. 3e9; may be repeated.")
    ] = None,
    tokens: Annotated[float, typer.Option(help="Tokens to train on.")] = 5e6,
    as_json: Json = False,
) -> None:
    """Estimate memory and time on GPUs, on paper."""
    from finetune_lora.scale import estimate

    shapes = tuple(estimate.shape_for(size) for size in params or ()) or estimate.SHAPES
    found = estimate.rows(shapes, tokens)
    if as_json:
        show(found)
    else:
        typer.echo(estimate.table(found, tokens))


@app.command()
def mlflow(port: Annotated[int, typer.Option(envvar="PORT")] = 5000) -> None:
    """Open MLflow's page on the runs."""
    from finetune_lora.track import show_mlflow

    show_mlflow(read_config().data_dir, port)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: an error is one line and exit status 2."""
    from finetune_lora.scale.processes import line_of
    from seedbed.errors import SeedbedError

    # OpenMP's threads spin while they wait, which takes the core from what they wait for where
    # other work runs: by default two trainings at once took three times as long as with this.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        app(arguments)
    except (SeedbedError, OSError) as error:
        typer.echo(f"error: {line_of(error)}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
