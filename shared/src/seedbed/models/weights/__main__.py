"""`python -m seedbed.models.weights prefetch NAME`: download and convert a model's weights now."""

from seedbed import cli
from seedbed.models.weights.ensure import ensure

app = cli.create_app("Model weights.")


@app.command("prefetch")
def prefetch(name: str) -> None:
    """Download and convert the weights of a model now; prints their folder."""
    print(ensure(name))


@app.callback()
def group() -> None:
    """Keep the name of the command, which Typer drops for a program with a single one."""


if __name__ == "__main__":
    cli.main(app)
