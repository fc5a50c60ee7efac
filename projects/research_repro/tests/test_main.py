"""The command line, as its users type it, with a paper that `new` has just made."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from research_repro import papers
from research_repro.__main__ import main
from seedbed.testing.launch import run_command

run = partial(run_command, main)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the paper `mine`."""
    folder = tmp_path_factory.mktemp("main")
    search_path = list(papers.__path__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESEARCH_DATA_DIR", str(folder / "data"))
        patch.setenv("RESEARCH_PAPERS_DIR", str(folder / "papers"))
        patch.chdir(folder)
        assert run("new", "mine").status == 0
        yield folder
    papers.__path__[:] = search_path


@pytest.fixture(scope="module")
def outcome(folder: Path) -> Any:
    output = run("run", "mine", "--json")
    assert output.status == 0, output
    assert (folder / "data/results/mine-smoke.json").exists()
    return output.json


def test_list_names_papers_with_their_number_of_claims() -> None:
    rows = [line.split() for line in run("list").out.splitlines()]
    assert ["mine", "2"] in [[row[0], row[-1]] for row in rows] and len(rows) >= 3


def test_run_prints_claims_as_json(outcome: Any) -> None:
    assert (outcome["paper"], outcome["scale"]) == ("mine", "smoke")
    claim, failure = outcome["claims"]
    keys = {"id", "statement", "expected", "measured", "interval", "tolerance", "holds", "status"}
    assert claim.keys() >= keys
    assert failure["status"] == "not reproduced"
    assert claim["holds"] is True
    assert outcome["seconds"] > 0


@pytest.mark.usefixtures("outcome")
def test_publish_refuses_cells_outside_of_a_commit() -> None:
    output = run("publish", "mine")
    assert output.status == 2
    assert "was computed by no commit. Commit, then run with --fresh." in output.err


@pytest.mark.usefixtures("outcome")
def test_corrected_sentence_is_judged_again_and_a_changed_tolerance_is_named(folder: Path) -> None:
    claims, results = folder / "papers/mine/claims.py", folder / "data/results/mine-smoke.json"
    text = claims.read_text()
    cells = json.loads(results.read_text())["cells"]
    try:
        claims.write_text(text.replace("Momentum needs fewer", "Momentum takes fewer"))
        assert rerun().status == 0
        assert "Momentum takes fewer steps" in results.read_text()
        claims.write_text(text.replace("within(7, 13", "within(7, 130"))
        output = rerun()
        assert output.status == 1
        assert "Claim speedup: tolerance is 7 to 130 ×, published as 7 to 13 ×." in output.out
        assert json.loads(results.read_text())["cells"] == cells
    finally:
        claims.write_text(text)
        assert rerun().status == 0


def rerun() -> Any:
    """The paper run once more, as a new process would read it."""
    for module in [name for name in sys.modules if ".papers.mine" in name]:
        sys.modules.pop(module)
    return run("run", "mine")


@pytest.mark.usefixtures("outcome")
def test_report_is_one_html_file(folder: Path) -> None:
    output = run("report", "mine", "--output", folder / "mine.html")
    assert (output.status, output.out.strip()) == (0, str(folder / "mine.html"))
    html = (folder / "mine.html").read_text()
    assert "data:image/svg+xml" in html and "Momentum needs fewer steps" in html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing"], "Unknown paper 'nothing'. Available papers: "),
        (["run", "mine", "--seeds", ""], "The list of seeds is empty."),
        (["run", "mine", "--seeds", "a"], "--seeds 'a' is not a list of numbers. E.g. --seeds 0"),
        (["report", "mine", "--scale", "laptop"], "does not exist. Run: research-repro run mine"),
        (["new", "mine"], "A paper 'mine' exists. Choose another name."),
        (["new", "My Paper"], "'My Paper' cannot be the name of a paper."),
    ],
)
def test_bad_input_is_one_line_with_status_2(arguments: list[str], message: str) -> None:
    output = run(*arguments)
    assert output.status == 2
    assert message in output.err
    assert output.err.startswith("error: ")
    assert len(output.err.strip().splitlines()) == 1
