"""Which files of `seedbed` a project needs, by following imports.

    modules = needed_modules(root, files_of_the_project)    # paths below root, with slashes
    tests = tests_of(root, modules)                         # what tests them, and them alone

Imports are read from the text, so those in functions, in programs that a test writes and in
commands (`python -m seedbed…`) count too. Used by `starter.py`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

# Only a chat model on this machine needs it; leaving it out leaves out what only it imports.
LOCAL_CHAT = "shared/src/seedbed/models/local/load_local.py"

_SOURCE, _TESTS = "shared/src", "shared/tests"
_FROM = re.compile(r"\bfrom (seedbed[\w.]*) import (\([^)]*\)|[^\n;]*)")
_NAME = re.compile(r"""(?:\bimport |-m\W{1,4}|import_module\(["'])(seedbed(?:\.\w+)*)""")


def needed_modules(root: Path, files: Iterable[str], without: Collection[str] = ()) -> set[str]:
    """The paths of the modules that `files` import, directly or not, and of the data they read.

    `without` are paths that are left out, with what only they import.
    """
    modules: set[str] = set()
    waiting = list(files)
    while waiting:
        new = imported(root, waiting.pop()) - modules - set(without)
        modules |= new
        waiting += new
    return modules | {data for name in modules for data in _data(root, name)}


def tests_of(root: Path, modules: Collection[str]) -> set[str]:
    """The paths of the tests that import no other module of `seedbed`, and of their conftest.py.

    A test that requires a package of the group `dev`, which is for this repository, is left out.
    """
    groups = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    dev = {re.match(r"[\w-]+", need)[0] for need in groups["dev"] if isinstance(need, str)}  # type: ignore[index]
    packages = "|".join(sorted(name.replace("-", "_") for name in dev))
    requires_dev = re.compile(rf"^(?:from|import) (?:{packages})\b", re.MULTILINE)
    fixtures = [path.relative_to(root) for path in (root / _TESTS).rglob("conftest.py")]
    tests: set[str] = set()
    for path in (root / _TESTS).rglob("test_*.py"):
        test = path.relative_to(root)
        names = [test.as_posix(), *(f.as_posix() for f in fixtures if f.parent in test.parents)]
        own = all(imported(root, name) <= set(modules) for name in names)
        if own and not requires_dev.search(path.read_text("utf-8")):
            tests |= set(names)
    return tests


def imported(root: Path, name: str) -> set[str]:
    """The modules of `seedbed` that a file imports or runs, with the packages they are in."""
    text = (root / name).read_bytes().decode("utf-8", "ignore")
    dotted = set(_NAME.findall(text))
    for package, names in _FROM.findall(text):
        dotted |= {package, *(f"{package}.{part}" for part in re.findall(r"\w+", names))}
    return {path for item in dotted for path in _paths(root, item)}


def _paths(root: Path, dotted: str) -> Iterator[str]:
    """The files of a module and of the packages around it; of a package, `__main__.py` too."""
    place = root / _SOURCE / dotted.replace(".", "/")
    files = [place.with_suffix(".py"), place / "__init__.py", place / "__main__.py"]
    files += [folder / "__init__.py" for folder in [*place.parents][: dotted.count(".")]]
    return (path.relative_to(root).as_posix() for path in files if path.is_file())


def _data(root: Path, module: str) -> Iterator[str]:
    """The files of the same room that a module mentions by their names."""
    text = (root / module).read_text("utf-8")
    for path in (root / _SOURCE / "seedbed").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc") and f'"{path.name}"' in text:
            yield path.relative_to(root).as_posix()
