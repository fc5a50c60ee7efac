"""How rag_chatbot answers questions about other people's documents, as `make eval-rag` measures it.

    python benchmarks/answers.py [--model SPEC] [--json]

The questions about a collection are asked with its documents alone, see `collections/README.md`:
those in `fitted`, to which the weights of quote mode were fitted, and those in `held_out`, which
influenced no choice.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rag_chatbot.evaluate.questions import run
from seedbed import cli
from seedbed.runs.evaluation import Figure

COLLECTIONS = Path(__file__).parent / "collections"
COLUMNS = ("answer_accuracy", "wrong_answers", "citation_precision", "abstention_recall")

app = cli.create_app("Measure the answers about documents of others.")


@app.command()
def main(
    model: Annotated[
        str | None, typer.Option(help="Chat model, e.g. ollama:qwen3:4b. Default: SEEDBED_MODEL.")
    ] = None,
    as_json: cli.Json = False,
) -> None:
    """Measure the answers to questions about each collection of documents."""
    cli.show(measure(model), as_json, to_text=to_text)


def measure(model: str | None = None) -> dict[str, Any]:
    """The shares of the held-out questions, those of each group under "rows", and all cases."""
    cases: list[dict[str, Any]] = []
    for questions in sorted(COLLECTIONS.glob("*/*.jsonl")):
        group = f"{questions.parent.name}/{questions.stem}"
        print(f"{group} …", file=sys.stderr)
        result = run(questions, COLLECTIONS / "documents" / questions.stem, model)
        cases += [case | {"group": group} for case in result["cases"]]
    groups = [*dict.fromkeys(case["group"] for case in cases), "fitted", "held_out"]
    rows = {name: figures([c for c in cases if c["group"].startswith(name)]) for name in groups}
    rows["all"] = figures(cases)
    shares = {name: round(figure["value"], 4) for name, figure in rows["held_out"].items()}
    return {**shares, "rows": rows, "cases": cases}


def figures(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The shares of `evaluate_qa`, and the share of answerable questions answered wrongly."""
    result = {}
    for name in cases[0]["counts"]:
        counts = [case["counts"][name] for case in cases]
        result[name] = asdict(Figure.share(sum(n for n, _ in counts), sum(n for _, n in counts)))
    answerable = [case for case in cases if case["answerable"]]
    wrong = sum(not (case["correct"] or case["abstained"]) for case in answerable)
    return result | {"wrong_answers": asdict(Figure.share(wrong, len(answerable)))}


def to_text(result: dict[str, Any]) -> str:
    """A row for each group."""
    rows = [(group, *map(interval, map(row.get, COLUMNS))) for group, row in result["rows"].items()]
    return cli.table(("questions", *COLUMNS), rows)


def interval(figure: Any) -> str:
    """A share with its 95 % interval, for people."""
    low, high = 100 * figure["low"], 100 * figure["high"]
    return f"{100 * figure['value']:.0f} % ({low:.0f} to {high:.0f}, n = {figure['n']})"


if __name__ == "__main__":
    cli.main(app)
