"""The settings of llm_service, read from the environment (`SERVICE_*`) and from `.env`."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr

from seedbed.settings import ProjectSettings


class Config(ProjectSettings, env_prefix="SERVICE_"):
    """How the service runs; which models it serves is in the TOML file of `models`."""

    models: Path | None = Field(
        None,
        description="TOML file that defines the models, routes, guardrails and experiments. "
        "Without one, the service offers SEEDBED_MODEL and SEEDBED_EMBEDDINGS.",
    )
    data_dir: Path = Field(
        Path("var/llm_service"), description="Folder for the SQLite database with keys and usage."
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("SEEDBED_DATABASE_URL", "SERVICE_DATABASE_URL"),
        description="Postgres database for keys and usage, `postgresql://USER@HOST/NAME`. "
        "Needed by several machines; without it, SQLite in SERVICE_DATA_DIR is used.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis server for rate limits shared by several processes, "
        "`redis://HOST:6379/0`. Without it, each process counts on its own. "
        "While it is unreachable, rate limits do not apply.",
    )
    memory_mb: int = Field(
        4096,
        ge=256,
        description="Memory for local models in MB. Above it, the least recently used idle "
        "model is unloaded.",
    )
    max_running: int = Field(
        16,
        ge=1,
        le=256,
        description="Maximum number of requests that a local model batches together. Higher values "
        "raise throughput and slow down each single stream.",
    )
    max_queue: int = Field(
        64,
        ge=0,
        description="Maximum number of requests waiting for a local model; further ones get a 429.",
    )
    timeout: float = Field(
        120.0,
        gt=0,
        description="Deadline in seconds for one answer, including retries and fallbacks. Raise it "
        "for long answers from slow models.",
    )
    cache_mb: int = Field(
        64, ge=0, description="Memory for cached answers in MB; 0 disables the cache."
    )
    cache_seconds: float = Field(300.0, gt=0, description="Lifetime of a cached answer in seconds.")
    keep_content: Literal["none", "rated", "all"] = Field(
        "none",
        description="Which prompts and answers are stored: `none`; `rated` (those without a rating "
        "are deleted after a day); or `all`. Only answers that are stored can be rated.",
    )
    max_requests: int = Field(
        512,
        ge=1,
        description="Maximum number of concurrent requests over all models; further ones "
        "get a 429.",
    )
    max_body_mb: float = Field(
        4.0, gt=0, description="Maximum size of a request body in MB; larger ones get a 413."
    )
