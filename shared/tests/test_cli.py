"""Errors, output and progress of command lines."""

import io
import os
import pty
import re
import subprocess
import sys
from itertools import count
from pathlib import Path

from seedbed import cli

PROGRAM = """
from seedbed import cli
from seedbed.errors import NotFound
app = cli.create_app("Prints things.")

@app.command()
def fail(kind: str):
    raise {"expected": NotFound("No run 'a'.", hint="Start one."), "disk": OSError("disk full"),
           "bug": ValueError("a bug")}[kind]

@app.command()
def bar():
    with cli.progress(unit="file", start="loading") as report:
        report(1, 4, "a[b].md")
        report(3, None, "c.md", now=True)
        report.print("a line that [stays]")

cli.main(app)
"""


def run(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_main_prints_an_expected_error_as_one_line_and_a_bug_in_full() -> None:
    assert run("fail", "expected") == (2, "", "error: No run 'a'. Start one.\n")
    assert run("fail", "disk") == (2, "", "error: disk full\n")
    code, _, err = run("fail", "bug")
    assert code == 1 and "Traceback" in err and "ValueError: a bug" in err


def test_table_aligns_numbers_to_the_right() -> None:
    rows = [("a", 5, "12.5", "91 %", "x"), ("longer", 1234, None, "", "")]
    assert cli.table(("name", "n", "s", "share", "note"), rows).splitlines() == [
        "name       n     s  share  note",
        "a          5  12.5   91 %  x",
        "longer  1234     –",
    ]


def test_progress_prints_lines_without_a_terminal() -> None:
    file, second = io.StringIO(), count()  # the clock advances by a second per call
    with cli.progress(unit="file", file=file, clock=lambda: float(next(second))) as report:
        for done in range(1, 26):
            report(done, 25, f"{done}.md")
            if done == 5:
                report(5, None, "in between", now=True)
        report.print("finished")
    lines = file.getvalue().splitlines()
    assert lines[0] == "file 1 of 25  1.md"
    assert lines[1] == "file 5  in between"
    assert lines[-2:] == ["file 25 of 25  25.md", "finished"]
    assert [int(line.split()[1]) for line in lines[2:-2]] == [10, 20]


def test_progress_shows_a_bar_on_a_terminal() -> None:
    terminal, programs_end = pty.openpty()
    env = os.environ | {"COLUMNS": "100", "TERM": "xterm-256color"}
    output = b""
    command = [sys.executable, "-c", PROGRAM, "bar"]
    with subprocess.Popen(command, stdout=programs_end, stderr=programs_end, env=env) as process:
        os.close(programs_end)
        try:
            while piece := os.read(terminal, 65536):
                output += piece
        except OSError:  # the program has ended
            pass
        os.close(terminal)
        assert process.wait(timeout=60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.decode())
    assert re.search(r"3/4 \S+ c\.md", text)
    assert "a line that [stays]" in text
    assert output.rfind(b"\x1b[?25h") > output.rfind(b"\x1b[?25l")  # the cursor is shown


def test_command_line_names_the_program_as_the_shell_finds_it(tmp_path: Path) -> None:
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "my-tool").write_text("#!/bin/sh\n")
    (programs / "my-tool").chmod(0o755)

    def printed(cwd: Path, path: str) -> str:
        code = "from seedbed.cli import command_line; print(command_line('my-tool', 'run', 'a b'))"
        env = {"PATH": path, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [programs / "python", "-c", code]
        return subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert printed(tmp_path, "/usr/bin") == ".venv/bin/my-tool run 'a b'"
    assert printed(Path(__file__).parent, "/usr/bin") == f"{programs}/my-tool run 'a b'"
    assert printed(tmp_path, f"{programs}:/usr/bin") == "my-tool run 'a b'"
