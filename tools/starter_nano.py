"""The nano edition of a copy: the project's `nano.py` as a small package with a server and tests.

`starter.py` uses it for EDITION=nano. What all projects share is in `tools/nano`, with the routes
of each in `tools/nano/projects`; the tests are those of `nano.py` and of `tests/nano`.

`Gate` in `tools/nano/server.py` is also in llm_service's `nano.py`, which has to be one file that
imports loaders only. Change both together.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from tools.starter_texts import Names, Texts

_DATA = (".csv", ".eml", ".jsonl", ".sql")  # of the sample, beside Markdown
_USAGE = re.compile(r"\bpython (?=projects/|-m PACKAGE)")


def nano_files(root: Path, project: Names) -> set[str]:
    """The paths below `root` of the files that make up the edition."""
    folder = f"projects/{project.package}"
    text = (root / folder / "nano.py").read_text("utf-8")
    data = {"docs/concepts"} if project.verb == "rag" else set()
    data |= {f"{folder}/{name}" for name in re.findall(r'"(src/\w+/[\w./-]+)"', text)}
    files = {path for name in data for path in [root / name, *(root / name).rglob("*")]}
    files = {file for file in files if file.is_file() and file.suffix in (*_DATA, ".md")}
    names = {file.relative_to(root).as_posix() for file in files}
    names |= {*_places(project), f"{folder}/pyproject.toml"}
    return names | {"constraints.txt", "LICENSE", ".gitignore"}


def _places(project: Names) -> dict[str, str]:
    """Path here → path in the copy."""
    folder, name = f"projects/{project.package}", project.package
    return {
        f"{folder}/nano.py": "src/PACKAGE/app.py",
        "tools/nano/__init__.py": "src/PACKAGE/__init__.py",
        "tools/nano/server.py": "src/PACKAGE/server.py",
        f"tools/nano/projects/{name}.py": "src/PACKAGE/routes.py",
        f"{folder}/tests/test_nano.py": "tests/test_app.py",
        "tests/nano/test_server.py": "tests/test_server.py",
        f"tests/nano/{name}.py": "tests/test_routes.py",
        **{f"tools/nano/{file}": file for file in ("README.md", "Dockerfile", ".env.example")},
    }


@dataclass(frozen=True)
class NanoTexts(Texts):
    """Rewrites the files of `nano_files`, which have other places and names in the copy."""

    root: Path

    def new_path(self, path: str) -> str:
        place = _places(self.old).get(path)
        return place.replace("PACKAGE", self.new.package) if place else super().new_path(path)

    def is_verbatim(self, path: str) -> bool:
        return path.startswith("docs/") or path.endswith(_DATA)

    def rewrite(self, text: str, path: str) -> str:
        if path.startswith("shared/"):
            return super().rewrite(text, path)
        old, new = self.old, self.new
        own = {"README.md": self._readme, ".env.example": self._example, "Dockerfile": self._image}
        if edit := own.get(posixpath.basename(path)):
            text = edit(text)
        text = _USAGE.sub(".venv/bin/python ", text)
        text = text.replace(f"projects/{old.package}/nano.py", "src/PACKAGE/app.py")
        text = text.replace(f'"src/{old.package}/', '"')  # data, which is beside app.py
        text = text.replace('/ "nano.py"', '/ "src/PACKAGE/app.py"').replace("nano.py", "app.py")
        text = re.sub(r"^pytest\.importorskip\(.*\n", "", text, flags=re.MULTILINE)
        text = text.replace("tools.nano", "PACKAGE").replace("NANO_", new.prefix)
        text = re.sub(rf"\bnano([_-]){old.verb}\b", "PACKAGE", text)
        text = re.sub(r"\bnano_(?=[a-z])", "PACKAGE_", text)
        text = text.replace("PACKAGE", new.package).replace("COMMAND", new.command)
        return super().rewrite(text, path)

    def declaration(self, pyproject: str) -> str:
        """The project's `pyproject.toml` with what this program and its tests import."""
        about = self._docstring("app.py").partition("\n")[0].partition(": ")[2]
        edits = (
            (r"\bnano\.py", "app.py"),
            (r"^description = .*", f'description = "{about}"'),
            (rf"{self.new.package}\.__main__:", f"{self.new.package}.server:"),
            (r"^\[project\.optional-dependencies\]\n(?:.+\n)*\n*", ""),
            (r'"seedbed\[.*?\]"', f'"seedbed[{self._extras}]"'),
        )
        pyproject = super().declaration(pyproject)
        for pattern, new in edits:
            pyproject = re.sub(pattern, new, pyproject, flags=re.MULTILINE)
        return "".join(line for line in pyproject.splitlines(True) if self._is_needed(line))

    def _is_needed(self, line: str) -> bool:
        """Whether a line of `pyproject.toml` names no package, or one that the code imports."""
        package = re.match(r'    "([\w-]+)(?:\[.*?\])?[<>=~]', line)
        if not package or package[1].startswith(("seedbed", "pytest", "ruff")):
            return True
        code = self._code("tests/" if package[1] in ("hypothesis", "openai") else "src/")
        module = package[1].replace("-", "_")
        return re.search(rf"^(?:from|import) {module}\b", code, re.MULTILINE) is not None

    def _readme(self, text: str) -> str:
        title, _, program = self._docstring("app.py").partition("\n")
        about = title.partition(": ")[2]
        text = text.replace("ABOUT", about[0].upper() + about[1:])
        text = text.replace("APP", program.strip("\n"))
        return text.replace("ROUTES", self._docstring("routes.py").strip("\n"))

    def _example(self, text: str) -> str:
        settings = _settings(self._code("src/")) | {"OPENAI_API_KEY"}
        blocks = text.strip().split("\n\n")
        return "\n\n".join(block for block in blocks if _settings(block) <= settings) + "\n"

    def _image(self, text: str) -> str:
        if "training" not in self._extras:
            text = re.sub(r"^# PyTorch .*\n.*\n", "", text, flags=re.MULTILINE)
        return text.replace("EXTRAS", self._extras)

    @property
    def _extras(self) -> str:
        """The extras of `seedbed` that the program needs."""
        return "training,serve" if "import torch\n" in self._code("src/") else "local,remote,serve"

    def _code(self, place: str) -> str:
        """The text of all files here whose path in the copy begins like this."""
        places = _places(self.old).items()
        names = [name for name, new in places if new.startswith(place)]
        return "\n".join((self.root / name).read_text("utf-8") for name in names)

    def _docstring(self, name: str) -> str:
        """The docstring of a module as it is written, or the text of a notebook's first cell."""
        code = self._code(f"src/PACKAGE/{name}")
        if match := re.match(r'"""(.*?)"""', code, re.DOTALL):
            return match[1]
        _, *lines = code.partition("\n\n")[0].splitlines()
        return "\n".join(line[2:] for line in lines).removeprefix("# ")


def _settings(text: str) -> set[str]:
    return set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+(?=[\"=])", text))
