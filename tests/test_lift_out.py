"""A lifted-out project speaks of itself alone and works without the repository."""

import ast
import json
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


# Each project, and a line that its demo prints.
PROJECTS = {
    "rag_chatbot": "[1]",
    "llm_service": "✓ tool call: get_weather",
    "finetune_lora": "Valid tool calls: 6 of 6",
    "vision_app": "✓ invoice: vendor",
    "agentic_workflow": "✓ ",
    "multi_agent": "✓ ",
    "research_repro": "holds",
}
# Copies that have chat models behind an API only.
REMOTE = "rag_chatbot, MODEL=remote"
# … and without the folders, of this name, that stand in for a model.
STAND_INS = {
    "rag_chatbot, BRAIN=llm": "quote",
    "multi_agent, BRAIN=llm": "offline",
    "vision_app, BRAIN=llm": "rules",
    "agentic_workflow, BRAIN=llm": "offline",
}
REMOTES = (REMOTE, *STAND_INS)
# The copies with most of seedbed, with least, and without local models run its tests. In the others
# they are the same, and what they import is there, as a quick test finds.
SEEDBED_IS_TESTED = ("llm_service", "research_repro", "rag_chatbot, BRAIN=llm")
LOAD_LOCAL = "seedbed/models/local/load_local.py"


@pytest.fixture(scope="module", params=[*PROJECTS, *REMOTES])
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def project(variant: str) -> str:
    return variant.partition(",")[0]


@pytest.fixture(scope="module")
def lifted(variant: str, project: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, lifted out and not installed, in a path with a space and an umlaut."""
    folder = tmp_path_factory.mktemp("ü else where") / "my-own"
    options = {REMOTE: ["--model=remote"], **{name: ["--brain=llm"] for name in STAND_INS}}
    choices = Choices.parse(options.get(variant, []))
    return starter.lift(project, folder, root=ROOT, choices=choices)


@pytest.fixture(scope="module")
def texts(lifted: Path) -> dict[str, str]:
    """Every file of the copy as text, by its path."""
    command = ["git", "-c", "core.quotePath=false", "ls-files"]
    done = subprocess.run(command, cwd=lifted, capture_output=True, text=True, check=True)
    return {name: (lifted / name).read_text("utf-8", "replace") for name in done.stdout.split()}


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, out of the repository, as found on a developer's PATH."""
    copy = tmp_path_factory.mktemp("bin") / "uv"
    shutil.copy2(Path(sys.executable).with_name("uv"), copy)
    return copy


@pytest.fixture(scope="module")
def installed(lifted: Path, uv: Path) -> Path:
    run(lifted, "make", ".venv/test.ready", f"UV={uv}", f"PYTHON={base_python()}")
    return lifted


def base_python() -> str:
    return str(Path(sys.base_prefix) / "bin" / "python3")


def test_lifted_project_is_complete(texts: dict[str, str]) -> None:
    assert {"src/my_own/__main__.py", "vendor/seedbed/pyproject.toml", "Dockerfile"} <= set(texts)
    assert "\nCOPY vendor/seedbed/ vendor/seedbed/\n" in texts["Dockerfile"]
    assert "\nCOPY . .\n" in texts["Dockerfile"] and "projects/" not in texts["Dockerfile"]
    assert {"constraints.txt", "LICENSE", ".env.example", "tests/test_docstrings.py"} <= set(texts)
    tools = {"tools/exercises.py", "tools/docs.py", "tools/doctor.py"}
    assert {name for name in texts if name.startswith("tools/")} == tools


def test_lifted_files_use_new_name_only(project: str, texts: dict[str, str]) -> None:
    """No name of a project of this repository, of its settings or verbs, and no path of it."""
    names = [*PROJECTS, *(name.replace("_", "-") for name in PROJECTS)]
    forbidden = [
        *(rf"(?<![A-Za-z]){name}(?![A-Za-z])" for name in names),
        r"\bmake [a-z]+-(rag|service|finetune|vision|workflow|agents|research)\b",
        r"\b(RAG|SERVICE|FINETUNE|VISION|WORKFLOW|AGENTS|RESEARCH)_[A-Z]{2}",
        r"\bprojects/\w|\bshared/(src|tests|models|README)|\bbenchmarks/\w+\.py",
        re.escape(str(ROOT)),
    ]
    if project != "rag_chatbot":  # whose handbook explains the field
        forbidden.append(r"\bhandbook\b")
    pattern = re.compile("|".join(forbidden))
    hits = [f"{name}: {hit[0]}" for name, text in texts.items() for hit in pattern.finditer(text)]
    record = f"{starter.RECORD}: {project}"  # what `make update` copies again
    assert [h for h in hits if ".jsonl" not in h or project in h] == [record]
    own = {n: t for n, t in texts.items() if n != "LICENSE" and not n.startswith("vendor/")}
    assert [name for name, text in own.items() if re.search(r"\bSeedbed\b", text)] == []
    assert [name for name in texts if project in name] == []


def test_lifted_links_resolve(lifted: Path, texts: dict[str, str]) -> None:
    dead, count = [], 0
    for name, text in texts.items():
        if name.endswith(".md"):
            for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text):
                count += 1
                if not (lifted / name).parent.joinpath(link).exists():
                    dead.append(f"{name}: {link}")
    assert dead == []
    assert count >= 2


def test_lifted_files_mention_existing_verbs_only(texts: dict[str, str]) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", texts["Makefile"], re.MULTILINE))
    assert {"docs", "doctor", "run", "demo", "exercise"} <= verbs
    unknown = []
    for name, text in texts.items():
        code = re.findall(r"`((?:\w+=\S+ )*make [a-z].*?)`", text)
        if name.endswith(".md"):
            fences = "".join(re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE))
            code += re.findall(r"^(?:\w+=\S+ )*make [a-z].*$", fences, re.MULTILINE)
        mentioned = {verb for line in code for verb in re.findall(r"\bmake ([a-z-]+)", line)}
        unknown += [f"{name}: make {verb}" for verb in mentioned - verbs]
    assert unknown == []


def test_lifted_docs_are_up_to_date(lifted: Path) -> None:
    """`make docs` would change nothing: tables of settings and .env.example are renamed alike."""
    paths = os.pathsep.join(str(lifted / name) for name in ("src", "vendor/seedbed/src"))
    done = subprocess.run(
        [sys.executable, "-m", "tools.docs"],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=lifted,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "The docs are up to date.\n", done.stdout + done.stderr


def test_lifted_doctor_runs_before_installation(lifted: Path) -> None:
    done = subprocess.run(
        ["make", "doctor", f"PYTHON={base_python()}"],
        cwd=lifted,
        env={**os.environ, "OPENAI_API_KEY": "key"},  # which a copy with remote models requires
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"· my_own +not installed +→ make setup$", done.stdout, re.MULTILINE)
    assert "Error" not in done.stdout


def test_lifted_questions_are_answered_by_lifted_pages(lifted: Path, project: str) -> None:
    if project != "rag_chatbot":
        pytest.skip("only this project asks questions about the handbook")
    lines = (lifted / "eval/questions.jsonl").read_text("utf-8").splitlines()
    questions = [question for question in map(json.loads, lines) if question["answerable"]]
    assert len(questions) > 50
    for question in questions:
        pages = [lifted / "docs" / source for source in question["source"]]
        text = "\n".join(page.read_text("utf-8") for page in pages if page.exists())
        facts = "|".join(question["answers"])
        assert re.search(facts, " ".join(text.split()), re.IGNORECASE), question["question"]


def test_lifted_seedbed_has_the_imported_modules_only(
    variant: str, project: str, texts: dict[str, str]
) -> None:
    source = "vendor/seedbed/src/"
    modules = {n.removeprefix(source) for n in texts if n.startswith(source) and n.endswith(".py")}
    lines = sum(texts[source + name].count("\n") for name in modules)
    print(f"{variant}: {lines:,} lines of seedbed in {len(modules)} files")
    imports = set().union(*(imported(text) for name, text in texts.items() if name[-3:] == ".py"))
    assert imports - modules == ({LOAD_LOCAL} if variant in REMOTES else set())
    packages = {name for name in modules if name.endswith(("__init__.py", "__main__.py"))}
    assert modules - packages - imports == set()
    # Facts about a run's machine are for projects with runs, event streams for those that stream.
    assert ("seedbed/runs/environment.py" in modules) == (
        variant in ("finetune_lora", "research_repro")
    )
    assert ("seedbed/server/streaming.py" in modules) == (
        project in ("rag_chatbot", "llm_service", "vision_app")
    )


def imported(text: str) -> set[str]:
    """The modules of seedbed that a Python file imports, at its top or in its functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    paths = {name.replace(".", "/") + ".py" for name in names if name.startswith("seedbed.")}
    return {path for path in paths if (ROOT / "shared/src" / path).is_file()}


def test_lifted_seedbed_brings_its_tests(variant: str, texts: dict[str, str]) -> None:
    tests = "vendor/seedbed/tests"
    assert f'"{tests}"' in texts["pyproject.toml"]
    for name in ("test_cli.py", "server/test_service.py", "server/conftest.py"):
        assert f"{tests}/{name}" in texts
    has_engine = variant not in ("research_repro", *REMOTES)
    assert (f"{tests}/engine/test_detokenizer.py" in texts) == has_engine
    assert (f"{tests}/structured/test_constrain.py" in texts) == has_engine
    assert not any("langchain_tests" in texts[name] for name in texts if name.startswith(tests))


def test_lifted_seedbed_describes_its_own_rooms_only(variant: str, texts: dict[str, str]) -> None:
    readme = texts["vendor/seedbed/README.md"]
    rooms = set(re.findall(r"^\| \[`(\w+)`\]\(src/", readme, re.MULTILINE))
    assert {"errors", "models", "server"} <= rooms
    assert ("engine" in rooms) == (variant not in ("research_repro", *REMOTES))


def test_remote_copy_has_a_remote_model_by_default(variant: str, texts: dict[str, str]) -> None:
    remote, local = "openai:gpt-4o-mini", "smollm2"
    default = remote if variant in REMOTES else local
    assert f"#SEEDBED_MODEL={default}\n" in texts[".env.example"]
    assert f"| `SEEDBED_MODEL` | `{default}` |" in texts["vendor/seedbed/README.md"]
    assert f'DEFAULT_MODEL = "{default}"' in texts["vendor/seedbed/src/seedbed/settings.py"]
    assert ("Set `OPENAI_API_KEY`" in texts["README.md"]) == (variant in REMOTES)
    if variant in REMOTES:
        assert local not in texts["vendor/seedbed/models.txt"] + texts["Dockerfile"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_lifted_demo_succeeds(installed: Path, variant: str, project: str) -> None:
    # A model that is named and never called: the demo works without one.
    model = ["SEEDBED_MODEL=smollm2"] if variant == REMOTE else []
    with demo_model(project) if variant in STAND_INS else nullcontext(model) as settings:
        assert PROJECTS[project] in run(installed, "env", *settings, "make", "demo")


# The replies of a model that solves the demo.
DEMO = {
    "rag_chatbot": ("bm25-strength", "retry-after", "context-window", "u-weather"),
    "agentic_workflow": ("demo",),
    "multi_agent": ("data-02", "docs-02", "calc-02", "mixed-02", "mixed-04", "docs-20"),
    "vision_app": ("demo",),
}


@contextmanager
def demo_model(project: str) -> Iterator[list[str]]:
    """A vendor whose model solves the demo of a project."""
    folder, names = ROOT / f"projects/{project}/tests/vendor/good", DEMO[project]
    replies = [reply for name in names for reply in read_replies(folder / f"{name}.jsonl")]
    with launch_vendor(replies) as vendor:
        yield ["OPENAI_API_KEY=test-key", f"SEEDBED_BASE_URL={vendor.url}/v1"]
        assert not vendor.problems


def test_copy_without_a_stand_in_lacks_its_folder(variant: str, texts: dict[str, str]) -> None:
    if variant not in STAND_INS:
        pytest.skip("this copy has it, or never had one")
    assert not [name for name in texts if f"/{STAND_INS[variant]}/" in name]
    own = [text for name, text in texts.items() if name.startswith("src/") and name[-3:] == ".py"]
    lines = sum(text.count("\n") for text in own)
    print(f"{variant}: {lines:,} lines of its own")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_remote_copy_refuses_a_local_model_in_one_line(
    request: pytest.FixtureRequest, variant: str
) -> None:
    if variant not in REMOTES:
        pytest.skip("this copy has a local model")
    installed = request.getfixturevalue("installed")
    code = "from seedbed.models.load import load_chat_model as load; load('smollm2')"
    command = [".venv/bin/python", "-c", code]
    done = subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False)
    assert "ConfigError: This copy has remote models only; 'smollm2'" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_lifted_tests_pass(installed: Path, variant: str) -> None:
    if variant == REMOTE:
        pytest.skip("its own tests run in the whole copy, those of seedbed in BRAIN=llm")
    arguments = "-m 'not slow and not browser' -p no:cacheprovider"
    if variant not in SEEDBED_IS_TESTED:
        arguments += " tests"
    printed = run(installed, "make", "test", f"ARGS={arguments}")
    assert " passed" in printed
    assert " failed" not in printed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_lifted_code_passes_lint_and_tree_stays_clean(installed: Path) -> None:
    assert "All checks passed" in run(installed, "make", "lint")
    assert run(installed, "git", "status", "--short") == ""


# What verbs that run all tests are given; its tests are quick and slow ones.
ONE_FILE = "--collect-only -qq vendor/seedbed/tests/server/test_service.py"
# Verbs of a copy that no test here types, and why.
NOT_TYPED = {
    "finetune_lora": {"eval": "needs an adapter, which takes ten minutes of training"},
    "research_repro": {"eval": "reproduces every paper, as its slow tests do"},
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_other_verbs_of_the_copy_run(installed: Path, variant: str, project: str) -> None:
    """Those that no test above types. It removes what is installed, so it is the last."""
    above = {"demo", "test", "lint", "update"}
    text = (installed / "Makefile").read_text("utf-8")
    verbs = set(re.findall(r"^([a-z-]+):(?!=)", text, re.MULTILINE)) - above
    verbs -= set(NOT_TYPED.get(project, ()))
    if variant in REMOTES:  # they need a model, or are those of the other copies
        verbs -= {"eval", "run", "doctor", "test-slow", "test-all"}
    typed: dict[str, tuple[list[str], str]] = {
        "help": ([], "make setup"),
        "setup": ([], ""),
        "docs": ([], "The docs are up to date."),
        "doctor": ([], "✓ my_own"),
        "exercise": (["N=1"], "make check N=1"),
        "check": (["N=1"], "not written yet"),
        "prefetch": ([], ""),
        "test-all": ([f"ARGS={ONE_FILE}"], "test_service.py"),
        "test-slow": ([f"ARGS={ONE_FILE}"], "test_service.py"),
        "eval": ([], ""),
        "clean": ([], "rm -rf .venv"),
    }
    assert verbs <= {*typed, "run"}
    if "run" in verbs:
        port = free_port()
        command = ["make", "-C", str(installed), "run", f"PORT={port}"]
        with run_server(command, port, timeout=600):
            pass
    for verb, (words, printed) in typed.items():
        if verb in verbs:
            status = 2 if verb == "check" else 0  # nothing is solved
            assert printed in run(installed, "make", verb, *words, status=status)


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A clone of this repository, with what is not committed here as a commit there."""
    clone = tmp_path / "upstream"
    git("clone", "--quiet", str(ROOT), str(clone), folder=ROOT)
    changed = git("diff", "HEAD", "--name-only", "--diff-filter=d", folder=ROOT).split()
    changed += git("ls-files", "--others", "--exclude-standard", folder=ROOT).split()
    for name in changed:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone / name)
    commit(clone)
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
    words = [f"--seedbed=git+{upstream.as_uri()}@{tag}", "--without=exercises"]
    copy = starter.lift("multi_agent", tmp_path / "team", root=ROOT, choices=Choices.parse(words))
    run(copy, "make", "demo", f"UV={uv}", f"PYTHON={base_python()}")
    assert not (copy / "vendor").exists()
    assert "The docs are up to date." in run(copy, "make", "docs", f"UV={uv}")
    assert "✓ team " in run(copy, "make", "doctor", f"UV={uv}")
    where = "import seedbed; print(seedbed.__file__)"
    assert "site-packages" in run(copy, ".venv/bin/python", "-c", where)
    assert run(copy, "git", "status", "--short") == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_update_merges_what_changed_upstream(upstream: Path, tmp_path: Path) -> None:
    copy = starter.lift("research_repro", tmp_path / "my-lab", root=upstream)
    package = upstream / "projects/research_repro/src/research_repro"

    def update(*words: str) -> str:
        command = ["make", "update", f"FROM={upstream}", f"PYTHON={sys.executable}", *words]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    # Upstream changes two files, and a third that the copy deletes; the copy changes one elsewhere.
    for name in ("config.py", "run.py", "site.py"):
        text = (package / name).read_text("utf-8")
        (package / name).write_text(text + "\nUPSTREAM = True\n", "utf-8")
    commit(upstream)
    own = copy / "src/my_lab"
    (own / "config.py").write_text("# Mine.\n" + (own / "config.py").read_text("utf-8"), "utf-8")
    (own / "site.py").unlink()
    commit(copy)
    shown = update()
    assert "src/my_lab/run.py" in shown
    assert "You have changed 2 of these too: src/my_lab/config.py, src/my_lab/site.py" in shown
    assert git("status", "--short", folder=copy) == ""
    assert "Merged." in update("APPLY=1")
    config = (own / "config.py").read_text("utf-8")
    assert config.startswith("# Mine.\n") and config.endswith("UPSTREAM = True\n")
    assert (own / "run.py").read_text("utf-8").endswith("UPSTREAM = True\n")
    assert not (own / "site.py").exists()
    commit(copy)
    # Both change the same line.
    text = (package / "run.py").read_text("utf-8")
    (package / "run.py").write_text(text.replace("UPSTREAM = True", "UPSTREAM = 2"), "utf-8")
    commit(upstream)
    text = (own / "run.py").read_text("utf-8")
    (own / "run.py").write_text(text.replace("UPSTREAM = True", "UPSTREAM = 3"), "utf-8")
    commit(copy)
    assert "conflicts to solve in: src/my_lab/run.py" in update("APPLY=1")
    assert "<<<<<<<" in (own / "run.py").read_text("utf-8")
