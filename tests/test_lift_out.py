"""A lifted-out project speaks of itself alone and works without the repository.

Every variant is checked as text and by importing its modules; three are installed and run.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from tools import starter
from tools.starter_choices import Choices
from tools.starter_library import imported
from seedbed.errors import BadInput
from seedbed.testing.launch import free_port, run_server
from seedbed.testing.vendor.script import read_replies
from seedbed.testing.vendor.server import launch_vendor

ROOT = Path(__file__).parents[1]
PROJECTS = sorted(path.parent.name for path in ROOT.glob("projects/*/pyproject.toml"))
LLM, NANO, SOURCE = "--brain=llm", "--edition=nano", "--seedbed=source"
EXERCISES, PAPERS, NO_DOCKER = "--with=exercises", "--papers=ddim", "--without=docker"
# The folders that such a copy lacks.
STAND_INS = {
    "agentic_workflow": "offline",
    "multi_agent": "offline",
    "rag_chatbot": "quote",
    "vision_app": "rules",
}
# Installed and run, with a line that the demo prints.
INSTALLED = {
    ("llm_service", EXERCISES): "✓ tool call: get_weather",
    ("rag_chatbot", LLM): "[1]",
    ("research_repro", PAPERS): "holds",
}
# Where a module is missing or renamed wrongly, its import fails.
IMPORTED = [
    *((name, LLM) for name in STAND_INS if name != "rag_chatbot"),
    ("rag_chatbot", SOURCE),
    ("finetune_lora", NO_DOCKER),
]
VARIANTS = sorted(
    {
        *((name, NANO) for name in PROJECTS),
        *((name,) for name in STAND_INS),
        *INSTALLED,
        *IMPORTED,
    }
)
WHEEL, VENDOR = "vendor/seedbed-0.1.0-py3-none-any.whl", "vendor/seedbed"
SOURCES = f"src {WHEEL} {VENDOR}/src"


def run(folder: Path, *words: object, status: int = 0, sources: str = "") -> str:
    """Run a command in `folder` without this repository's environment; returns what it printed.

    `sources` are folders of the copy, and its wheel, that it imports without an installation.
    """
    unset = {"VIRTUAL_ENV", "OPENAI_API_KEY", "SEEDBED_MODEL", "SEEDBED_BASE_URL"}
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env["PATH"] = os.pathsep.join(p for p in env["PATH"].split(os.pathsep) if str(ROOT) not in p)
    env["PYTHONPATH"] = os.pathsep.join(str(folder / name) for name in sources.split())
    command = list(map(str, words))
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == status, printed[-6000:]
    return printed


def lift(
    variant: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
    root: Path = ROOT,
    name: str = "my-own",
) -> Path:
    """A copy in a path with a space and an umlaut, not installed."""
    folder = tmp_path_factory.mktemp("ü else where") / name
    project, *words = variant
    choices = Choices.parse(["--edition=full", *words])  # the last word counts
    return starter.lift(project, folder, choices, root=root)


@pytest.fixture(scope="module", params=VARIANTS, ids=" ".join)
def variant(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


@pytest.fixture(scope="module")
def lifted(variant: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lift(variant, tmp_path_factory)


@pytest.fixture(scope="module")
def texts(lifted: Path) -> dict[str, str]:
    """Every file of the copy as text, by its path; without the sample documents."""
    listed = run(lifted, "git", "-c", "core.quotePath=false", "ls-files")
    names = [name for name in listed.split() if not name.startswith("docs/")]
    return {name: (lifted / name).read_text("utf-8", "replace") for name in names if name != WHEEL}


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, out of the repository, as found on a developer's PATH."""
    copy = tmp_path_factory.mktemp("bin") / "uv"
    shutil.copy2(Path(sys.executable).with_name("uv"), copy)
    return copy


def base_python() -> str:
    return str(Path(sys.base_prefix) / "bin" / "python3")


def test_lifted_project_is_complete(
    variant: tuple[str, ...], lifted: Path, texts: dict[str, str]
) -> None:
    project, *words = variant
    assert {"constraints.txt", "LICENSE", ".env.example", ".gitignore"} <= set(texts)
    docker = {name for name in texts if "docker" in name.lower() or name.endswith("_image.py")}
    assert ("Dockerfile" in docker) == bool(docker) == (NO_DOCKER not in words)
    assert any(name.startswith("exercises/") for name in texts) == (EXERCISES in words)
    if NANO in words:
        names = {name for name in texts if name.endswith(".py")}
        modules = {f"src/my_own/{name}.py" for name in ("__init__", "app", "routes", "server")}
        assert names == {*modules, *(f"tests/test_{n}.py" for n in ("app", "routes", "server"))}
        assert sum(len(texts[name].splitlines()) for name in names) <= 900
        return
    tools = {"docs", "doctor", *(["exercises"] if EXERCISES in words else [])}
    assert {name for name in texts if name.startswith("tools/")} == {f"tools/{t}.py" for t in tools}
    if project == "rag_chatbot":  # whose sample documents are the handbook
        run(lifted, "diff", "-r", ROOT / "docs", "docs")
    if LLM in words:
        assert [name for name in texts if f"/{STAND_INS[project]}/" in name] == []
        assert "smollm2" not in texts["vendor/models.txt"] + texts["Dockerfile"]


def test_library_comes_along(variant: tuple[str, ...], lifted: Path, texts: dict[str, str]) -> None:
    vendor = {name for name in texts if name.startswith("vendor/")}
    dockerfile = texts.get("Dockerfile", f"COPY vendor/ vendor/ ./{WHEEL}[")
    if SOURCE not in variant:
        assert vendor == {"vendor/models.txt"}
        assert "COPY vendor/ vendor/" in dockerfile and f"./{WHEEL}[" in dockerfile
        with zipfile.ZipFile(lifted / WHEEL) as wheel:
            default = "openai:gpt-4o-mini" if LLM in variant else "smollm2"
            assert f'DEFAULT_MODEL = "{default}"' in wheel.read("seedbed/settings.py").decode()
            has_local = "seedbed/models/local/load_local.py" in wheel.namelist()
            assert has_local == (LLM not in variant)
        return
    # The modules that the copy imports, and the tests that import no other one.
    assert f"\nCOPY {VENDOR}/ {VENDOR}/\n" in dockerfile
    modules = {name.removeprefix(f"{VENDOR}/") for name in vendor}
    assert {"models.txt", "pyproject.toml", "tests/engine/test_engine.py"} <= modules
    assert (ROOT / "shared/src/seedbed/runs/training.py").exists()
    assert not {"src/seedbed/runs/training.py", "tests/runs/test_training.py"} & modules
    code = {name for name in modules if name.endswith(".py")}
    needs = {need for name in code for need in imported(ROOT, f"shared/{name}")}
    assert {need.removeprefix("shared/") for need in needs} <= modules


def test_lifted_files_use_new_name_only(variant: tuple[str, ...], texts: dict[str, str]) -> None:
    """No name of a project of this repository, of its settings or verbs, and no path of it."""
    project = variant[0]
    names = [*PROJECTS, *(name.replace("_", "-") for name in PROJECTS)]
    forbidden = [
        *(rf"(?<![A-Za-z]){name}(?![A-Za-z])" for name in names),
        r"\bmake [a-z]+-(rag|service|finetune|vision|workflow|agents|research)\b",
        r"\b(RAG|SERVICE|FINETUNE|VISION|WORKFLOW|AGENTS|RESEARCH)_[A-Z]{2}",
        r"\bprojects/\w|\bshared/(src|tests|models|README)|\bbenchmarks/\w+\.py",
        re.escape(str(ROOT)),
    ]
    pattern = re.compile("|".join(forbidden))
    own = {name: text for name, text in texts.items() if not name.endswith(".jsonl")}
    hits = [f"{name}: {hit[0]}" for name, text in own.items() for hit in pattern.finditer(text)]
    assert hits == [f"{starter.RECORD}: {project}"]  # what `make update` copies again
    own = {n: t for n, t in own.items() if n != "LICENSE" and not n.startswith("vendor/")}
    assert [name for name, text in own.items() if re.search(r"\bSeedbed\b", text)] == []
    assert [name for name in texts if project in name] == []


def test_lifted_links_resolve(lifted: Path, texts: dict[str, str]) -> None:
    dead = []
    for name, text in texts.items():
        if name.endswith(".md"):
            for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text):
                if not (lifted / name).parent.joinpath(link).exists():
                    dead.append(f"{name}: {link}")
    assert dead == []


def test_lifted_files_mention_existing_verbs_only(texts: dict[str, str]) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", texts["Makefile"], re.MULTILINE))
    assert {"setup", "run", "test", "lint"} <= verbs
    unknown = []
    for name, text in texts.items():
        code = re.findall(r"`((?:\w+=\S+ )*make [a-z].*?)`", text)
        if name.endswith(".md"):
            fences = "".join(re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE))
            code += re.findall(r"^(?:\w+=\S+ )*make [a-z].*$", fences, re.MULTILINE)
        mentioned = {verb for line in code for verb in re.findall(r"\bmake ([a-z-]+)", line)}
        unknown += [f"{name}: make {verb}" for verb in mentioned - verbs]
    assert unknown == []


# What the program or its user makes.
MADE = re.compile(r"my_paper|^var/|^(?:task\.json|truth\.jsonl)$")


def test_readme_names_only_what_the_copy_has(
    variant: tuple[str, ...], lifted: Path, texts: dict[str, str]
) -> None:
    """Paths and functions of the package or beside it, settings, and commands of the program."""
    readme = texts["README.md"]
    places = [lifted, lifted / "src/my_own", lifted / "tests"]
    file = r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|toml|md|jsonl|yaml|json)"
    names = re.findall(rf"`({file})(?:::([\w.]+))?`", readme)
    names = [name for name in names if not MADE.search(name[0])]
    missing = []
    for name, function in names:
        files = [place / name for place in places if (place / name).exists()]
        code = files[0].read_text("utf-8") if function and files else ""
        if not files or (function and f" {function.rpartition('.')[2]}" not in code):
            missing.append(f"{name} {function}")
    settings = set(re.findall(r"\b(?:MY_OWN|SEEDBED)_[A-Z_]+[A-Z]\b", readme))
    known = texts[".env.example"] + "#SEEDBED_MODEL="  # which every program may read
    missing += [name for name in settings if f"#{name}=" not in known]
    code = "".join(text for name, text in texts.items() if name.startswith("src/"))
    for command in set(re.findall(r"\bmy-own ([a-z][a-z-]+)", readme)):
        if not re.search(rf'def {command.replace("-", "_")}\b|"{command}"', code):
            missing.append(f"my-own {command}")
    assert missing == []
    if NANO not in variant:
        default = "openai:gpt-4o-mini" if LLM in variant else "smollm2"
        assert f"#SEEDBED_MODEL={default}\n" in texts[".env.example"]
    assert ("works with a real model only" in readme) == (LLM in variant)
    if LLM in variant:
        own = readme + texts[".env.example"]
        assert [word for word in (STAND_INS[variant[0]] + "/", '"offline"') if word in own] == []


IMPORTS = """
import importlib, sys
from pathlib import Path
from tools import docs
for folder in [*Path().glob("vendor/*/src"), "src"]:
    for path in sorted(Path(folder).rglob("*.py")):
        name = ".".join(path.relative_to(folder).with_suffix("").parts)
        # Programs: the second is one of Alembic, which calls it.
        if name != "seedbed.models.weights.__main__" and not name.endswith(".migrations.env"):
            importlib.import_module(name.removesuffix(".__init__"))
sys.exit(docs.main())
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("words", IMPORTED, ids=" ".join)
def test_lifted_modules_can_be_imported_and_docs_are_up_to_date(
    words: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`make docs` would change nothing: tables of settings and .env.example are renamed alike."""
    lifted = lift(words, tmp_path_factory)
    assert "are up to date.\n" in run(lifted, sys.executable, "-c", IMPORTS, sources=SOURCES)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("project", [name for name in PROJECTS if name != "rag_chatbot"])
def test_nano_copy_passes_its_tests(project: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = lift((project, NANO), tmp_path_factory, name="ai")  # Chroma and DBOS refuse it
    options = ["-p", "no:cacheprovider", "-n", "0", "-m", "not slow"]
    run(copy, sys.executable, "-m", "pytest", *options, sources=SOURCES)
    run(copy, sys.executable, "-m", "ruff", "check", "--no-cache")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nano_copy_is_installed_tested_and_served(
    uv: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = lift(("rag_chatbot", NANO), tmp_path_factory, name="ai")
    options = [f"UV={uv}", f"PYTHON={base_python()}", "ARGS=-p no:cacheprovider"]
    assert " passed" in run(copy, "make", "test", *options)
    assert "All checks passed" in run(copy, "make", "lint", *options)
    body = {"question": "What is hybrid search?"}
    for key, status in (("", 200), ("secret", 401)):
        port = free_port()
        command = ["env", f"AI_KEY={key}", "make", "-C", str(copy), "run", f"PORT={port}"]
        headers = {"authorization": f"Bearer {key or 'any'}"}
        with (
            run_server(command, port, "/health", timeout=600),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            assert client.post("/ask", json=body).status_code == status
            assert "[1]" in client.post("/ask", json=body, headers=headers).json()["text"]
    assert run(copy, "git", "status", "--short") == ""


@contextmanager
def model_of_the_demo() -> Iterator[list[str]]:
    """Settings of a vendor whose model solves the demo of rag_chatbot."""
    names = ("bm25-strength", "retry-after", "context-window", "u-weather")
    files = [ROOT / f"projects/rag_chatbot/tests/vendor/good/{name}.jsonl" for name in names]
    with launch_vendor([reply for file in files for reply in read_replies(file)]) as vendor:
        yield ["OPENAI_API_KEY=test-key", f"SEEDBED_BASE_URL={vendor.url}/v1"]
        assert not vendor.problems


@pytest.mark.slow
@pytest.mark.parametrize("project", STAND_INS)
def test_demo_of_copy_without_a_model_replays_replies(
    project: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = lift((project, LLM), tmp_path_factory)
    command = tmp_path / "my-own"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m my_own "$@"\n')
    command.chmod(0o755)
    make = ["make", "--no-print-directory", "demo", "-o", "setup", f"BIN={tmp_path}"]
    printed = run(copy, *make, sources=SOURCES)
    assert printed.startswith("No model is set: this replays replies that no model wrote.\n")


# Verbs of a copy that the test does not type, and why.
NOT_TYPED = {
    "update": "has a test of its own",
    "test-slow": "takes too long",
    "eval": "takes too long, or needs a model",
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("variant", INSTALLED, ids=" ".join)
def test_lifted_project_works_alone(
    variant: tuple[str, ...], uv: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = lift(variant, tmp_path_factory)
    python = f"PYTHON={base_python()}"
    # 1. Nothing is installed.
    before = run(copy, "env", "OPENAI_API_KEY=key", "make", "doctor", python)
    assert re.search(r"· my_own +not installed +→ make setup$", before, re.MULTILINE)
    assert "Error" not in before
    # 2. Every verb, the longest last.
    run(copy, "make", ".venv/test.ready", f"UV={uv}", python)
    exercises = EXERCISES in variant
    verbs = {
        "help": "make setup",
        "setup": "",
        "docs": "The docs are up to date.",
        "doctor": "✓ my_own",
        "prefetch": "",
        "lint": "All checks passed",
        "demo": INSTALLED[variant],
        "run": "",
        **({"exercise": "make check N=1", "check": "not written yet"} if exercises else {}),
        "test": " passed",
    }
    makefile = (copy / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))
    assert targets == {*verbs, *NOT_TYPED}
    with model_of_the_demo() if LLM in variant else nullcontext([]) as settings:
        for verb, printed in verbs.items():
            if verb == "run":
                port = free_port()
                command = ["env", *settings, "make", "-C", str(copy), "run", f"PORT={port}"]
                # The reports of research_repro are files: they have no route for probes.
                path = "/" if variant[0] == "research_repro" else "/healthz"
                with run_server(command, port, path, timeout=600):
                    continue
            options = "-m 'not slow and not browser' -p no:cacheprovider"
            arguments = [f"ARGS={options}"] if verb == "test" else ["N=1", "MODEL=minilm"]
            key = settings if verb == "demo" else ["OPENAI_API_KEY=key"] if verb == "doctor" else []
            status = 2 if verb == "check" else 0  # nothing is solved
            assert printed in run(copy, "env", *key, "make", verb, *arguments, status=status)
            assert verb != "demo" or not (copy / "var").exists(), "the demo left its results"
            if verb == "setup" and LLM in variant:
                code = "from seedbed.models.load import load_chat_model as load; load('smollm2')"
                error = run(copy, ".venv/bin/python", "-c", code, status=1)
                assert "ConfigError: This copy has remote models only; 'smollm2'" in error
    assert run(copy, "git", "status", "--short") == ""


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A clone of this repository, without what is not committed."""
    clone = tmp_path / "upstream"
    run(tmp_path, "git", "clone", "--quiet", ROOT, clone)
    return clone


def commit(folder: Path) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    run(folder, "git", "add", "--all")
    run(folder, "git", *author, "commit", "--quiet", "-m", "Change")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_copy_that_depends_on_the_library_passes_its_demo(
    upstream: Path, uv: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tag = run(upstream, "git", "rev-parse", "HEAD").strip()
    library = f"--seedbed=git+{upstream.as_uri()}@{tag}"
    copy = lift(("multi_agent", library), tmp_path_factory, upstream)
    run(copy, "make", "demo", f"UV={uv}", f"PYTHON={base_python()}")
    assert [path.name for path in (copy / "vendor").iterdir()] == ["models.txt"]
    assert "The docs are up to date." in run(copy, "make", "docs", f"UV={uv}")
    assert "✓ my_own " in run(copy, "make", "doctor", f"UV={uv}")
    assert run(copy, "git", "status", "--short") == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_update_merges_what_changed_upstream(
    upstream: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = upstream / "projects/research_repro"
    private = [project / ".env", project / "var/notes.txt"]
    for file in private:
        file.parent.mkdir(exist_ok=True)
        file.write_text("KEY=1")
    copy = lift(("research_repro",), tmp_path_factory, upstream)
    package, own = project / "src/research_repro", copy / "src/my_own"
    assert [file for file in private if (copy / file.relative_to(project)).exists()] == []

    def update(*words: str, status: int = 0) -> str:
        command = ["make", "update", f"FROM={upstream}", f"PYTHON={sys.executable}", *words]
        return run(copy, *command, status=status)

    run(copy, "git", "config", "protocol.file.allow", "never")
    assert "git could not fetch the new copy" in update(status=2)
    run(copy, "git", "config", "--unset", "protocol.file.allow")
    assert "Nothing has changed in what this copy contains." in update()
    # Upstream changes the ends of four files. The copy changes the start of one and the end of
    # another, and deletes a third.
    for name in ("config.py", "paper.py", "results.py", "run.py"):
        with (package / name).open("a", encoding="utf-8") as file:
            file.write("\nUPSTREAM = True\n")
    commit(upstream)
    (own / "config.py").write_text("# Mine.\n" + (own / "config.py").read_text("utf-8"), "utf-8")
    with (own / "paper.py").open("a", encoding="utf-8") as file:
        file.write("\nUPSTREAM = False\n")
    (own / "results.py").unlink()
    commit(copy)
    assert "You have changed 3 of these too: src/my_own/config.py, src/my_own/paper.py" in update()
    assert run(copy, "git", "status", "--short") == ""
    assert "conflicts to solve in: src/my_own/paper.py" in update("APPLY=1")
    config = (own / "config.py").read_text("utf-8")
    assert config.startswith("# Mine.\n") and config.endswith("UPSTREAM = True\n")
    assert (own / "run.py").read_text("utf-8").endswith("UPSTREAM = True\n")
    assert "<<<<<<<" in (own / "paper.py").read_text("utf-8")
    assert not (own / "results.py").exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("../shared", f"Unknown project '../shared'. Available: {', '.join(PROJECTS)}."),
        ("rag_chatbot --brain=big", "Unknown BRAIN=big. Use BRAIN=llm."),
        ("rag_chatbot --brain=llm", "BRAIN= does not apply to the nano edition. Add EDITION=full."),
        (
            "rag_chatbot --seedbed=git+https://git.example/seedbed.git",
            "Unknown SEEDBED=git+https://git.example/seedbed.git. Use SEEDBED=source, or e.g. "
            "SEEDBED=git+https://git.example/seedbed.git@v0.1.0.",
        ),
        ("rag_chatbot --edition=full --papers=x", "rag_chatbot has no paper 'x'. Available: none."),
    ],
)
def test_unknown_project_or_option_is_one_line(
    words: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(ROOT)
    project, *options = words.split()
    assert starter.main([project, str(tmp_path / "my-bot"), *options]) == 2
    assert capsys.readouterr().err == f"{problem}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My Bot", "cannot be the name of a Python package"),
        ("class", "already the name of"),
        ("chromadb", "already the name of"),  # of a requirement
        ("yaml", "already the name of"),  # whose package is pyyaml
        ("seedbed", "already the name of"),
        (str(ROOT / "inside"), "inside this repository"),
        ("full", "already exists"),
    ],
)
def test_lift_rejects_unusable_target(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").write_text("mine")
    with pytest.raises(BadInput, match=reason):
        starter.lift("rag_chatbot", tmp_path / name, Choices.parse([]), root=ROOT)
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "a"]


def test_copy_without_git_is_said_to_have_no_commit(tmp_path: Path) -> None:
    (tmp_path / "my-bot").mkdir()  # an empty folder may exist
    command = [sys.executable, "-m", "tools.starter", "llm_service", str(tmp_path / "my-bot")]
    env = {"PATH": "", "PYTHONPATH": str(ROOT / "shared/src")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    created = f"Created {tmp_path / 'my-bot'}, without a first commit, as git is not installed."
    assert created in done.stdout
    assert not (tmp_path / "my-bot/.git").exists()
