"""Either half of triage can be deleted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import agentic_workflow

PROGRAM = """
from agentic_workflow.triage.triager import open_triager
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel

model = ScriptedChatModel([]) if {model} else None
print(type(open_triager(model, lambda: HashEmbeddings(32))).__name__)
"""


@pytest.mark.slow  # without a model, it learns the examples
@pytest.mark.parametrize(
    ("deleted", "model", "result"),
    [
        ("offline", True, "ModelTriager"),
        ("offline", False, "ConfigError: No model that can read mails."),
        ("by_model", True, "OfflineTriager"),
        ("by_model", False, "OfflineTriager"),
    ],
)
def test_project_opens_without_a_half(
    tmp_path: Path, deleted: str, model: bool, result: str
) -> None:
    source = Path(str(agentic_workflow.__file__)).parent
    if not (source / "triage" / "by_model").exists() or not (source / "triage/offline").exists():
        pytest.skip("this copy has one half")
    package = shutil.copytree(source, tmp_path / "agentic_workflow")
    shutil.rmtree(package / "triage" / deleted)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{PROGRAM.format(model=model)}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result in done.stdout + done.stderr
