"""The recipes of *Make it yours* work as the READMEs describe them; recipes.toml has them."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

RECIPES = tomllib.loads(Path(__file__).with_name("recipes.toml").read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("project", "recipe"), [(project, name) for project in RECIPES for name in RECIPES[project]]
)
def test_recipe_has_its_effect(project: str, recipe: str, reader: Any) -> None:
    row = RECIPES[project][recipe]
    source = reader.folder / f"projects/{project}/src"
    (reader.folder / "replies.json").write_text(json.dumps(row.get("replies", [])))
    script = [
        f"export PATH=.venv/bin:$PATH PYTHONPATH='{source}' SRC='{source / project}'",
        "MODEL=SEEDBED_MODEL=scripted:replies.json",
        row["script"],
    ]
    printed = reader.run("\n".join(script))
    print(printed)
    assert row["prints"] in printed
