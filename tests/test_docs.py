"""Commands in the docs exist, links resolve, and generated parts are up to date."""

import ast
import re
import shlex
import subprocess
import sys
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
PROJECTS = sorted(path.parent for path in ROOT.glob("projects/*/pyproject.toml"))
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


def test_make_commands_in_docs_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    names = re.findall(r"^project-(\w+) :=", makefile, re.MULTILINE)
    verbs = {"", *re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE)}
    for verb in re.findall(r"^([a-z]+)-%:(?!=)", makefile, re.MULTILINE):
        verbs |= {f"{verb}-{name}" for name in names}
    wrong = []
    for page in PAGES:
        used = [words for program, *words in commands(page) if program == "make"]
        targets = {next((word for word in words if "=" not in word), "") for words in used}
        wrong += [f"{page.name}: make {target}" for target in targets - verbs]
    assert wrong == []


@pytest.mark.slow
def test_project_commands_in_docs_exist() -> None:
    """The verb and options of each command are in its `--help`."""
    scripts = {project.name.replace("_", "-") for project in PROJECTS}
    options: dict[tuple[str, ...], set[str]] = {}
    for page in PAGES:
        for program, *words in commands(page):
            if program in scripts and words:
                verb = words[:1] if re.fullmatch(r"[a-z]+", words[0]) else []
                used = {word.partition("=")[0] for word in words if word.startswith("--")}
                options.setdefault((program, *verb), set()).update(used)
    wrong = []
    for command, used in options.items():
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run(
            [program, *command[1:], "--help"], capture_output=True, text=True, check=False
        )
        text = done.stdout + "--help"
        if done.returncode or "COMMAND" not in text:  # options of verbs of a verb are not read
            wrong += [f"{command}: {option}" for option in used if option not in text]
            wrong += [f"{command}: {done.stderr}"] if done.returncode else []
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


@each_page
def test_links_to_code_name_existing_functions(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+\.py)#([\w.]+)\)", page.read_text("utf-8"))
    files = [((page.parent / target).resolve(), name) for target, name in links]
    assert [link for link in files if link[1] not in definitions(link[0])] == []


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
