"""Plug-in: the same service on Ray Serve, with replicas of its models on a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from seedbed.cli import Port


def add_to(app: typer.Typer) -> None:
    """Add the verb `ray` to the command line."""
    app.command()(ray)


def ray(
    models: Annotated[
        Path | None,
        typer.Option(help="TOML file of the models. Default: SERVICE_MODELS."),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(min=1, help="Replicas of each model. Default: scale with the load."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Address of a running Ray cluster. Default: start one on this machine."),
    ] = None,
    port: Port = 8004,
) -> None:
    """Serve the same API from replicas on a Ray cluster."""
    from llm_service.config import Config
    from llm_service.on_ray.app import run
    from seedbed.settings import Settings, load

    config, settings = load(Config, models=models), load(Settings)
    run(config, settings, replicas=replicas, address=address, port=port)
