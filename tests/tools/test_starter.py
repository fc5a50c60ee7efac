"""What lifting a project out writes; `tests/test_lift_out.py` installs and runs the result."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import starter
from seedbed.errors import BadInput, NotFound

HERE = Path(starter.__file__).parents[1]
ROOT_PYPROJECT = """\
[dependency-groups]
test = [
    "pytest",
]
dev = [
    "mypy",
]

[tool.ruff]
line-length = 100
src = ["shared/src"]

[tool.ruff.lint]
select = ["E"]
ignore = []

[tool.ruff.lint.isort]
no-lines-before = ["seedbed"]

[tool.mypy]
strict = true

[tool.pytest.ini_options]
testpaths = ["shared/tests", "projects"]
"""
FILES = {
    "pyproject.toml": ROOT_PYPROJECT,
    "constraints.txt": "pytest==9.0\n",
    "LICENSE": "Apache\n",
    "Makefile": "run-rag_chatbot := serve docs\n"
    "eval-rag_chatbot := eval --qa projects/rag_chatbot/eval/q.jsonl --docs docs\n",
    ".env.example": "# RAG_K=8\n",
    ".dockerignore": "*\n!shared\n!projects\n",
    "docker/entrypoint.sh": "exec",
    "projects/rag_chatbot/Dockerfile": "COPY ./shared ./shared\n"
    "COPY ./shared/models.txt ./projects/rag_chatbot/pyproject.toml ./projects/rag_chatbot/\n",
    "docs/rag.md": "Set RAG_K. Run `make run-rag`.\n",
    "shared/pyproject.toml": "[project]\n",
    "shared/models.txt": "",
    "shared/src/seedbed/__init__.py": "",
    "shared/tests/test_x.py": "",
    "projects/rag_chatbot/pyproject.toml": "[project]\nname = 'rag-chatbot'\n"
    "dependencies = ['seedbed[local]', 'chromadb>=1']\n",
    "projects/rag_chatbot/README.md": "`make run-rag`, `rag-chatbot ask`, `RAG_K`, RAG is a word.\n"
    "See projects/rag_chatbot/tests and shared/src, a shared thing.\n",
    "tools/exercises.py": "",
    "projects/rag_chatbot/.hidden": "rag_chatbot\n",
    "projects/rag_chatbot/eval/q.jsonl": '{"answers": ["RAG_K"]}\n',
    "projects/rag_chatbot/src/rag_chatbot/__init__.py": "",
    "projects/rag_chatbot/src/rag_chatbot/config.py": 'config = dict(env_prefix="RAG_")\n',
    "projects/rag_chatbot/tests/test_a.py": "from rag_chatbot import config\n"
    "ROOT = Path(__file__).parents[3]\nHERE = Path(__file__).parents[1]\n",
    "projects/rag_chatbot/var/secret.txt": "mine",
    "projects/rag_chatbot/.env": "KEY=1",
    "projects/rag_chatbot/src/rag_chatbot/__pycache__/x.pyc": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "repo"


def test_everything_comes_along_renamed(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    text = (target / "README.md").read_text()
    assert "`make run`, `my-bot ask`, `MY_BOT_K`, RAG is a word." in text
    assert "See tests and vendor/seedbed/src, a shared thing." in text
    test = (target / "tests/test_a.py").read_text()
    assert "from my_bot import config" in test
    assert "ROOT = Path(__file__).parents[1]" in test
    assert (target / ".hidden").read_text() == "my_bot\n"
    assert 'env_prefix="MY_BOT_"' in (target / "src/my_bot/config.py").read_text()
    assert (target / ".env.example").read_text() == "# MY_BOT_K=8\n"
    dockerfile = (target / "Dockerfile").read_text().splitlines()
    assert dockerfile[0] == "COPY ./vendor/seedbed ./vendor/seedbed"
    assert dockerfile[1] == "COPY ./vendor/seedbed/models.txt ./pyproject.toml ./"
    assert "!vendor\n!src\n" in (target / ".dockerignore").read_text()
    assert "my-bot eval --qa eval/q.jsonl --docs docs" in (target / "Makefile").read_text()


def test_the_corpus_and_its_questions_stay_word_for_word(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    assert (target / "docs/rag.md").read_text() == FILES["docs/rag.md"]
    assert "RAG_K" in (target / "eval/q.jsonl").read_text()


def test_what_is_private_or_made_stays_behind(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    names = {str(path.relative_to(target)) for path in target.rglob("*")}
    assert not names & {"var", ".env", "src/my_bot/__pycache__", "vendor/seedbed/tests"}
    assert "vendor/seedbed/src/seedbed/__init__.py" in names


def test_it_brings_its_own_tool_settings(root: Path, tmp_path: Path) -> None:
    import tomllib

    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    settings = tomllib.loads((target / "pyproject.toml").read_text())
    assert settings["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]
    assert settings["tool"]["ruff"]["src"] == ["src"]
    assert settings["dependency-groups"] == {"test": ["pytest"]}
    assert settings["tool"]["uv"]["sources"]["seedbed"]["path"] == "vendor/seedbed"


def test_it_is_committed_even_where_git_does_not_know_who_you_are(
    root: Path, tmp_path: Path
) -> None:
    nobody = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        [sys.executable, "-m", "tools.starter", "rag_chatbot", "../my-bot"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), **nobody},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cd ../my-bot" in done.stdout
    git = ["git", "-C", str(tmp_path / "my-bot")]
    log = subprocess.run([*git, "log", "--format=%s"], capture_output=True, text=True, check=True)
    assert log.stdout == "Start from rag_chatbot, lifted out of Seedbed\n"
    status = subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True)
    assert status.stdout == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My Bot", "cannot name a Python package"),
        ("9bot", "cannot name a Python package"),
        ("class", "something else in Python"),
        ("json", "something else in Python"),
        ("chromadb", "something else in Python"),
        ("seedbed", "something else in Python"),
        ("repo/inside", "inside this repository"),
    ],
)
def test_bad_targets_are_refused(root: Path, tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        starter.lift("rag_chatbot", tmp_path / name, root=root)
    assert not (tmp_path / name).exists()


def test_an_existing_folder_is_refused_unless_it_is_empty(root: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        starter.lift("rag_chatbot", tmp_path / "full", root=root)
    assert (tmp_path / "full/a").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert starter.lift("rag_chatbot", tmp_path / "empty", root=root).name == "empty"


@pytest.mark.parametrize("project", ["", "nothing", "../shared"])
def test_an_unknown_project_lists_the_known_ones(root: Path, tmp_path: Path, project: str) -> None:
    with pytest.raises(NotFound, match="one of: rag_chatbot"):
        starter.lift(project, tmp_path / "my-bot", root=root)
    assert not (tmp_path / "my-bot").exists()
