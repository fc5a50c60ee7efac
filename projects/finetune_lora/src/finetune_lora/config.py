"""The settings of finetune_lora, read from the environment (`FINETUNE_*`) and from `.env`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Config(BaseSettings):
    """Where runs are kept and what bounds them. Each field is one environment variable."""

    model_config = SettingsConfigDict(
        env_prefix="FINETUNE_", env_file=".env", extra="ignore", populate_by_name=True
    )

    data_dir: Path = Field(Path("var/finetune_lora"), description="Where runs are kept.")
    experiment: str = Field("finetune_lora", description="The experiment of the runs in MLflow.")
    max_row_kb: int = Field(256, ge=1, description="A longer row of a dataset is refused.")
    max_minutes: float = Field(10, gt=0, description="Training stops after this time.")
