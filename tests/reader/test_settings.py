"""Every setting of .env.example changes something that a user sees; settings.toml says what.

What is printed with another value, and is not printed without, does not differ by chance.
"""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("settings.toml").read_text("utf-8"))
PROJECTS = {name: rows for name, rows in TABLE.items() if isinstance(rows, dict)}
ROWS = [(project, name) for project, rows in PROJECTS.items() for name in rows]
COMMANDS = [(project, name) for project, name in ROWS if isinstance(TABLE[project][name], list)]


@pytest.fixture(scope="module")
def prepared(clone: Path) -> None:
    subprocess.run(["bash", "-euc", TABLE["setup"]], cwd=clone, check=True)


def test_every_setting_is_in_the_table() -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    assert sorted(re.findall(r"^#(\w+)=", text, re.M)) == sorted(name for _, name in ROWS)


@pytest.mark.parametrize(("project", "name"), sorted({*ROWS} - {*COMMANDS}))
def test_named_test_exists_and_uses_the_setting(project: str, name: str) -> None:
    file, _, test = TABLE[project][name].partition("::")
    folder = "shared" if project == "seedbed" else f"projects/{project}"
    path = ROOT / folder / "tests" / file
    files = [path, path.with_name("conftest.py")]
    text = "".join(file.read_text("utf-8") for file in files if file.exists())
    field = name.partition("_")[2].lower()
    assert f"def {test}(" in path.read_text("utf-8")
    assert re.search(rf'\b{name}\b|\b{field}=|"{field}"|\b{field}:', text)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize(("project", "name"), COMMANDS)
def test_text_is_printed_with_another_value_only(project: str, name: str, reader: Any) -> None:
    value, *server, command, text = TABLE[project][name]
    printed = []
    for setting in ("", f"export {name}='{value}'\n"):
        reader.empty()
        before = TABLE["before"] + setting
        if server:
            reader.start(before + server[0])
        printed.append(reader.run(before + command, status=None))
    assert [text in output for output in printed] == [False, True], "\n---\n".join(printed)
