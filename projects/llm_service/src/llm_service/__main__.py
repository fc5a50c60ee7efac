"""The command line: verbs only.

llm-service serve                           the API and its page on http://127.0.0.1:8004
llm-service keys create --name alice        an API key, shown once
llm-service usage --by key                  requests, tokens and money
llm-service eval                            how often its answers are right
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_service import on_ray
from seedbed import cli
from seedbed.cli import Host, Json, Port, show
from seedbed.errors import BadInput

if TYPE_CHECKING:
    from llm_service.config import Config
    from llm_service.store.keys import Key, KeyStore
    from seedbed.settings import Settings

app = cli.create_app(
    "Serve language models over an OpenAI-compatible API, with API keys, budgets, caching, "
    "fallbacks and metrics."
)
keys = cli.create_app("Create, list, rotate and revoke API keys.")
feedback = cli.create_app("Export the ratings that users gave to answers.")
app.add_typer(keys, name="keys")
app.add_typer(feedback, name="feedback")

Models = Annotated[
    Path | None,
    typer.Option("--models", help="TOML file that defines the models. Default: SERVICE_MODELS."),
]
Secret = Annotated[
    str | None,
    typer.Option(envvar="OPENAI_API_KEY", help="API key for the server, if it needs one."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Chat model: a catalogue name or a model spec. Default: SEEDBED_MODEL."
    ),
]


Rpm = Annotated[int | None, typer.Option(help="Maximum requests per minute.")]
Tpm = Annotated[int | None, typer.Option(help="Maximum tokens per minute.")]
Concurrency = Annotated[int | None, typer.Option(help="Maximum concurrent requests.")]
Budget = Annotated[
    float | None, typer.Option(help="Budget in USD per calendar month (UTC). Default: no budget.")
]
TeamBudget = Annotated[
    float | None, typer.Option(help="Budget of the whole team in USD per calendar month.")
]
KeyName = Annotated[str, typer.Argument(help="Id or name of the key.")]


def read_settings(model: str | None = None, **overrides: Any) -> tuple[Config, Settings]:
    """Read the settings from the environment; command-line options override them."""
    from llm_service.config import Config
    from seedbed.settings import Settings, load

    return load(Config, **overrides), load(Settings, model=model)


def open_keys() -> KeyStore:
    from llm_service.store import keys
    from seedbed.observe.logs_and_traces import setup_logging

    config, settings = read_settings()
    setup_logging(settings.log_level)
    return keys.open_keys(config, settings)


def show_secret(verb: str, key: Key, secret: str, as_json: bool) -> None:
    """The secret alone on standard output: `KEY=$(llm-service keys create …)`."""
    if as_json:
        show({"id": key.id, "key": secret, "name": key.name})
    else:
        typer.echo(secret)
        note = f"{verb} key {key.name!r} ({key.id}). Save it now: it cannot be shown again."
        typer.echo(note, err=True)


def show_key(key: Key, as_json: bool) -> None:
    from llm_service.store.printed import key_json, keys_table

    show(key_json(key)) if as_json else typer.echo(keys_table([key]))


def raise_file_limit() -> None:
    """Permit more than the usual 1,024 open files, as each connection needs one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


@app.command()
def serve(
    models: Models = None,
    port: Port = 8004,
    host: Host = "127.0.0.1",
    model: Model = None,
) -> None:
    """Serve the API and its status page."""
    from llm_service.web.app import create
    from seedbed.server import service

    config, settings = read_settings(model, models=models)
    served = create(config, settings)
    raise_file_limit()

    def say(port: int) -> None:
        typer.echo(f"API: http://{host}:{port}/v1  Status page: http://{host}:{port}", err=True)

    service.serve(served, port=port, host=host, bound_to=say)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Unique name of the key, e.g. its user.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Permission: chat, embeddings or admin; repeatable. Default: chat and embeddings."
        ),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Allowed model; repeatable. Default: all models.")
    ] = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    budget_usd: Budget = None,
    team: Annotated[
        str | None, typer.Option(help="Team of the key. Keys of one team share its budget.")
    ] = None,
    team_budget_usd: TeamBudget = None,
    expires: Annotated[
        datetime | None, typer.Option(help="Expiry time in UTC. Default: the key never expires.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create an API key. It is shown only once, because only its hash is stored."""
    limits = {"rpm": rpm, "tpm": tpm, "concurrency": concurrency, "budget_usd": budget_usd}
    rights: dict[str, Any] = {"scopes": scope, "models": model, "expires": expires, "team": team}
    rights["team_budget_usd"] = team_budget_usd
    show_secret("Created", *open_keys().create(name, **limits, **rights), as_json)


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """List all keys with their limits. The secret keys themselves are never shown."""
    from llm_service.store.printed import key_json, keys_table

    keys = open_keys().list()
    show([key_json(key) for key in keys] if as_json else keys, as_json, to_text=keys_table)


@keys.command("rotate")
def rotate_key(
    id_or_name: KeyName,
    as_json: Json = False,
) -> None:
    """Replace a key's secret at once. Its limits, budget and usage stay as they are."""
    show_secret("Rotated", *open_keys().rotate(id_or_name), as_json)


@keys.command("update")
def update_key(
    id_or_name: KeyName,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    budget_usd: Budget = None,
    team_budget_usd: TeamBudget = None,
    as_json: Json = False,
) -> None:
    """Change limits of a key, e.g. raise its budget. The others stay as they are."""
    limits = {"rpm": rpm, "tpm": tpm, "concurrency": concurrency, "budget_usd": budget_usd}
    key = open_keys().update(id_or_name, **limits, team_budget_usd=team_budget_usd)
    show_key(key, as_json)


@keys.command("revoke")
def revoke_key(id_or_name: KeyName, as_json: Json = False) -> None:
    """Revoke a key. The server rejects it from now on."""
    show_key(open_keys().revoke(id_or_name), as_json)


@app.command()
def usage(
    by: Annotated[str, typer.Option(help="Group by key, team, user, model or day.")] = "key",
    since: Annotated[
        datetime | None, typer.Option(help="Count only requests from this time on (UTC).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report requests, errors, tokens, cost and latency."""
    from llm_service.store.printed import usage_table
    from llm_service.store.usage import report

    rows = report(open_keys().database, by, since)  # type: ignore[arg-type]
    show(rows, as_json, to_text=lambda rows: usage_table(rows, by))


@app.command()
def experiments(as_json: Json = False) -> None:
    """Compare the variants of each experiment: requests, errors, ratings, cost and a verdict."""
    from llm_service.gateway.experiments import report
    from llm_service.store.printed import experiments_table

    show(report(open_keys().database), as_json, to_text=experiments_table)


@feedback.command("export")
def export_feedback(
    output: Annotated[Path, typer.Argument(help="JSON Lines file to write.")],
    all_ratings: Annotated[
        bool, typer.Option("--all", help="Export every answer with feedback.")
    ] = False,
) -> None:
    """Export answers rated up, and corrections, as conversations to fine-tune a model on."""
    from llm_service.store.feedback import export

    if output.exists():
        raise BadInput(f"{output} exists.", hint="Choose another name, or remove it.")
    rows = export(open_keys().database, None if all_ratings else "up")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    output.write_text("".join(lines), encoding="utf-8")
    typer.echo(f"Wrote {len(lines)} conversations to {output}.", err=True)


@app.command(name="eval")
def evaluate(
    url: Annotated[
        str | None, typer.Option(help="Server to evaluate. Default: start one for this run.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model to evaluate: with --url a model of that server, else a model spec. "
            "Default: the server's first model, or smollm2."
        ),
    ] = None,
    key: Secret = None,
    as_json: Json = False,
) -> None:
    """Evaluate a server: valid JSON, tool calls that parse, guardrails."""
    from dataclasses import asdict

    from llm_service.evaluate import run

    report = run(url, model=model, key=key)
    show(asdict(report) if as_json else report, as_json, to_text=lambda r: r.to_markdown())


@app.command()
def demo(model: Model = None) -> None:
    """Run the main features once, without a server. Exits with 1 if an answer is wrong."""
    from llm_service.demo import run

    raise typer.Exit(1 if run(*read_settings(model)) else 0)


on_ray.add_to(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: an error is one line and exit status 2."""
    cli.main(app, arguments)


if __name__ == "__main__":
    main()
