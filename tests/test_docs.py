"""Commands in the docs exist, links resolve, and generated parts are up to date."""

import ast
import json
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tools import docs
from seedbed import errors

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.timeout(600)  # it runs `--help` for every command of the pages
PAGES = sorted(
    page
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "shared/*.md",
        "projects/*/*.md",
        "projects/*/exercises/*/*.md",
    )
    for page in ROOT.glob(pattern)
)
SHELL = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def commands(page: Path) -> list[list[str]]:
    """The commands in a page's shell blocks, without comments, prompts and leading variables."""
    found = []
    for block in SHELL.findall(page.read_text("utf-8")):
        # After `cd ../my-bot` the commands are those of a lifted-out project.
        own = re.split(r"^cd \.\./", block, flags=re.MULTILINE)[0]
        for line in own.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s+(?:&&|\|\|?|>)\s+", line.removeprefix("$ ").strip()):
                words = shlex.split(part, comments=True)
                while words and re.match(r"^\w+=", words[0]):
                    words = words[1:]
                if words:
                    found.append([Path(words[0]).name, *words[1:]])
    return found


def test_readme_shows_clone_and_first_command() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert "git clone" in text
    assert "make run-rag" in text


def test_make_commands_in_docs_exist() -> None:
    wrong = {}
    for page in PAGES:
        for program, *words in commands(page):
            if program == "make":
                done = subprocess.run(
                    ["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False
                )
                if done.returncode:
                    wrong[f"{page.name}: make {shlex.join(words)}"] = done.stderr.strip()
    assert wrong == {}


@pytest.mark.slow
def test_project_commands_in_docs_exist() -> None:
    """The verb and options of each command are in its `--help`."""
    scripts = {p.parent.name.replace("_", "-") for p in ROOT.glob("projects/*/pyproject.toml")}
    wrong = []
    for page in PAGES:
        for program, *words in commands(page):
            if program in scripts and words:
                verbs = [word for word in words if re.fullmatch(r"[a-z]+", word)]
                wrong += unknown_options(program, words, verbs[:1] if words[0] in verbs else [])
    assert wrong == []


@cache
def show_help(program: str, *verb: str) -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).with_name(program)
    return subprocess.run([path, *verb, "--help"], capture_output=True, text=True, check=False)


def unknown_options(program: str, words: list[str], verb: list[str]) -> list[str]:
    done = show_help(program, *verb)
    if done.returncode:
        return [f"{program} {shlex.join(words)}: {done.stderr.strip()[-200:]}"]
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    nested = "COMMAND" in done.stdout
    return [
        f"{program} {shlex.join(words)}: {o}"
        for o in options
        if o not in done.stdout + "--help" and not nested
    ]


def test_shares_are_shown_with_their_interval() -> None:
    results = json.loads((ROOT / "benchmarks/results.json").read_text("utf-8"))
    wrong = []
    for page in PAGES:
        for path in re.findall("<!-- result: (.*?) -->", page.read_text("utf-8")):
            name, _, key = path.partition(" as ")[0].partition(".")
            if key in results[name].get("intervals", {}):
                wrong.append(f"{page.name}: {path}: use {name}.intervals.{key} as interval")
    assert wrong == []


@each_page
def test_links_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if re.match(r"^[a-z]+:", link):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            dead.append(link)
    assert dead == []


def anchors(page: Path) -> set[str]:
    text = re.sub(r"\[([^\]\n]+)\]\([^)\n]+\)", r"\1", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


HANDBOOK = sorted(ROOT.glob("docs/**/*.md"))


def links_to_code(page: Path) -> list[tuple[Path, str]]:
    """(file, function) of each link `path/file.py#function` of a page."""
    links = re.findall(r"\]\(([^)#\s]+\.py)(?:#([\w.]+))?\)", page.read_text("utf-8"))
    return [((page.parent / target).resolve(), name) for target, name in links]


@pytest.mark.parametrize("page", HANDBOOK, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_code_name_existing_functions(page: Path) -> None:
    links = links_to_code(page)
    assert [link for link in links if link[1] not in definitions(link[0])] == []


def test_concept_pages_link_code() -> None:
    pages = [page for page in HANDBOOK if page.parent.name == "concepts"]
    assert [page.name for page in pages if not links_to_code(page)] == []


def test_concept_pages_end_with_something_to_try() -> None:
    pages = [page for page in HANDBOOK if page.parent.name == "concepts"]
    ends = {page.name: page.read_text("utf-8").rpartition("\n## ")[2] for page in pages}
    del ends["learning-path.md"]  # has this in every phase
    kinds = ("Try it\n", "\n- Run ", "\n- Change ", "\n- Exercise: `make exercise-")
    assert [name for name, end in ends.items() if not all(kind in end for kind in kinds)] == []


def test_handbook_mentions_each_exercise() -> None:
    text = "".join(page.read_text("utf-8") for page in HANDBOOK if page.parent.name != "reference")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    exercises = {
        (name, folder.name.partition("_")[0])
        for name, project in re.findall(r"^project-(\S+) := (\S+)$", makefile, re.MULTILINE)
        for folder in (ROOT / "projects" / project / "exercises").iterdir()
    }
    assert exercises <= set(re.findall(r"make exercise-(\w+) N=(\d+)", text))


def test_handbook_lists_every_error_with_its_status() -> None:
    text = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE))
    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    kinds = [
        k for k in kinds if issubclass(k, errors.SeedbedError) and k is not errors.SeedbedError
    ]
    assert rows == {kind("").type: str(kind.status) for kind in kinds}


@each_page
def test_generated_parts_are_up_to_date(page: Path) -> None:
    text = page.read_text("utf-8")
    assert docs.render(text, ROOT) == text, "run: make docs"


def test_env_example_is_up_to_date() -> None:
    assert (ROOT / ".env.example").read_text("utf-8") == docs.env_example(ROOT), "run: make docs"


def test_workflow_runs_the_ci_script() -> None:
    script = (ROOT / ".ci/run").read_text("utf-8")
    loop = re.search(r"for verb in ([a-z -]+); do", script)
    assert loop
    assert {"lint", "docs", "test", "test-slow", "smoke"} <= set(loop[1].split())
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    assert "- run: bash .ci/run\n" in workflow


PROJECTS = sorted(path.parent for path in ROOT.glob("projects/*/pyproject.toml"))
each_project = pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)


@each_project
def test_request_steps_in_readme_exist(project: Path) -> None:
    """Each `file.py::function` under *Follow one request* is in the package."""
    readme = (project / "README.md").read_text("utf-8")
    section = re.search(r"^### Follow one request\n(.*?)^#", readme, re.DOTALL | re.MULTILINE)
    assert section, "the README has no section 'Follow one request'"
    steps = re.findall(r"`([\w/]+\.py)::([\w.]+)`", section[1])
    package = project / "src" / project.name
    assert [step for step in steps if step[1] not in definitions(package / step[0])] == []
    assert len(steps) >= 5


def definitions(file: Path) -> set[str]:
    """The functions and classes of a Python file, and its methods as `Class.method`."""
    if not file.exists():
        return set()
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, kinds):
            names.add(node.name)  # routes are functions inside a function
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, kinds)}
    return names
