"""The settings of llm_service, read from the environment (`SERVICE_*`) and from `.env`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Config(BaseSettings):
    """How the service runs; which models it serves is in the TOML file of `models`."""

    model_config = SettingsConfigDict(env_prefix="SERVICE_", env_file=".env", extra="ignore")

    models: Path | None = Field(
        None, description="The TOML file of models; without one SEEDBED_MODEL is served."
    )
    data_dir: Path = Field(Path("var/llm_service"), description="Where its database is kept.")
    database_url: SecretStr | None = Field(
        None, description="Keys and usage in Postgres: postgresql://…; default: SQLite in data_dir."
    )
    redis_url: SecretStr | None = Field(
        None, description="Rate limits that several processes share: redis://…; default: in memory."
    )
    memory_mb: int = Field(
        4096, ge=256, description="Local models are unloaded, least recently used first, beyond."
    )
    max_running: int = Field(16, ge=1, le=256, description="Requests a local model runs together.")
    max_queue: int = Field(64, ge=0, description="Requests that wait for a local model, at most.")
    timeout: float = Field(120.0, gt=0, description="Seconds for one answer, retries included.")
    cache_mb: int = Field(64, ge=0, description="Memory for cached answers; 0 switches it off.")
    cache_seconds: float = Field(300.0, gt=0, description="How long an answer stays cached.")
    keep_content: Literal["none", "rated", "all"] = Field(
        "rated", description="Whose prompts and answers are stored; rated: unrated for a day only."
    )
    max_requests: int = Field(512, ge=1, description="Requests answered at a time, at most.")
    max_body_mb: float = Field(4.0, gt=0, description="Larger bodies are refused.")
    stall_seconds: float = Field(
        30.0, gt=0, description="A client that takes nothing of its answer for so long is cut off."
    )
