"""The handbook as a site: links to code lead to the line, links to nothing are refused."""

import re
import subprocess
from pathlib import Path

import pytest

from tools import handbook

PAGE = """# The page

[a function](../../code/sums.py#Sums.add), [a route](../../code/sums.py#route),
[its folder](../../code),
[the project](../../projects/x/README.md)
"""
CODE = (
    '"""Sums."""\n\n\nclass Sums:\n    def add(self): ...\n\n\ndef app():\n    def route(): ...\n'
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "README.md": "# Front\n\n[handbook](docs/README.md)\n",
        "docs/README.md": "# Handbook\n\n## Concepts\n\n[page](concepts/page.md)\n",
        "docs/concepts/page.md": PAGE,
        "projects/x/README.md": "# X\n\n[results](../../results.md#first)\n",
        "results.md": "# Results\n\n## First\n",
        "code/__init__.py": '"""Code."""\n',
        "code/sums.py": CODE,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def test_link_to_a_function_leads_to_its_line(root: Path) -> None:
    page = handbook.build(root, root / "var")
    site = page.parents[1]
    text = (site / "docs/concepts/page.html").read_text("utf-8")
    links = re.findall(r'href="(\.\./\.\./(?:code|projects)[^"]*)"', text)
    assert "../../code/sums.py.html#__codelineno-0-5" in links
    assert "../../code/sums.py.html#__codelineno-0-9" in links
    assert "../../code/__init__.py.html#__codelineno-0-1" in links
    code = (site / "code/sums.py.html").read_text("utf-8")
    assert "__codelineno-0-5" in code and "add" in code
    assert (site / "results.html").is_file()
    assert re.search(r"Concepts.*page", page.read_text("utf-8"), re.DOTALL)


def test_link_to_nothing_is_refused(root: Path) -> None:
    (root / "docs/concepts/page.md").write_text("# Page\n\n[gone](missing.md)\n", "utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        handbook.build(root, root / "var")
