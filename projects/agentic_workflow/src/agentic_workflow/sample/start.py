"""Starts the sample shop: its database, its mail server, its documents and its first mails.

    with sample_shop(config) as config:
        ...    # config has the parts of the sample

Nothing starts if a part of your own is configured: otherwise a customer could be told of a refund
that is never paid.
"""

from __future__ import annotations

import logging
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from agentic_workflow.config import Config
from agentic_workflow.engine.desk import open_store
from agentic_workflow.engine.intake import Intake
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.sample.smtp_server import run_smtp_server

FOLDER = Path(__file__).parent
MAILS, POLICIES = FOLDER / "mails", FOLDER / "policies"
PARTS = {
    "shop": "agentic_workflow.sample.shop:SampleShop",
    "payments": "agentic_workflow.sample.payments:SamplePayments",
    "authserv_id": "mx.shop.example",
}
_log = logging.getLogger(__name__)


@contextmanager
def sample_shop(config: Config) -> Iterator[Config]:
    """Start the sample shop unless parts are configured; yields the configuration with its parts.

    Replies that its mail server receives are files in the folder `sent` of the data folder. Raises
    ConfigError if some parts are configured and others are not.
    """
    if config.imap_url or any(getattr(config, field) for field in config.PARTS):
        config.require_parts()
        yield config
        return
    folder = config.data_dir
    folder.mkdir(parents=True, exist_ok=True)
    if not config.policies and not (folder / "policies").exists():
        shutil.copytree(POLICIES, folder / "policies")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = config.model_copy(update={**PARTS, "smtp_url": f"smtp://127.0.0.1:{port}"})
    _take_first_mails(config)
    _log.warning("This is the sample shop: no money moves. Replies are in %s.", folder / "sent")
    with run_smtp_server(folder / "sent", port):
        yield config


def _take_first_mails(config: Config) -> None:
    with closing(open_store(config)) as store, closing(CaseQueue(config)) as queue:
        intake = Intake(config, store, queue)
        for file in [] if store.cases(limit=1) else sorted(MAILS.glob("*.eml")):
            intake.take(file.read_bytes(), by_mail_server=True)
