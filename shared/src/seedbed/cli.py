"""Command lines: errors on one line, JSON output, tables, progress.

    app = cli.create_app("Answers questions about your documents.")

    @app.command()
    def ask(question: str, as_json: cli.Json = False) -> None:
        cli.show(answer(question), as_json, to_text=format_answer)

    if __name__ == "__main__":
        cli.main(app)

Results go to stdout, everything else to stderr, so that output can be piped.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from seedbed.errors import SeedbedError, shell_path

LINE_EVERY_S = 10.0
"""Seconds between progress lines where stderr is not a terminal."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The `--json` option; pass its value to `show`."""
Host = Annotated[
    str, typer.Option(help="Interface to bind. Anything but loopback requires API keys or sign-in.")
]
"""The `--host` option of a command that serves."""
Port = Annotated[int, typer.Option(envvar="PORT", help="TCP port to listen on.")]
"""The `--port` option of a command that serves; the variable PORT sets it too."""


def create_app(help_text: str) -> typer.Typer:
    """A Typer application, or a group of commands for one. Without arguments it prints its help."""
    # Typer's own tracebacks show local variables, which may contain keys and questions.
    return typer.Typer(
        help=help_text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )


def main(app: Callable[[list[str] | None], object], arguments: list[str] | None = None) -> None:
    """Run a command line; a SeedbedError or OSError is printed on one line, with exit status 2.

    Other exceptions are bugs: they pass, with their traceback and status 1. Typer exits with 130 on
    Ctrl-C, and with 1 if stdout is a closed pipe.
    """
    try:
        app(arguments)
    except (SeedbedError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


def command_line(program: str, *arguments: object) -> str:
    """A command for the user to paste into a shell, in the current folder.

    `program` is a command that a project installs. If the shell does not find it on its PATH, it is
    named by its path, e.g. `.venv/bin/NAME`. Arguments are quoted where necessary.

    >>> command_line("no-such-program", "export", "--adapter", Path("my run"))
    "no-such-program export --adapter 'my run'"
    """
    script = Path(sys.executable).with_name(program)
    on_path = shutil.which(program)
    if script.exists() and not (on_path and Path(on_path).absolute() == script):
        program = shell_path(script)
    return " ".join([program, *(shlex.quote(str(argument)) for argument in arguments)])


def show(value: Any, as_json: bool = True, *, to_text: Callable[[Any], str] = str) -> None:
    """Print a result as JSON, or as the text that `to_text` returns for it."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2) if as_json else to_text(value))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A text table with aligned columns, numbers to the right.

    None becomes a dash; a float is rounded to four significant digits.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    columns = list(zip(headers, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    align = [str.rjust if _is_numeric(column[1:]) else str.ljust for column in columns]
    lines = (
        "  ".join(pad(cell, width) for pad, cell, width in zip(align, row, widths, strict=True))
        for row in [list(headers), *cells]
    )
    return "\n".join(line.rstrip() for line in lines)


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, with cells formatted as in `table`; a `|` in them is escaped.

    >>> print(markdown_table(("run", "loss"), [("a|b", 1.5)]))
    | run | loss |
    | --- | --- |
    | a\\|b | 1.5 |
    """
    separator = ["---"] * len(headers)
    lines = [list(headers), separator, *([_cell(value) for value in row] for row in rows)]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_numeric(column: Sequence[str]) -> bool:
    values = [cell for cell in column if cell not in ("", "–")]
    number = re.compile(r"[+-]?\d[\d,.]*(?:e[+-]?\d+)?(?: ?%)?")
    return bool(values) and all(map(number.fullmatch, values))


class Progress:
    """What `progress` yields; it fits callbacks with `(done, total, name)`."""

    def __init__(self, file: IO[str] | None, unit: str, clock: Callable[[], float]) -> None:
        self._file, self._clock, self._next = file, clock, clock()
        self._unit = f"{unit} " if unit else ""
        self._bar: Any = None  # a `rich.progress.Progress` with one task

    def __call__(self, done: int, total: int | None, text: str = "", *, now: bool = False) -> None:
        """Report `done` of `total` (None: unknown, or as before). `now` writes the line at once."""
        if self._bar is not None:
            task = self._bar.tasks[0]
            total = task.total if total is None else total
            self._bar.update(task.id, completed=done, total=total, description=text, refresh=now)
            return
        due = self._clock() >= self._next
        if due or now or done == total:
            of = "" if total is None else f" of {total}"
            self.print(f"{self._unit}{done}{of}  {text}".rstrip())
        if due:
            self._next = self._clock() + LINE_EVERY_S

    def print(self, line: str) -> None:
        """Print a line that remains, above the bar."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        elif self._file is not None:
            print(line, file=self._file, flush=True)


@contextmanager
def progress(
    *,
    quiet: bool = False,
    unit: str = "",
    start: str = "",
    time_left: bool = True,
    file: IO[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Report progress on stderr: a bar on a terminal, otherwise a line every ten seconds.

    `quiet` suppresses all reports, e.g. for `--json`; `unit` is the first word of each line ("step
    3 of 30"), and `start` the text beside the bar until the first report; `time_left` adds the
    estimated remaining time; `file` replaces stderr, and `clock` the clock, which returns seconds.
    At the end, also after an error or Ctrl-C, the bar is removed and the terminal restored.

    >>> with progress(unit="file", file=sys.stdout) as report:
    ...     report(2, 2, "guide.md")
    file 2 of 2  guide.md
    """
    file = file or sys.stderr
    report = Progress(None if quiet else file, unit, clock)
    if quiet or not file.isatty():
        yield report
        return
    from rich import progress as rich
    from rich.console import Console

    columns: list[Any] = [rich.BarColumn(bar_width=16), rich.MofNCompleteColumn()]
    columns += [rich.TimeRemainingColumn()] * time_left
    # Without rich's markup, which is written in [brackets]: a file name may contain them.
    columns += [rich.TextColumn("{task.description}", markup=False)]
    console = Console(file=file)
    with rich.Progress(*columns, console=console, refresh_per_second=4, transient=True) as bar:
        console.show_cursor()  # rich hides it, and a killed process would leave it hidden
        bar.add_task(start, total=None)
        report._bar = bar
        yield report
