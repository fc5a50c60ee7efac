"""Copies a project out of the repository: renamed, with a wheel of `seedbed`, ready to grow.

    python -m tools.starter rag_chatbot ../my-bot        `make new-rag TO=../my-bot` calls it

    --edition=full         EDITION=full: the whole project, not only its `nano.py` with a server
                           (`starter_nano.py`); the next four options apply to it
    --brain=llm            BRAIN=llm: no chat model of its own, nor the folders that stand in for
                           one, which the project's pyproject.toml lists as `stand-ins`
    --papers=ddim          PAPERS=ddim: only this paper of the folder `papers`
    --with=exercises       WITH=exercises: with the exercises
    --without=docker       WITHOUT=docker: without what is for images
    --seedbed=source       SEEDBED=source: the modules of `seedbed` that it imports and their tests,
                           instead of the wheel
    --seedbed=git+URL@TAG  SEEDBED=…: depends on the library there

The copy is a git repository with one commit. It mentions the project by its new name only and
depends on nothing in this repository. `.seedbed.json` records the commit and the options, for
`make update` in the copy (`starter_update.py`). The module requires only the standard library, so
it runs before anything is installed. `starter_texts.py` rewrites the texts, `starter_library.py`
selects the modules that are needed, and `starter_files.py` has the files written for the copy.
"""

from __future__ import annotations

import json
import keyword
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools import starter_files as files
from tools.exercises import name_in_verbs
from tools.starter_choices import Choices
from tools.starter_library import LOCAL_CHAT, build_wheel, needed_modules, tests_of, wheel_name
from tools.starter_nano import NanoTexts, nano_files
from tools.starter_texts import Names, Texts
from seedbed.errors import BadInput, NotFound, SeedbedError

RECORD = ".seedbed.json"
# What a full copy has beside the project's folder.
_COPIED = {
    *("constraints.txt", "LICENSE", ".gitignore", "docker/entrypoint.sh"),
    "tests/test_docstrings.py",
    *(f"tools/{name}.py" for name in ("docs", "doctor", "exercises")),
}
_GENERATED = re.compile(
    r"(^|/)(__pycache__|var|\.venv|dist|build|\.hypothesis|\.env|[^/]*egg-info)(/|$)"
)


def lift(project: str, target: Path, choices: Choices, *, root: Path) -> Path:
    """Copy `project` of the repository at `root` to the new folder `target`; returns it, resolved.

    The folder's name becomes the name of the package, the command and the settings. If copying
    fails, `target` is not created. Raises BadInput or NotFound, whose hint is the next step.
    """
    root, target = root.resolve(), target.expanduser().resolve()
    source = root / "projects" / project
    if not re.fullmatch(r"\w+", project) or not (source / "pyproject.toml").is_file():
        available = ", ".join(sorted(p.parent.name for p in root.glob("projects/*/pyproject.toml")))
        raise NotFound(f"Unknown project {project!r}.", hint=f"Available: {available}.")
    new, verb = _new_names(target, root, source), name_in_verbs(project, root)
    old = Names(project, project.replace("_", "-"), f"{verb.upper()}_", verb)
    copied = frozenset(_files_to_copy(root, old, choices))
    declaration = (root / "shared/pyproject.toml").read_text("utf-8")
    wheel = f"vendor/{wheel_name(declaration)}"
    library = {"wheel": wheel, "source": "vendor/seedbed"}.get(choices.library, "")
    texts = Texts(old, new, choices, copied, library)
    if choices.edition == "nano":
        texts = NanoTexts(old, new, choices, copied, library, root)

    # 1. Fill a folder beside the target, so that a failure leaves nothing half done.
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.parent / f".{target.name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        for name in sorted(texts.copied):
            _copy(name, root, scratch, texts)
        if library == wheel:
            (scratch / wheel).write_bytes(build_wheel(declaration, _wheel_files(root, texts)))
        for name, text in files.written(root, scratch, texts).items():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).write_text(text, "utf-8")
        (scratch / RECORD).write_text(_record(root, texts), "utf-8")
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
    reserved = _reserved(root, source) | sys.stdlib_module_names
    if keyword.iskeyword(package) or package in reserved or find_spec(package):
        raise BadInput(
            f"{name!r} is already the name of a module or dependency.",
            hint="Choose another name, e.g. TO=../my-bot.",
        )
    if target == root or root in target.parents:
        raise BadInput(f"{target} is inside this repository.", hint="Use e.g. TO=../my-bot.")
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise BadInput(f"{target} already exists.", hint="Choose a new or empty folder.")
    return Names(package, package.replace("_", "-"), package.upper() + "_")


def _reserved(root: Path, source: Path) -> set[str]:
    """Names that modules would have once everything is installed."""
    requirements = _declaration(source)["project"]["dependencies"]
    requirements += (root / "constraints.txt").read_text("utf-8").splitlines()
    names = {re.split(r"[^\w.-]", line)[0].lower() for line in requirements}
    # What pip calls pyyaml and python-multipart is imported as yaml and multipart.
    names |= {re.sub(r"^(python-|py)|(-python|py)$", "", name) for name in names}
    modules = {re.sub(r"[.-]", "_", name) for name in names}
    return modules | {"seedbed", "tests", "docs", "vendor", "tools", "torch", "torchvision"}


def _declaration(source: Path) -> dict[str, Any]:
    return tomllib.loads((source / "pyproject.toml").read_text("utf-8"))


def _files_to_copy(root: Path, project: Names, choices: Choices) -> set[str]:
    """The paths below `root` of everything that is copied, with slashes.

    Raises BadInput if the project cannot do without what `choices` leave out.
    """
    source, left_out = root / "projects" / project.package, choices.left_out
    if choices.edition == "nano":
        names = nano_files(root, project)
    else:
        images = root.glob(f"docker/**/{project.package}*")  # alert rules and dashboards
        own = (path for path in [*source.rglob("*"), *images] if path.is_file())
        names = {path.relative_to(root).as_posix() for path in own}
        names = {name for name in names if not _GENERATED.search(name)}
        names |= {*_COPIED} | _sample(root, project)
        names -= _other_papers(source, root, choices.papers)
    if "offline" in left_out:
        stand_ins = _stand_ins(source, root)
        if not stand_ins:
            problem = f"{project.package} has no folder that stands in for a model."
            raise BadInput(problem, hint="Leave out BRAIN=llm.")
        names -= {name for name in names if name.startswith(stand_ins)}
    if "exercises" in left_out:
        names -= {name for name in names if "/exercises" in name}
    if "docker" in left_out:
        tests = {name for name in names if "/tests/" in name and name.endswith(".py")}
        names -= {n for n in tests if re.search(r'\bdocker["/]', (root / n).read_text("utf-8"))}
        names -= {n for n in names if n.startswith("docker/") or n.endswith("/Dockerfile")}
    if choices.library == "source":
        code = {name for name in names if name.endswith(".py")}
        code.add("tools/starter_files.py")  # the text of the Makefile, which runs modules too
        modules = needed_modules(root, code, without={LOCAL_CHAT} if "offline" in left_out else ())
        names |= modules | tests_of(root, modules) | {"shared/pyproject.toml", "shared/README.md"}
    return names | {"shared/models.txt"}


def _stand_ins(source: Path, root: Path) -> tuple[str, ...]:
    """The folders that stand in for a model, and those of their tests, which have equal paths."""
    folders = _declaration(source).get("tool", {}).get("starter", {}).get("stand-ins", ())
    places = (source / "src" / source.name, source / "tests")
    paths = [place / folder for place in places for folder in folders]
    return tuple(f"{path.relative_to(root).as_posix()}/" for path in paths)


def _other_papers(source: Path, root: Path, papers: Sequence[str]) -> set[str]:
    """The files of all papers but these, with their tests and exercises; none without `papers`.

    Raises BadInput for a paper that the project does not have.
    """
    folder = source / "src" / source.name / "papers"
    available = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    if unknown := [name for name in papers if name not in available]:
        hint = f"Available: {', '.join(available) or 'none'}."
        raise BadInput(f"{source.name} has no paper {unknown[0]!r}.", hint=hint)
    others = [name for name in available if name not in papers] if papers else []
    folders = [base / name for name in others for base in (folder, source / "tests" / "papers")]
    for settings in source.glob("exercises/*/exercise.toml"):
        if any(f'"papers/{name}/' in settings.read_text("utf-8") for name in others):
            folders.append(settings.parent)
    return {p.relative_to(root).as_posix() for f in folders for p in f.rglob("*")}


def _sample(root: Path, project: Names) -> set[str]:
    """The handbook, if `run` serves it as sample documents, and the images of the README."""
    readme = (root / "projects" / project.package / "README.md").read_text("utf-8")
    names = set(re.findall(r"\]\(\.\./\.\./(docs/images/[^)#\s]+)", readme))
    if "docs" in files.variables(root)[f"run-{project.verb}"].split():
        names |= {path.relative_to(root).as_posix() for path in root.glob("docs/**/*.*")}
    return names


def _copy(name: str, root: Path, target: Path, texts: Texts) -> None:
    place = target / texts.new_path(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    text = None if texts.is_verbatim(name) else _text(root / name)
    if text is None:
        shutil.copy2(root / name, place)
    else:
        place.write_text(texts.rewrite(text, name), "utf-8")
        shutil.copymode(root / name, place)


def _text(path: Path) -> str | None:
    """The text of a file; None if it is binary."""
    data = path.read_bytes()
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _wheel_files(root: Path, texts: Texts) -> dict[str, bytes]:
    """The package `seedbed`; for a copy with remote models only without what loads local ones."""
    data = {}
    for path in (root / "shared/src/seedbed").rglob("*"):
        name = path.relative_to(root / "shared/src").as_posix()
        if path.is_file() and not _GENERATED.search(name):
            text = _text(path)
            data[name] = path.read_bytes() if text is None else texts.with_defaults(text).encode()
    if "offline" in texts.choices.left_out:
        del data[LOCAL_CHAT.removeprefix("shared/src/")]
    return data


def _record(root: Path, texts: Texts) -> str:
    """The text of `.seedbed.json`, from which `make update` makes the copy again."""
    about = {
        "project": texts.old.package,
        "name": texts.new.command,
        "commit": git(root, "rev-parse", "HEAD"),
        "options": texts.choices.words,
    }
    return json.dumps(about, indent=2) + "\n"


def git(folder: Path, *words: str) -> str:
    """What git prints, without the line end; empty if it fails or is not installed."""
    if not shutil.which("git"):
        return ""
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", *words]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    return process.stdout.rstrip("\n") if process.returncode == 0 else ""


def _commit(target: Path, project: str) -> None:
    """Make `target` a git repository with one commit, if git can."""
    git(target, "init", "--quiet", "--initial-branch=main")
    git(target, "add", "--all")
    author = ["-c", f"user.name={target.name}", "-c", f"user.email={target.name}@localhost"]
    options = [] if git(target, "config", "user.email") else author
    words = ["commit", "--quiet", "--no-verify", "-m", f"Start from Seedbed's {project}"]
    git(target, *options, "-c", "commit.gpgsign=false", *words)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: `python -m tools.starter PROJECT TARGET`, from the repository's root."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    project, *places = [word for word in words if not word.startswith("--")] or [""]
    try:
        choices = Choices.parse([word for word in words if word.startswith("--")])
        if not places:
            verb = name_in_verbs(project, Path.cwd()) or "rag"
            raise BadInput(
                "Choose a new folder with TO=.", hint=f"E.g. make new-{verb} TO=../my-bot"
            )
        target = lift(project, Path(places[0]), choices, root=Path.cwd())
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Cannot write {error.filename}: {error.strerror}.", file=sys.stderr)
        return 2
    state = "a git repository with one commit"
    if not git(target, "rev-parse", "--verify", "HEAD"):
        reason = "git failed" if shutil.which("git") else "git is not installed"
        state = f"without a first commit, as {reason}"
    print(f"Created {target}, {state}. Next:")
    print(f"  cd {shlex.quote(places[0])}")
    print("  make run     # installs it into .venv, then starts it")
    print("  make test    # runs its quick tests")
    print("Add yourself to LICENSE, below the copyright line that is there.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
