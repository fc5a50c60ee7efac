"""The settings of finetune_lora, read from the environment (`FINETUNE_*`) and from `.env`."""

from pathlib import Path

from pydantic import Field

from seedbed.settings import ProjectSettings


class Config(ProjectSettings, env_prefix="FINETUNE_"):
    """Where runs are kept and what bounds them. Each field is one environment variable."""

    data_dir: Path = Field(
        Path("var/finetune_lora"),
        description="Folder for runs, generated data and the local MLflow database.",
    )
    max_minutes: float = Field(
        10,
        gt=0,
        description="Maximum training time in minutes. The learning rate schedule is fitted to it.",
    )
