"""The reports as a folder of static files for any web server, and a small server for them.

write_site(config)                       # var/research_repro/site/index.html
with serving(config, "127.0.0.1", 8006):
    ...
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from research_repro.config import Config
from research_repro.paper import SCALES, Scale
from research_repro.papers import load_papers
from research_repro.report.html import IndexRow, index_html, report_html
from research_repro.results import Outcome, load_outcome, results_path
from seedbed.errors import BadInput, NotFound
from seedbed.files import write_text


def write_site(config: Config) -> None:
    """Write the list of papers, and a report for each scale with own or published results."""
    papers, problems = load_papers(config.papers_dir)
    folder = config.data_dir / "site"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[IndexRow] = []
    for paper in papers:
        # 1. Load the results of each scale.
        scales: dict[Scale, tuple[str, Outcome, bool]] = {}
        for scale in reversed(SCALES):
            own = results_path(config.data_dir, paper.name, scale).exists()
            try:
                outcome = load_outcome(config.data_dir, paper, scale)
            except NotFound:
                continue
            except BadInput as error:  # a damaged file; the other reports do not need it
                problems.append(str(error))
                continue
            scales[scale] = f"{paper.name}-{scale}.html", outcome, own
        rows.append((paper, scales))
        # 2. Write their reports, with links to one another.
        links = {"All papers": "index.html"} | {name: row[0] for name, row in scales.items()}
        for file, outcome, _own in scales.values():
            write_text(folder / file, report_html(paper, outcome, links))
    write_text(folder / "index.html", index_html(rows, problems))


@contextmanager
def serving(config: Config, host: str, port: int) -> Iterator[None]:
    """Serve the site's files from a thread. Raises BadInput for a port that is taken."""
    handler = partial(_Pages, directory=str(config.data_dir / "site"))
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        problem = f"Cannot listen on {host}:{port}: {error.strerror or error}."
        raise BadInput(problem, hint="Choose another port with --port.") from None
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


class _Pages(SimpleHTTPRequestHandler):
    """The files as they are, without a line in the terminal for each."""

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""
