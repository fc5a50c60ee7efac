"""The project without the sample shop."""

import re
from importlib.resources import files
from pathlib import Path

PACKAGE = Path(str(files("agentic_workflow")))


def test_only_the_command_line_uses_the_sample_shop() -> None:
    uses = [
        line
        for path in PACKAGE.rglob("*.py")
        if "sample" not in path.relative_to(PACKAGE).parts
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"\bsample\.\w|import.*\bsample\b|\bsample import", line)
    ]
    assert len(uses) == 3, uses
