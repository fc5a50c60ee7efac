"""Starts the sample shop: its database, its two servers, its documents and its first mails.

    with sample_shop(config) as config:
        ...    # config has the addresses of what was not configured

Parts that are configured are not started.
"""

from __future__ import annotations

import logging
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agentic_workflow.config import Config
from agentic_workflow.sample.shop import ensure_shop
from agentic_workflow.sample.smtp_server import run_smtp_server
from seedbed.errors import ConfigError, Unavailable

FOLDER = Path(__file__).parent
MAILS, POLICIES = FOLDER / "mails", FOLDER / "policies"
SMTP_PORT, PAYMENTS_PORT = 8025, 8026  # if they are free
_log = logging.getLogger(__name__)


def sample_parts(config: Config) -> list[str]:
    """The variables of the parts that the sample shop fills in.

    Raises ConfigError if other parts are real, unless WORKFLOW_SAMPLE is set: a customer would read
    of a refund that is never paid.
    """
    missing = config.missing_parts()
    real = bool(config.imap_url) or len(missing) < len(config.PARTS)
    if missing and real and not config.sample:
        hint = "Set it, or WORKFLOW_SAMPLE=1 to use a part of the sample shop."
        raise ConfigError(f"Not configured: {', '.join(missing)}.", hint=hint)
    return missing


@contextmanager
def sample_shop(config: Config) -> Iterator[Config]:
    """Start what is not configured: shop database, mail server, payment API, first mails.

    Yields the configuration with their addresses. Replies that the mail server receives are files
    in the folder `sent` of the data folder.
    """
    samples, folder = sample_parts(config), config.data_dir
    changes: dict[str, object] = {"sample": bool(samples)}  # the page has a banner for it
    with ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        # 1. The shop, which the payment API books refunds in, and its documents.
        shop = None if config.shop else folder / "shop.sqlite"
        if shop:
            ensure_shop(shop)
            changes["shop"] = f"sqlite:///{shop.absolute()}"
        if samples and not config.policies and not (folder / "policies").exists():
            shutil.copytree(POLICIES, folder / "policies")
        # 2. The two servers.
        if config.smtp_url is None:
            port = _port(SMTP_PORT)
            stack.enter_context(run_smtp_server(folder / "sent", port))
            changes["smtp_url"] = f"smtp://127.0.0.1:{port}"
        if config.payments is None:
            changes["payments"] = stack.enter_context(_payment_api(folder, shop))
        # 3. Mails for the first run of the whole sample shop, as its mail server delivers them.
        if len(samples) == len(config.PARTS) and not config.mailbox and not config.imap_url:
            changes["authserv_id"] = config.authserv_id or "mx.shop.example"
            if not (folder / "mailbox").exists():
                deliver(MAILS, folder / "mailbox")
        if samples:
            parts = ", ".join(f"{n}={changes[f]}" for f, n in config.PARTS.items() if f in changes)
            _log.warning("No money moves, parts are of the sample shop: %s", parts)
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

    port = _port(PAYMENTS_PORT)
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
    """The preferred port if it is free, or another."""
    for port in (preferred, 0):
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return int(listener.getsockname()[1])
    raise Unavailable("No port is free on 127.0.0.1.")
