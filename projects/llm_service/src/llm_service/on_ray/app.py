"""The service on Ray Serve: one gateway, and for each local model replicas that come and go.

It deploys the application that `serve` runs in one process, with the local models taken out of it
into processes of their own, on any machine of a Ray cluster. Routes and
engines are left to the other rooms.

KubeRay's import path is `llm_service.on_ray.app:app`.
"""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from llm_service.config import Config
from llm_service.models.entry import ModelEntry
from llm_service.models.table import Table
from llm_service.on_ray import parts
from llm_service.request import Backend
from seedbed.errors import ConfigError, MissingExtra, Unavailable
from seedbed.observe.logs_and_traces import setup_logging
from seedbed.settings import Settings, load

if TYPE_CHECKING:
    from ray.serve import Application
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

NAME = "llm_service"
MOST_REPLICAS = 16  # of one model, when their number follows the load
PROXY_SECONDS = 240.0  # that the HTTP proxies have to start, after Ray's own 60
GRACE = 30.0  # seconds that running requests have when a replica is stopped
_CPUS = {"chat": 1.0, "embedding": 0.5}  # that Ray sets aside for a replica
_HEAD = {"node:__internal_head__": 0.001}  # a resource that only Ray's head node has

# Serve's own access log writes a line for each call of a replica.
_LOGGING = {"enable_access_log": False, "log_level": "WARNING"}


def run(
    config: Config,
    settings: Settings,
    *,
    replicas: int | None,
    address: str | None,
    port: int,
    host: str = "127.0.0.1",
) -> None:
    """Deploy to the cluster at `address`, or to one started here, and stay until SIGTERM or Ctrl-C.

    Raises ConfigError for a table or an address that can't be served, Unavailable for a port that
    is taken or a cluster that doesn't answer, MissingExtra without Ray.
    """
    from llm_service.store.keys import open_keys
    from seedbed.server import service

    setup_logging(settings.log_level)
    local = service.is_loopback(host)
    if not local:
        keys = open_keys(config, settings)
        with closing(keys.database):
            service.require_keys(keys, settings, host)
    table = Table.load(config.models, settings)
    if address is None:
        service.bind(host, port).close()
    ray, serve = _ray()
    _connect(ray, address, _cpus(table, replicas))
    signal.signal(signal.SIGTERM, _interrupt)  # Ray has set its own, which ends it at once
    try:
        _start(serve, host, port, local=local)
        _deploy(serve, application(config, settings, replicas=replicas, local=local))
        log.info("%s: serving on http://%s:%d", NAME, host, port)
        threading.Event().wait()
    except KeyboardInterrupt:
        log.info("Shutting down; waiting for running requests")
    finally:
        with suppress(Exception):  # the cluster may be what went away
            serve.delete(NAME)  # running requests end; `shutdown` would begin with the HTTP proxy
        ray.shutdown()


def _start(serve: Any, host: str, port: int, *, local: bool) -> None:
    """Start the controller and the HTTP proxies. Raises Unavailable if these don't get ready.

    Ray waits 60 s for a proxy, too short for a busy machine. A second call finds what has started
    and doesn't wait; then a proxy that accepts connections is ready.
    """
    options = {
        "proxy_location": "HeadOnly" if local else "EveryNode",
        "http_options": {"host": host, "port": port, "request_timeout_s": None},
    }
    try:
        serve.start(**options)
        return
    except TimeoutError:
        log.warning("The HTTP proxies of Ray are slow to start; waiting for them")
    serve.start(**options)
    end = time.monotonic() + PROXY_SECONDS
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.5)
    raise Unavailable("The HTTP proxies of Ray did not start.", hint="See the logs in /tmp/ray.")


def app(args: dict[str, str]) -> Application:
    """What KubeRay deploys; its `args` may hold `replicas` and `models` (a path in the image).

    All else comes from the environment. Raises ConfigError for what can't be used.
    """
    if unknown := sorted(set(args) - {"replicas", "models"}):
        raise ConfigError(
            f"args: unknown argument {unknown[0]!r}.", hint="Available: replicas, models."
        )
    value = str(args.get("replicas") or "")
    if value and not re.fullmatch("[1-9][0-9]{0,3}", value):
        raise ConfigError(f"args.replicas={value!r}: expected a positive number, e.g. 2.")
    config = load(Config, models=args.get("models"))
    return application(config, load(Settings), replicas=int(value) if value else None)


def application(
    config: Config,
    settings: Settings,
    *,
    replicas: int | None = None,
    local: bool = False,
    make_backend: Callable[[ModelEntry, Config], Backend] | None = None,
    make_app: Callable[..., ASGIApp] | None = None,
) -> Application:
    """The Serve application. Each chat model has exactly `replicas`, or by default as many as its
    load needs, from the table's `replicas` on.

    `local`: only this machine can reach it. `make_backend` makes what a replica runs,
    `make_app` the gateway's application from the replicas' backends; both are pickled.
    """
    _, serve = _ray()
    table = Table.load(config.models, settings)
    config = _absolute(config)
    handles = {
        entry.name: _model(serve, entry, config, replicas).bind(
            partial(make_backend or parts.local_backend, entry, config)
        )
        for entry in table.models.values()
        if entry.backend == "local"
    }
    gateway = serve.deployment(
        serve.ingress()(parts.Gateway),
        name="gateway",
        num_replicas=1,  # it has the limits, the caches and the open database
        max_ongoing_requests=10_000,  # it refuses by itself, with 429
        ray_actor_options={"num_cpus": 0, "resources": _HEAD},  # where the HTTP proxy is
        graceful_shutdown_timeout_s=GRACE,
        graceful_shutdown_wait_loop_s=0.5,
        logging_config=_LOGGING,
    )
    build = partial(make_app or parts.service, config, settings, local)
    target: Application = gateway.bind(build, handles)
    return target


def _model(serve: Any, entry: ModelEntry, config: Config, replicas: int | None) -> Any:
    """The deployment of one model, not yet bound to what it runs."""
    if replicas is not None and entry.kind == "chat":
        count: dict[str, Any] = {"num_replicas": replicas}
    else:
        count = {
            "autoscaling_config": {
                "min_replicas": entry.replicas,
                "max_replicas": max(MOST_REPLICAS, entry.replicas),
                "target_ongoing_requests": 0.75 * config.max_running,
                "upscale_delay_s": 5,  # a small model is loaded in about as long
                "look_back_period_s": 15,
            }
        }
    # A few more than run together: when one ends, the next is there already.
    ongoing = config.max_running + max(1, config.max_running // 4)
    return serve.deployment(
        parts.Model,
        name=f"model-{re.sub('[^A-Za-z0-9._-]', '-', entry.name)}",
        max_ongoing_requests=ongoing,
        # Serve counts as waiting also those of a burst that it hasn't given to a replica yet.
        max_queued_requests=config.max_queue + ongoing,
        ray_actor_options={"num_cpus": _CPUS[entry.kind]},
        request_router_config={
            "request_router_class": "llm_service.on_ray.router.PrefixRouter",
            "max_backoff_s": 0.1,
        },
        health_check_period_s=5,
        graceful_shutdown_timeout_s=GRACE,
        graceful_shutdown_wait_loop_s=0.5,
        logging_config=_LOGGING,
        **count,
    )


def _absolute(config: Config) -> Config:
    """Paths mean the same in every process of this machine, wherever it was started."""
    models = config.models and config.models.resolve()
    return config.model_copy(update={"data_dir": config.data_dir.resolve(), "models": models})


def _ray() -> tuple[Any, Any]:
    """The packages `ray` and `ray.serve`, with Ray's reports of its use to its makers off."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # At Ray's default of 15, models get no time on a busy machine: all other programs go first.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
        from ray import serve
    except ImportError:
        raise MissingExtra("ray[serve]") from None
    return ray, serve


def _connect(ray: Any, address: str | None, cpus: float) -> None:
    options: dict[str, Any] = {"address": address or "local", "log_to_driver": False}
    if address is None:
        # Ray counts CPUs and does not measure them: with too few it would wait for ever.
        most = max(float(os.cpu_count() or 1), cpus)
        options |= {"include_dashboard": False, "num_cpus": math.ceil(most)}
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise Unavailable(
            f"Cannot connect to Ray at {address or 'this machine'}: {error}.",
            hint="Check --address, or omit it to start a cluster on this machine.",
        ) from None


def _deploy(serve: Any, target: Application) -> None:
    try:
        serve.run(target, name=NAME, route_prefix="/")
    except RuntimeError as error:  # with the traceback of the replica that did not start
        lines = str(error).strip().splitlines() or ["no reason given"]
        raise Unavailable(
            f"Ray could not deploy the service: {lines[-1].strip()}",
            hint="See Ray's logs in /tmp/ray/session_latest/logs/serve.",
        ) from error


def _cpus(table: Table, replicas: int | None) -> float:
    """What the replicas need at least."""
    return sum(
        _CPUS[entry.kind] * (replicas if replicas and entry.kind == "chat" else entry.replicas)
        for entry in table.models.values()
        if entry.backend == "local"
    )


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
