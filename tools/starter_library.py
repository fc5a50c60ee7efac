"""The library in a copy: `seedbed` as a wheel, or as the modules that the project needs.

    build_wheel((root / "shared/pyproject.toml").read_text(), {"seedbed/errors.py": b"…"})
    modules = needed_modules(root, files_of_the_project)    # paths below root, with slashes
    tests = tests_of(root, modules)                         # the tests that import nothing else

The wheel is built with the standard library alone; equal sources give equal bytes, so `make update`
changes the file only where the library changed. Imports are read from the text, so those in
functions, in programs that a test writes and in commands (`python -m seedbed…`) count too. Used by
`starter.py`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tomllib
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

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
    """The data files of `seedbed` that a module mentions by their names."""
    text = (root / module).read_text("utf-8")
    for path in (root / _SOURCE / "seedbed").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc") and f'"{path.name}"' in text:
            yield path.relative_to(root).as_posix()


def wheel_name(pyproject: str) -> str:
    """The file's name, from the text of the library's `pyproject.toml`."""
    project = tomllib.loads(pyproject)["project"]
    return f"{project['name']}-{project.get('version', '0')}-py3-none-any.whl"


def build_wheel(pyproject: str, files: Mapping[str, bytes]) -> bytes:
    """A wheel with these files, whose paths are those in an environment.

    https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    project = tomllib.loads(pyproject)["project"]
    folder = wheel_name(pyproject).removesuffix("-py3-none-any.whl") + ".dist-info"
    about = "Wheel-Version: 1.0\nGenerator: make new\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members = {
        **{name: files[name] for name in sorted(files)},
        f"{folder}/METADATA": "".join(f"{line}\n" for line in _metadata(project)).encode(),
        f"{folder}/WHEEL": about.encode(),
    }
    record = "".join(f"{name},{_digest(data)},{len(data)}\n" for name, data in members.items())
    members[f"{folder}/RECORD"] = f"{record}{folder}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)  # always dated 1980, so that equal files give equal bytes
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _metadata(project: Mapping[str, Any]) -> Iterator[str]:
    yield "Metadata-Version: 2.1"
    yield f"Name: {project['name']}"
    yield f"Version: {project.get('version', '0')}"
    yield f"Requires-Python: {project.get('requires-python', '>=3.11')}"
    for need in project.get("dependencies", ()):
        yield f"Requires-Dist: {need}"
    for extra, needs in project.get("optional-dependencies", {}).items():
        yield f"Provides-Extra: {extra}"
        for need in needs:
            package, _, marker = (part.strip() for part in need.partition(";"))
            condition = f'({marker}) and extra == "{extra}"' if marker else f'extra == "{extra}"'
            yield f"Requires-Dist: {package} ; {condition}"
