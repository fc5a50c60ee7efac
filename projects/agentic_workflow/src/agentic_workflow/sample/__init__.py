"""The sample shop: database, documents, mails, a mail server, payments, and the demo.

It fills in what is not configured, so that everything runs at once. To do without it, delete this
folder, `tests/sample`, and the two lines of `__main__.py` that contain its name.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from agentic_workflow.config import Config


def install(
    app: typer.Typer, settings: Callable[[], tuple[Config, object]]
) -> Callable[[Config], AbstractContextManager[Config]]:
    """Add the verb `demo`; returns what starts the sample shop around `serve` and `eval`."""

    @app.command()
    def demo() -> None:
        """Take the sample mails to their replies, approve one, and check the results.

        Exits with status 1 if a result is wrong.
        """
        from agentic_workflow.sample.demo import run

        raise typer.Exit(1 if run(settings()[0]) else 0)

    def prepare(config: Config) -> AbstractContextManager[Config]:
        from agentic_workflow.sample.start import sample_shop

        return sample_shop(config)

    return prepare
