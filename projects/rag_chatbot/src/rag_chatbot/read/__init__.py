"""Parse a file: from its bytes to a `Document`, a text with the spans of its blocks.

    document = parse(Path("guide.md"), Path("guide.md").read_bytes())
    document.title, document.blocks[0].kind     # "Guide", "heading"

The format is recognised by the file name's extension. Nothing in a file is executed, fetched or
expanded. docs/reference/parsers.md compares the parsers. Chunks are made in `chunk.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path, PurePath

from rag_chatbot.read.decode import clean_name
from rag_chatbot.read.document import Block, Document
from seedbed.errors import BadInput

__all__ = ["Block", "Document", "file_type", "parse"]

_CODE = """
    .py .pyi .js .mjs .cjs .jsx .ts .tsx .java .kt .kts .scala .go .rs .c .h .cc .cpp .cxx .hpp .hh
    .cs .swift .m .mm .rb .php .pl .pm .lua .r .jl .dart .ex .exs .erl .hs .ml .clj .sh .bash .zsh
    .fish .ps1 .sql .proto .graphql .tf .css .scss .less .vue .svelte .toml .yaml .yml .ini .cfg
    .conf .properties .xml .xsd .gradle .cmake .mk .bat .nix .zig .vim .el
"""
# Format → file name extensions.
TYPES: dict[str, tuple[str, ...]] = {
    "markdown": (".md", ".markdown", ".mdx", ".mdown", ".qmd", ".rmd"),
    "text": (
        *(".txt", ".text", ".log", ".tex", ".org", ".srt", ".vtt"),
        *(".rst", ".rest", ".adoc", ".asciidoc", ".asc"),
    ),
    "html": (".html", ".htm", ".xhtml"),
    "pdf": (".pdf",),
    "docx": (".docx",),
    "pptx": (".pptx",),
    "spreadsheet": (".xlsx", ".xlsm", ".xls", ".ods"),
    "email": (".eml",),
    "csv": (".csv", ".tsv"),
    "json": (".json", ".geojson", ".webmanifest"),
    "notebook": (".ipynb",),
    "jsonl": (".jsonl", ".ndjson"),
    "code": tuple(_CODE.split()),
}
BY_EXTENSION = {extension: kind for kind, extensions in TYPES.items() for extension in extensions}
BY_NAME = {
    **dict.fromkeys(("makefile", "dockerfile", "containerfile", "justfile", "rakefile"), "code"),
    **dict.fromkeys(("readme", "license", "copying", "changelog", "authors", "notice"), "text"),
}


def file_type(path: PurePath) -> str | None:
    """The format by the name of a file, e.g. `"markdown"` or `"pdf"`; None if it is unsupported."""
    return BY_EXTENSION.get(path.suffix.lower()) or BY_NAME.get(path.name.lower())


def parse(path: Path, data: bytes) -> Document:
    """Parse the bytes of a file. Only the name of `path` is used; nothing is read from disk.

    Raises BadInput with the reason if the file is unsupported, empty, damaged or without text, and
    TooLarge if it unpacks to too much.
    """
    kind = file_type(path)
    if kind is None:
        raise BadInput(f"The file type of {path.name!r} is not supported.")
    if not data.strip():
        raise BadInput("The file is empty.")
    document = _parser(kind)(data, path)
    if not document.text.strip():
        raise BadInput("The file contains no text.")
    title = re.sub(r"\s+", " ", document.title).strip()[:200] or path.stem
    return Document(document.text, document.blocks, clean_name(title), kind)


def _parser(kind: str) -> Callable[[bytes, Path], Document]:
    """The parser of a format. Imported here, so that reading Markdown does not load PDFium."""
    if kind in ("docx", "pptx", "spreadsheet", "email"):
        from rag_chatbot.read.office import parse_office

        return partial(parse_office, kind=kind)
    module = kind if kind in ("pdf", "html") else "text"
    name = "json" if kind == "jsonl" else kind
    return getattr(import_module(f"rag_chatbot.read.{module}"), f"parse_{name}")  # type: ignore[no-any-return]
