"""Figures as PNG and as SVG for HTML."""

import io
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import pytest

from seedbed.runs.figures import new_figure, to_png, to_svg

pytest.importorskip("matplotlib")


def line():
    figure, axes = new_figure(width=5, height=3)
    axes.plot([1, 3, 2])
    axes.set_title("BLEU 日本語")  # characters that the font may lack
    return figure


@pytest.mark.filterwarnings("error")
def test_to_png_has_100_pixels_per_inch():
    image = pytest.importorskip("PIL.Image")
    with image.open(io.BytesIO(to_png(line()))) as picture:
        assert (picture.format, picture.size) == ("PNG", (500, 300))


def test_to_svg_of_equal_figures_is_equal_also_in_threads():
    from matplotlib import rcParams

    with ThreadPoolExecutor(4) as threads:
        texts = set(threads.map(lambda _: to_svg(line()), range(8)))
    assert len(texts) == 1
    text = texts.pop()
    assert ET.fromstring(text).tag.endswith("svg") and "BLEU" in text
    assert rcParams["svg.hashsalt"] != "seedbed"  # matplotlib's settings are as before
