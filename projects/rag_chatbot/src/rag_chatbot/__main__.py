"""The command line.

    rag-chatbot ingest docs                     # add documents
    rag-chatbot ask "What is hybrid search?"    # one answer, with citations
    rag-chatbot chat                            # a conversation in the terminal
    rag-chatbot serve docs                      # web page and API on http://127.0.0.1:8001

Commands parse options and print results; the work is done in `chatbot.py` and `ingest.py`. Heavy
imports are inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_chatbot.store.catalogue import OPERATOR
from rag_chatbot.talk import terminal
from seedbed import cli
from seedbed.cli import Host, Json, Port, show
from seedbed.errors import BadInput, ModelError

if TYPE_CHECKING:
    from rag_chatbot.chatbot import Chatbot

app = cli.create_app("Answers questions about your documents, with verified citations.")
documents = cli.create_app("List and delete the documents of a collection.")
collections = cli.create_app("List, create and delete collections.")
feedback = cli.create_app("Export the ratings of answers.")
app.add_typer(documents, name="documents")
app.add_typer(collections, name="collections")
app.add_typer(feedback, name="feedback")

Collection = Annotated[str, typer.Option("--collection", "-c", help="Name of the collection.")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="Chat model, e.g. ollama:qwen3:4b. Default: SEEDBED_MODEL."),
]
CollectionName = Annotated[str, typer.Argument(help="Name of the collection.")]
Paths = Annotated[list[Path], typer.Argument(help="Files, or folders with their subfolders.")]


def open_chatbot(model: str | None = None) -> Chatbot:
    """Open the chatbot with the settings of the environment; `model` overrides the one there."""
    # The matrices of one question are small: more threads only compete for the cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported
    from rag_chatbot.chatbot import open_chatbot
    from rag_chatbot.config import Config
    from seedbed.observe.logs_and_traces import start
    from seedbed.settings import Settings, load

    settings = load(Settings, model=model)
    start("rag_chatbot", settings.log_level)
    return open_chatbot(load(Config), settings)


@app.command()
def ingest(
    paths: Paths,
    collection: Collection = "default",
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove documents whose files were deleted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add documents to a collection, or update them. Unchanged files are not read again.

    Exits with status 1 if a file could not be read.
    """
    summary = _ingest(open_chatbot(), paths, collection, prune=prune, quiet=as_json)
    if as_json:
        show(summary)
    raise typer.Exit(1 if summary["failed"] else 0)


def _ingest(
    chatbot: Chatbot, paths: list[Path], collection: str, prune: bool = False, quiet: bool = False
) -> dict[str, Any]:
    from rag_chatbot.ingest import ingest

    with cli.progress(quiet=quiet, unit="file") as progress:
        summary = ingest(
            chatbot.store, paths, collection=collection, prune=prune, progress=progress
        ).as_json()
    if summary["removed"]:
        chatbot.erase_deleted(collection)
    if not quiet:
        terminal.print_summary(summary)
    return summary


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="At most 4,000 characters.")],
    collection: Collection = "default",
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Answer one question."""
    from rag_chatbot.chatbot import Question

    request = Question(question, collection, keep=False)
    answer = open_chatbot(model).ask(request, caller=OPERATOR)
    show(answer, as_json, to_text=terminal.readable)


@app.command()
def chat(collection: Collection = "default", model: Model = None) -> None:
    """Hold a conversation in the terminal. An empty line ends it."""
    from rag_chatbot.chatbot import Question

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
        except (BadInput, ModelError) as error:  # the conversation goes on
            typer.echo(str(error), err=True)


def _read_line() -> str:
    try:
        return input("\n> ").strip()
    except (EOFError, KeyboardInterrupt):
        return ""


@app.command()
def serve(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders to ingest first.")
    ] = None,
    port: Port = 8001,
    host: Host = "127.0.0.1",
    collection: Collection = "default",
    model: Model = None,
) -> None:
    """Serve the web page and the HTTP API."""
    chatbot = open_chatbot(model)
    if chatbot.writes:
        from seedbed.models.load import check_chat_model

        check_chat_model(chatbot.answerer.spec)
    if paths:
        _ingest(chatbot, paths, collection)

    from rag_chatbot.talk.api import create_app
    from seedbed.server import service

    served = create_app(chatbot)
    typer.echo(f"Ask on http://{host}:{port}", err=True)
    service.serve(served, port=port, host=host)


@app.command(name="eval")
def evaluate(
    qa: Annotated[Path, typer.Option(help="JSON Lines file of questions.")],
    docs: Annotated[Path, typer.Option(help="Documents that the questions are about.")],
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Measure the answers to questions with known answers."""
    from rag_chatbot.evaluate.questions import run

    with cli.progress() as progress:
        result = run(qa, docs, model, progress=progress)
    show(result, as_json, to_text=terminal.evaluation)


@app.command()
def demo(paths: Paths) -> None:
    """Ingest documents, ask questions and check the answers.

    Exits with status 1 if an answer is wrong.
    """
    from rag_chatbot.demo import run

    raise typer.Exit(1 if run(paths) else 0)


@app.command()
def mcp() -> None:
    """Run an MCP server on standard input and output.

    Its tools are `search` and `ask`. `serve` has the same over HTTP, at /v1/mcp.
    """
    from rag_chatbot.talk.mcp_server import create_server

    create_server(open_chatbot()).run("stdio")


@documents.command("list")
def list_documents(collection: Collection = "default", as_json: Json = False) -> None:
    """List the documents of a collection."""
    show(open_chatbot().documents(collection, OPERATOR), as_json, to_text=terminal.listing)


@documents.command("delete")
def delete_document(
    source: Annotated[str, typer.Argument(help="Name as printed by `documents list`.")],
    collection: Collection = "default",
) -> None:
    """Delete one document."""
    open_chatbot().delete_document(collection, source, OPERATOR)
    typer.echo(f"deleted {source}", err=True)


@collections.command("list")
def list_collections(as_json: Json = False) -> None:
    """List all collections, and the keys that may read and write them."""
    existing = open_chatbot().store.collections.all()
    rules = [{"name": c.name, "readers": c.readers, "writers": c.writers} for c in existing]
    show(rules, as_json, to_text=terminal.listing)


@collections.command("create")
def create_collection(
    name: CollectionName,
    readers: Annotated[str, typer.Option(help="Key names, separated by commas.")] = "*",
    writers: Annotated[
        str, typer.Option(help="Key names, separated by commas. Default: those in RAG_WRITERS.")
    ] = "",
) -> None:
    """Create a collection. `*` stands for every API key."""
    open_chatbot().create_collection(name, _names(readers), _names(writers), OPERATOR)
    typer.echo(f"created {name}", err=True)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@collections.command("delete")
def delete_collection(name: CollectionName) -> None:
    """Delete a collection with all its documents."""
    open_chatbot().delete_collection(name, OPERATOR)
    typer.echo(f"deleted {name}", err=True)


@feedback.command("export")
def export_feedback(
    output: Annotated[Path, typer.Argument(help="JSON Lines file to write, for `eval --qa`.")],
) -> None:
    """Write answers rated up as test questions for `eval --qa`."""
    cases = list(open_chatbot().conversations.export())
    lines = (json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    output.write_text("".join(lines), encoding="utf-8")
    typer.echo(f"{len(cases)} cases in {output}", err=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. An error is printed as one line; the exit status is 2."""
    cli.main(app, arguments)


if __name__ == "__main__":
    main()
