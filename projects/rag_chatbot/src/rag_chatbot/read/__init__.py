"""Parse a file: from its bytes to a `Document`, a text with the spans of its blocks.

    document = parse(Path("guide.md"), Path("guide.md").read_bytes())
    document.title, document.blocks[0].kind     # "Guide", "heading"

The format is recognised by the file's extension or name. Nothing in a file is executed, fetched or
expanded. docs/reference/parsers.md compares the parsers. Chunks are made in `chunk.py`.
"""

from __future__ import annotations

import re
from dataclasses import astuple
from pathlib import Path, PurePath
from typing import Any

from rag_chatbot.read import text
from rag_chatbot.read.decode import clean, clean_name
from rag_chatbot.read.document import Block, Document
from seedbed.errors import BadInput, SeedbedError
from seedbed.safety.limited_process import LimitedProcess

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
# HTML, PDF and office files are untrusted: one can take a parser in C minutes and gigabytes, which
# nothing can interrupt. So they are parsed in a process with limits, one at a time.
# 1,000 pages of PDF are 2 MB or more, and take 10 s.
SECONDS, SECONDS_PER_MB = 60.0, 10.0
_process = LimitedProcess(f"{__name__}:parse_in_child", hint="Save it as text.")
OLE = b"\xd0\xcf\x11\xe0"  # first bytes of encrypted files, and of those from before 2007


def file_type(path: PurePath) -> str | None:
    """The format by the name of a file, e.g. `"markdown"` or `"pdf"`; None if it is unsupported."""
    return BY_EXTENSION.get(path.suffix.lower()) or BY_NAME.get(path.name.lower())


def parse(path: Path, data: bytes) -> Document:
    """Parse the bytes of a file. Only the name of `path` is used; nothing is read from disk.

    Raises BadInput with the reason if the file is unsupported, empty, damaged or without text, or
    takes too much time or memory, and TooLarge if it unpacks to too much.
    """
    kind = file_type(path)
    if kind is None:
        raise BadInput(f"The file type of {path.name!r} is not supported.")
    if not data.strip():
        raise BadInput("The file is empty.")
    if kind in text.PARSERS:
        document = text.PARSERS[kind](data)
    else:
        seconds = SECONDS + SECONDS_PER_MB * len(data) / 1e6
        (title, blocks), body = _process.call(data, name="The file", max_seconds=seconds, kind=kind)
        document = Document(body.decode(), tuple(Block(*block) for block in blocks), title)
    if not document.text.strip():
        raise BadInput("The file contains no text.")
    title = re.sub(r"\s+", " ", document.title).strip()[:200]
    title = title or (path.name if kind == "code" else path.stem)
    return Document(document.text, document.blocks, clean_name(title), kind)


def parse_in_child(data: bytes, kind: str) -> tuple[tuple[str, list[Any]], bytes]:
    """The parts of a document of this format: title and blocks, and its text in UTF-8."""
    from rag_chatbot.read import html, office, pdf

    parsers = {
        "html": html.parse_html,
        "pdf": pdf.parse_pdf,
        "docx": office.parse_docx,
        "pptx": office.parse_pptx,
        "spreadsheet": office.parse_spreadsheet,
        "email": office.parse_email,
    }
    try:
        document = parsers[kind](data)
    except SeedbedError:
        raise
    except Exception as error:  # of the libraries, and of the readers of XML and ZIP below them
        if data.startswith(OLE):
            raise BadInput(
                "The file is encrypted, or older than 2007.",
                hint="Save it in the current format, without a password.",
            ) from None
        raise BadInput(f"Damaged, or not of the format {kind} ({clean(str(error))}).") from None
    return (document.title, [astuple(block) for block in document.blocks]), document.text.encode()
