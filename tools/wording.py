"""Checks texts and variable names against a list of phrases that read as if translated.

    python -m tools.wording         from the repository's root; `make lint` calls it

It prints one line per hit, such as `shared/src/seedbed/cli.py:42: "may hold": write "contains"`,
and exits 1 if there are any. Everywhere it reads what users see: command-line help, descriptions of
settings and fields, error texts. In the packages of `IN_FULL` it also reads docstrings, comments,
other strings and names of variables. A phrase belongs in the list only if it is nearly always
wrong: narrow a pattern that flags good English. CONTRIBUTING.md describes how to write.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from seedbed import errors

FOLDERS = ("shared/src", "projects/*/src", "tools")
IN_FULL = (
    "shared/src/seedbed/",
    "projects/llm_service/src/llm_service/",
    "projects/rag_chatbot/src/rag_chatbot/",
    "projects/research_repro/src/research_repro/",
    "projects/agentic_workflow/src/agentic_workflow/",
    "projects/finetune_lora/src/finetune_lora/",
    "projects/vision_app/src/vision_app/",
)

# Pattern → what to write instead. Texts are matched with single spaces, ignoring case.
PHRASES = {
    # Negation and lists
    r"(?<!there )(?:is|are|was|were) no (?!longer|more|less|fewer|\w+er than)[a-z]\w*": "is not a",
    r"there (?:are|is):": "Available: a, b.",
    # Containing, and being somewhere. A lock is held, a proxy holds back, and a formula holds.
    r"(?:holds|held|(?:can|may|must|to) hold)(?= \w)(?! (?:back|for|if|it|near|or|out|"
    r"true|when|(?:\S+ ){0,3}locks?)\b)": "contains",
    r"stands? (?:in(?! for)|at|on|there|beside|before|above|below|between|under|next)": "is in",
    r"bears": "has",
    r"(?:take|takes|took|taken|taking) (?:\w+ ){0,4}along": "includes",
    r"beyond (?:this|the|one|its|that) machine": "anything but loopback",
    # People
    r"(?:no|some|any|every)body": "no caller, another process, everyone",
    r"who(?:m|so)?ever": "any caller",
    # "who" needs a noun before it; a question is no relative clause.
    r"(?:^|(?<=[.:;] )|\b(?:in|to|by|for|of|from|with|lets) )who (?:may|can|\w+s)\b(?!.*\?)": (
        "the client that …"
    ),
    r"(?:he|his|him|himself)": "they, it, or the role",
    r"(?:clients?|callers?|readers?|browsers?|users?|who) (?:goes?|went|gone) away": "disconnects",
    # Modules, classes and models neither talk nor think.
    r"says": "reports",
    r"tells": "reports, distinguishes",
    r"(?:is|are|be|was|were|been) told": "is passed, receives",
    r"knows": "depends on, handles",
    r"(?:it|none|module|class|function|method|program|server|service|store|probe) asks": "calls",
    # Words that the field does not use
    r"anew": "again",
    r"word for word(?! in )": "verbatim",
    r"(?<!in the )meanwhile(?!,)": "in the meantime, during …",
    r"for so long": "for this many seconds",
    r"wait a (?:little|bit|while)": "Retry after 20 s.",
    r"likeness(?:es)?": "similarity",
    r"mend(?:s|ed)?": "fix, repair",
}
# Participles as names of variables → nouns that name the value
NAMES = {
    "asked": "question, request",
    "chosen": "selection, choice",
    "found": "hits, matches, result",
    "given": "value, argument, header",
    "kept": "selection, remaining",
    "known": "existing, registry, names",
    "made": "result, instance",
    "said": "text, message",
    "shown": "text, rows, visible",
    "taken": "used_names, ids",
    "told": "message, event",
    "wanted": "expected, relevant, target",
}
_PATTERNS = {
    re.compile(rf"(?<![\w-])(?:{pattern})(?!\w)", re.IGNORECASE): instead
    for pattern, instead in PHRASES.items()
}
_ERRORS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.SeedbedError)
}
_USER_TEXTS = {"help", "short_help", "epilog", "description", "summary", "hint"}
_SETTINGS = ("Settings", "Config", "Args", "Options")


Text = tuple[int, int, str]  # a string or comment, after its first and last line


def check(root: Path) -> list[str]:
    """One message per hit below `root`, in the order of files and lines."""
    files = {file for folder in FOLDERS for file in root.glob(f"{folder}/**/*.py")}
    messages = []
    for file in sorted(files - {root / "tools/wording.py"}):
        path = file.relative_to(root).as_posix()
        hits = check_source(file.read_text("utf-8"), in_full=path.startswith(IN_FULL))
        messages += [f"{path}:{line}: {hit}" for line, hit in hits]
    return messages


def check_source(source: str, *, in_full: bool) -> list[tuple[int, str]]:
    """(line, message) for each hit in a module.

    >>> check_source("found = 1", in_full=True)
    [(1, 'variable "found": write a noun, e.g. hits, matches, result')]
    """
    tree, lines = ast.parse(source), source.splitlines()
    hits: set[tuple[int, str]] = set()
    if in_full:
        texts = [*_strings(tree), *_comments(source)]
        for line, name in _variables(tree):
            if nouns := NAMES.get(name.lstrip("_")):
                hits.add((line, f'variable "{name}": write a noun, e.g. {nouns}'))
    else:
        texts = [text for node in _user_facing(tree) for text in _strings(node)]
    for first, last, text in texts:
        for pattern, instead in _PATTERNS.items():
            if match := pattern.search(text):
                span = range(first, last + 1)
                by_line = [(n, m[0]) for n in span if (m := pattern.search(lines[n - 1]))]
                for line, phrase in by_line or [(first, match[0])]:  # or it spans two lines
                    hits.add((line, f'"{phrase.strip()}": write "{instead}"'))
    return sorted(hits)


def _strings(tree: ast.AST) -> Iterator[Text]:
    """The strings of several words; the values inside an f-string become `{}`."""
    todo = [tree]
    while todo:
        node = todo.pop()
        text: object = ""
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            text = "".join(map(str, parts))
            todo += [part for part in node.values if isinstance(part, ast.FormattedValue)]
        elif isinstance(node, ast.Constant):
            text = node.value
        elif isinstance(node, ast.Attribute) and node.attr == "split":
            continue  # a list of words, not a text
        else:
            todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.expr) and isinstance(text, str) and " " in text.strip():
            yield node.lineno, node.end_lineno or node.lineno, " ".join(text.split())


def _comments(source: str) -> Iterator[Text]:
    """The comments; comments on consecutive lines are one text."""
    first, last, block = -1, -1, ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, text = token.start[0], token.string.lstrip("#: ")
            if last == line - 1 and token.line.lstrip().startswith("#"):
                last, block = line, f"{block} {text}"
            else:
                yield first, last, block
                first, last, block = line, line, text
    yield first, last, block


def _user_facing(tree: ast.AST) -> Iterator[ast.AST]:
    """The parts of a module whose strings users read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            yield node
        elif isinstance(node, ast.Call):
            if _name(node.func) in _ERRORS | {"create_app", "echo"}:
                yield node
            yield from (k.value for k in node.keywords if k.arg in _USER_TEXTS)
        elif isinstance(node, ast.FunctionDef):
            calls = [d.func for d in node.decorator_list if isinstance(d, ast.Call)]
            if any(_name(call) in {"command", "callback"} for call in calls):
                yield from node.body[:1]  # the docstring: help of the command
        elif isinstance(node, ast.ClassDef) and node.name.endswith(_SETTINGS):
            yield from (part for part in node.body if isinstance(part, ast.Expr))


def _name(node: ast.AST) -> str:
    """The last part of a dotted name."""
    return str(getattr(node, "attr", "") or getattr(node, "id", ""))


def _variables(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of every variable, attribute and parameter that the module binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, _name(node)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.lineno, node.name


if __name__ == "__main__":
    messages = check(Path.cwd())
    print("\n".join(messages) or "Wording: no hits.")
    sys.exit(bool(messages))
