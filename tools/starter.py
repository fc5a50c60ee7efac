"""Copies a project out of the repository: renamed, with `seedbed` vendored, ready to grow.

    python -m tools.starter rag_chatbot ../my-bot        `make new-rag TO=../my-bot` calls it

The copy is a git repository with one commit. It mentions the project by its new name only and
depends on nothing here. The module requires only the standard library, so it runs before anything
is installed. What changes in a text on the way is in `_renamed`; the files written for the copy
alone are in `starter_files.py`.
"""

from __future__ import annotations

import keyword
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.exercises import name_in_verbs
from tools.starter_files import GITIGNORE, makefile, pyproject_tail
from seedbed.errors import BadInput, NotFound, SeedbedError

_LEFT_BEHIND = {"__pycache__", "var", ".venv", "dist", "build", ".hypothesis", ".env"}
# Data that is copied as it is.
_VERBATIM = {".jsonl", ".csv", ".pdf", ".docx", ".png"}
# The questions quote the handbook, so they are renamed as it is.
_QUESTIONS = "eval/questions.jsonl"
# How to copy a project out of this repository: of no use in the copy.
_ABOUT_COPYING = "how-to/your-project.md"
_COPIED_FROM_ROOT = ("constraints.txt", "LICENSE", "docker/entrypoint.sh", "tools/exercises.py")


@dataclass(frozen=True)
class Names:
    """A project's name in each of its spellings.

    `my_bot` (package), `my-bot` (command), `MY_BOT_` (prefix of settings). `verb` is the X of
    `make run-X`, empty in a project that stands alone.
    """

    package: str
    command: str
    prefix: str
    verb: str = ""


def lift(project: str, target: Path, *, root: Path) -> Path:
    """Copy `project` of the repository at `root` to the new folder `target`; returns it, resolved.

    The folder's name becomes the name of the package, the command and the settings. If copying
    fails, `target` is not created. Raises BadInput or NotFound, whose hint is the next step.
    """
    root, target = root.resolve(), target.expanduser().resolve()
    source = root / "projects" / project
    if not re.fullmatch(r"\w+", project) or not (source / "pyproject.toml").is_file():
        available = ", ".join(sorted(p.parent.name for p in root.glob("projects/*/pyproject.toml")))
        raise NotFound(f"Unknown project {project!r}.", hint=f"Available: {available}.")
    new = _new_names(target, root, source)
    old = _names_of(source, root)

    # 1. Fill a folder beside the target, so that a failure leaves nothing half done.
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.parent / f".{target.name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        _copy_project(source, scratch, old, new)
        _copy_docs(root, scratch, old, new)
        _vendor_seedbed(root, scratch)
        _write_root_files(root, scratch, old, new)
        # 2. Rename it.
        if target.exists():  # and is empty
            target.rmdir()
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    # 3. Commit.
    _commit(target, project)
    return target


def _new_names(target: Path, root: Path, source: Path) -> Names:
    """The names that follow from the folder's; BadInput if the folder or a name cannot be used."""
    name = target.name
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise BadInput(
            f"{name!r} cannot be the name of a Python package.",
            hint="Use lower-case letters, digits and dashes, e.g. TO=../my-bot.",
        )
    package = name.replace("-", "_")
    with (source / "pyproject.toml").open("rb") as file:
        requirements = tomllib.load(file)["project"]["dependencies"]
    reserved = {re.split(r"[^\w-]", r)[0].lower().replace("-", "_") for r in requirements}
    reserved |= {"seedbed", "tests", "docs", "vendor", "tools", *sys.stdlib_module_names}
    if keyword.iskeyword(package) or package in reserved:
        raise BadInput(
            f"{name!r} is already the name of a module or dependency.",
            hint="Choose another name, e.g. TO=../my-bot.",
        )
    if target == root or root in target.parents:
        raise BadInput(f"{target} is inside this repository.", hint="Use e.g. TO=../my-bot.")
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise BadInput(f"{target} already exists.", hint="Choose a new or empty folder.")
    return Names(package, package.replace("_", "-"), package.upper() + "_")


def _names_of(source: Path, root: Path) -> Names:
    package = source.name
    config = (source / "src" / package / "config.py").read_text("utf-8")
    prefix = re.search(r'env_prefix="(\w+)"', config)
    return Names(
        package,
        package.replace("_", "-"),
        prefix[1] if prefix else package.upper() + "_",
        name_in_verbs(package, root),
    )


def _copy_project(source: Path, target: Path, old: Names, new: Names) -> None:
    for path in _files(source):
        inside = path.relative_to(source)
        place = target / Path(*(part.replace(old.package, new.package) for part in inside.parts))
        place.parent.mkdir(parents=True, exist_ok=True)
        verbatim = path.suffix in _VERBATIM and inside.as_posix() != _QUESTIONS
        text = None if verbatim else _text(path)
        if text is None:
            shutil.copy2(path, place)
        else:
            place.write_text(_renamed(text, old, new, depth=len(inside.parts)), "utf-8")
            shutil.copymode(path, place)


def _copy_docs(root: Path, target: Path, old: Names, new: Names) -> None:
    """Copy the pages and images that the README links to, and the handbook if `run` serves it."""
    source = root / "docs"
    pages = _linked_pages(root, old)
    if "docs" in _arguments(root, "run", old).split():
        pages |= {path.relative_to(source).as_posix() for path in source.rglob("*.md")}
    left_out = {page for page in pages if _is_foreign(source / page, old)}
    for page in sorted(pages - left_out):
        place = target / "docs" / page
        place.parent.mkdir(parents=True, exist_ok=True)
        text = _text(source / page) if page.endswith(".md") else None
        if text is None:
            shutil.copy2(source / page, place)
        else:
            text = _without_links_to({Path(name).name for name in left_out}, text)
            place.write_text(_renamed(text, old, new, depth=1), "utf-8")


def _linked_pages(root: Path, project: Names) -> set[str]:
    readme = (root / "projects" / project.package / "README.md").read_text("utf-8")
    return set(re.findall(r"\]\(\.\./\.\./docs/([^)#\s]+)", readme))


def _is_foreign(page: Path, project: Names) -> bool:
    """Whether a how-to page is about another project: it names files of it."""
    if page.parent.name != "how-to":
        return False
    others = re.search(rf"\bprojects/(?!{project.package}\b)\w", page.read_text("utf-8"))
    return others is not None or page.as_posix().endswith(_ABOUT_COPYING)


def _without_links_to(names: set[str], text: str) -> str:
    """`text` without the table rows and paragraphs that link to one of these pages."""

    def links(part: str) -> bool:
        return any(re.search(rf"\]\([^)]*\b{re.escape(name)}[)#]", part) for name in names)

    blocks = []
    for block in text.split("\n\n"):
        if not links(block):
            blocks.append(block)
        elif block.lstrip().startswith("|"):
            blocks.append("\n".join(row for row in block.split("\n") if not links(row)))
    return "\n\n".join(blocks)


def _vendor_seedbed(root: Path, target: Path) -> None:
    ignore = shutil.ignore_patterns(*_LEFT_BEHIND, "tests", "*.egg-info")
    shutil.copytree(root / "shared", target / "vendor" / "seedbed", ignore=ignore)


def _write_root_files(root: Path, target: Path, old: Names, new: Names) -> None:
    for name in _COPIED_FROM_ROOT:
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copy2(root / name, target / name)
    (target / ".gitignore").write_text(GITIGNORE, "utf-8")

    ignored = (root / ".dockerignore").read_text("utf-8").replace("!shared", "!vendor")
    ignored = ignored.replace("!projects", "!src\n!pyproject.toml\n!README.md")
    (target / ".dockerignore").write_text(ignored, "utf-8")

    settings = _own_settings((root / ".env.example").read_text("utf-8"), old)
    (target / ".env.example").write_text(_renamed(settings, old, new, depth=1), "utf-8")

    pyproject = target / "pyproject.toml"
    tail = pyproject_tail((root / "pyproject.toml").read_text("utf-8"))
    pyproject.write_text(pyproject.read_text("utf-8").rstrip() + "\n\n" + tail, "utf-8")

    arguments = {
        verb: _renamed(_arguments(root, verb, old), old, new, depth=1)
        for verb in ("run", "demo", "eval")
    }
    torch = re.search(r'^ *"torch\b', pyproject.read_text("utf-8"), re.M) is not None
    text = makefile(new.command, new.package, arguments, torch=torch)
    (target / "Makefile").write_text(text, "utf-8")


def _own_settings(example: str, project: Names) -> str:
    """The sections of `.env.example` for `seedbed` and for this project."""
    head, *sections = re.split(r"^(?=# ── )", example, flags=re.MULTILINE)
    own = [s for s in sections if s.split()[2] in ("seedbed", project.package)]
    return "".join([head, *own]).rstrip() + "\n"


def _arguments(root: Path, verb: str, project: Names) -> str:
    """What `make VERB-X` passes to the project's command, from the Makefile."""
    text = (root / "Makefile").read_text("utf-8")
    line = re.search(rf"^{verb}-{project.verb} := (.*)$", text, re.MULTILINE)
    return line[1] if line else verb


def _files(source: Path) -> Iterator[Path]:
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        generated = any(part in _LEFT_BEHIND or part.endswith(".egg-info") for part in parts)
        if path.is_file() and not generated:
            yield path


def _text(path: Path) -> str | None:
    """The text of a file; None if it is binary."""
    data = path.read_bytes()
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _renamed(text: str, old: Names, new: Names, depth: int) -> str:
    """`text` as it reads in the new repository; `depth` is the number of parts of the file's path.

    Text between `<!-- only here -->` and `<!-- end only here -->` is removed.
    """
    text = re.sub(r"<!-- only here -->.*?<!-- end only here -->\n*", "", text, flags=re.DOTALL)
    # Verbs, links and paths: the project's folder has become the root.
    text = re.sub(rf"\bmake ([a-z]+)-{old.verb}\b", r"make \1", text)
    text = text.replace("../../docs/", "docs/").replace("../../shared/", "vendor/seedbed/")
    text = text.replace(f".parents[{depth + 1}]", f".parents[{depth - 1}]")
    text = text.replace(f"projects/{old.package}/", "").replace(f"projects/{old.package}", ".")
    text = re.sub(r"(?<![\w/.-])((?:\./)?)shared/|(?<![\w/.-])(\./)shared\b(?!/)", _vendored, text)
    # The names themselves.
    text = re.sub(rf"\b{old.prefix}(?=[A-Z*`])", new.prefix, text)
    text = re.sub(rf'"{old.prefix}"', f'"{new.prefix}"', text)
    text = re.sub(rf"\b{re.escape(old.command)}\b", new.command, text)
    return re.sub(rf"\b{old.package}\b", new.package, text)


def _vendored(path: re.Match[str]) -> str:
    return f"{path[1]}vendor/seedbed/" if path[1] is not None else f"{path[2]}vendor/seedbed"


def _commit(target: Path, project: str) -> None:
    """Make `target` a git repository with one commit; does nothing if git is not installed."""
    if not shutil.which("git"):
        return
    git = ["git", "-C", str(target)]

    def run(*words: str) -> str:
        done = subprocess.run([*git, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    run("init", "--quiet", "--initial-branch=main")
    run("add", "--all")
    author = ["-c", "user.name=Seedbed", "-c", "user.email=seedbed@localhost"]
    options = [] if run("config", "user.email") else author
    message = f"Start from Seedbed's {project}"
    run(*options, "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "-m", message)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: `python -m tools.starter PROJECT TARGET`, from the repository's root."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) != 2:
        name = (name_in_verbs(words[0], Path.cwd()) if words else "") or "rag"
        print(f"Choose a new folder with TO=, e.g. make new-{name} TO=../my-bot", file=sys.stderr)
        return 2
    try:
        target = lift(words[0], Path(words[1]), root=Path.cwd())
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Cannot write {error.filename}: {error.strerror}.", file=sys.stderr)
        return 2
    print(f"Created {target}, a git repository with one commit. Next:")
    print(f"  cd {words[1]}")
    print("  make run     # installs it into .venv, then starts it")
    print("  make test    # runs its quick tests")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
