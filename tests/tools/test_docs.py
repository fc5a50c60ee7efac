"""`tools.docs`: marked parts are generated again, other text is kept, and outdated files exit 1."""

from pathlib import Path

import pytest

from tools import docs

PAGE = """\
# A page
<!-- settings: seedbed.settings:Settings -->old<!-- end -->
kept
"""


def test_docs_rewrite_outdated_page_once(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(PAGE)
    assert docs.main([str(tmp_path)]) == 1
    text = page.read_text()
    assert "| `SEEDBED_MODEL` | `smollm2` |" in text
    assert "| `SEEDBED_CACHE_DIR` | |" in text  # its default depends on the machine
    assert "-->old" not in text
    assert "\nkept\n" in text
    assert docs.main([str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ("settings: seedbed.settings:Gone", "seedbed.settings:Gone"),
        ("result: rag.gone", "Run: make bench"),
        ("result: rag.n as roman", "Available: percent, ratio, whole, interval."),
    ],
)
def test_docs_report_unknown_part_in_one_line(
    part: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/results.json").write_text('{"rag": {"n": 3}}')
    (tmp_path / "README.md").write_text(f"<!-- {part} --><!-- end -->")
    assert docs.main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
