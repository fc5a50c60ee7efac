"""`tools.docs`: marked parts are generated again, other text is kept, and outdated files exit 1."""

import json
from pathlib import Path

import pytest

from tools import docs
from seedbed.errors import BadInput, NotFound

PAGE = """\
# A page
<!-- settings: seedbed.settings:Settings -->old<!-- end -->
kept
```
<!-- settings: not.touched:Here --><!-- end -->
```
"""


def test_docs_rewrite_outdated_page_once(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(PAGE)
    assert docs.main([str(tmp_path)]) == 1
    text = page.read_text()
    assert "| `SEEDBED_MODEL` | `smollm2` |" in text
    assert "-->old" not in text
    assert "\nkept\n" in text
    assert "not.touched" in text
    assert docs.main([str(tmp_path)]) == 0


def test_env_example_lists_every_setting(tmp_path: Path) -> None:
    text = docs.env_example(tmp_path)
    assert "#SEEDBED_MODEL=smollm2\n" in text
    assert "#SEEDBED_API_KEYS=\n" in text
    assert "#SEEDBED_OPEN=false\n" in text


def test_settings_table_omits_machine_dependent_default() -> None:
    assert "| `SEEDBED_CACHE_DIR` | |" in docs.settings_table("seedbed.settings:Settings")


def test_result_is_read_from_benchmark_results(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"rag": {"rate": 151.23, "n": 20000}}))
    assert docs.result(file, "rag.rate") == "151"
    assert docs.result(file, "rag.n") == "20000"
    with pytest.raises(NotFound, match="make bench"):
        docs.result(file, "rag.gone")


def test_result_formats_figures_for_people(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    right = {"value": 0.81, "n": 64, "low": 0.72, "high": 0.884}
    figures = {"share": 0.808, "ratio": 1.004, "n": 2426.4, "right": right}
    file.write_text(json.dumps({"rag": figures}))
    assert docs.result(file, "rag.share as percent") == "81 %"
    assert docs.result(file, "rag.ratio as ratio") == "1.00×"
    assert docs.result(file, "rag.n as whole") == "2,426"
    assert docs.result(file, "rag.right as interval") == "81 % (72 to 88, n = 64)"
    with pytest.raises(BadInput, match="percent, ratio, whole, interval"):
        docs.result(file, "rag.n as roman")


def test_docs_report_unknown_settings_class_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("<!-- settings: seedbed.settings:Gone --><!-- end -->")
    assert docs.main([str(tmp_path)]) == 2
    assert "Gone" in capsys.readouterr().err
