"""Whole evaluations over a small database and a document, with scripted models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from multi_agent.config import Config
from multi_agent.evaluate import evaluate
from multi_agent.evaluate.evaluate import to_text
from seedbed.cli import progress
from seedbed.settings import Settings, load

pytest.importorskip("multi_agent.offline.brain")  # works for the roles without a model
TASKS: list[dict[str, Any]] = [
    {"id": "d", "family": "data", "task": "How many tents are there?", "numeric": 2},
    {"id": "c", "family": "calc", "task": "What is 15 % of 240?", "numeric": 36},
    {"id": "x", "family": "docs", "task": "Who is the king of the moon?", "unanswerable": True},
]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "tents.csv").write_text("name,grams\nMarmot,2150\nBasecamp,8400\n")
    (tmp_path / "docs").mkdir()
    paths: Any = {"database": tmp_path / "tents.csv", "documents": tmp_path / "docs"}
    return load(Config, data_dir=tmp_path / "data", sandbox="off", **paths)


def scripts(folder: Path, config: Config) -> tuple[Config, Settings]:
    """A planner and a single agent that follow scripts; the other roles have no model."""

    def plan(specialist: str, task: str) -> dict[str, Any]:
        step = {"id": "s1", "specialist": specialist, "task": task}
        return {"json": {"steps": [step], "refusal": "", "question": "", "options": []}}

    plans = [plan("analyst", TASKS[0]["task"]), plan("calculator", TASKS[1]["task"])]
    refusal = {"steps": [], "refusal": "Nobody knows.", "question": "", "options": []}
    plans.append({"json": refusal})
    (folder / "plans.json").write_text(json.dumps(plans * 2))
    (folder / "single.json").write_text(json.dumps(["2", "35", "It is Bob."]))
    others = ("analyst", "researcher", "calculator", "coder", "writer")
    models = {"planner": f"scripted:{folder / 'plans.json'}"} | dict.fromkeys(others, "smollm2")
    settings = load(Settings, model=f"scripted:{folder / 'single.json'}")
    return config.model_copy(update={"models": models}), settings


def test_comparison_has_the_lead_of_the_team_with_its_interval(
    tmp_path: Path, config: Config
) -> None:
    scripted, settings = scripts(tmp_path, config)
    file = tmp_path / "tasks.jsonl"
    file.write_text("\n".join(map(json.dumps, TASKS)))
    with progress(quiet=True) as silent:
        result = evaluate.run(scripted, settings, file, compare=True, progress=silent)
    single, lead = result["single_agent"], result["lead_of_team"]
    shares = [
        [figures["success"] for figures in one["families"].values()] for one in (result, single)
    ]
    assert shares == [[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]  # calc, data, docs
    assert lead["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert lead["interval"][0] <= 2 / 3 <= lead["interval"][1]
    assert result["tokens"] > 0 and single["tokens"] > 0
    assert "single agent" in to_text(result) and "Lead of the team: 0.66" in to_text(result)
