"""Builds the handbook as a site with a search, without a network: `make handbook`.

    python -m tools.handbook 8010       var/handbook/site, served on this port until Ctrl-C

The site is a folder of files for any web server. It has the folders of the repository, so that
links stay as they are: the pages below `docs`, the READMEs, and each file of code that a page
links to; the link leads to the line.
Zensical (MIT) builds it; its predecessor, Material for MkDocs, is no longer maintained.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

_PAGES = ("*.md", "docs/**/*.md", "shared/*.md", "projects/*/README.md")
_PICTURES = (".png", ".svg")
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(?:#([\w.-]+))?\)")


def build(root: Path, folder: Path) -> Path:
    """Build the site in `folder`; returns its first page.

    Raises subprocess.CalledProcessError if a link leads nowhere.
    """
    pages = [page for pattern in _PAGES for page in sorted(root.glob(pattern))]
    texts: dict[Path, str] = {}
    shutil.rmtree(folder, ignore_errors=True)
    # 1. The pages and those that they link to, with links to code as links to the page of that code
    others: set[Path] = set()
    while pages:
        page = pages.pop(0)
        path, text = page.relative_to(root), page.read_text("utf-8")
        if path not in texts:
            texts[path] = text
            linked = set(_linked(page, text))
            pages += sorted(file for file in linked if file.suffix == ".md")
            others |= {file for file in linked if file.suffix != ".md"}
            text = _LINK.sub(partial(_link, page), text)
            _write(folder / "pages" / path, text)
    # 2. The pictures, and a page for each other file
    for file in others:
        copy = folder / "pages" / file.relative_to(root)
        if file.suffix in _PICTURES:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        else:
            _write(copy.with_name(f"{file.name}.md"), _code_page(file, root))
    # 3. The site. JSON is YAML, which Zensical reads from this file.
    _write(folder / "mkdocs.yml", json.dumps(_settings(texts), ensure_ascii=False, indent=1))
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "site/docs/index.html"


def _linked(page: Path, text: str) -> Iterator[Path]:
    """The files that a page links to."""
    files = (_file(page, target) for target, _ in _LINK.findall(text))
    return (Path(os.path.normpath(file)) for file in files if file.is_file())


def _file(page: Path, target: str) -> Path:
    """What a link leads to; for a folder its README, or the start of its package."""
    names = ("README.md", "__init__.py")
    inside = (page.parent / target / name for name in names)
    return next((file for file in inside if file.is_file()), page.parent / target)


def _link(page: Path, match: re.Match[str]) -> str:
    target, name = match.groups()
    file = _file(page, target)
    if not file.is_file() or target.endswith((".md", *_PICTURES)):
        return match[0]
    path = os.path.relpath(file, page.parent)
    if file.suffix == ".md":
        return f"]({path})"
    return f"]({path}.md#__codelineno-0-{_line(file, name) if name else 1})"


def _line(file: Path, name: str) -> int:
    """The line of `function` or `Class.method` in a Python file; 1 if there is none.

    >>> _line(Path(__file__), "build") > 20
    True
    """
    node: ast.AST | None = ast.parse(file.read_text("utf-8"))
    for part in name.split("."):
        inside = ast.walk(node) if node else ()  # routes are functions inside a function
        node = next((child for child in inside if part in _names(child)), None)
    return getattr(node, "lineno", 1)


def _names(node: ast.AST) -> list[str]:
    """What a class, a function or an assignment defines."""
    targets = [node, *getattr(node, "targets", []), getattr(node, "target", None)]
    return [str(getattr(one, "name", None) or getattr(one, "id", "")) for one in targets]


def _code_page(file: Path, root: Path) -> str:
    language = {".py": "python", ".toml": "toml", ".yaml": "yaml"}.get(file.suffix, "text")
    # A fence longer than any in the file
    return (
        f"---\nsearch:\n  exclude: true\n---\n# {file.relative_to(root).as_posix()}\n\n"
        f'~~~~~~ {{ .{language} linenums="1" }}\n{file.read_text("utf-8")}\n~~~~~~\n'
    )


def _settings(texts: dict[Path, str]) -> dict[str, Any]:
    first = Path("docs/README.md")
    nav: list[dict[str, Any]] = [{_title(texts[first]): first.as_posix()}]
    for section in texts[first].split("\n## ")[1:]:  # its tables have the pages in a good order
        links = re.findall(r"\[([^\]]+)\]\(([^)#]+\.md)\)", section)
        nav.append({section.partition("\n")[0]: [{title: f"docs/{file}"} for title, file in links]})
    projects = [path for path in texts if path.match("projects/*/README.md")]
    nav.append({"Projects": [{_title(texts[path]): path.as_posix()} for path in projects]})
    return {
        "site_name": "Seedbed",
        "docs_dir": "pages",
        "use_directory_urls": False,  # links to files work as they are
        "nav": nav,
        "plugins": ["search"],
        "theme": {
            "name": "material",
            "font": False,  # no fonts from a server
            "features": ["navigation.footer", "navigation.top", "search.highlight"],
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate"},
            ],
        },
        "markdown_extensions": [
            "tables",
            "attr_list",
            "pymdownx.superfences",
            {"pymdownx.highlight": {"anchor_linenums": True}},
            {"toc": {"permalink": True}},
        ],
    }


def _title(text: str) -> str:
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", heading[1]) if heading else "?"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def main(port: str) -> None:
    page = build(Path.cwd(), Path("var/handbook").absolute())
    site = page.parents[1]
    print(
        f"The site is the folder {site}. Open http://127.0.0.1:{port}/docs/ · Ctrl-C ends.",
        flush=True,
    )
    # The server takes the place of this process, so that it ends when this is ended.
    command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1"]
    os.execv(sys.executable, [*command, "--directory", str(site)])


if __name__ == "__main__":
    main(*sys.argv[1:])
