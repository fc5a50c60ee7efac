"""A small reproduction to replace with yours: heavy-ball momentum (Polyak 1964) on a quadratic.

research-repro run template
"""

from pathlib import Path

from research_repro.paper import Deviation, Paper
from research_repro.template.cells import cells, run_cell
from research_repro.template.claims import CLAIMS
from research_repro.template.figures import FIGURES

PAPER = Paper(
    folder=Path(__file__).parent,
    name="template",
    title="Some methods of speeding up the convergence of iteration methods",
    authors="B. T. Polyak",
    year=1964,
    url="https://doi.org/10.1016/0041-5553(64)90137-5",
    summary="Gradient descent with a heavy-ball term that adds a share of the previous step. On an"
    " ill-conditioned quadratic it needs about as many steps as if the condition number were its"
    " square root.",
    claims=CLAIMS,
    cells=cells,
    run_cell=run_cell,
    seeds={"smoke": (0, 1, 2), "laptop": range(10)},
    deviations=(
        Deviation(
            paper="Any twice differentiable function near its minimum.",
            here="Quadratics with 20 dimensions and a condition number of 100.",
            reason="The rate near a minimum is that of its quadratic approximation.",
        ),
    ),
    figures=FIGURES,
    libraries=(),  # distributions whose versions matter, e.g. "torch"
)
