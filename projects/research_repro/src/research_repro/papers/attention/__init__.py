"""Attention Is All You Need: translation by attention alone, without recurrence or convolution."""

from pathlib import Path

from research_repro.paper import Deviation, Paper
from research_repro.papers.attention.cells import cells, run_cell
from research_repro.papers.attention.claims import CLAIMS
from research_repro.papers.attention.figures import FIGURES

PAPER = Paper(
    folder=Path(__file__).parent,
    name="attention",
    title="Attention Is All You Need",
    authors="Ashish Vaswani et al.",
    year=2017,
    url="https://arxiv.org/abs/1706.03762",
    summary="An encoder and a decoder made of attention translate without recurrence. Here the"
    " model is compared with torch's, translates German number names, and varies as in Table 3.",
    claims=CLAIMS,
    cells=cells,
    run_cell=run_cell,
    seeds={"smoke": (0, 1), "laptop": (0, 1, 2)},
    deviations=(
        Deviation(
            "WMT 2014, 4.5 and 36 million sentence pairs",
            "up to three number names, generated; a tenth of the numbers is held out",
            "Minutes on a CPU, without a download.",
        ),
        Deviation(
            "N = 6, d_model = 512, d_ff = 2048, 8 heads",
            "N = 2, d_model = 64, d_ff = 256, 4 heads; 300 or 1,000 steps of 48 sentences",
            "A small task needs a small model.",
        ),
        Deviation(
            "dropout 0.1, beam search",
            "no dropout except in few-dropout, greedy decoding",
            "Each batch is new, so that nothing is learned by heart.",
        ),
    ),
    figures=FIGURES,
)
