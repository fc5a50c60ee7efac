"""Opens the help desk: the parts that a worker needs, as configured.

    desk = open_desk(load(Config), load(Settings), queue, "worker-1")

A model is loaded only if it can read and write mails, which the default one cannot; without it,
rules and templates do the work.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from agentic_workflow.case import Language
from agentic_workflow.config import Config, import_part
from agentic_workflow.effects.outbox import Outbox, Receiver
from agentic_workflow.effects.payments import PaymentReceiver
from agentic_workflow.effects.smtp import SmtpReceiver
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.store.store import Store
from agentic_workflow.workflow import HelpDesk, JudgingParts
from seedbed.settings import Settings


def open_store(config: Config) -> Store:
    return Store(config.database_url or Path(config.data_dir) / "cases.sqlite")


def open_receivers(config: Config) -> dict[str, Receiver]:
    """The receivers of effects, by name. Raises ConfigError if one is not configured."""
    config.require_parts()
    return {
        "smtp": SmtpReceiver(str(config.smtp_url), config.address),
        "payments": PaymentReceiver(import_part(str(config.payments), "WORKFLOW_PAYMENTS")),
    }


def open_desk(config: Config, settings: Settings, queue: CaseQueue, executor_id: str) -> HelpDesk:
    """Everything a worker needs. Raises ConfigError, MissingExtra, WeightsError or Unavailable."""
    store, parts = open_store(config), judging_parts(config, settings)
    # Read the documents now, so that the first case does not have to wait for it.
    for language in get_args(Language):
        parts.passages.search("Where is it?", language)
    outbox = Outbox(store.engine, open_receivers(config), executor_id)
    return HelpDesk(parts, store, outbox, queue)


def check_model(settings: Settings) -> bool:
    """Whether SEEDBED_MODEL can read and write mails; raises if its package or key is missing."""
    from agentic_workflow.triage.triager import follows_instructions
    from seedbed.models.load import check_chat_model

    if capable := follows_instructions(settings.model):
        check_chat_model(settings=settings)
    return capable


def judging_parts(config: Config, settings: Settings) -> JudgingParts:
    """The parts that judge a mail, as configured. Raises as `open_desk` does."""
    from agentic_workflow.decide.policy import SHOP_POLICY, PolicyFile
    from agentic_workflow.reply.draft import Writer
    from agentic_workflow.reply.passages import Passages
    from agentic_workflow.triage.triager import open_triager
    from seedbed.models.embeddings.load_embeddings import load_embeddings
    from seedbed.models.load import load_chat_model, split_specs
    from seedbed.models.remote.prices import require_price

    capable = check_model(settings)
    embeddings = load_embeddings(settings.embeddings, settings=settings)
    if capable:
        for spec in split_specs(settings.model):
            require_price(spec, settings)  # for the limits in USD
    model = load_chat_model(settings.model, settings=settings) if capable else None
    triager = open_triager(
        model,
        lambda: load_embeddings("multilingual-e5", settings=settings),
        examples=config.triage_examples,
        orders=config.order_pattern,
    )
    return JudgingParts(
        policy=PolicyFile(config.policy or SHOP_POLICY),
        triager=triager,
        shop=import_part(str(config.shop), "WORKFLOW_SHOP"),
        passages=Passages(config.policies or config.data_dir / "policies", embeddings),
        writer=Writer(model, settings.model if capable else ""),
    )
