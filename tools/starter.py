"""Lift a project out of this repository: whole, renamed, with `seedbed` beside it, ready to grow.

    python -m tools.starter rag_chatbot ../my-bot

It needs Python's standard library only, so it runs before anything is installed. It knows the
layout of the repository, and nothing of what any project does.
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

from tools.starter_files import GITIGNORE, makefile, pyproject_tail
from seedbed.errors import BadInput, NotFound, SeedbedError

_LEFT_BEHIND = {"__pycache__", "var", ".venv", "dist", "build", ".hypothesis", ".env"}
# The corpus and questions about it stay word for word: one quotes the other.
_VERBATIM = {".jsonl", ".csv", ".pdf", ".docx", ".png", ".svg", ".html"}

# Files of the repository's root that a project needs, and what reads otherwise there.
_ROOT_TEXTS = {
    ".dockerignore": {"!shared": "!vendor", "!projects": "!src\n!pyproject.toml\n!README.md"},
    ".env.example": {},
}


@dataclass(frozen=True)
class Names:
    """One project's name in three spellings: `my_bot`, `my-bot` and, before settings, `MY_BOT_`."""

    package: str
    command: str
    prefix: str


def lift(project: str, target: Path, *, root: Path) -> Path:
    """Copy `project` of the repository at `root` to the new folder `target`; returns it, resolved.

    The folder's name becomes the name of the package, the command and the settings. Nothing is
    left behind when it fails. Raises BadInput or NotFound with what to change.
    """
    root, target = root.resolve(), target.expanduser().resolve()
    source = root / "projects" / project
    if not re.fullmatch(r"\w+", project) or not (source / "pyproject.toml").is_file():
        known = ", ".join(sorted(p.parent.name for p in root.glob("projects/*/pyproject.toml")))
        raise NotFound(f"Unknown project {project!r}.", hint=f"Use FROM= one of: {known}.")
    new = _new_names(target, root, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.parent / f".{target.name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        _fill(scratch, root, source, _names_of(source), new)
        if target.exists():
            target.rmdir()
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _commit(target, project)
    return target


def _new_names(target: Path, root: Path, source: Path) -> Names:
    name = target.name
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise BadInput(
            f"{name!r} cannot name a Python package.",
            hint="Use lower-case letters, digits and dashes, e.g. TO=../my-bot.",
        )
    package = name.replace("-", "_")
    with (source / "pyproject.toml").open("rb") as file:
        needs = tomllib.load(file)["project"]["dependencies"]
    taken = {re.split(r"[^\w-]", need)[0].lower().replace("-", "_") for need in needs}
    taken |= {"seedbed", "tests", "docs", "vendor", *sys.stdlib_module_names}
    if keyword.iskeyword(package) or package in taken:
        raise BadInput(
            f"{name!r} is the name of something else in Python.",
            hint="Choose another, e.g. my-bot.",
        )
    if target == root or root in target.parents:
        raise BadInput(f"{target} is inside this repository.", hint="Use TO=../my-bot.")
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise BadInput(f"{target} exists already.", hint="Choose a new folder.")
    return Names(package, package.replace("_", "-"), package.upper() + "_")


def _names_of(source: Path) -> Names:
    package = source.name
    config = (source / "src" / package / "config.py").read_text("utf-8")
    prefix = re.search(r'env_prefix="(\w+)"', config)
    return Names(package, package.replace("_", "-"), prefix[1] if prefix else package.upper() + "_")


def _fill(target: Path, root: Path, source: Path, old: Names, new: Names) -> None:
    for path in _files(source):
        inside = path.relative_to(source)
        place = target / Path(*(part.replace(old.package, new.package) for part in inside.parts))
        place.parent.mkdir(parents=True, exist_ok=True)
        text = None if path.suffix in _VERBATIM else _text(path)
        if text is not None:
            place.write_text(_renamed(text, old, new, depth=len(inside.parts)), "utf-8")
            shutil.copymode(path, place)
        else:
            shutil.copy2(path, place)
    shutil.copytree(root / "docs", target / "docs", ignore=shutil.ignore_patterns(*_LEFT_BEHIND))
    ignore = shutil.ignore_patterns(*_LEFT_BEHIND, "tests", "*.egg-info")
    shutil.copytree(root / "shared", target / "vendor" / "seedbed", ignore=ignore)
    for name in ("constraints.txt", "LICENSE", "docker/entrypoint.sh", "tools/exercises.py"):
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copy2(root / name, target / name)
    for name, changes in _ROOT_TEXTS.items():
        text = _renamed((root / name).read_text("utf-8"), old, new, depth=1)
        for before, after in changes.items():
            text = text.replace(before, after)
        (target / name).write_text(text, "utf-8")
    project = target / "pyproject.toml"
    tail = pyproject_tail((root / "pyproject.toml").read_text("utf-8"))
    project.write_text(project.read_text("utf-8").rstrip() + "\n\n" + tail, "utf-8")
    verbs = {verb: _verb(root, verb, old, new) for verb in ("run", "demo", "eval")}
    torch = re.search(r'^ *"torch\b', project.read_text("utf-8"), re.M) is not None
    text = makefile(new.command, new.package, verbs, torch=torch)
    (target / "Makefile").write_text(text, "utf-8")
    (target / ".gitignore").write_text(GITIGNORE, "utf-8")


def _files(source: Path) -> Iterator[Path]:
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        hidden = any(part in _LEFT_BEHIND or part.endswith(".egg-info") for part in parts)
        if path.is_file() and not hidden:
            yield path


def _text(path: Path) -> str | None:
    data = path.read_bytes()
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _renamed(text: str, old: Names, new: Names, depth: int) -> str:
    """`text` as it reads in the new repository; its file lies `depth` parts below the project.

    What stands between `<!-- only here -->` and `<!-- end only here -->` stays behind.
    """
    text = re.sub(r"<!-- only here -->.*?<!-- end only here -->\n*", "", text, flags=re.DOTALL)
    text = text.replace("../../docs/", "docs/")
    text = re.sub(rf"\bmake ([a-z]+)-{old.prefix.rstrip('_').lower()}\b", r"make \1", text)
    text = re.sub(r"\bmake (exercise|check-exercise) P=\w+ ", r"make \1 ", text)
    # The root of the repository, seen from a file, is two folders nearer now.
    text = text.replace(f".parents[{depth + 1}]", f".parents[{depth - 1}]")
    text = text.replace(f"projects/{old.package}/", "").replace(f"projects/{old.package}", ".")
    text = re.sub(r"(?<![\w/.-])((?:\./)?)shared/|(?<![\w/.-])(\./)shared\b(?!/)", _vendored, text)
    text = re.sub(rf"\b{old.prefix}(?=[A-Z*`])", new.prefix, text)
    text = re.sub(rf'"{old.prefix}"', f'"{new.prefix}"', text)
    text = re.sub(rf"\b{re.escape(old.command)}\b", new.command, text)
    return re.sub(rf"\b{old.package}\b", new.package, text)


def _vendored(path: re.Match[str]) -> str:
    return f"{path[1]}vendor/seedbed/" if path[1] is not None else f"{path[2]}vendor/seedbed"


def _verb(root: Path, verb: str, old: Names, new: Names) -> str:
    """What the root Makefile gives the project's command for this verb."""
    line = re.search(
        rf"^{verb}-{old.package} := (.*)$", (root / "Makefile").read_text("utf-8"), re.MULTILINE
    )
    return _renamed(line[1] if line else verb, old, new, depth=1)


def _commit(target: Path, project: str) -> None:
    """Make it a git repository with one commit; without git it stays a folder."""
    if not shutil.which("git"):
        return
    git = ["git", "-C", str(target)]

    def run(*words: str) -> str:
        done = subprocess.run([*git, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    run("init", "--quiet", "--initial-branch=main")
    run("add", "--all")
    who = (
        [] if run("config", "user.email") else ["user.name=Seedbed", "user.email=seedbed@localhost"]
    )
    options = [word for setting in who for word in ("-c", setting)]
    message = f"Start from {project}, lifted out of Seedbed"
    run(*options, "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "-m", message)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m tools.starter PROJECT TARGET`, from the repository's root."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) != 2:
        print(
            "Say which project and where to: make new FROM=rag_chatbot TO=../my-bot",
            file=sys.stderr,
        )
        return 2
    try:
        target = lift(words[0], Path(words[1]), root=Path.cwd())
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Cannot write {error.filename}: {error.strerror}.", file=sys.stderr)
        return 2
    print(f"{target} is yours: a git repository with one commit. Next:")
    print(f"  cd {words[1]}\n  make run     # installs what it needs into .venv, then starts it")
    print("  make test    # its tests, from the first day\n  less README.md")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
