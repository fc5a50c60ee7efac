"""The command line: verbs only.

rag-chatbot ingest docs                     read documents
rag-chatbot ask "What is hybrid search?"    one answer, with citations
rag-chatbot chat                            a conversation in the terminal
rag-chatbot serve docs                      the page and the API on http://127.0.0.1:8001
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_chatbot.talk import terminal

if TYPE_CHECKING:
    from rag_chatbot.chatbot import Chatbot

app = typer.Typer(
    help="Answers questions about your documents, with checked citations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
documents = typer.Typer(help="The documents of a collection: list, delete.", no_args_is_help=True)
collections = typer.Typer(help="Collections and who may use them.", no_args_is_help=True)
feedback = typer.Typer(help="What people thought of the answers.", no_args_is_help=True)
app.add_typer(documents, name="documents")
app.add_typer(collections, name="collections")
app.add_typer(feedback, name="feedback")

OPERATOR = None  # as in `chatbot`, which is too heavy to import for a help text
Collection = Annotated[str, typer.Option("--collection", "-c", help="Which collection.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Model = Annotated[str | None, typer.Option("--model", help="Chat model: a name or a model spec.")]
Paths = Annotated[list[Path], typer.Argument(help="Files or folders.")]


def open_chatbot(model: str | None = None, **overrides: Any) -> Chatbot:
    """The chatbot as the environment and the options say."""
    from rag_chatbot.config import Config
    from seedbed.observe.startup import start
    from seedbed.settings import Settings, load

    # A question multiplies small matrices: threads for that only get in each other's way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    settings = load(Settings, model=model)
    start("rag_chatbot", settings.log_level)
    config = load(Config, **overrides)

    from rag_chatbot.chatbot import open_chatbot

    return open_chatbot(config, settings)


def show(value: Any) -> None:
    """Print JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


@app.command()
def ingest(
    paths: Paths,
    collection: Collection = "default",
    include: Annotated[list[str] | None, typer.Option(help="Only these, e.g. '*.md'.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Not these, e.g. 'drafts/*'.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Forget files that are gone.")] = False,
    as_json: Json = False,
) -> None:
    """Read documents into a collection; what has not changed is not read again.

    Exits 1 when a file could not be read.
    """
    summary = _ingest(
        open_chatbot(),
        paths,
        collection,
        as_json,
        include=include or (),
        exclude=exclude or (),
        prune=prune,
    )
    if as_json:
        show(summary)
    raise typer.Exit(1 if summary["failed"] else 0)


def _ingest(
    chatbot: Chatbot, paths: list[Path], collection: str, quiet: bool = False, **options: Any
) -> dict[str, Any]:
    from rag_chatbot.ingest import ingest

    with terminal.progress(quiet) as progress:
        summary = ingest(
            chatbot.store,
            paths,
            collection=collection,
            progress=progress,
            waiting=lambda said: typer.echo(said, err=True),
            **options,
        ).as_json()
    if not quiet:
        terminal.report(summary)
    return summary


@app.command()
def ask(
    question: str,
    collection: Collection = "default",
    model: Model = None,
    k: Annotated[int | None, typer.Option("-k", "--k", help="Chunks to answer from.")] = None,
    mode: Annotated[str | None, typer.Option(help="quote, write or auto.")] = None,
    strictness: Annotated[float | None, typer.Option(help="How sure to be, 0 to 1.")] = None,
    as_json: Json = False,
) -> None:
    """Answer one question."""
    from rag_chatbot.chatbot import Question

    asked = Question(question, collection, k=k, mode=mode, strictness=strictness, keep=False)
    answer = open_chatbot(model).ask(asked, caller=OPERATOR)
    if as_json:
        show(answer)
    else:
        typer.echo(terminal.readable(answer))


@app.command()
def chat(collection: Collection = "default", model: Model = None) -> None:
    """A conversation in the terminal; an empty line ends it."""
    from rag_chatbot.chatbot import Question
    from seedbed.errors import BadInput

    chatbot, conversation = open_chatbot(model), None
    while text := _read_line():
        try:
            question = Question(text, collection, conversation)
            for event in chatbot.stream(question, caller=OPERATOR):
                if isinstance(event, str):
                    typer.echo(event, nl=False)
                else:
                    conversation = event["conversation_id"]
                    typer.echo("\n" + terminal.sources(event))
        except BadInput as error:
            typer.echo(str(error), err=True)


def _read_line() -> str:
    try:
        return input("\n> ").strip()
    except (EOFError, KeyboardInterrupt):
        return ""


@app.command()
def serve(
    paths: Annotated[list[Path] | None, typer.Argument(help="Read these first.")] = None,
    port: Annotated[int, typer.Option(envvar="PORT")] = 8001,
    host: Annotated[str, typer.Option(help="Beyond this machine keys are needed.")] = "127.0.0.1",
    collection: Collection = "default",
    model: Model = None,
) -> None:
    """Serve the chat page and the HTTP API."""
    gc.disable()  # a tenth of the start is spent collecting what imports keep
    chatbot = open_chatbot(model)
    if paths:
        _ingest(chatbot, paths, collection)

    from rag_chatbot.talk.api import create_app
    from seedbed.server import service

    served = create_app(chatbot)
    gc.enable()
    gc.freeze()
    typer.echo(f"Ask on http://{host}:{port}", err=True)
    service.serve(served, port=port, host=host)


@app.command(name="eval")
def evaluate(
    beir: Annotated[Path | None, typer.Option(help="A folder in the BEIR layout.")] = None,
    qa: Annotated[Path | None, typer.Option(help="Questions, one JSON object a line.")] = None,
    docs: Annotated[Path | None, typer.Option(help="The documents of --qa.")] = None,
    compare: Annotated[Path | None, typer.Option(help="JSON of an earlier run.")] = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Measure retrieval (--beir) or answers (--qa with --docs)."""
    from rag_chatbot.evaluate.questions import run

    with terminal.progress() as progress:
        result = run(model, beir=beir, qa=qa, docs=docs, baseline=compare, progress=progress)
    if as_json:
        show(result)
    else:
        typer.echo(terminal.table(result))


@app.command()
def demo(paths: Paths) -> None:
    """Ingest, ask and check the answers once, without a server; exits 1 if one is wrong."""
    from rag_chatbot.demo import run

    raise typer.Exit(1 if run(paths) else 0)


@app.command()
def mcp() -> None:
    """Offer `search` and `ask` as MCP tools on standard input and output."""
    from rag_chatbot.talk.mcp_server import create_server

    create_server(open_chatbot()).run("stdio")


@documents.command("list")
def list_documents(collection: Collection = "default", as_json: Json = False) -> None:
    """The documents of a collection."""
    found = open_chatbot().documents(collection, OPERATOR)
    if as_json:
        show(found)
    else:
        for item in found:
            typer.echo(f"{item['chunks']:5} chunks  {item['source']}")


@documents.command("delete")
def delete_document(source: str, collection: Collection = "default") -> None:
    """Forget one document."""
    open_chatbot().delete_document(collection, source, OPERATOR)
    typer.echo(f"deleted {source}", err=True)


@collections.command("list")
def list_collections(as_json: Json = False) -> None:
    """All collections, with who may read and write them."""
    chatbot = open_chatbot()
    found = [chatbot.store.collection(name) for name in chatbot.store.collections()]
    rules = [{"name": c.name, "readers": c.readers, "writers": c.writers} for c in found]
    if as_json:
        show(rules)
    else:
        for rule in rules:
            readers, writers = ", ".join(rule["readers"]), ", ".join(rule["writers"])
            typer.echo(f"{rule['name']}  read by: {readers}  written by: {writers}")


@collections.command("create")
def create_collection(
    name: str,
    readers: Annotated[str, typer.Option(help="Names of API keys, by commas.")] = "*",
    writers: Annotated[str, typer.Option(help="Names of API keys, by commas.")] = "*",
) -> None:
    """Make a collection. With `*` anyone who may call the server may use it."""
    open_chatbot().create_collection(name, readers.split(","), writers.split(","), OPERATOR)
    typer.echo(f"created {name}", err=True)


@collections.command("delete")
def delete_collection(name: str) -> None:
    """Delete a collection with all its documents."""
    open_chatbot().delete_collection(name, OPERATOR)
    typer.echo(f"deleted {name}", err=True)


@collections.command("reembed")
def reembed(name: str) -> None:
    """Give a collection vectors of the present embeddings (SEEDBED_EMBEDDINGS)."""
    count = open_chatbot().store.reembed(name)
    typer.echo(f"embedded {count} chunks of {name}", err=True)


@feedback.command("export")
def export_feedback(
    output: Annotated[Path, typer.Argument(help="A file of JSON lines, for eval --qa.")],
    all_ratings: Annotated[
        bool, typer.Option("--all", help="Also what was rated down, for you to complete.")
    ] = False,
) -> None:
    """Write answers that people rated up as questions for `eval --qa`."""
    cases = list(open_chatbot().conversations.export(rating=None if all_ratings else "up"))
    lines = (json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    output.write_text("".join(lines), encoding="utf-8")
    typer.echo(f"{len(cases)} cases in {output}", err=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: an error is one line and exit status 2."""
    from seedbed.errors import SeedbedError

    try:
        app(arguments)
    except (SeedbedError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
