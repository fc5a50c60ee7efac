"""The command line.

    vision-app classify photo.jpg                 # what is in it
    vision-app extract invoice.pdf --json         # its fields, with their evidence
    vision-app read scan.pdf                      # the text
    vision-app serve                              # page and API on http://127.0.0.1:8003

Commands parse options and print results; the work is done in `vision.py`. Heavy imports are inside
the commands, so that `--help` is quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_app.serve import terminal
from seedbed import cli
from seedbed.cli import Host, Json, Port, show
from seedbed.errors import SeedbedError
from seedbed.files import write_bytes

if TYPE_CHECKING:
    from vision_app.files.images import Source
    from vision_app.vision import Vision

app = cli.create_app("Classifies, reads, extracts from, searches and explains images.")
PATTERNS = "Images or PDFs, folders, or patterns such as 'scans/*.png'."
MODEL = "Classifier: path:DIR or hf:ORG/REPO. Default: VISION_CLASSIFIER."
Files = Annotated[list[Path], typer.Argument(help=PATTERNS)]
File = Annotated[Path, typer.Argument(help="An image or a PDF.")]
Classes = Annotated[Path, typer.Argument(help="One sub-folder of images per class.")]
Classifier = Annotated[str | None, typer.Option("--model", help=MODEL)]
Row = dict[str, Any]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print a table as CSV.")]


def open_vision(classifier: str | None = None) -> Vision:
    """Open the app with the settings of the environment, and perhaps another classifier."""
    from vision_app.config import Config
    from seedbed.observe.logs_and_traces import start
    from seedbed.settings import Settings, load

    settings = load(Settings)
    start("vision_app", settings.log_level)
    from vision_app.vision import Vision

    return Vision(load(Config, classifier=classifier), settings)


def _each(
    vision: Vision,
    paths: Iterable[Path],
    task: Callable[[Source], Row],
    to_text: Callable[[Row], str],
    as_json: bool = False,
    as_csv: bool = False,
) -> None:
    """Run a task on every file and print each result as it is ready; exits 2 if a file failed.

    With `--json` each file is one line with one object: the result, or {"file", "error"}.
    """
    from vision_app.files.images import find_files

    files, rows = find_files(paths), list[Row]()
    quiet = len(files) < 2 or sys.stdout.isatty()  # the results themselves show the progress there
    with cli.progress(quiet=quiet, unit="file") as progress:
        complain = partial(typer.echo, err=True) if quiet else progress.print
        for number, path in enumerate(files, 1):
            try:
                row = task(vision.open(path))
            except SeedbedError as error:
                row = {"file": str(path), "error": str(error)}
                complain(f"error: {error}")
            rows.append(row)
            if as_json:
                typer.echo(json.dumps(row, ensure_ascii=False))
            elif not as_csv and "error" not in row:
                typer.echo(to_text(row))
            progress(number, len(files), path.name)
    if as_csv:
        typer.echo(terminal.csv_table(rows), nl=False)
    raise typer.Exit(2 if any("error" in row for row in rows) else 0)


@app.command()
def classify(
    files: Files,
    model: Classifier = None,
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="Number of labels.")] = 5,
    as_json: Json = False,
) -> None:
    """Name what is in each image, with a calibrated confidence.

    Exits with status 2 if a file could not be read.
    """
    vision = open_vision(model)
    task = partial(vision.classify, k=k)
    _each(vision, files, task, terminal.labels, as_json)


@app.command()
def read(files: Files, as_json: Json = False) -> None:
    """Print the text of each file (OCR), in reading order.

    Exits with status 2 if a file could not be read.
    """
    from vision_app.ocr.page import as_text

    vision = open_vision()

    def task(source: Source) -> dict[str, Any]:
        if as_json:
            return vision.read_json(source)
        for warning in vision.warnings(source):
            typer.echo(f"warning: {source.name}: {warning}", err=True)
        return {"text": as_text(vision.read(source))}

    _each(vision, files, task, "{text}".format_map, as_json)


@app.command()
def extract(
    files: Files,
    schema: Annotated[
        str, typer.Option(help="invoice, receipt, or the path of a JSON Schema of your own.")
    ] = "invoice",
    as_json: Json = False,
    as_csv: AsCsv = False,
) -> None:
    """Extract the fields of documents, each with the words it came from and a confidence.

    A field that is not on the page is null. Exits with status 2 if a file could not be read.
    """
    vision = open_vision()
    vision.schema(schema)  # a wrong name fails before the first file
    task = partial(vision.extract, schema=schema)
    _each(vision, files, task, terminal.fields, as_json, as_csv)


@app.command()
def ask(
    file: File,
    question: Annotated[str, typer.Argument(help="A question about the image.")],
    as_json: Json = False,
) -> None:
    """Answer a question about an image. Requires a vision-language model."""
    vision = open_vision()
    show(vision.ask(vision.open(file), question), as_json, to_text=terminal.answer)


@app.command()
def explain(
    file: File,
    label: Annotated[
        str | None, typer.Option(help="Class to explain. Default: the most likely one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="PNG to write. Default: NAME.explained.png.")
    ] = None,
    model: Classifier = None,
) -> None:
    """Write a picture that shows which pixels speak for a class."""
    vision = open_vision(model)
    explanation = vision.explain(vision.open(file), label)
    target = out or Path(f"{file.stem}.explained.png")
    write_bytes(target, explanation["png"])
    confidence = terminal.percent(explanation["confidence"])
    typer.echo(f"{explanation['label']} ({confidence}): {target}")


@app.command()
def index(paths: Files, as_json: Json = False) -> None:
    """Add images to the index for search. Unchanged files are not read again.

    Exits with status 2 if a file could not be read.
    """
    vision = open_vision()
    with cli.progress(quiet=as_json, unit="file") as progress:
        summary = vision.index.add(paths, progress)
    show(summary, as_json, to_text=terminal.summary)
    raise typer.Exit(2 if summary["failed"] else 0)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="A text, or the path of an image with --image.")],
    image: Annotated[
        bool, typer.Option("--image", help="Find images similar to this one.")
    ] = False,
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="Number of images.")] = 10,
    as_json: Json = False,
) -> None:
    """Find indexed images by a text or by a similar image."""
    vision = open_vision()
    if image:
        hits = vision.index.search_image(vision.open(Path(query)).first(), k)
    else:
        hits = vision.index.search_text(query, k)
    show(hits, as_json, to_text=terminal.hits)


@app.command(name="train")
def train_classifier(
    folder: Classes,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write. Default: VISION_DATA_DIR/classifiers/NAME. An existing folder is"
            " replaced only if it is a classifier that was trained."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Teach the classifier your own classes; five images each are enough."""
    from vision_app.classify.train import train

    vision = open_vision()
    with cli.progress(quiet=as_json) as progress:
        target = out or vision.config.data_dir / "classifiers" / folder.resolve().name
        report = train(folder, target, vision.config, vision.settings, progress)
    show(report, as_json, to_text=terminal.training)


@app.command()
def serve(port: Port = 8003, host: Host = "127.0.0.1", model: Classifier = None) -> None:
    """Serve the web page and the HTTP API."""
    vision = open_vision(model)
    from vision_app.serve.api import create_app
    from seedbed.models.load import check_chat_model
    from seedbed.server import service

    check_chat_model(settings=vision.settings)
    served = create_app(vision, vision.settings)
    typer.echo(f"Open http://{host}:{port}", err=True)
    service.serve(served, port=port, host=host)


@app.command()
def demo() -> None:
    """Classify, read, extract and ask on sample pictures, and check the results.

    Exits with status 1 if a result is wrong.
    """
    from vision_app.demo import check

    wrong = False
    for line, expected in check(open_vision()):
        typer.echo(f"{'✗' if expected else '✓'} {line}")
        if expected:
            wrong = True
            typer.echo(f"  expected {expected}", err=True)
    raise typer.Exit(1 if wrong else 0)


@app.command(name="eval")
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Documents, described by a truth.jsonl.")],
    as_json: Json = False,
) -> None:
    """Measure the extraction on documents whose fields are known.

    Exits with status 2 if a file could not be read.
    """
    from vision_app import evaluate as documents

    vision = open_vision()

    def read(path: Path, schema: str) -> Any:
        return vision.extract(vision.open(path), schema)["fields"]

    with cli.progress(quiet=as_json, unit="document") as progress:
        report = documents.evaluate(folder, read, progress)
    typer.echo(report.to_json() if as_json else report.to_markdown())
    errors = [case["error"] for case in report.cases if "error" in case]
    for error in errors:
        typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2 if errors else 0)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. An error is printed as one line; the exit status is 2."""
    cli.main(app, arguments)


if __name__ == "__main__":
    main()
