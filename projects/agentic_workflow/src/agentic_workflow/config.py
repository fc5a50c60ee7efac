"""The settings of agentic_workflow, read from the environment (`WORKFLOW_*`) and from `.env`.

    load(Config, workers=2)                       # with `seedbed.settings.load`
    WORKFLOW_WORKERS=2 agentic-workflow serve     # the same from a shell

What the desk may do, its limits and its deadlines are in the policy file, which operators change
while the desk runs. The descriptions below are also the table in the README and the comments in
`.env.example`.
"""

from pathlib import Path

from pydantic import AliasChoices, Field

from seedbed.errors import ConfigError
from seedbed.settings import ProjectSettings


class Config(ProjectSettings, env_prefix="WORKFLOW_"):
    """Storage, receivers and workers. A wrong value raises ConfigError with the variable's name."""

    data_dir: Path = Field(
        Path("var/agentic_workflow"),
        description="Folder of the case database, the mailbox and the sample shop.",
    )
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("SEEDBED_DATABASE_URL", "WORKFLOW_DATABASE_URL"),
        description="PostgreSQL database for cases and workflows, postgresql://USER@HOST/NAME,"
        " which workers on several machines can share. Default: SQLite files in the data folder.",
    )
    mailbox: Path | None = Field(
        None,
        description="Maildir whose folder `new` is watched for .eml files. Default: `mailbox` in"
        " the data folder.",
    )
    imap_url: str | None = Field(
        None,
        description="Folder of an IMAP server that is read instead of the Maildir,"
        " imaps://USER:PASSWORD@HOST[:PORT][/FOLDER], with %40 for an @ in USER or PASSWORD;"
        " with imap://, the connection is encrypted by STARTTLS. Default folder: INBOX.",
    )
    imap_taken: str = Field(
        "Taken",
        description="Folder of the same IMAP account to which mails are moved that have become"
        " cases. It is created if it does not exist.",
    )
    shop_url: str | None = Field(
        None,
        description="Database of the shop, sqlite:///FILE or postgresql://USER@HOST/NAME; it is"
        " only read. Default: the sample shop in the data folder.",
    )
    policies: Path | None = Field(
        None,
        description="Folder of the policy documents that replies cite, one Markdown file per topic"
        " and language. Default: those of the sample shop.",
    )
    policy: Path | None = Field(
        None,
        description="Policy file (TOML) with rules, limits and deadlines. Changes take effect"
        " without a restart. Default: the policy of the sample shop.",
    )
    smtp_url: str | None = Field(
        None,
        description="Mail server for replies, smtp://[USER:PASSWORD@]HOST[:PORT], or smtps://."
        " Default: a local server that keeps the mails in the data folder.",
    )
    payment_url: str | None = Field(
        None,
        description="Base URL of the payment API that books refunds. Default: a local sample API.",
    )
    sample: bool = Field(
        False,
        description="Fill in what is not configured (shop, mail server, payment API) with parts of"
        " the sample shop although others are real. No money moves then. Without any configured"
        " part, the whole sample shop runs.",
    )
    address: str = Field(
        "help@shop.example",
        description="Address of the help desk, from which replies are sent.",
    )
    authserv_id: str = Field(
        "",
        description="Name of your mail server in the `Authentication-Results` headers that it adds,"
        " such as mx.shop.example. It must remove such headers of others. Senders that it did not"
        " verify are left to people. Default: no sender is verified.",
    )
    form_domains: str = Field(
        "",
        description="Domains of your contact forms, separated by commas: in their mails, Reply-To"
        " names the customer, who counts as not verified.",
    )
    approvers: str = Field(
        "",
        description="Names of the API keys that may approve cases, separated by commas; on the"
        " command line the login name counts. Default: all callers.",
    )
    workers: int = Field(
        1,
        ge=0,
        le=64,
        description="Number of worker processes that `serve` starts. With 0, start workers with"
        " `agentic-workflow worker`.",
    )
    cases_per_minute: int = Field(
        0,
        ge=0,
        description="How many cases all workers together may start or continue within a minute,"
        " for the sake of a model's rate limit; on SQLite, several workers may exceed it by a few."
        " 0: no limit.",
    )

    def sample_parts(self) -> list[str]:
        """The receivers and databases that are of the sample shop.

        Raises ConfigError if others are real, unless `sample` is set: a customer would read of a
        refund that nobody pays.
        """
        names = ("shop_url", "smtp_url", "payment_url")
        prefix = self.model_config["env_prefix"]
        missing = [f"{prefix}{name.upper()}" for name in names if getattr(self, name) is None]
        if missing and len(missing) < len(names) and not self.sample:
            hint = "Set it, or WORKFLOW_SAMPLE=1 to use a part of the sample shop."
            raise ConfigError(f"Not configured: {', '.join(missing)}.", hint=hint)
        return missing
