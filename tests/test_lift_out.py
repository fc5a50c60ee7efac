"""A lifted-out project speaks of itself alone and works without the repository.

Every variant is checked as text and by importing its modules; three are installed and run.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tools import starter
from tools.starter_choices import Choices
from seedbed.testing.launch import free_port, run_server
from seedbed.testing.vendor.script import read_replies
from seedbed.testing.vendor.server import launch_vendor

ROOT = Path(__file__).parents[1]
PROJECTS = sorted(path.parent.name for path in ROOT.glob("projects/*/pyproject.toml"))
LLM, EXERCISES = "--brain=llm", "--with=exercises"
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
    ("research_repro", "--papers=ddim"): "holds",
}
VARIANTS = sorted(
    {*((name,) for name in PROJECTS), *((name, LLM) for name in STAND_INS), *INSTALLED}
)
# Where the system allows it, an empty folder is mounted over the repository.
HIDE = f'mount -t tmpfs none {shlex.quote(str(ROOT))} && cd "$0" && exec '


def can_hide() -> bool:
    if not shutil.which("unshare"):
        return False
    probe = ["unshare", "--mount", "--map-root-user", "sh", "-c", HIDE + "true", "/"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def run(folder: Path, *words: str, status: int = 0) -> str:
    """Run a command in `folder` with the repository out of reach; returns what it printed."""
    command = list(words)
    if can_hide():
        script = HIDE + '"$@"'
        command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, str(folder), *words]
    unset = {"VIRTUAL_ENV", "PYTHONPATH"}
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env["PATH"] = os.pathsep.join(p for p in env["PATH"].split(os.pathsep) if str(ROOT) not in p)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == status, printed[-6000:]
    return printed


def lift(variant: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in a path with a space and an umlaut, not installed."""
    folder = tmp_path_factory.mktemp("ü else where") / "my-own"
    project, *words = variant
    return starter.lift(project, folder, root=ROOT, choices=Choices.parse(words))


@pytest.fixture(scope="module", params=VARIANTS, ids=" ".join)
def variant(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


@pytest.fixture(scope="module")
def lifted(variant: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lift(variant, tmp_path_factory)


@pytest.fixture(scope="module")
def texts(lifted: Path) -> dict[str, str]:
    """Every file of the copy as text, by its path; without the sample documents."""
    command = ["git", "-c", "core.quotePath=false", "ls-files"]
    done = subprocess.run(command, cwd=lifted, capture_output=True, text=True, check=True)
    names = [name for name in done.stdout.split() if not name.startswith("docs/")]
    return {name: (lifted / name).read_text("utf-8", "replace") for name in names}


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
    assert {"src/my_own/__main__.py", "vendor/seedbed/pyproject.toml", "Dockerfile"} <= set(texts)
    assert "\nCOPY vendor/seedbed/ vendor/seedbed/\n" in texts["Dockerfile"]
    assert "\nCOPY . .\n" in texts["Dockerfile"]
    assert {"constraints.txt", "LICENSE", ".env.example", "tests/test_docstrings.py"} <= set(texts)
    tools = {name for name in texts if name.startswith("tools/")}
    has_exercises = EXERCISES in variant
    more = {"tools/exercises.py"} if has_exercises else set()
    assert tools == {"tools/docs.py", "tools/doctor.py", *more}
    assert any(name.startswith("exercises/") for name in texts) == has_exercises
    if LLM in variant:
        assert [name for name in texts if f"/{STAND_INS[variant[0]]}/" in name] == []
    if variant[0] == "rag_chatbot":  # whose sample documents are the handbook
        done = subprocess.run(["diff", "-r", ROOT / "docs", lifted / "docs"], check=False)
        assert done.returncode == 0
    has_engine = variant[0] != "research_repro" and LLM not in variant
    for folder in ("src/seedbed/engine", "tests/engine"):
        assert any(name.startswith(f"vendor/seedbed/{folder}/") for name in texts) == has_engine


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
    assert {"docs", "doctor", "run", "demo"} <= verbs
    unknown = []
    for name, text in texts.items():
        code = re.findall(r"`((?:\w+=\S+ )*make [a-z].*?)`", text)
        if name.endswith(".md"):
            fences = "".join(re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE))
            code += re.findall(r"^(?:\w+=\S+ )*make [a-z].*$", fences, re.MULTILINE)
        mentioned = {verb for line in code for verb in re.findall(r"\bmake ([a-z-]+)", line)}
        unknown += [f"{name}: make {verb}" for verb in mentioned - verbs]
    assert unknown == []


def test_readme_names_existing_files_only(lifted: Path, texts: dict[str, str]) -> None:
    """Each `folder/`, `file.py` and `file.py::function` is in the package or beside it."""
    places = [lifted, lifted / "src/my_own"]
    names = re.findall(r"`([\w./-]+(?:/|\.py))(?:::([\w.]+))?`", texts["README.md"])
    names = [name for name in names if "my_paper" not in name[0]]  # which a reader makes
    missing = []
    for name, function in names:
        files = [place / name for place in places if (place / name).exists()]
        code = files[0].read_text("utf-8") if function and files else ""
        if not files or (function and f" {function.rpartition('.')[2]}" not in code):
            missing.append(f"{name} {function}")
    assert missing == []


def test_copy_without_a_local_model_has_a_remote_one_by_default(
    variant: tuple[str, ...], texts: dict[str, str]
) -> None:
    default = "openai:gpt-4o-mini" if LLM in variant else "smollm2"
    assert f"#SEEDBED_MODEL={default}\n" in texts[".env.example"]
    assert f"| `SEEDBED_MODEL` | `{default}` |" in texts["vendor/seedbed/README.md"]
    assert f'DEFAULT_MODEL = "{default}"' in texts["vendor/seedbed/src/seedbed/settings.py"]
    assert ("works with a real model only" in texts["README.md"]) == (LLM in variant)
    if LLM in variant:
        assert "smollm2" not in texts["vendor/seedbed/models.txt"] + texts["Dockerfile"]


IMPORTS = """
import importlib, sys
from pathlib import Path
from tools import docs
for folder in ("vendor/seedbed/src", "src"):
    for path in sorted(Path(folder).rglob("*.py")):
        name = ".".join(path.relative_to(folder).with_suffix("").parts)
        # Programs: the second is one of Alembic, which calls it.
        if name != "seedbed.models.weights.__main__" and not name.endswith(".migrations.env"):
            importlib.import_module(name.removesuffix(".__init__"))
sys.exit(docs.main())
"""


@pytest.mark.slow
def test_lifted_modules_can_be_imported_and_docs_are_up_to_date(lifted: Path) -> None:
    """`make docs` would change nothing: tables of settings and .env.example are renamed alike."""
    paths = os.pathsep.join(str(lifted / name) for name in ("src", "vendor/seedbed/src"))
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=lifted,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "The docs are up to date.\n" in done.stdout, done.stdout + done.stderr


@contextmanager
def model_of_the_demo(project: str) -> Iterator[list[str]]:
    """A vendor whose model solves the demo of rag_chatbot."""
    folder = ROOT / f"projects/{project}/tests/vendor/good"
    names = ("bm25-strength", "retry-after", "context-window", "u-weather")
    replies = [reply for name in names for reply in read_replies(folder / f"{name}.jsonl")]
    with launch_vendor(replies) as vendor:
        yield ["OPENAI_API_KEY=test-key", f"SEEDBED_BASE_URL={vendor.url}/v1"]
        assert not vendor.problems


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
    # 2. Every verb, the longest last. `clean` removes what is installed.
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
        "clean": "rm -rf .venv",
    }
    makefile = (copy / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))
    assert targets == {*verbs, *NOT_TYPED}
    with model_of_the_demo(variant[0]) if LLM in variant else nullcontext([]) as settings:
        for verb, printed in verbs.items():
            if verb == "run":
                port = free_port()
                command = ["env", *settings, "make", "-C", str(copy), "run", f"PORT={port}"]
                # The reports of research_repro are files: they have no route for probes.
                path = "/" if variant[0] == "research_repro" else "/healthz"
                with run_server(command, port, path, timeout=600):
                    continue
            options = "-m 'not slow and not browser' -p no:cacheprovider"
            arguments = [f"ARGS={options}"] if verb == "test" else ["N=1"] if exercises else []
            key = settings if verb == "demo" else ["OPENAI_API_KEY=key"] if verb == "doctor" else []
            status = 2 if verb == "check" else 0  # nothing is solved
            assert printed in run(copy, "env", *key, "make", verb, *arguments, status=status)
            if verb == "setup" and LLM in variant:
                code = "from seedbed.models.load import load_chat_model as load; load('smollm2')"
                error = run(copy, ".venv/bin/python", "-c", code, status=1)
                assert "ConfigError: This copy has remote models only; 'smollm2'" in error
    assert run(copy, "git", "status", "--short") == ""


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A clone of this repository, without what is not committed."""
    clone = tmp_path / "upstream"
    git("clone", "--quiet", str(ROOT), str(clone), folder=ROOT)
    return clone


def git(*words: str, folder: Path) -> str:
    author = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    command = ["git", *author, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder: Path) -> None:
    git("add", "--all", folder=folder)
    git("commit", "--quiet", "--allow-empty", "-m", "Change", folder=folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_copy_that_depends_on_the_library_passes_its_demo(
    upstream: Path, uv: Path, tmp_path: Path
) -> None:
    tag = git("rev-parse", "HEAD", folder=upstream).strip()
    words = [f"--seedbed=git+{upstream.as_uri()}@{tag}"]
    copy = starter.lift(
        "multi_agent", tmp_path / "team", root=upstream, choices=Choices.parse(words)
    )
    run(copy, "make", "demo", f"UV={uv}", f"PYTHON={base_python()}")
    assert not (copy / "vendor").exists()
    assert "The docs are up to date." in run(copy, "make", "docs", f"UV={uv}")
    assert "✓ team " in run(copy, "make", "doctor", f"UV={uv}")
    assert run(copy, "git", "status", "--short") == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_update_merges_what_changed_upstream(upstream: Path, tmp_path: Path) -> None:
    copy = starter.lift("research_repro", tmp_path / "my-lab", root=upstream)
    package, own = upstream / "projects/research_repro/src/research_repro", copy / "src/my_lab"

    def update(*words: str) -> str:
        command = ["make", "update", f"FROM={upstream}", f"PYTHON={sys.executable}", *words]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

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
    assert "You have changed 3 of these too: src/my_lab/config.py, src/my_lab/paper.py" in update()
    assert git("status", "--short", folder=copy) == ""
    assert "conflicts to solve in: src/my_lab/paper.py" in update("APPLY=1")
    config = (own / "config.py").read_text("utf-8")
    assert config.startswith("# Mine.\n") and config.endswith("UPSTREAM = True\n")
    assert (own / "run.py").read_text("utf-8").endswith("UPSTREAM = True\n")
    assert "<<<<<<<" in (own / "paper.py").read_text("utf-8")
    assert not (own / "results.py").exists()
