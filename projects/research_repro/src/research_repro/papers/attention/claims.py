"""The claims, with tolerances fixed before the first run."""

from __future__ import annotations

from math import exp

from research_repro.paper import Claim, Results, Scale, Tolerance, at_least, at_most, within

_LAPTOP: tuple[Scale, ...] = ("laptop",)
_SHORT = "At smoke scale the training ends before the models have converged."
_EASY = "2026-11-27: unlike WMT, this task does not separate the variants."


def exact(key: str, source: str, statement: str, tolerance: Tolerance) -> Claim:
    """A claim about a number that `cells.check` computes."""
    expected = "1" if key == "variance" else "0, up to rounding in float64"
    return Claim(
        key, source, statement, expected, lambda r: [x[key] for x in r.of("exact")], tolerance
    )


def table_3(
    row: str,
    base: str,
    source: str,
    statement: str,
    theirs: float,
    reference: float,
    not_reproduced: str = _EASY,
) -> Claim:
    """A claim about the perplexity of `row` relative to `base`: in the paper, theirs / reference.

    Half of the paper's effect is required, since it was measured on a harder task.
    """
    ratio = (theirs / reference) ** 0.5
    return Claim(
        id=row,
        source=f"Table 3 ({source})",
        statement=statement,
        expected=f"perplexity {theirs} against {reference}",
        measure=lambda r: [exp(_mean(a["nats"]) - _mean(b["nats"])) for a, b in r.pairs(row, base)],
        tolerance=at_least(round(ratio, 3), "×") if ratio > 1 else at_most(round(ratio, 3), "×"),
        tested_at=_LAPTOP,
        not_reproduced=not_reproduced,
        note=_SHORT,
    )


def exact_match(results: Results, row: str, minus: str = "") -> list[float]:
    """Exact translations of a row in %, minus those of another."""
    shares = [[100 * _mean(x["exact"]) for x in xs] for xs in results.pairs(row, minus or row)]
    return [a - b if minus else a for a, b in shares]


def _mean(values: list[float]) -> float:
    return sum(values[:-1]) / len(values[:-1])  # the last is of longer sentences


CLAIMS = (
    exact(
        "torch", "Section 3", "The model computes what torch's Transformer does.", at_most(1e-12)
    ),
    exact("future", "Section 3.2.3", "No output depends on later words.", at_most(1e-12)),
    exact("offset", "Section 3.5", "PE(pos + k) is a linear function of PE(pos).", at_most(1e-12)),
    exact("variance", "Footnote 4", "Dot products have variance d_k.", within(0.95, 1.05, "× d_k")),
    Claim(
        id="translation",
        source="Table 2",
        statement="Attention alone suffices to translate.",
        expected="28.4 BLEU to German, 41.8 to French, the best so far",
        measure=lambda r: exact_match(r, "base"),
        tolerance=at_least(95, "% exact"),
        tested_at=_LAPTOP,
        note=_SHORT,
    ),
    Claim(
        id="no-positions",
        source="Section 3.5",
        statement="Without positions the model cannot use the order of words.",
        expected="not measured in the paper",
        measure=lambda r: exact_match(r, "no-positions", "base"),
        tolerance=at_most(-50, "points exact"),
    ),
    Claim(
        id="learned",
        source="Table 3 (E)",
        statement="Learned positions are as good as sinusoids.",
        expected="25.7 BLEU against 25.8",
        measure=lambda r: exact_match(r, "learned", "base"),
        tolerance=within(-3, 3, "points exact"),
        tested_at=_LAPTOP,
        note=_SHORT,
    ),
    Claim(
        id="longer",
        source="Section 3.5",
        statement="Sinusoids extrapolate to longer sentences than those of the training.",
        expected="a hypothesis: they may extrapolate, learned positions cannot",
        measure=lambda r: [
            100 * (a["accuracy"][-1] - b["accuracy"][-1]) for a, b in r.pairs("base", "learned")
        ],
        tolerance=at_least(5, "points per token"),
        tested_at=_LAPTOP,
        not_reproduced="2026-11-27: both fail with one number more than in training.",
        note="The paper does not test it.",
    ),
    table_3("heads-1", "base", "A", "One head is worse than several.", 5.29, 4.92),
    table_3("heads-16", "base", "A", "Too many heads are worse, too.", 5.01, 4.92),
    table_3(
        "small-d_k", "base", "B", "Queries and keys of a quarter of the size hurt.", 5.16, 4.92
    ),
    table_3("no-smoothing", "base", "D", "Label smoothing costs perplexity.", 4.67, 4.92, ""),
    table_3("few", "few-dropout", "D", "Without dropout the model over-fits.", 5.77, 4.92),
)
