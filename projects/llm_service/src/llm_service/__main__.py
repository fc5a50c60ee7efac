"""The command line: verbs only.

llm-service serve                           the API and its page on http://127.0.0.1:8004
llm-service keys create --name alice        an API key, shown once
llm-service usage --by key                  requests, tokens and money
llm-service bench --url http://127.0.0.1:8004/v1 --concurrency 1,8,16,32
"""

from __future__ import annotations

import gc
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from llm_service.config import Config
    from llm_service.store.database import Database
    from llm_service.store.keys import KeyStore
    from seedbed.settings import Settings

app = typer.Typer(
    help="An OpenAI-compatible LLM API with keys, budgets, caching, fallback and metrics.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True)
feedback = typer.Typer(help="What people thought of the answers.", no_args_is_help=True)
app.add_typer(keys, name="keys")
app.add_typer(feedback, name="feedback")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Models = Annotated[Path | None, typer.Option("--models", help="The TOML file of models.")]
Key = Annotated[str | None, typer.Option(envvar="OPENAI_API_KEY", help="The server's key.")]
Model = Annotated[str | None, typer.Option("--model", help="Chat model: a name or a model spec.")]


def read_settings(model: str | None = None, **overrides: Any) -> tuple[Config, Settings]:
    """The settings as the environment and the options say."""
    from llm_service.config import Config
    from seedbed.settings import Settings, load

    return load(Config, **overrides), load(Settings, model=model)


def open_store() -> Database:
    from llm_service.store.database import open_database
    from seedbed.observe.startup import setup_logging

    config, settings = read_settings()
    setup_logging(settings.log_level)
    return open_database(config)


def open_keys() -> KeyStore:
    from llm_service.store import keys
    from seedbed.observe.startup import setup_logging

    config, settings = read_settings()
    setup_logging(settings.log_level)
    return keys.open_keys(config, settings)


def show(value: Any) -> None:
    """Print JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


@app.command()
def serve(
    models: Models = None,
    port: Annotated[int, typer.Option(envvar="PORT")] = 8004,
    host: Annotated[str, typer.Option(help="Beyond this machine keys are needed.")] = "127.0.0.1",
    model: Model = None,
) -> None:
    """Serve the API, the status page and the playground."""
    gc.disable()  # a tenth of the start is spent collecting what imports keep
    from llm_service.backends import spawn

    early = spawn.spawn()
    config, settings = read_settings(model, models=models)
    if spec := spawn.default_spec(config.models, settings.model):
        early.tell(spawn.order_of(spec, config.max_running, config.max_queue))
        spawn.keep(early)
    else:
        early.end()
    from llm_service.start import create
    from seedbed.server import service

    served = create(config, settings)
    gc.enable()
    gc.freeze()

    def say(port: int) -> None:
        typer.echo(f"Ask on http://{host}:{port}/v1, watch on http://{host}:{port}", err=True)

    service.serve(served, port=port, host=host, bound_to=say)


@app.command()
def ray(
    models: Models = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="Of each model; else by load.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="A running Ray cluster.")] = None,
    port: Annotated[int, typer.Option(envvar="PORT")] = 8004,
) -> None:
    """Serve from replicas on a Ray cluster; without an address on this machine alone."""
    from llm_service.ray_app import run

    config, settings = read_settings(models=models)
    run(config, settings, replicas=replicas, address=address, port=port)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Who it is for.")],
    scope: Annotated[list[str] | None, typer.Option(help="chat, embeddings, admin.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these models.")] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens a minute.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests at a time.")] = None,
    budget_usd: Annotated[float | None, typer.Option(help="USD a month.")] = None,
    team: Annotated[str | None, typer.Option(help="Keys of a team share its budget.")] = None,
    team_budget_usd: Annotated[float | None, typer.Option(help="USD a month, together.")] = None,
    expires: Annotated[datetime | None, typer.Option(help="When it ends (UTC).")] = None,
    as_json: Json = False,
) -> None:
    """Make an API key. It is shown once: only its hash is kept."""
    limits = {
        "scopes": scope,
        "models": model,
        "rpm": rpm,
        "tpm": tpm,
        "concurrency": concurrency,
        "budget_usd": budget_usd,
        "team": team,
        "team_budget_usd": team_budget_usd,
        "expires": expires,
    }
    given = {field: value for field, value in limits.items() if value is not None}
    key, secret = open_keys().create(name, **given)
    if as_json:
        show({"id": key.id, "key": secret, "name": key.name})
    else:
        typer.echo(secret)
        typer.echo(f"The key of {key.name!r} ({key.id}); it is not shown again.", err=True)


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """All keys with their limits, never the keys themselves."""
    from llm_service.report import key_json, keys_table

    found = open_keys().list()
    if as_json:
        show([key_json(key) for key in found])
    else:
        typer.echo(keys_table(found))


@keys.command("revoke")
def revoke_key(id_or_name: str, as_json: Json = False) -> None:
    """Refuse a key from now on."""
    key = open_keys().revoke(id_or_name)
    if as_json:
        show({"id": key.id, "name": key.name, "revoked": True})
    else:
        typer.echo(f"revoked {key.name} ({key.id})", err=True)


@app.command()
def usage(
    by: Annotated[str, typer.Option(help="key, model or day.")] = "key",
    since: Annotated[datetime | None, typer.Option(help="From then on (UTC).")] = None,
    as_json: Json = False,
) -> None:
    """Requests, tokens, money and latency."""
    from llm_service.report import usage_table
    from llm_service.store.usage import report
    from seedbed.errors import BadInput

    if by not in ("key", "model", "day"):
        raise BadInput(f"--by {by!r} is not known.", hint="Use key, model or day.")
    rows = report(open_store(), by, since)  # type: ignore[arg-type]
    if as_json:
        show(rows)
    else:
        typer.echo(usage_table(rows, by))


@app.command()
def experiments(models: Models = None, as_json: Json = False) -> None:
    """Each variant of each experiment with its figures, and what can be said already."""
    from llm_service.experiments import Experiments
    from llm_service.models import Table
    from llm_service.report import experiments_table

    config, settings = read_settings(models=models)
    rows = Experiments(Table.load(config.models, settings).experiments).report(open_store())
    if as_json:
        show(rows)
    else:
        typer.echo(experiments_table(rows))


@feedback.command("export")
def export_feedback(
    output: Annotated[Path, typer.Argument(help="A file of JSON lines to train on.")],
    all_ratings: Annotated[bool, typer.Option("--all", help="Also what was rated down.")] = False,
) -> None:
    """Write rated answers as conversations, as finetune_lora reads them."""
    from llm_service.store.feedback import export

    rows = export(open_store(), None if all_ratings else "up")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    output.write_text("".join(lines), encoding="utf-8")
    typer.echo(f"{len(lines)} conversations in {output}", err=True)


@app.command()
def bench(
    url: Annotated[str, typer.Option(help="An OpenAI-compatible server, with its /v1.")],
    concurrency: Annotated[str, typer.Option(help="Streams at a time.")] = "1,8,16,32",
    requests: Annotated[int | None, typer.Option(help="For each level.")] = None,
    prompt_tokens: Annotated[int, typer.Option(help="Read for each request, about.")] = 50,
    output_tokens: Annotated[int, typer.Option(help="Written for each request.")] = 64,
    prefix_tokens: Annotated[int, typer.Option(help="That all prompts begin with.")] = 0,
    rate: Annotated[
        float | None, typer.Option(help="Requests a second, answered or not, in place of levels.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long, with --rate.")] = 10.0,
    stream: Annotated[bool, typer.Option(help="Ask for streams, or whole answers.")] = True,
    model: Annotated[str | None, typer.Option(help="Default: the first it lists.")] = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Measure any OpenAI-compatible server: throughput and latencies as clients see them."""
    from llm_service import bench
    from seedbed.errors import BadInput

    try:
        levels = [int(level) for level in concurrency.split(",")]
    except ValueError:
        wrong = f"--concurrency {concurrency!r} is no list of numbers."
        raise BadInput(wrong, hint="Write 1,8,16,32.") from None
    result = bench.run(
        url,
        concurrency=levels,
        requests=requests,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        prefix_tokens=prefix_tokens,
        rate=rate,
        seconds=seconds,
        stream=stream,
        model=model,
        key=key,
    )
    if as_json:
        show(result)
    else:
        typer.echo(bench.table(result))


@app.command(name="eval")
def evaluate(
    url: Annotated[str | None, typer.Option(help="A server; default: one is started.")] = None,
    model: Model = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Measure what the service promises: valid JSON, tool calls, repeatability, refusals."""
    from llm_service.evaluate import run, table

    result = run(url, model=model, key=key)
    if as_json:
        show(result)
    else:
        typer.echo(table(result))


@app.command()
def demo(model: Model = None) -> None:
    """Ask the service as clients do, once, without a server; exits 1 if an answer is wrong."""
    from llm_service.demo import run

    raise typer.Exit(1 if run(*read_settings(model)) else 0)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: an error is one line and exit status 2."""
    from seedbed.errors import SeedbedError

    try:
        app(arguments)
    except (SeedbedError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
