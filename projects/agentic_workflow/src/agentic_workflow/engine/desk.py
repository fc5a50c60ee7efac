"""Opens the help desk: the parts that a worker needs, as the configuration says.

    desk = open_desk(load(Config), load(Settings), queue, "worker-1")

The model is loaded only if SEEDBED_MODEL names one; without it, rules and templates do the work.
"""

from __future__ import annotations

from pathlib import Path

from agentic_workflow.config import Config
from agentic_workflow.effects.outbox import Outbox, Receiver
from agentic_workflow.effects.payments import PaymentReceiver
from agentic_workflow.effects.smtp import SmtpReceiver
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.store.store import Store
from agentic_workflow.workflow import HelpDesk
from seedbed.settings import Settings

POLICIES = Path(__file__).parents[1] / "sample" / "policies"
SAMPLE_SMTP, SAMPLE_PAYMENTS = "smtp://127.0.0.1:8025", "http://127.0.0.1:8006"
"""Where `serve` starts the sample servers if none are configured."""


def open_store(config: Config) -> Store:
    """The case database."""
    return Store(config.database_url or Path(config.data_dir) / "cases.sqlite")


def open_outbox(config: Config, store: Store, executor_id: str) -> Outbox:
    """The outbox with its receivers."""
    receivers: dict[str, Receiver] = {
        "smtp": SmtpReceiver(config.smtp_url or SAMPLE_SMTP, config.address),
        "payments": PaymentReceiver(config.payment_url or SAMPLE_PAYMENTS),
    }
    return Outbox(store.engine, receivers, executor_id)


def open_desk(config: Config, settings: Settings, queue: CaseQueue, executor_id: str) -> HelpDesk:
    """Everything a worker needs. Raises ConfigError, MissingExtra, WeightsError or Unavailable."""
    from agentic_workflow.decide.draft import Writer
    from agentic_workflow.decide.passages import Passages
    from agentic_workflow.decide.policy import SHOP_POLICY, PolicyFile
    from agentic_workflow.decide.shop import Shop
    from agentic_workflow.triage.triage import Triager
    from seedbed.models.chat import load_chat_model
    from seedbed.models.embeddings import load_embeddings

    store = open_store(config)
    embeddings = load_embeddings(settings.embeddings, settings=settings)
    named = "model" in settings.model_fields_set
    model = load_chat_model(settings.model, settings=settings) if named else None
    return HelpDesk(
        store=store,
        policy=PolicyFile(config.policy or SHOP_POLICY),
        triager=Triager(embeddings, model),
        shop=Shop(config.shop_url or Path(config.data_dir) / "shop.sqlite"),
        passages=Passages(config.policies or POLICIES, embeddings),
        writer=Writer(model, settings.model if named else ""),
        outbox=open_outbox(config, store, executor_id),
        queue=queue,
    )
