"""From the bytes of a file to a `Document`: a text, and the headings, tables and code in it.

A file is told by its name's ending. Nothing in a file is ever executed, fetched or expanded.
The parsers, and why these: docs/reference/parsers.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path, PurePath

from rag_chatbot.read.document import Block, Document
from seedbed.errors import BadInput

__all__ = ["Block", "Document", "file_type", "parse"]

_CODE = """
.py .pyi .js .mjs .cjs .jsx .ts .tsx .java .kt .kts .scala .go .rs .c .h .cc .cpp .cxx .hpp .hh .cs
.swift .m .mm .rb .php .pl .pm .lua .r .jl .dart .ex .exs .erl .hs .ml .clj .sh .bash .zsh .fish
.ps1 .sql .proto .graphql .tf .css .scss .less .vue .svelte .toml .yaml .yml .ini .cfg .conf
.properties .xml .xsd .gradle .cmake .mk .bat .nix .zig .vim .el
"""
TYPES: dict[str, tuple[str, ...]] = {
    "markdown": (".md", ".markdown", ".mdx", ".mdown", ".qmd", ".rmd"),
    "text": (".txt", ".text", ".log", ".tex", ".org", ".srt", ".vtt"),
    "rst": (".rst", ".rest"),
    "asciidoc": (".adoc", ".asciidoc", ".asc"),
    "html": (".html", ".htm", ".xhtml"),
    "pdf": (".pdf",),
    "docx": (".docx",),
    "csv": (".csv", ".tsv"),
    "json": (".json", ".geojson", ".webmanifest"),
    "notebook": (".ipynb",),
    "jsonl": (".jsonl", ".ndjson"),
    "code": tuple(_CODE.split()),
}
BY_ENDING = {ending: kind for kind, endings in TYPES.items() for ending in endings}
BY_NAME = {
    **dict.fromkeys(("makefile", "dockerfile", "containerfile", "justfile", "rakefile"), "code"),
    **dict.fromkeys(("readme", "license", "copying", "changelog", "authors", "notice"), "text"),
}


def file_type(path: PurePath) -> str | None:
    """`"markdown"`, `"pdf"`, … or None where the name says nothing that we read."""
    return BY_ENDING.get(path.suffix.lower()) or BY_NAME.get(path.name.lower())


def parse(path: Path, data: bytes) -> Document:
    """Read one file's bytes; `path` is only looked at for its name.

    Raises BadInput with a reason that a person understands.
    """
    kind = file_type(path)
    if kind is None:
        raise BadInput(f"{path.name!r} is of a type that is not read.")
    if not data.strip():
        raise BadInput("The file is empty.")
    document = _parser(kind)(data, path)
    if not document.text.strip():
        raise BadInput("There is no text in it.")
    title = re.sub(r"\s+", " ", document.title).strip()[:200] or path.stem
    return Document(document.text, document.blocks, title, kind)


def _parser(kind: str) -> Callable[[bytes, Path], Document]:
    """Imported when needed, so that reading Markdown does not load the PDF library."""
    module = kind if kind in ("pdf", "docx", "html") else "text"
    if kind in ("csv", "json", "jsonl", "notebook"):
        module = "data"
    return getattr(import_module(f"rag_chatbot.read.{module}"), f"parse_{kind}")  # type: ignore[no-any-return]
