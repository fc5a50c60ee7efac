"""The pages are true: their shell blocks run in their order, and print what the pages print.

A block with `$ COMMAND` lines shows the whole output of each command, a block below
`<!-- output: COMMAND -->` some lines of it in their order; what matches PATTERN of
`<!-- output: COMMAND; varies: PATTERN -->` or `<!-- varies: PATTERN -->` may differ.
"""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATTERNS = ("README.md", "projects/*/README.md", "docs/how-to/*.md")
PAGES = sorted(page.relative_to(ROOT) for part in PATTERNS for page in ROOT.glob(part))
MARK = r"^(?:<!-- (?:output: (.+?)(?:; )?)?(?:varies: (.+?))? -->\n)?"
BLOCK = re.compile(MARK + r"```(sh|python|text)\n(.*?)^```", re.S | re.M)
SERVER = re.compile(r"make run-|\.venv/bin/[\w-]+ serve\b")
# Lines with these words are not run, and why.
SKIPPED = {
    r"=… |gpt-4o-mini,|127\.0\.0\.1:11434": "needs a key, or a server of a model",
    r"pip install|hf:|hf upload": "needs the network",
    r"docker |sudo |kubectl |kustomize |curl --fail": "changes a machine or a cluster",
    r"chroma run|CHROMA_URL": "writes outside; tests of rag_chatbot start such a server",
    r"torchrun|run-finetune|finetune-lora train|--scale laptop|run ddim": "trains for minutes",
    r"--adapter var/run|path:var/run": "reads what such a training writes",
    r"make new-|my-bot|make update": "tests/test_lift_out.py runs it",
    r"git clone URL|cd seedbed|make test ": "this is the clone; CI runs the tests",
}


def read_blocks(page: Path) -> list[tuple[str, str, str, str]]:
    """The command whose output it shows, what varies, the language and the text of each."""
    return BLOCK.findall((ROOT / page).read_text("utf-8"))


def follow(reader: Any, block: str) -> None:
    """Run the lines of a shell block; a loop is one line."""
    exports: list[str] = []
    lines = [block] if "\nfor " in block else re.split(r"(?<!\\)\n", block.strip())
    for line in lines:
        if any(re.search(words, line) for words in SKIPPED):
            continue
        if SERVER.search(line):
            reader.start("\n".join([*exports, line]))
        elif line.startswith("export "):
            exports.append(line)
        else:
            reader.run(line)


def compare(shown: str, printed: str, varies: str) -> None:
    """Each line that is shown was printed, in that order; what matches `varies` may differ."""
    if varies:
        shown, printed = re.sub(varies, "…", shown), re.sub(varies, "…", printed)
    lines = iter(printed.splitlines())
    missing = [line for line in filter(None, shown.splitlines()) if line not in lines]
    assert missing == [], printed


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_of_page_print_what_it_shows(page: Path, reader: Any) -> None:
    for command, varies, language, block in read_blocks(page):
        if command:
            compare(block, reader.run(command), varies)
        elif language == "text":
            for typed, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
                printed = reader.run(typed)
                assert len(printed.splitlines()) == len(shown.splitlines()), printed
                compare(shown, printed, varies)
        elif language == "python" and "127.0.0.1" in block:
            reader.run(block, ".venv/bin/python", "-c")
        elif language == "sh":
            follow(reader, block)


def test_skipped_words_are_in_the_pages() -> None:
    text = "".join(block for page in PAGES for *_, block in read_blocks(page))
    patterns = [pattern for words in SKIPPED for pattern in words.split("|")]
    assert [pattern for pattern in patterns if not re.search(pattern, text)] == []
