"""What `serve` starts beside the web server: the sample shop's servers, and the workers.

    with sample_shop(config) as config, workers(config, count=1):
        ...    # config has the addresses of the sample servers now

Servers that are configured are not started. Workers are processes of their own, which are started
again when they end, and end with this process, however it ends.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agentic_workflow.config import Config
from agentic_workflow.engine.desk import SAMPLE_PAYMENTS_PORT, SAMPLE_SMTP_PORT
from agentic_workflow.sample.shop import ensure_shop
from agentic_workflow.sample.smtp_server import run_smtp_server
from seedbed.errors import Unavailable

SAMPLE_MAILS = Path(__file__).parents[1] / "sample" / "mails"
SAMPLE_PARTS = 3  # with all of them, nothing is real
RESTART_SECONDS = 1.0
_log = logging.getLogger(__name__)


@contextmanager
def sample_shop(config: Config) -> Iterator[Config]:
    """Start what is not configured: shop database, mail server, payment API, first mails.

    Yields the configuration with their addresses. Replies that the mail server receives are files
    in the folder `sent` of the data folder.
    """
    samples = config.sample_parts()
    if samples:
        _log.warning("Sample parts instead of %s: no money moves.", ", ".join(samples))
    with ExitStack() as stack:
        folder, changes = config.data_dir, dict[str, object](sample=True)
        folder.mkdir(parents=True, exist_ok=True)
        # 1. The shop, which the payment API books refunds in.
        shop = None if config.shop_url else folder / "shop.sqlite"
        if shop:
            ensure_shop(shop)
        # 2. The two servers.
        if config.smtp_url is None:
            port = _port(SAMPLE_SMTP_PORT)
            stack.enter_context(run_smtp_server(folder / "sent", port))
            changes["smtp_url"] = f"smtp://127.0.0.1:{port}"
        if config.payment_url is None:
            changes["payment_url"] = stack.enter_context(_payment_api(folder, shop))
        # 3. Mails for the first run of the whole sample shop, as its mail server delivers them.
        if len(samples) == SAMPLE_PARTS and config.mailbox is None:
            changes["authserv_id"] = config.authserv_id or "mx.shop.example"
            if not (folder / "mailbox").exists():
                deliver(SAMPLE_MAILS, folder / "mailbox")
        yield config.model_copy(update=changes)


def deliver(mails: Path, mailbox: Path) -> int:
    """Copy the mails of a folder into a maildir, as a mail server would; returns their number."""
    for name in ("tmp", "new", "cur"):
        (mailbox / name).mkdir(parents=True, exist_ok=True)
    files = sorted(mails.glob("*.eml"))
    for file in files:
        shutil.copyfile(file, mailbox / "tmp" / file.name)
        (mailbox / "tmp" / file.name).replace(mailbox / "new" / file.name)
    return len(files)


@contextmanager
def _payment_api(folder: Path, shop: Path | None) -> Iterator[str]:
    import uvicorn

    from agentic_workflow.sample.payment_api import create_app

    port = _port(SAMPLE_PAYMENTS_PORT)
    app = create_app(folder / "payments.sqlite", shop=shop)
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, name="payment-api", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(5)


def _port(preferred: int) -> int:
    """The preferred port if it is free, so that workers started by hand find it, or another."""
    for port in (preferred, 0):
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return int(listener.getsockname()[1])
    raise Unavailable("No port is free on 127.0.0.1.")


@contextmanager
def workers(config: Config, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep `count` worker processes running; they are stopped at the end.

    Yields the processes; one that ended is replaced in the list by its successor.
    """
    stop, environment = threading.Event(), {**os.environ, **_variables(config)}
    processes = [_start(number, environment) for number in range(1, count + 1)]

    def watch(index: int) -> None:
        while not stop.is_set():
            code = processes[index].wait()
            if stop.wait(RESTART_SECONDS):
                return
            _log.warning("worker-%d ended with status %d and is started again.", index + 1, code)
            processes[index] = _start(index + 1, environment)

    threads = [threading.Thread(target=watch, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield processes
    finally:
        stop.set()
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate()  # closes the pipe, and waits


def _start(number: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "agentic_workflow", "worker", "--id", f"worker-{number}"]
    # The worker ends when this end of the pipe is closed, also by the death of this process.
    return subprocess.Popen([*command, "--with-parent"], stdin=subprocess.PIPE, env=environment)


def _variables(config: Config) -> dict[str, str]:
    """The settings that a worker has to share, as environment variables."""
    values = {
        "WORKFLOW_DATA_DIR": config.data_dir.absolute(),
        "WORKFLOW_SMTP_URL": config.smtp_url,
        "WORKFLOW_PAYMENT_URL": config.payment_url,
        "WORKFLOW_SAMPLE": config.sample or None,
    }
    return {name: str(value) for name, value in values.items() if value}
