"""The settings of research_repro, read from the environment (`RESEARCH_*`) and from `.env`.

    load(Config, minutes=30)                                  # with `seedbed.settings.load`
    RESEARCH_MINUTES=30 research-repro run ddim --scale laptop   # the same from a shell

The descriptions below are also the table in the README and the comments in `.env.example`.
"""

from pathlib import Path

from pydantic import Field

from seedbed.settings import ProjectSettings


class Config(ProjectSettings, env_prefix="RESEARCH_"):
    """Storage and limits. A wrong value raises ConfigError with the variable's name."""

    data_dir: Path = Field(
        Path("var/research_repro"),
        description="Folder of runs, results, reports and pre-trained models.",
    )
    papers_dir: Path = Field(
        Path("papers"),
        description="Folder of your own papers, which `research-repro new` writes to.",
    )
    minutes: float | None = Field(
        None,
        gt=0,
        description="Time limit of a run in minutes. After it no further cell is started, and the"
        " claims are judged on the seeds that finished. Default: no limit.",
    )
    processes: int | None = Field(
        None, ge=1, description="Number of cells that run at once. Default: the number of cores."
    )
