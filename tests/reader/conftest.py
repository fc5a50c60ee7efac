"""A reader: types what the pages say, in a clone of the last commit in a folder with a space."""

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from PIL import Image

from seedbed.testing.launch import free_port, run_server

ROOT = Path(__file__).parents[2]


class Reader:
    """Runs commands in `folder`; a server runs until the next one is started."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.server = folder, free_port(), ExitStack()

    def empty(self) -> None:
        """Stop the server, delete what the programs have stored, and restore the projects."""
        self.server.close()
        shutil.rmtree(self.folder / "var", ignore_errors=True)
        self.run("git checkout --quiet projects && git clean -fdq projects")

    def run(self, command: str, *program: str, status: int | None = 0) -> str:
        """What a command of bash, or a text for `program`, prints on its standard output.

        Fails if its exit status is not `status`; None stands for any.
        """
        text = re.sub(r"127\.0\.0\.1:80\d\d", f"127.0.0.1:{self.port}", command)
        done = subprocess.run(
            [
                *(program or ("bash", "-euc")),
                text.replace("~/", "./").replace("curl -s", "curl -sSf"),
            ],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        printed = f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        assert status in (None, done.returncode), printed
        return done.stdout

    def start(self, command: str) -> None:
        """Start a server in the place of the last one; returns when its page answers."""
        self.server.close()
        self.port = free_port()
        setup, _, line = command.rpartition("\n")
        script = f'cd "{self.folder}"\n{setup}\nexec env PORT={self.port} {line}'
        path = "/" if "research" in line else "/healthz"
        self.server.enter_context(run_server(["bash", "-c", script], self.port, path, 300))


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With this installation, and with the documents of a reader by the names in the pages."""
    folder = tmp_path_factory.mktemp("a reader") / "seed bed"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (folder / ".venv").mkdir()
    for path in (ROOT / ".venv").iterdir():
        link = folder / ".venv" / path.name
        if path.suffix == ".ready":
            link.touch()  # make compares its time with those of the clone's files
        else:
            link.symlink_to(path)
    for name in ("notes", "my-documents", "scans", "invoices", "flowers/rose", "flowers/lily"):
        (folder / name).mkdir(parents=True)
    for name in ("notes/rent.md", "my-documents/rent.md"):
        (folder / name).write_text("# Rent\n\nThe rent is due on the third day of each month.\n")
    mail = folder / "projects/agentic_workflow/eval/mails/en/01-gloves.eml"
    shutil.copy(mail, folder / "mail.eml")
    rows = "".join(f"My {part} is broken,{part}\n" for part in ("lamp", "door", "boiler") * 20)
    (folder / "tickets.csv").write_text(f"description,section\n{rows}")
    with Image.open(folder / "projects/vision_app/eval/english-invoice.jpg") as invoice:
        for name in ("invoice.png", "invoices/1.png", "scan.pdf", "lease.pdf", "scans/lease.pdf"):
            invoice.convert("RGB").save(folder / name)
    for number in range(6):
        for name, color in (("rose", (200 + number, 20, 40)), ("lily", (240, 240, 200 + number))):
            Image.new("RGB", (64, 64), color).save(folder / f"flowers/{name}/{number}.png")
    database = sqlite3.connect(folder / "my.sqlite")
    database.execute("CREATE TABLE orders AS SELECT 1 AS id, 2.5 AS amount")
    database.commit()
    database.close()
    return folder


@pytest.fixture
def reader(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """With no setting but what a page exports, though another test may have left one behind."""
    for name in re.findall(r"^#(\w+)=", (ROOT / ".env.example").read_text("utf-8"), re.M):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    reader = Reader(clone)
    reader.empty()
    with reader.server:
        yield reader
