"""Shows what is installed, the configured model, the accelerators, and how to get what is missing.

    python -m tools.doctor [--json]        `make doctor` calls it

It requires only the standard library, so it also runs before anything is installed, and it changes
nothing.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.errors import pip_install, shell_path
from seedbed.models.weights.catalog import MODELS, find
from seedbed.safety.secrets import redact_secrets

if TYPE_CHECKING:
    from seedbed.settings import Settings


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
    """Examine this machine and the repository at `root`; a check that raises becomes a finding."""
    checks: tuple[Callable[[Path], Iterator[Finding]], ...] = (
        _machine,
        _projects,
        _model,
        _weights,
        _accelerators,
        _tools,
    )
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check(root)
        except Exception as error:  # a broken library must not hide the rest of the report
            findings.append(Finding(check.__name__.strip("_"), repr(error), ok=False))
    return findings


def _machine(root: Path) -> Iterator[Finding]:
    version = platform.python_version()
    text = f"{version} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    supported = sys.version_info >= (3, 11)
    yield Finding("python", text, supported, "" if supported else "Install Python 3.11 or later")
    free = shutil.disk_usage(root).free / 1e9
    enough = free > 3  # all projects and their weights, with torch for a CPU
    yield Finding("disk", f"{free:.0f} GB free", enough, "" if enough else "Free at least 3 GB")


def _projects(root: Path) -> Iterator[Finding]:
    for project, setup in _setup_commands(root).items():
        command = project.replace("_", "-")
        if _version(command):
            program = shell_path(Path(sys.executable).with_name(command))
            yield Finding(project, f"installed: {program} --help")
        else:
            yield Finding(project, "not installed", fix=setup)


def _setup_commands(root: Path) -> dict[str, str]:
    """Project → the command that installs it, also for a project that was copied out."""
    makefile, pyproject = (
        path.read_text("utf-8") if path.is_file() else ""
        for path in (root / "Makefile", root / "pyproject.toml")
    )
    pairs = re.findall(r"^project-(\S+) := (\S+)$", makefile, re.MULTILINE)
    commands = {
        project: f"make setup-{name}"
        for name, project in pairs
        if (root / "projects" / project).is_dir()
    }
    alone = re.search(r'^name = "([\w-]+)"$', pyproject, re.MULTILINE)
    return {alone[1].replace("-", "_"): "make setup"} if alone else commands


def _model(root: Path) -> Iterator[Finding]:
    del root
    settings = _settings()
    spec = settings.model if settings else os.environ.get("SEEDBED_MODEL", "smollm2")
    model = find(spec)
    if model:
        yield Finding(
            "model",
            f"{spec}: runs on this machine, {model.size_mb or '?'} MB, {model.license or '?'}",
        )
        return
    server = redact_secrets((settings and settings.base_url) or "")
    vendor = spec.partition(":")[0]
    key = f"{vendor.upper()}_API_KEY"
    remote = vendor in {"openai", "anthropic", "mistralai", "groq", "cohere"} and not server
    ok = not remote or key in os.environ
    yield Finding(
        "model", f"{spec}: served by {server or vendor}", ok, "" if ok else f"export {key}=…"
    )


def _weights(root: Path) -> Iterator[Finding]:
    if not _version("seedbed"):
        setup = next(iter(_setup_commands(root).values()), "make setup")
        yield Finding("weights", "not installed; they come with the first project", fix=setup)
        return
    settings = _settings()
    cache = settings and settings.cache_dir
    required = required_weights(root)
    for model in MODELS.values():
        if not model.package:
            continue
        installed = _version(model.package) == model.version
        ready = bool(cache and list(cache.glob(f"models/{model.name}-*")))
        state = "converted" if ready else "installed, converted at first use"
        text = f"{model.name} {state}" if installed else f"{model.name} not installed"
        fix = "" if installed else pip_install(model.requirement)
        optional = bool(model.extra) or model.package not in required
        yield Finding("weights", text, installed or optional, fix)
    if cache:
        size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
        yield Finding("cache", f"{cache}, {size / 1e6:.0f} MB")


def required_weights(root: Path) -> set[str]:
    """The packages that the installed projects load by default, or that a copied-out one does."""
    files = [file for name in ("Makefile", "tools/install.mk") if (file := root / name).is_file()]
    text = "".join(file.read_text("utf-8") for file in files)
    lines = re.findall(r"^(?:WEIGHTS|weights-(\w+)) := (.*)$", text, re.MULTILINE)
    installed = [
        names for project, names in lines if not project or _version(project.replace("_", "-"))
    ]
    return {name for names in installed for name in names.split("|")}


def _settings() -> Settings | None:
    """The shared settings, or None while the packages that read them are not installed."""
    try:
        from seedbed.settings import Settings, load

        return load(Settings)
    except ImportError:
        return None


def _accelerators(root: Path) -> Iterator[Finding]:
    del root
    if _version("openvino"):
        import openvino

        core = openvino.Core()
        for device in core.available_devices:
            yield Finding("openvino", f"{device}: {core.get_property(device, 'FULL_DEVICE_NAME')}")
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20)
        for line in done.stdout.strip().splitlines():
            yield Finding("nvidia", line)
    torch = _version("torch")
    yield Finding("torch", torch or "not installed; only training and models of the hub require it")


def _tools(root: Path) -> Iterator[Finding]:
    del root
    programs = {
        "git": (("git",), "apt-get install git"),
        "browser": (
            ("chromium", "chromium-browser", "google-chrome"),
            "apt-get install chromium   # for the browser tests",
        ),
        "promtool": (("promtool",), "apt-get install prometheus   # for the tests of alert rules"),
    }
    for topic, (names, fix) in programs.items():
        path = next((path for name in names if (path := shutil.which(name))), None)
        yield Finding(topic, path or "not installed", fix="" if path else fix)
    variables = ("OTEL_EXPORTER_OTLP_ENDPOINT", "MLFLOW_TRACKING_URI", "SEEDBED_CHROMA_URL")
    addresses = [f"{name}={os.environ[name]}" for name in variables if os.environ.get(name)]
    exports = redact_secrets(", ".join(addresses))
    yield Finding("exports", exports or "none: no traces, metrics or vectors leave this machine")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; returns 1 if there is a problem."""
    words = sys.argv[1:] if arguments is None else arguments
    findings = examine(Path.cwd())
    if "--json" in words:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.topic) for finding in findings)
        for finding in findings:
            fix = f"   → {finding.fix}" if finding.fix else ""
            print(f"{finding.mark} {finding.topic:{width}} {finding.text}{fix}")
    return 0 if all(finding.ok for finding in findings) else 1


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):  # `make doctor | head` ends without a traceback
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    raise SystemExit(main())
