"""The settings of agentic_workflow, read from the environment (`WORKFLOW_*`) and from `.env`.

    load(Config, workers=2)                       # with `seedbed.settings.load`
    WORKFLOW_WORKERS=2 agentic-workflow serve     # the same from a shell

What the desk may do, its limits and its deadlines are in the policy file, which operators change
while the desk runs. The descriptions below are also the table in the README and the comments in
`.env.example`.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from pydantic import AliasChoices, Field, FilePath

from seedbed.errors import ConfigError
from seedbed.settings import ProjectSettings


class Config(ProjectSettings, env_prefix="WORKFLOW_"):
    """Storage, receivers and workers. A wrong value raises ConfigError with the variable's name."""

    data_dir: Path = Field(
        Path("var/agentic_workflow"),
        description="Folder of the case database.",
    )
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("SEEDBED_DATABASE_URL", "WORKFLOW_DATABASE_URL"),
        description="PostgreSQL database for cases and workflows, postgresql://USER@HOST/NAME,"
        " which workers on several machines can share. Default: SQLite files in the data folder.",
    )
    imap_url: str | None = Field(
        None,
        description="Folder of an IMAP server that is read every 30 s,"
        " imaps://USER:PASSWORD@HOST[:PORT][/FOLDER], with %40 for an @ in USER or PASSWORD;"
        " with imap://, the connection is encrypted by STARTTLS. Default folder: INBOX.",
    )
    imap_taken: str = Field(
        "Taken",
        description="Folder of the same IMAP account to which mails are moved that have become"
        " cases. It is created if it does not exist, and so is `Refused`, for mails that cannot be"
        " taken.",
    )
    shop: str | None = Field(
        None,
        description="Where customers and orders are looked up: your class, MODULE:CLASS, with the"
        " methods of `Shop` in `decide/shop.py`. Default: the sample shop.",
    )
    order_pattern: str = Field(
        "",
        description="Regular expression (RE2) of your order numbers, such as `SO-[0-9]{5}`; upper"
        " and lower case are equal. Default: `[0-9]{4,9}`, a number after the word order first.",
    )
    policies: Path | None = Field(
        None,
        description="Folder of the policy documents that replies cite, one Markdown file per topic"
        " and language. Default: `policies` in the data folder.",
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
    payments: str | None = Field(
        None,
        description="Payment provider for refunds: your class, MODULE:CLASS, with the method of"
        " `Payments` in `effects/payments.py`. Default: the sample's, which moves no money.",
    )
    triage_examples: FilePath | None = Field(
        None,
        description="Labelled mails from which that classifier learns, JSON lines of `subject`,"
        " `text` and `category`, as `agentic-workflow corrections` prints them. Default: the"
        " shipped ones, in `triage/offline`.",
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
    gateways: str = Field(
        "",
        description="Names of the API keys of mail gateways, separated by commas: senders in the"
        " mails that they post are verified as in mails from IMAP. Default: none, so what is posted"
        " to the API is left to people.",
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
    PARTS: ClassVar[dict[str, str]] = {
        "shop": "WORKFLOW_SHOP",
        "smtp_url": "WORKFLOW_SMTP_URL",
        "payments": "WORKFLOW_PAYMENTS",
    }
    """Variables of the parts that a worker needs and that have no default, by field."""

    def names(self, field: str) -> frozenset[str]:
        """The names in a setting that is a list, separated by commas."""
        return frozenset(filter(None, map(str.strip, getattr(self, field).split(","))))

    def require_parts(self) -> None:
        """Raise ConfigError unless all parts are configured."""
        if missing := [name for field, name in self.PARTS.items() if not getattr(self, field)]:
            raise ConfigError(f"Not configured: {', '.join(missing)}.", hint="See .env.example.")


def import_part(spec: str, setting: str) -> Any:
    """Call what "module:name" names, without arguments; the module may be in the current folder.

    Raises ConfigError, which names the setting, if it does not exist.

    >>> import_part("collections:OrderedDict", "WORKFLOW_SHOP")
    OrderedDict()
    """
    module, _, name = spec.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        part = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "Start in its folder, or install it."
        raise ConfigError(f"{setting}: {error}.", hint=hint) from None
    return part()
