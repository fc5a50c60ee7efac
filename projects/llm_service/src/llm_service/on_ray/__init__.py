"""Plug-in: replicas of the whole service on a Ray cluster.

    llm-service ray --replicas 2              # a cluster on this machine
    serve run llm_service.on_ray:app          # on a running cluster, by Ray's own command

Replicas share keys, usage and budgets in Postgres, and rate limits in Redis. Each has its own local
models, cache and metrics. The loss of a replica fails only the requests that it was answering.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedbed.cli import Port
from seedbed.errors import ConfigError, MissingExtra, Unavailable

if TYPE_CHECKING:
    from fastapi import FastAPI

    from llm_service.config import Config
    from seedbed.settings import Settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports to its makers
os.environ.setdefault("RAY_worker_niceness", "0")  # at Ray's 15, all other programs go first


def add_to(app: typer.Typer) -> None:
    """Add the verb `ray` to the command line."""
    app.command("ray")(serve_on_ray)


def serve_on_ray(
    replicas: Annotated[int, typer.Option(min=1, help="Number of replicas of the service.")] = 2,
    port: Port = 8004,
) -> None:
    """Serve the same API from replicas on a local Ray cluster, with Postgres and Redis."""
    from llm_service.config import Config
    from seedbed.server import service
    from seedbed.settings import Settings, load

    target = application(load(Config), load(Settings), replicas=replicas, local=True)
    import ray
    from ray import serve

    service.bind("127.0.0.1", port).close()
    cpus = max(os.cpu_count() or 1, replicas)  # with too few, Ray would wait for ever
    try:
        ray.init("local", num_cpus=cpus, include_dashboard=False, log_to_driver=False)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ray's own ends it at once
        http = {"host": "127.0.0.1", "port": port, "request_timeout_s": None}
        serve.start(proxy_location="HeadOnly", http_options=http)
        serve.run(target, name="llm_service", route_prefix="/")
        typer.echo(f"API: http://127.0.0.1:{port}/v1  Replicas: {replicas}", err=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        typer.echo("Shutting down; waiting for running requests.", err=True)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise Unavailable(f"Ray: {reason}", hint="See /tmp/ray/session_latest/logs.") from error
    finally:
        if ray.is_initialized():
            with suppress(Exception):  # the cluster may be what went away
                serve.delete("llm_service")  # running requests end before the HTTP proxy does
        ray.shutdown()


def app(_: dict[str, str]) -> Any:
    """What deploy/kubernetes/rayservice.yaml deploys, with the settings of the environment."""
    from llm_service.config import Config
    from seedbed.settings import Settings, load

    return application(load(Config), load(Settings))


def application(
    config: Config, settings: Settings, *, replicas: int = 1, local: bool = False
) -> Any:
    """The service as one Ray Serve deployment; `local` if only this machine can reach it.

    Raises ConfigError for settings that replicas cannot be started with.
    """
    from llm_service.models.table import Table

    if config.database_url is None or config.redis_url is None:
        raise ConfigError(
            "Replicas on Ray share their keys, usage and limits in Postgres and Redis.",
            hint="Set SEEDBED_DATABASE_URL and SERVICE_REDIS_URL.",
        )
    Table.load(config.models, settings)  # an error in it is reported before anything starts
    try:
        from ray import serve
    except ImportError:
        raise MissingExtra("ray", "llm-service[ray]") from None
    models = config.models and config.models.resolve()  # replicas run in folders of their own
    config = config.model_copy(update={"data_dir": config.data_dir.resolve(), "models": models})

    def build() -> FastAPI:
        from llm_service.web.app import create
        from seedbed.server.service import require_access

        app = create(config, settings)
        app.state.access.local_only = local and not settings.open
        if not local:
            require_access(app, "Ray's nodes")
        return app

    deployment: Any = serve.deployment(
        serve.ingress(build)(),
        name="service",
        num_replicas=replicas,
        max_ongoing_requests=10_000,  # the service refuses by itself, with 429
        graceful_shutdown_timeout_s=30,
    )
    return deployment.bind()
