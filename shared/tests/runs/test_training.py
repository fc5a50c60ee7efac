"""Facts about the machine and the code; figures as PNG and as SVG for HTML."""

import io
import os
import subprocess
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seedbed.runs.training import (
    describe_environment,
    git_commit,
    new_figure,
    to_png,
    to_svg,
    total_memory,
)


def test_describe_environment_lists_installed_versions_and_hardware() -> None:
    about = describe_environment(["pytest", "not-installed"])
    assert list(about["versions"]) == ["pytest"]
    assert (about["cores"], about["memory"]) == (os.cpu_count(), total_memory())
    assert about["cpu"] and about["python"].startswith("3.")


def test_git_commit_is_dirty_with_changed_and_with_untracked_code(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    paper, other = tmp_path / "paper", tmp_path / "other"
    for folder in (paper, other / "published"):
        folder.mkdir(parents=True)
    (paper / "method.py").write_text("x = 1")
    (other / "published" / "smoke.json").write_text("{}")  # a result, not code
    assert (git_commit(paper) or "").endswith("-dirty")
    assert len(git_commit(other) or "") == 40
    subprocess.run([*git, "add", "other"], check=True)
    assert len(git_commit(other) or "") == 40
    subprocess.run([*git, "add", "paper"], check=True)
    assert (git_commit(other) or "").endswith("-dirty")


def line():
    pytest.importorskip("matplotlib")
    figure, axes = new_figure(width=5, height=3)
    axes.plot([1, 3, 2])
    axes.set_title("BLEU 日本語")  # characters that the font may lack
    return figure


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
def test_to_png_has_100_pixels_per_inch():
    with pytest.importorskip("PIL.Image").open(io.BytesIO(to_png(line()))) as picture:
        assert (picture.format, picture.size) == ("PNG", (500, 300))


def test_to_svg_of_equal_figures_is_equal_also_in_threads():
    from matplotlib import rcParams

    with ThreadPoolExecutor(4) as threads:
        texts = set(threads.map(lambda _: to_svg(line()), range(8)))
    (text,) = texts
    assert ET.fromstring(text).tag.endswith("svg") and "BLEU" in text
    assert rcParams["svg.hashsalt"] != "seedbed"  # matplotlib's settings are as before
